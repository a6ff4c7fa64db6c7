// Package fair shares a bounded number of places among accounts that want more
// of them than there are.
//
// A [Queue] is weighted fair queuing by virtual time (Demers, Keshav, Shenker
// 1989; start tags as in Goyal, Vin, Cheng 1996): an account that waits gets
// work in proportion to its weight, whatever others ask for, and one that was
// idle has no claim on the past. Nobody who waits is passed over for ever.
package fair

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// scale is virtual time per unit of cost at weight 1.
const scale = 1 << 10

// Options bounds a Queue. The zero value works.
type Options struct {
	Places  int // that are held at the same time; 0 means 64
	Waiting int // who may wait, all accounts together; 0 means 256
	Each    int // who may wait of one account; 0 means a quarter of Waiting, at least 1
}

// A Full error means that there is no room to wait.
type Full struct {
	Waiting int           // who wait
	Own     bool          // all of them are of the account itself, which may have no more
	Wait    time.Duration // until there may be room, by what places took of late
}

// Error tells the numbers.
func (e *Full) Error() string {
	if e.Own {
		return fmt.Sprintf("fair: %d requests of this account wait already", e.Waiting)
	}
	return fmt.Sprintf("fair: %d requests wait already", e.Waiting)
}

// A Queue hands out places. Make one with [New]. It may be used from many
// goroutines.
type Queue struct {
	opt Options

	mu      sync.Mutex
	held    int
	waiting int
	clock   uint64 // virtual time: the start tag of who got a place last
	flows   map[string]*flow
	heads   heads         // flows in which someone waits, by the tag of the first
	arrived uint64        // who have come so far
	took    time.Duration // moving average of how long a place is held
}

// A flow is an account with those of it that wait.
type flow struct {
	account string
	weight  uint64
	finish  uint64 // virtual time until which it has been served
	floor   uint64 // virtual time when it began to wait
	start   uint64 // start tag of the first that waits
	line    []*waiter
	holds   int // places that it has
	at      int // in heads; -1 while nobody waits
}

type waiter struct {
	cost  uint64
	since uint64     // how many had come before
	turn  chan error // nil: go on; an error: give up
}

// New returns a queue.
func New(o Options) *Queue {
	if o.Places <= 0 {
		o.Places = 64
	}
	if o.Waiting <= 0 {
		o.Waiting = 256
	}
	if o.Each <= 0 {
		o.Each = max(o.Waiting/4, 1)
	}
	return &Queue{opt: o, flows: map[string]*flow{}}
}

// A Place is the right to work. Leave it once.
type Place struct {
	q     *Queue
	flow  *flow
	cost  uint64
	began time.Time
}

