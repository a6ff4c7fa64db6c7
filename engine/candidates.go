package engine

import (
	"cmp"
	"math"
	"slices"

	"github.com/plexus-network/plexus/engine/exact"
)

// Logits is a row of scores that a model gives every token of its vocabulary:
// log-probabilities up to a constant.
type Logits []float32

// LogSum is the constant to subtract from a logit to get its log-probability,
// with the same bits for the same row on every machine. It is NaN or infinite
// for a row that is no distribution, as a broken model gives.
func (l Logits) LogSum() float64 {
	top := float32(math.Inf(-1))
	for _, v := range l {
		if v > top {
			top = v
		} else if v != v {
			return math.NaN()
		}
	}
	if math.IsInf(float64(top), 0) {
		return float64(top)
	}
	sum := 0.0
	for _, v := range l {
		// Terms below e⁻⁴⁰ are lost in the sum's last bit.
		if d := float64(v) - float64(top); d > -40 {
			sum += exact.Exp(d)
		}
	}
	return float64(top) + exact.Log(sum)
}

// Top returns the n likeliest tokens, likeliest first, the lower token first
// among equals. logSum is what LogSum returned.
func (l Logits) Top(n int, logSum float64) []Candidate {
	n = min(n, len(l))
	if n <= 0 {
		return nil
	}
	h := make(worstFirst, 0, n)
	for i, v := range l {
		h.offer(Candidate{Token: Token(i), LogProb: v})
	}
	return h.sorted(logSum)
}

// TopOf is Top among the tokens of a mask. Their log-probabilities are those
// that they have among all. There are fewer than n where the mask has fewer, or
// where the model holds some for impossible.
func (l Logits) TopOf(n int, logSum float64, among Mask) []Candidate {
	if n <= 0 {
		return nil
	}
	h := make(worstFirst, 0, n)
	for t := range among.All() {
		if int(t) < len(l) && !math.IsInf(float64(l[t]), -1) {
			h.offer(Candidate{Token: t, LogProb: l[t]})
		}
	}
	return h.sorted(logSum)
}

// sorted empties the heap into a list, likeliest first.
func (h worstFirst) sorted(logSum float64) []Candidate {
	slices.SortFunc(h, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.LogProb, a.LogProb), cmp.Compare(a.Token, b.Token))
	})
	for i := range h {
		h[i].LogProb = logProb(h[i].LogProb, logSum)
	}
	return h
}

// LogProb is the log-probability of token t.
func (l Logits) LogProb(t Token, logSum float64) float32 { return logProb(l[t], logSum) }

func logProb(logit float32, logSum float64) float32 {
	return min(float32(float64(logit)-logSum), 0)
}

func better(a, b Candidate) bool {
	return a.LogProb > b.LogProb || a.LogProb == b.LogProb && a.Token < b.Token
}

// worstFirst is a binary heap with the worst candidate at its root, so that
// one comparison turns away almost every token of a large vocabulary.
type worstFirst []Candidate

// offer takes c in where there is room or it is better than the worst.
func (h *worstFirst) offer(c Candidate) {
	if len(*h) < cap(*h) {
		*h = append(*h, c)
		h.up(len(*h) - 1)
	} else if better(c, (*h)[0]) {
		(*h)[0] = c
		h.down()
	}
}

func (h worstFirst) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !better(h[parent], h[i]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (h worstFirst) down() {
	for i := 0; ; {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && better(h[worst], h[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		h[i], h[worst] = h[worst], h[i]
		i = worst
	}
}
