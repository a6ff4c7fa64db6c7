package neuron

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// view is a neuron's picture of its subnet, brought up to date block by block.
type view struct {
	chain  Chain
	netuid yuma.Netuid
	stale  yuma.Height // blocks after which the metagraph is fetched anew

	mu       sync.RWMutex
	head     ledger.Head
	graph    *ledger.Metagraph // nil before the first fetch; never changed
	peers    map[string]yuma.UID
	accounts map[string]yuma.UID

	asking sync.Mutex // held while a stranger's question makes us fetch
	asked  time.Time
}

func newView(chain Chain, netuid yuma.Netuid) *view {
	return &view{chain: chain, netuid: netuid, stale: 10}
}

// refresh looks at the latest block, and at the metagraph if an epoch has run
// or it is old. It reports whether there is a new block.
func (v *view) refresh(ctx context.Context) (bool, error) {
	head, err := v.chain.Head(ctx)
	if err != nil {
		return false, err
	}
	v.mu.Lock()
	rose := head.Height > v.head.Height
	if rose {
		v.head = head
	}
	graph := v.graph
	v.mu.Unlock()
	if graph == nil || head.Height >= graph.NextEpoch || head.Height >= graph.Height+v.stale {
		return rose, v.refetch(ctx)
	}
	return rose, nil
}

// refetch fetches the metagraph.
func (v *view) refetch(ctx context.Context) error {
	graph, err := v.chain.Metagraph(ctx, v.netuid)
	if err != nil {
		return err
	}
	peers, accounts := map[string]yuma.UID{}, map[string]yuma.UID{}
	for _, n := range graph.Neurons {
		accounts[n.Account] = n.UID
		if n.PeerID != "" {
			peers[n.PeerID] = n.UID
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.graph == nil || graph.Height >= v.graph.Height {
		v.graph, v.peers, v.accounts = graph, peers, accounts
	}
	return nil
}

// follow refreshes every poll until ctx ends, and calls onBlock, unless it is
// nil, after each new block.
func (v *view) follow(ctx context.Context, poll time.Duration, onError func(error), onBlock func()) {
	for {
		rose, err := v.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			onError(err)
		case rose && onBlock != nil:
			onBlock()
		}
		if !pause(ctx, poll) {
			return
		}
	}
}

// now returns the latest block and metagraph; ok is false before the first.
func (v *view) now() (head ledger.Head, graph *ledger.Metagraph, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.head, v.graph, v.graph != nil && v.head.Height > 0
}

// account returns the neuron of an account.
func (v *view) account(account string) (ledger.Neuron, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	uid, ok := v.accounts[account]
	if !ok {
		return ledger.Neuron{}, fmt.Errorf("%w: account %s on subnet %d", ErrNotRegistered, account, v.netuid)
	}
	return v.graph.Neurons[uid], nil
}

// peer returns the neuron that a peer is.
func (v *view) peer(id peer.ID) (ledger.Neuron, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	uid, ok := v.peers[id.String()]
	if !ok {
		return ledger.Neuron{}, false
	}
	return v.graph.Neurons[uid], true
}

// miner returns the neuron at a uid, which must have an axon.
func (v *view) miner(uid yuma.UID) (ledger.Neuron, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.graph == nil || int(uid) >= len(v.graph.Neurons) || v.graph.Neurons[uid].PeerID == "" {
		return ledger.Neuron{}, fmt.Errorf("%w: uid %d on subnet %d", ErrUnknownUID, uid, v.netuid)
	}
	return v.graph.Neurons[uid], nil
}

// catchUp refetches because a stranger says something we do not know; at most
// once in every gap, for strangers can say a lot. It reports whether it did.
func (v *view) catchUp(ctx context.Context, gap time.Duration) bool {
	v.asking.Lock()
	defer v.asking.Unlock()
	if time.Since(v.asked) < gap {
		return false
	}
	v.asked = time.Now()
	if _, err := v.refresh(ctx); err != nil {
		return false
	}
	return v.refetch(ctx) == nil
}

// asPeer is a neuron as mechanisms see it.
func asPeer(n ledger.Neuron) subnet.Peer {
	return subnet.Peer{UID: n.UID, Account: n.Account, PeerID: n.PeerID}
}
