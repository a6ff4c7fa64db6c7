package neuron

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/p2p"
)

// queue admits callers to a bounded number of slots: those with more stake
// first, then those who came first.
type queue struct {
	waitMost int // callers that may wait
	eachMost int // questions that a caller with stake may have here, and
	freeMost int // one without

	mu      sync.Mutex
	free    int
	clock   uint64
	waiting []*waiter // in the order in which they are let in
	callers map[string]int
}

// waiter is a caller in the queue.
type waiter struct {
	stake coin.Amount
	since uint64
	turn  chan error // nil: go on; an error: give up
}

func newQueue(slots, waitMost, eachMost, freeMost int) *queue {
	return &queue{waitMost: waitMost, eachMost: eachMost, freeMost: freeMost, free: slots, callers: map[string]int{}}
}

// enter waits for a slot. The caller must call leave once if there is no
// error; an error is a [*p2p.Refused] or that of ctx.
func (q *queue) enter(ctx context.Context, caller string, stake coin.Amount) (leave func(), err error) {
	w, err := q.join(caller, stake)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-w.turn:
	case <-ctx.Done():
		err = q.abandon(w, ctx.Err())
	}
	if err != nil {
		q.depart(caller)
		return nil, err
	}
	return func() {
		q.release()
		q.depart(caller)
	}, nil
}

// join puts a caller into the queue, or turns it away.
func (q *queue) join(caller string, stake coin.Amount) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.eachMost
	if stake == 0 {
		most = q.freeMost
	}
	if n := q.callers[caller]; n >= most {
		return nil, busy("you have %d questions here already, %d are allowed", n, most)
	}
	w := &waiter{stake: stake, since: q.clock, turn: make(chan error, 1)}
	q.clock++
	if len(q.waiting) >= q.waitMost && q.free == 0 {
		last := q.waiting[len(q.waiting)-1]
		if before(last, w) < 0 {
			return nil, busy("%d callers with as much stake as yours wait here", len(q.waiting))
		}
		q.waiting = q.waiting[:len(q.waiting)-1]
		last.turn <- busy("a caller with more stake took your place")
	}
	q.callers[caller]++
	at, _ := slices.BinarySearchFunc(q.waiting, w, before)
	q.waiting = slices.Insert(q.waiting, at, w)
	q.admit()
	return w, nil
}

// before orders waiters.
func before(a, b *waiter) int {
	return cmp.Or(cmp.Compare(b.stake, a.stake), cmp.Compare(a.since, b.since))
}

// admit lets in as many as there are slots. The caller holds mu.
func (q *queue) admit() {
	for q.free > 0 && len(q.waiting) > 0 {
		q.free--
		q.waiting[0].turn <- nil
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
}

// abandon takes w out of the queue. If its turn came at the same time the
// slot goes to the next.
func (q *queue) abandon(w *waiter, err error) error {
	q.mu.Lock()
	at := slices.Index(q.waiting, w)
	if at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	q.mu.Unlock()
	if at < 0 && <-w.turn == nil {
		q.release()
	}
	return err
}

func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.admit()
}

func (q *queue) depart(caller string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.callers[caller]--; q.callers[caller] == 0 {
		delete(q.callers, caller)
	}
}

func busy(format string, args ...any) error {
	return &p2p.Refused{Code: p2p.Busy, Message: fmt.Sprintf(format, args...), RetryAfter: time.Second}
}
