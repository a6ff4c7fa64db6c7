package neuron

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Dendrite asks a subnet's miners on behalf of a registered neuron.
type Dendrite struct {
	self Self
	view *view
}

// NewDendrite returns a Dendrite of a neuron that runs elsewhere; it looks at
// the chain when it is used. A [Validator] has its own.
func NewDendrite(self Self) *Dendrite {
	self = self.withDefaults()
	return &Dendrite{self: self, view: newView(self.Chain, self.Netuid)}
}

// Ask gives the miner at uid a task with this body and hands the answer's
// chunks to onChunk, which may be nil, as they come. The trial is what
// happened, also when there is an error, which it then holds as Answer.Err:
// [ErrAbandoned] when ctx ended or onChunk failed, else what the miner did
// wrong.
func (d *Dendrite) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func(chunk []byte) error) (subnet.Trial, error) {
	if _, err := d.view.refresh(ctx); err != nil {
		return subnet.Trial{}, fmt.Errorf("ask uid %d: %w", uid, err)
	}
	return d.ask(ctx, uid, body, timeout, onChunk)
}

// Relay asks the miner that earned most in the latest epoch, other than the
// dendrite's own neuron, and hands its answer out; where one does not answer it
// asks the next. It is the work of a miner that does none.
func (d *Dendrite) Relay(ctx context.Context, body []byte, emit func([]byte) error) error {
	if _, err := d.view.refresh(ctx); err != nil {
		return err
	}
	err := fmt.Errorf("%w: nobody to relay to on subnet %d", ErrUnknownUID, d.self.Netuid)
	begun := false
	for _, n := range d.others() {
		_, err = d.ask(ctx, n.UID, body, time.Minute, func(chunk []byte) error {
			begun = true
			return emit(chunk)
		})
		if err == nil || begun || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// others returns the neurons that may be miners, those that earned most first.
func (d *Dendrite) others() []ledger.Neuron {
	_, graph, _ := d.view.now()
	var all []ledger.Neuron
	for _, n := range graph.Neurons {
		validates := n.Permit && n.Stake > 0
		if n.Account != d.self.Account && n.PeerID != "" && !validates {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b ledger.Neuron) int { return cmp.Compare(b.Incentive, a.Incentive) })
	return all
}

// ask asks by what the view shows now.
func (d *Dendrite) ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	t, to, err := d.task(uid, body, timeout)
	if err != nil {
		return subnet.Trial{}, err
	}
	request, err := encodeTask(t)
	if err != nil {
		return subnet.Trial{}, err
	}
	trial := subnet.Trial{Task: t}
	a := &trial.Answer
	start := time.Now()
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	gaveUp := false
	receipt, err := d.self.Network.Call(deadline, to, d.self.method(), request, func(piece []byte) error {
		if a.First == 0 {
			a.First = max(time.Since(start), 1)
		}
		if len(a.Body)+len(piece) > maxAnswer {
			return fmt.Errorf("neuron: uid %d answers with more than %d bytes", uid, maxAnswer)
		}
		a.Body = append(a.Body, piece...)
		a.Cuts = append(a.Cuts, len(piece))
		if onChunk == nil {
			return nil
		}
		err := onChunk(piece)
		gaveUp = err != nil
		return err
	})
	a.Received = time.Now()
	a.Total = a.Received.Sub(start)
	a.Err = err
	if receipt.Response != nil {
		a.Asked = request
		if a.Receipt, err = json.Marshal(receipt); err != nil {
			return trial, fmt.Errorf("receipt: %w", err)
		}
	}
	refused, isRefused := errors.AsType[*p2p.Refused](a.Err)
	switch {
	case a.Err == nil:
	case gaveUp || ctx.Err() != nil:
		a.Err = fmt.Errorf("%w: %w", ErrAbandoned, a.Err)
	case errors.Is(deadline.Err(), context.DeadlineExceeded):
		a.Err = fmt.Errorf("no answer within %v: %w", timeout, deadline.Err())
	case isRefused:
		a.Err = refused
	}
	return trial, a.Err
}

// task makes a task bound to the latest block.
func (d *Dendrite) task(uid yuma.UID, body []byte, timeout time.Duration) (subnet.Task, peer.ID, error) {
	head, _, ok := d.view.now()
	if !ok {
		return subnet.Task{}, "", errors.New("neuron: the chain has not been seen yet")
	}
	self, err := d.view.account(d.self.Account)
	if err != nil {
		return subnet.Task{}, "", err
	}
	self.PeerID = d.self.Network.ID().String()
	miner, err := d.view.miner(uid)
	if err != nil {
		return subnet.Task{}, "", err
	}
	to, err := peer.Decode(miner.PeerID)
	if err != nil {
		return subnet.Task{}, "", fmt.Errorf("%w: uid %d has the peer id %q: %w", ErrUnknownUID, uid, miner.PeerID, err)
	}
	t := subnet.Task{
		Netuid: d.self.Netuid, Validator: asPeer(self), Miner: asPeer(miner),
		Height: head.Height, BlockHash: head.Hash, Body: body, Timeout: timeout,
	}
	rand.Read(t.ID[:])
	return t, to, nil
}
