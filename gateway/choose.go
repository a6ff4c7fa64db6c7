package gateway

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// A candidate is a miner that may be asked.
type candidate struct {
	Miner
	proven bool // its text may reach a user before it was checked
}

// choose orders the miners that can be asked: the first k are who to ask, the
// rest who steps in when one fails, and explored tells that the last of the k
// is there to get a name.
//
// Proven miners come first, drawn without replacement by weight (Efraimidis and
// Spirakis 2006: the order of u^(1/w) for uniform u), so that load spreads over
// good miners and better ones get more of it. With probability explore the last
// of several places goes to one of the others, because a miner that is never
// asked can never show what it is worth.
func choose(miners []Miner, k int, explore float64) []candidate {
	best, bestIncentive := 0.0, uint16(0)
	for _, m := range miners {
		if m.Alive {
			best, bestIncentive = max(best, m.Score), max(bestIncentive, m.Incentive)
		}
	}
	type draw struct {
		candidate
		luck float64
	}
	var order []draw
	for _, m := range miners {
		if !m.Alive {
			continue
		}
		q := quality(m, best, bestIncentive)
		order = append(order, draw{candidate{m, q >= 0.5}, math.Log(1-rand.Float64()) / weight(m, q)})
	}
	slices.SortFunc(order, func(a, b draw) int {
		if a.proven != b.proven {
			if a.proven {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.luck, a.luck)
	})
	out := make([]candidate, len(order))
	for i, d := range order {
		out[i] = d.candidate
	}
	unnamed := slices.IndexFunc(out, func(c candidate) bool { return !c.proven })
	if k >= 2 && unnamed >= k && rand.Float64() < explore {
		i := unnamed + rand.IntN(len(out)-unnamed)
		out[k-1], out[i] = out[i], out[k-1]
	}
	return out
}

// quality is a miner's score relative to the best, 0 to 1. Before the
// validator scored anybody it takes the chain's word.
func quality(m Miner, best float64, bestIncentive uint16) float64 {
	switch {
	case best > 0:
		return m.Score / best
	case bestIncentive > 0:
		return float64(m.Incentive) / float64(bestIncentive)
	}
	return 0
}

// weight is how eagerly m is asked: quality squared, less for every request it
// is working on, and half at one second to the first chunk.
func weight(m Miner, quality float64) float64 {
	const floor = 1e-3 // a miner without a name still gets a turn among its like
	w := max(quality*quality, floor) / float64(1+max(m.InFlight, 0))
	return w / (1 + max(m.Latency, 0).Seconds())
}