// Enter waits for a place for an account of a weight of at least 1. cost is
// what the work is thought to cost, in any unit that is the same for all. It
// returns a [*Full] error, or that of ctx if it ends first.
func (q *Queue) Enter(ctx context.Context, account string, weight int, cost int64) (*Place, error) {
	f, w, err := q.join(account, weight, cost)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-w.turn:
	case <-ctx.Done():
		err = q.abandon(f, w, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	return &Place{q: q, flow: f, cost: w.cost, began: time.Now()}, nil
}

// Leave gives the place back. cost is what the work cost in truth: what it
// cost less than was thought is the account's again.
func (p *Place) Leave(cost int64) {
	q, f := p.q, p.flow
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held--
	f.holds--
	q.took += (time.Since(p.began) - q.took) / 8
	if spared := int64(p.cost) - max(cost, 0); spared > 0 {
		f.finish -= min(f.finish, span(uint64(spared), f.weight))
		if len(f.line) > 0 {
			f.tag()
			heap.Fix(&q.heads, f.at)
		}
	}
	q.admit()
	q.forget(f)
}

// Load returns how many hold a place and how many wait.
func (q *Queue) Load() (held, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held, q.waiting
}

// join puts one at the end of its account's line. Where all who may wait do,
// the one whose turn is last makes room, if that is not the newcomer itself.
func (q *Queue) join(account string, weight int, cost int64) (*flow, *waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.flows[account]
	if f == nil {
		f = &flow{account: account, at: -1}
		q.flows[account] = f
	}
	f.weight = uint64(max(weight, 1))
	w := &waiter{cost: uint64(min(max(cost, 1), math.MaxUint32)), since: q.arrived, turn: make(chan error, 1)}
	q.arrived++
	if len(f.line) >= q.opt.Each && q.held >= q.opt.Places {
		return nil, nil, &Full{Waiting: len(f.line), Own: true, Wait: q.wait()}
	}
	if q.waiting >= q.opt.Waiting && q.held >= q.opt.Places && !q.makeRoom(f, w.cost) {
		err := &Full{Waiting: q.waiting, Wait: q.wait()}
		q.forget(f)
		return nil, nil, err
	}
	f.line = append(f.line, w)
	q.waiting++
	if len(f.line) == 1 {
		f.floor = q.clock
		f.tag()
		heap.Push(&q.heads, f)
	}
	q.admit()
	return f, w, nil
}

// makeRoom sends away the last of the line that ends latest, and tells whether
// it did: not if the line of f would end later still with one more.
func (q *Queue) makeRoom(f *flow, cost uint64) bool {
	var longest *flow
	latest := q.endOf(f) + span(cost, f.weight)
	for _, other := range q.heads {
		if end := q.endOf(other); other != f && end > latest {
			longest, latest = other, end
		}
	}
	if longest == nil {
		return false
	}
	last := longest.line[len(longest.line)-1]
	q.take(longest, len(longest.line)-1)
	last.turn <- &Full{Waiting: q.waiting + 1, Wait: q.wait()}
	return true
}

// endOf returns the virtual time at which all that wait in f are served.
func (q *Queue) endOf(f *flow) uint64 {
	end := max(q.clock, f.finish)
	if len(f.line) > 0 {
		end = f.start
	}
	for _, w := range f.line {
		end += span(w.cost, f.weight)
	}
	return end
}

// span is the virtual time that a cost takes at a weight, at least 1.
func span(cost, weight uint64) uint64 { return max(cost*scale/weight, 1) }

// tag sets the start tag of the first in f's line. Only the first has one, so
// who goes away leaves no gap behind.
func (f *flow) tag() { f.start = max(f.floor, f.finish) }

// take removes the one at place i of f's line.
func (q *Queue) take(f *flow, i int) {
	q.waiting--
	if len(f.line) == 1 {
		heap.Remove(&q.heads, f.at)
		f.line = nil
		q.forget(f)
		return
	}
	f.line = append(f.line[:i:i], f.line[i+1:]...)
	if i == 0 {
		f.tag()
		heap.Fix(&q.heads, f.at)
	}
}

// admit hands out the places that are free.
func (q *Queue) admit() {
	for q.held < q.opt.Places && len(q.heads) > 0 {
		f := q.heads[0]
		w := f.line[0]
		q.clock = max(q.clock, f.start)
		f.finish = f.start + span(w.cost, f.weight)
		f.holds++
		q.held++
		q.take(f, 0)
		w.turn <- nil
	}
}

// abandon takes one out of its line. If its turn came at the same time the
// place goes to the next.
func (q *Queue) abandon(f *flow, w *waiter, err error) error {
	q.mu.Lock()
	for i, other := range f.line {
		if other == w {
			q.take(f, i)
			q.mu.Unlock()
			return err
		}
	}
	q.mu.Unlock()
	if sent := <-w.turn; sent != nil {
		return err
	}
	(&Place{q: q, flow: f, cost: w.cost, began: time.Now()}).Leave(0)
	return err
}

// forget drops an account of which nobody is here and which owes nothing to
// the others. When all have left, time starts anew.
func (q *Queue) forget(f *flow) {
	if q.held == 0 && q.waiting == 0 {
		clear(q.flows)
		q.clock = 0
		return
	}
	if len(f.line) == 0 && f.holds == 0 && f.finish <= q.clock {
		delete(q.flows, f.account)
	}
	if len(q.flows) > 4*(q.opt.Places+q.opt.Waiting) {
		q.sweep()
	}
}

// sweep drops all accounts of which nobody is here and which owe nothing.
func (q *Queue) sweep() {
	for name, f := range q.flows {
		if len(f.line) == 0 && f.holds == 0 && f.finish <= q.clock {
			delete(q.flows, name)
		}
	}
}

// wait guesses when a place in the line may be free: places are given back one
// by one, and half of those who wait go before.
func (q *Queue) wait() time.Duration {
	return max(q.took*time.Duration(q.waiting+1)/time.Duration(2*q.opt.Places), time.Second)
}

// heads is a heap of flows by the start tag of their first. Among equals who
// came first goes first, so that newcomers pass nobody.
type heads []*flow

func (h heads) Len() int { return len(h) }

func (h heads) Less(i, j int) bool {
	if h[i].start != h[j].start {
		return h[i].start < h[j].start
	}
	return h[i].line[0].since < h[j].line[0].since
}

func (h heads) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push adds a flow for container/heap.
func (h *heads) Push(x any) {
	f := x.(*flow)
	f.at = len(*h)
	*h = append(*h, f)
}

// Pop removes the last flow for container/heap.
func (h *heads) Pop() any {
	old := *h
	f := old[len(old)-1]
	*h = old[:len(old)-1]
	f.at = -1
	return f
}
