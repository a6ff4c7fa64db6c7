package gateway

import (
	"sync"
	"time"
)

// breakers keep users away from miners that fail: after three failures in a
// row a miner is asked nothing for two seconds, then one question, and twice
// as long each time that fails too, up to a minute. The zero value works.
type breakers struct {
	mu sync.Mutex
	of map[string]*breaker // by peer id
}

type breaker struct {
	failures int // in a row
	until    time.Time
}

const (
	breakAfter  = 3
	breakFirst  = 2 * time.Second
	breakMost   = time.Minute
	maxBreakers = 8192 // beyond it all is forgotten: a subnet has at most 4096 miners
)

// open tells whether a miner is to be left alone.
func (b *breakers) open(peer string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.of[peer]
	return e != nil && e.failures >= breakAfter && now.Before(e.until)
}

// asked notes that a miner is asked. One that is on trial is asked no more
// until that question has ended or its time is over.
func (b *breakers) asked(peer string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of[peer]; e != nil && e.failures >= breakAfter {
		e.until = now.Add(e.pause())
	}
}

// ended notes how a question ended.
func (b *breakers) ended(peer string, failed bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failed {
		delete(b.of, peer)
		return
	}
	e := b.of[peer]
	if e == nil {
		if b.of == nil || len(b.of) >= maxBreakers {
			b.of = map[string]*breaker{}
		}
		e = &breaker{}
		b.of[peer] = e
	}
	e.failures++
	e.until = now.Add(e.pause())
}

// pause is how long a miner with so many failures is left alone.
func (e *breaker) pause() time.Duration {
	return min(breakFirst<<min(max(e.failures-breakAfter, 0), 8), breakMost)
}
