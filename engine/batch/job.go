package batch

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// kind is what a job asks for.
type kind uint8

const (
	kindAnswer kind = iota + 1
	kindScore
	kindEmbed
)

// A job is one request on its way through the scheduler.
type job struct {
	kind   kind
	ctx    context.Context // of the call that waits for the job, which it does not outlive
	tokens []engine.Token  // prompt, then what was made or is to be scored
	prompt int             // how many of tokens are the prompt

	sampling engine.Sampling
	bound    *grammar.Matcher // nil where nothing binds the answer
	top      int
	limit    int // length of tokens at which the answer ends
	text     text
	last     engine.Token // what a score ends with
	finish   engine.Finish

	// The scheduler's own.
	slot     int
	turn     int64 // clock of its admission
	computed int   // rows that are in the slot
	cached   int   // rows that were there at the start
	scores   []engine.TokenScore
	vector   []float32

	gone atomic.Bool // nobody waits any more

	news     chan struct{} // one pending notice of a change below
	mu       sync.Mutex
	deltas   []engine.Delta
	finished bool
	err      error
}

func newJob(ctx context.Context, k kind) *job {
	return &job{kind: k, ctx: ctx, news: make(chan struct{}, 1)}
}

// take returns the deltas that came since, and whether the job has finished.
func (j *job) take() ([]engine.Delta, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.deltas
	j.deltas = nil
	return d, j.finished
}

func (j *job) emit(d engine.Delta) {
	j.mu.Lock()
	j.deltas = append(j.deltas, d)
	j.mu.Unlock()
	j.notify()
}

// end finishes the job; err is nil where all went well.
func (j *job) end(err error) {
	j.mu.Lock()
	j.finished, j.err = true, err
	j.mu.Unlock()
	j.notify()
}

func (j *job) notify() {
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// submit queues a job, or returns engine.ErrBusy or engine.ErrClosed.
func (e *Engine) submit(j *job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return engine.ErrClosed
	}
	if len(e.queue) >= e.opts.Queue {
		return engine.ErrBusy
	}
	e.queue = append(e.queue, j)
	e.rouse()
	return nil
}

// wait submits a job and waits for its end.
func (e *Engine) wait(ctx context.Context, j *job) error {
	if err := e.submit(j); err != nil {
		return err
	}
	for {
		if _, finished := j.take(); finished {
			return j.err
		}
		select {
		case <-j.news:
		case <-ctx.Done():
			e.cancel(j)
		}
	}
}

// cancel tells the scheduler that nobody waits for j, and waits until it has
// dropped it, so that the caller may end.
func (e *Engine) cancel(j *job) {
	j.gone.Store(true)
	e.rouse()
	for {
		if _, finished := j.take(); finished {
			return
		}
		<-j.news
	}
}

// rouse wakes the scheduler.
func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
