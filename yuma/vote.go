package yuma

import (
	"math/bits"

	"github.com/plexus-network/plexus/fixed"
)

// A vote is validators' weights with the stake behind them, and what they come
// to: the consensus on each miner, and how miners rank by it.
type vote struct {
	weights matrix   // rows add up to at most One; clip turns them into what earns bonds
	stake   []uint64 // by row; a row without stake does not vote
	total   uint64   // sum of stake

	consensus []fixed.Frac // by miner
	prerank   []fixed.Frac // by miner: mean weight by stake
	rank      []fixed.Frac // by miner: mean clipped weight by stake
	trust     []fixed.Frac // by validator: sum of its clipped weights
}

// newVote returns the vote of rows of weights on n miners, not yet decided.
func newVote(weights matrix, stake []uint64, n int) *vote {
	v := &vote{weights: weights, stake: stake}
	for _, s := range stake {
		v.total += s
	}
	v.consensus, v.prerank = make([]fixed.Frac, n), make([]fixed.Frac, n)
	v.rank, v.trust = make([]fixed.Frac, n), make([]fixed.Frac, weights.len())
	return v
}

// decide finds the consensus on each miner: the greatest weight that at least
// kappa of the stake gives it or exceeds, and at kappa 0 the greatest of all.
// Stake is compared as whole numbers, so a tie is a tie on every node.
func (v *vote) decide(kappa uint16) {
	if v.total == 0 {
		return
	}
	quorum := max(1, quorum(v.total, kappa))
	columns, ends := v.columns()
	from := 0
	for j, to := range ends {
		v.consensus[j] = median(columns[from:to], quorum)
		from = to
	}
}

// quorum returns the least stake that makes up kappa/65535 of total.
func quorum(total uint64, kappa uint16) uint64 {
	hi, lo := bits.Mul64(total, uint64(kappa))
	q, rest := bits.Div64(hi, lo, 1<<16-1)
	if rest > 0 {
		q++
	}
	return q
}

// columns returns the weights that vote, gathered by miner, and where each
// miner's end.
func (v *vote) columns() ([]ballot, []int) {
	next := make([]int, len(v.consensus))
	for i, s := range v.stake {
		if s == 0 {
			continue
		}
		for _, j := range v.weights.row(i).uid {
			next[j]++
		}
	}
	total := 0
	for j, n := range next {
		next[j] = total
		total += n
	}
	ballots := make([]ballot, total)
	for i, s := range v.stake {
		if s == 0 {
			continue
		}
		row := v.weights.row(i)
		for k, j := range row.uid {
			ballots[next[j]] = ballot{row.val[k], s}
			next[j]++
		}
	}
	return ballots, next
}

// clip ranks miners by weights cut down to consensus. It then replaces each
// weight by the one that earns bonds: the weight less the penalty's part of
// what was cut.
func (v *vote) clip(penalty fixed.Frac) {
	ranks, preranks := make([]fixed.Sum, len(v.rank)), make([]fixed.Sum, len(v.rank))
	for i := range v.trust {
		row, s := v.weights.row(i), v.stake[i]
		for k, j := range row.uid {
			w := row.val[k]
			clipped := min(w, v.consensus[j])
			v.trust[i] += clipped
			preranks[j].AddMul(s, uint64(w))
			ranks[j].AddMul(s, uint64(clipped))
			row.val[k] = w.Lerp(clipped, penalty)
		}
	}
	for j := range v.rank {
		v.prerank[j], v.rank[j] = preranks[j].Mean(v.total), ranks[j].Mean(v.total)
	}
}
