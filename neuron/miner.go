package neuron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// MinerOptions tunes a Miner. The zero value works.
type MinerOptions struct {
	Slots     int           // tasks worked on at the same time; 0 means 8
	Queue     int           // tasks that may wait; 0 means 64
	PerCaller int           // tasks that one caller with stake may have here; 0 means 32
	PerGuest  int           // and one without; 0 means 2
	MaxAge    yuma.Height   // how many blocks back a task may be bound; 0 means 64
	Poll      time.Duration // between looks at the chain; 0 means 1 s
}

func (o MinerOptions) withDefaults() MinerOptions {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&o.Slots, 8)
	set(&o.Queue, 64)
	set(&o.PerCaller, 32)
	set(&o.PerGuest, 2)
	if o.MaxAge == 0 {
		o.MaxAge = 64
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	return o
}

// Miner answers the tasks of registered callers: it is a neuron's axon.
type Miner struct {
	self    Self
	work    subnet.Mechanism
	options MinerOptions
	view    *view
	queue   *queue
	alarm   rate.Sometimes // tells of failures, which callers can multiply
}

// NewMiner returns a miner that answers on the network as soon as it runs.
func NewMiner(self Self, work subnet.Mechanism, o MinerOptions) *Miner {
	o = o.withDefaults()
	self = self.withDefaults()
	return &Miner{
		self: self, work: work, options: o,
		view:  newView(self.Chain, self.Netuid),
		queue: newQueue(o.Slots, o.Queue, o.PerCaller, o.PerGuest),
		alarm: rate.Sometimes{First: 1, Interval: 10 * time.Second},
	}
}

// Run writes the axon on chain if it differs, and answers until ctx ends; it
// then returns nil. While the account is not registered it waits. It can run
// once.
func (m *Miner) Run(ctx context.Context) error {
	m.self.Network.Serve(m.self.method(), m.serve, m.admit)
	if !m.self.settle(ctx, m.view, m.options.Poll) {
		return nil
	}
	n, err := m.view.account(m.self.Account)
	if err == nil {
		m.self.Log.Info("miner serves", "uid", n.UID, "kind", m.work.Kind(), "peer", m.self.Network.ID())
	}
	m.view.follow(ctx, m.options.Poll, func(err error) {
		m.self.Log.Debug("the chain does not answer", "err", err)
	}, nil)
	return nil
}

// newcomers is the least time between two looks at the chain for a caller that
// is not known yet.
const newcomers = 500 * time.Millisecond

// admit refuses callers that are not registered on the subnet.
func (m *Miner) admit(ctx context.Context, r p2p.Request) error {
	if _, ok := m.view.peer(r.From); ok {
		return nil
	}
	m.view.catchUp(ctx, newcomers)
	if _, ok := m.view.peer(r.From); ok {
		return nil
	}
	return &p2p.Refused{
		Code:    p2p.Forbidden,
		Message: fmt.Sprintf("peer %s is no neuron of subnet %d: register one and set its axon", r.From, m.self.Netuid),
	}
}

// serve works on one task.
func (m *Miner) serve(ctx context.Context, r p2p.Request, send func([]byte) error) error {
	caller, ok := m.view.peer(r.From)
	if !ok {
		return &p2p.Refused{Code: p2p.Forbidden, Message: "your axon has just changed"}
	}
	t, err := decodeTask(r.Body)
	if err != nil {
		return &p2p.Refused{Code: p2p.Malformed, Message: err.Error()}
	}
	if err := m.check(ctx, &t); err != nil {
		return err
	}
	t.Validator = asPeer(caller)
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	leave, err := m.queue.enter(ctx, caller.Account, caller.Stake)
	if err != nil {
		return err
	}
	defer leave()
	if err := m.work.Work(ctx, t, send); err != nil {
		return m.failed(ctx, t, err)
	}
	return nil
}

// failed tells the caller why there is no answer, as far as that concerns it.
func (m *Miner) failed(ctx context.Context, t subnet.Task, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &p2p.Refused{Code: p2p.Internal, Message: fmt.Sprintf("no answer within %v", t.Timeout)}
	case ctx.Err() != nil:
		return err
	case errors.Is(err, subnet.ErrBadTask):
		return &p2p.Refused{Code: p2p.Malformed, Message: err.Error()}
	case errors.Is(err, subnet.ErrBusy):
		return busy("%v", err)
	default:
		m.alarm.Do(func() { m.self.Log.Warn("a task failed", "err", err) })
		return &p2p.Refused{Code: p2p.Internal, Message: "the miner failed"}
	}
}

// check refuses tasks that are not for this miner or not bound to a recent
// block, and completes t.
func (m *Miner) check(ctx context.Context, t *subnet.Task) error {
	self, err := m.view.account(m.self.Account)
	if err != nil {
		return &p2p.Refused{Code: p2p.Forbidden, Message: fmt.Sprintf("this miner is not registered on subnet %d any more", m.self.Netuid)}
	}
	if t.Netuid != m.self.Netuid || t.Miner.UID != self.UID {
		return &p2p.Refused{
			Code:    p2p.WrongReceiver,
			Message: fmt.Sprintf("the task is for uid %d of subnet %d, this is uid %d of subnet %d", t.Miner.UID, t.Netuid, self.UID, m.self.Netuid),
		}
	}
	t.Miner = asPeer(self)
	t.Miner.PeerID = m.self.Network.ID().String()
	return m.checkBlock(ctx, *t)
}

// ahead is how many blocks a caller's node may be ahead of this miner's.
const ahead = 3

// checkBlock refuses tasks whose luck could have been chosen: bound to a block
// that is old, or that is none.
func (m *Miner) checkBlock(ctx context.Context, t subnet.Task) error {
	head, err := m.headFor(ctx, t.Height)
	if err != nil {
		return busy("this miner does not see the chain now")
	}
	if t.Height > head.Height || t.Height+m.options.MaxAge < head.Height {
		return &p2p.Refused{
			Code:       p2p.Expired,
			Message:    fmt.Sprintf("the task is bound to block %d, the latest here is %d, and at most %d back are allowed", t.Height, head.Height, m.options.MaxAge),
			RetryAfter: time.Second,
		}
	}
	hash := head.Hash
	if t.Height != head.Height {
		if hash, err = m.self.Chain.BlockHash(ctx, t.Height); err != nil {
			return busy("this miner does not have block %d", t.Height)
		}
	}
	if hash != t.BlockHash {
		return &p2p.Refused{
			Code:    p2p.Malformed,
			Message: fmt.Sprintf("block %d has the hash %x…, the task says %x…: is it the same chain?", t.Height, hash[:6], t.BlockHash[:6]),
		}
	}
	return nil
}

// headFor returns the latest block, which it waits for a little when a caller
// knows a later one.
func (m *Miner) headFor(ctx context.Context, height yuma.Height) (ledger.Head, error) {
	for try := 0; ; try++ {
		head, _, ok := m.view.now()
		if ok && head.Height >= height {
			return head, nil
		}
		if ok && try > 0 && height > head.Height+ahead || try > 5 {
			return head, nil
		}
		if try > 1 && !pause(ctx, 300*time.Millisecond) {
			return head, ctx.Err()
		}
		if _, err := m.view.refresh(ctx); err != nil {
			return head, err
		}
	}
}
