// Package neuron is the life of those who serve on a subnet: a miner, which
// works on the tasks it is given, and a validator, which gives tasks, judges
// the answers and sets weights.
//
// Neither knows what the work is: that is a [subnet.Mechanism]. A [Miner]
// keeps a queue in which callers with more stake come first; a [Validator]
// asks miners in rounds and on behalf of users, so that a miner cannot tell
// which, and keeps what it learned on disk. Both run until their context ends:
// [Miner.Run], [Validator.Run]. A [Dendrite] asks single questions.
package neuron

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/yuma"
)

// Errors that callers test for.
var (
	// ErrNotRegistered means that an account has no slot on the subnet.
	ErrNotRegistered = errors.New("neuron: not registered")
	// ErrUnknownUID means that a subnet has no such uid, or that the neuron
	// there has no axon.
	ErrUnknownUID = errors.New("neuron: no such miner")
	// ErrAbandoned means that whoever asked gave up, for which no miner is
	// blamed.
	ErrAbandoned = errors.New("neuron: the asker gave up")
)

// Chain is what neurons read of the chain and change on it. A *ledger.Client
// is one, and so is a ledger.Mechanism, for a neuron of a mechanism above 0.
type Chain interface {
	Head(ctx context.Context) (ledger.Head, error)
	BlockHash(ctx context.Context, height yuma.Height) ([32]byte, error)
	Metagraph(ctx context.Context, netuid yuma.Netuid) (*ledger.Metagraph, error)

	UpdateAxon(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, peerID string, protocols []string,
		sign func(claim []byte) ([]byte, error)) error
	SetWeights(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, row yuma.Row, version uint64) error
	CommitWeights(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) (revealEpoch uint64, err error)
	RevealWeights(ctx context.Context, a ledger.Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) error
}

// Network is how neurons reach each other. A *p2p.Host is one.
type Network interface {
	ID() peer.ID
	Serve(method string, handle p2p.Handler, policies ...p2p.Policy)
	Call(ctx context.Context, to peer.ID, method string, body []byte, onPiece func(piece []byte) error) (p2p.Receipt, error)
}

var (
	_ Chain   = (*ledger.Client)(nil)
	_ Chain   = ledger.Mechanism{}
	_ Network = (*p2p.Host)(nil)
)

// Self is who a neuron is: a slot of a subnet, the account that holds it, and
// the ways to the chain and to its peers. Neurons of one process may share
// Chain.
type Self struct {
	Netuid    yuma.Netuid
	Mechanism uint16       // of the subnet, that Chain speaks of too
	Actor     ledger.Actor // signs for the account
	Account   string       // the coldkey's address; empty means the actor's
	Chain     Chain
	Network   Network
	Log       *slog.Logger // nil means no log
}

func (s Self) withDefaults() Self {
	if s.Account == "" {
		s.Account = s.Actor.Account()
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Log = s.Log.With("netuid", s.Netuid)
	return s
}

// method is the name under which the miners of a subnet's mechanism are asked.
func (s Self) method() string {
	if s.Mechanism == 0 {
		return fmt.Sprintf("subnet/%d/task", s.Netuid)
	}
	return fmt.Sprintf("subnet/%d/%d/task", s.Netuid, s.Mechanism)
}

// stateFile names the file in which a validator keeps its state.
func (s Self) stateFile() string {
	if s.Mechanism == 0 {
		return fmt.Sprintf("validator-%d.state", s.Netuid)
	}
	return fmt.Sprintf("validator-%d-%d.state", s.Netuid, s.Mechanism)
}

// axonProtocol is what the chain is told that neurons speak.
const axonProtocol = "/plexus/axon/1.0.0"

// announce writes the neuron's peer id on chain unless it is there.
func (s Self) announce(ctx context.Context, v *view) error {
	n, err := v.account(s.Account)
	if err != nil {
		return err
	}
	id := s.Network.ID().String()
	if n.PeerID == id {
		return nil
	}
	s.Log.Info("updating axon on chain", "uid", n.UID, "from", n.PeerID, "to", id)
	if err := s.Chain.UpdateAxon(ctx, s.Actor, s.Netuid, id, []string{axonProtocol}, s.sign); err != nil {
		return fmt.Errorf("update axon of uid %d: %w", n.UID, err)
	}
	return v.refetch(ctx)
}

// sign signs with the peer's key, which a libp2p host keeps.
func (s Self) sign(claim []byte) ([]byte, error) {
	h, ok := s.Network.(interface{ Libp2p() host.Host })
	if !ok {
		return nil, fmt.Errorf("a %T has no peer key", s.Network)
	}
	key := h.Libp2p().Peerstore().PrivKey(s.Network.ID())
	if key == nil {
		return nil, fmt.Errorf("the key of peer %s is not here", s.Network.ID())
	}
	return key.Sign(claim)
}

// settle waits until the neuron is registered and its axon is on chain, which
// may need a chain that is still starting. It reports whether that came before
// ctx ended.
func (s Self) settle(ctx context.Context, v *view, every time.Duration) bool {
	var told string
	for {
		err := v.refetch(ctx)
		if err == nil {
			err = s.announce(ctx, v)
		}
		if err == nil {
			return true
		}
		if err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			s.Log.Warn("waiting to join the subnet", "account", s.Account, "err", err)
		}
		if !pause(ctx, every) {
			return false
		}
	}
}

// pause waits for d and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
