package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

var errClosing = errors.New("p2p: the host is closing")

// gate counts the calls being served, bounds each peer's share of them, and
// ends them all when the host closes.
type gate struct {
	mu      sync.Mutex
	closed  bool
	perPeer map[peer.ID]int
	inside  map[*visit]struct{}
	known   map[peer.ID]struct{} // peers that a request was admitted of
	strange int                  // visits inside of peers that are not known
	left    sync.WaitGroup
}

// A visit is one call being served.
type visit struct {
	from   peer.ID
	known  bool
	cancel context.CancelCauseFunc
}

func newGate() *gate {
	return &gate{
		perPeer: make(map[peer.ID]int),
		inside:  make(map[*visit]struct{}),
		known:   make(map[peer.ID]struct{}),
	}
}

// enter admits one more call, or returns the refusal. The context ends when
// the visit is cancelled, the host closes, or leave is called.
func (g *gate) enter(from peer.ID) (context.Context, *visit, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.known[from]
	switch {
	case g.closed:
		return nil, nil, errClosing
	case g.perPeer[from] >= streamsPerPeer:
		return nil, nil, &Refused{Code: Busy, Message: fmt.Sprintf("%d of your requests are being served, the most for one peer", streamsPerPeer), RetryAfter: time.Second}
	case len(g.inside) >= streamsInAll, !known && g.strange >= streamsStrangers:
		return nil, nil, &Refused{Code: Busy, Message: "too many requests are being served", RetryAfter: time.Second}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	v := &visit{from: from, known: known, cancel: cancel}
	g.inside[v] = struct{}{}
	if !known {
		g.strange++
	}
	g.perPeer[from]++
	g.left.Add(1)
	return ctx, v, nil
}

// welcome makes the visit's peer known: a request of it was admitted.
func (g *gate) welcome(v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.known {
		return
	}
	v.known = true
	g.strange--
	if len(g.known) >= maxAcquaintances {
		for any := range g.known {
			delete(g.known, any)
			break
		}
	}
	g.known[v.from] = struct{}{}
}

// leave ends a visit.
func (g *gate) leave(v *visit) {
	v.cancel(context.Canceled)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, v)
	if !v.known {
		g.strange--
	}
	g.perPeer[v.from]--
	if g.perPeer[v.from] == 0 {
		delete(g.perPeer, v.from)
	}
	g.left.Done()
}

// close admits nobody any more, cancels all visits and waits for them to end.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	for v := range g.inside {
		v.cancel(errClosing)
	}
	g.mu.Unlock()
	g.left.Wait()
}
