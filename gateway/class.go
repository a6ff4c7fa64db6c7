package gateway

import (
	"slices"
	"sync"
	"time"
)

// A class is what a model's miners usually do, as measured here. It says when
// a silence is out of the ordinary.
type class struct {
	mu     sync.Mutex
	first  window  // times from a question to its first text
	gap    window  // times between two pieces of one answer
	hedges float64 // second questions that may be asked now
}

const (
	// hedgeShare is how many requests may cost a second question, and
	// hedgeBurst how many may in a row after a quiet time (J. Dean and L. A.
	// Barroso, The Tail at Scale, 2013: a few percent more load cut the tail).
	hedgeShare = 0.05
	hedgeBurst = 5
	hedgeSoon  = 20 * time.Millisecond // no hedge before this

	// A miner is given up after stallGaps times the p95 gap between pieces, or
	// stallFirsts times the p95 time to the first text before it spoke, but
	// not before the times named: giving up costs a second prefill.
	stallGaps   = 8
	stallFirsts = 4
	stallSoon   = 250 * time.Millisecond
	firstSoon   = time.Second
)

func newClass() *class { return &class{hedges: hedgeBurst} }

// request makes room for the hedges that one more request pays for.
func (c *class) request() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hedges = min(c.hedges+hedgeShare, hedgeBurst)
}

// mayHedge takes a hedge out of what is allowed, or tells that none is.
func (c *class) mayHedge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hedges < 1 {
		return false
	}
	c.hedges--
	return true
}

// heard notes a piece that came d after the one before, or after the question
// when it is the first.
func (c *class) heard(first bool, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first {
		c.first.add(d)
	} else {
		c.gap.add(d)
	}
}

// hedgeAfter is the silence after which one more miner is asked: the p95 of
// the time to the first text, at most most.
func (c *class) hedgeAfter(most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first.bound(1, hedgeSoon, most)
}

// stallAfter is the silence after which a miner that speaks, or that was asked
// to go on, is given up; at most most.
func (c *class) stallAfter(spoke bool, most time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if spoke {
		return c.gap.bound(stallGaps, stallSoon, most)
	}
	return c.first.bound(stallFirsts, firstSoon, most)
}

// A window holds the latest 256 durations. The zero window is empty.
type window struct {
	values [256]time.Duration
	count  int           // ever added
	p95    time.Duration // as of the last count that is a multiple of windowStep
}

// windowStep is how many values are waited for before the window says anything,
// and between two looks at it.
const windowStep = 16

func (w *window) add(d time.Duration) {
	w.values[w.count%len(w.values)] = d
	w.count++
	if w.count%windowStep != 0 {
		return
	}
	sorted := slices.Clone(w.values[:min(w.count, len(w.values))])
	slices.Sort(sorted)
	w.p95 = sorted[len(sorted)*95/100]
}

// bound is factor times the p95 within least and most, or most while too
// little is known.
func (w *window) bound(factor int, least, most time.Duration) time.Duration {
	if w.count < windowStep {
		return most
	}
	return min(max(time.Duration(factor)*w.p95, least), most)
}
