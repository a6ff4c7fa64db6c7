package gateway

import (
	"slices"
	"time"

	"github.com/plexus-network/plexus/subnet/text"
)

// routing is what the gateway itself learned of a model's miners.
type routing struct {
	class    *class
	breakers breakers
	affinity *affinity
}

func newRouting() *routing { return &routing{class: newClass(), affinity: newAffinity()} }

// order returns who is asked for p, in order: the draw of choose, with miners
// whose cache is warm first and those that keep failing last. It is a problem
// where nobody is there, or nobody good enough.
func (g *Gateway) order(p *prompt) ([]candidate, error) {
	miners := p.model.Backend.Miners()
	best, alive := 0.0, false
	for _, m := range miners {
		if m.Alive {
			best, alive = max(best, m.Score), true
		}
	}
	if !alive {
		return nil, noMiners(p.model.Name)
	}
	if p.minScore > best {
		return nil, tooPicky(p.minScore, best)
	}
	miners = slices.DeleteFunc(slices.Clone(miners), func(m Miner) bool { return m.Score < p.minScore })
	out := choose(miners, p.miners, g.limits.Explore)
	now := time.Now()
	r := p.model.routing
	out = warmFirst(out, r.affinity.warm(r.affinity.keys(p.ask, ""), now))
	slices.SortStableFunc(out, func(a, b candidate) int {
		return rank(r.breakers.open(a.Peer.PeerID, now)) - rank(r.breakers.open(b.Peer.PeerID, now))
	})
	return out, nil
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// warmFirst moves the proven among warm, peer ids, to the front in their order,
// unless they have much more to do than others.
func warmFirst(order []candidate, warm []string) []candidate {
	if len(warm) == 0 {
		return order
	}
	idle := order[0].InFlight
	for _, c := range order {
		if c.proven {
			idle = min(idle, c.InFlight)
		}
	}
	place := func(c candidate) int {
		i := slices.Index(warm, c.Peer.PeerID)
		if i < 0 || !c.proven || c.InFlight > idle+warmLoad {
			return len(warm)
		}
		return i
	}
	slices.SortStableFunc(order, func(a, b candidate) int { return place(a) - place(b) })
	return order
}

// learn takes in how a leg ended.
func (r *routing) learn(l *leg, ask text.Request, now time.Time) {
	switch l.state {
	case complete:
		r.breakers.ended(l.Peer.PeerID, false, now)
		r.affinity.learn(r.affinity.keys(ask, l.text.String()), l.Peer.PeerID, now)
	case failed:
		r.breakers.ended(l.Peer.PeerID, true, now)
	case running, cancelled, judged:
	}
}
