package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

// A leg is one miner's part in a round.
type leg struct {
	candidate
	began  time.Time
	cancel context.CancelFunc
	ask    text.Request // what it was asked
	role   string       // roleJudge when it was asked about the others' answers

	text   strings.Builder
	tokens []engine.TokenScore
	finish engine.Finish
	usage  engine.Usage
	first  time.Duration // to the first text; 0 before it
	last   time.Time     // of the latest piece
	total  time.Duration // to the end; 0 before it
	state  legState
	trial  subnet.Trial
	score  subnet.Score
	why    string // for people: why it failed
	err    error  // why it failed, where we gave it up ourselves
	given  bool   // its text goes out in a choice of a stream
	used   bool   // its text went out before it failed
	vote   string // what its answer says, when answers vote
}

// roleJudge is the role of a miner that is asked about the others' answers.
const roleJudge = "judge"

// legState is where a leg stands. It starts running; complete legs may become
// judged.
type legState uint8

const (
	running legState = iota
	complete
	failed
	cancelled // by us: it says nothing about the miner
	judged
)

// An event is what a miner's goroutine tells the round.
type event struct {
	leg    *leg
	at     time.Time
	chunks []text.Chunk
	end    bool
	trial  subnet.Trial
	err    error
}

// A box hands events from miners to their round. Putting never blocks: a client
// that reads slowly must not make a miner look slow. Its size is bounded by
// the bound on every leg's answer.
type box struct {
	mu     sync.Mutex
	events []event
	ready  chan struct{} // holds one value while there are events
}

func (b *box) put(e event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *box) take() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// maxTokenBytes bounds the text of one token, so that MaxTokens bounds the
// bytes that a miner can make us hold.
const maxTokenBytes = 256

var (
	errTooMuch = errors.New("it sent more than was asked for")
	errNoEnd   = errors.New("its answer has no end")
	errStalled = errors.New("it stopped in the middle")
)

// put asks one miner and puts its chunks into the box. It runs on the
// miner's own goroutine and touches of l only what start set.
func (r *round) put(ctx context.Context, l *leg) (trial subnet.Trial, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.g.log.Error("asking a miner panicked", "miner", l.Peer.UID, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("asking it failed inside the gateway")
		}
	}()
	body, err := l.ask.Encode()
	if err != nil {
		return trial, err
	}
	budget, tokens := l.ask.MaxTokens, 0
	size := (budget + 8) * maxTokenBytes
	return r.model.Backend.Ask(ctx, l.Peer.UID, body, r.g.limits.Answer, func(raw []byte) error {
		chunks, err := text.DecodeChunks(raw)
		if err != nil {
			return fmt.Errorf("its answer cannot be read: %w", err)
		}
		for _, c := range chunks {
			size -= len(c.Text)
			tokens += len(c.Tokens)
		}
		if size < 0 || tokens > budget+1 {
			return errTooMuch
		}
		r.box.put(event{leg: l, at: time.Now(), chunks: chunks})
		return nil
	})
}

// apply takes an event into its leg, and tells whether the leg just failed.
func (r *round) apply(e event) (failure bool) {
	l := e.leg
	for _, c := range e.chunks {
		if c.Text != "" || len(c.Tokens) > 0 {
			r.time(l, e.at)
		}
		if l.finish != "" {
			break // what follows the end is nobody's answer
		}
		l.text.WriteString(c.Text)
		l.tokens = append(l.tokens, c.Tokens...)
		if c.Finish != "" {
			l.finish, l.usage = c.Finish, c.Usage
		}
	}
	if !e.end {
		return false
	}
	l.total, l.trial = max(e.at.Sub(l.began), 1), e.trial
	if l.state != running {
		return false
	}
	defer func() {
		r.model.routing.learn(l, l.ask, e.at)
		r.g.figures.note(r.model, l)
	}()
	err := e.err
	switch {
	case err == nil && e.trial.Answer.Err != nil:
		err = e.trial.Answer.Err
	case err == nil && l.finish == "":
		err = errNoEnd
	}
	if err != nil {
		l.state, l.why = failed, reason(err)
		r.g.metrics.failures.Inc()
		return true
	}
	l.state = complete
	return false
}

// time notes when a leg's pieces come.
func (r *round) time(l *leg, at time.Time) {
	class := r.model.routing.class
	if l.first == 0 {
		l.first = max(at.Sub(l.began), 1)
		class.heard(true, l.first)
	} else {
		class.heard(false, at.Sub(l.last))
	}
	l.last = at
}

// giveUp ends a leg that has been silent for too long.
func (r *round) giveUp(l *leg) {
	if l.state != running {
		return
	}
	l.state, l.err, l.why = failed, errStalled, errStalled.Error()
	l.cancel()
	r.g.metrics.failures.Inc()
	r.model.routing.learn(l, l.ask, time.Now())
}

// silent is how long ago a leg was heard of.
func (l *leg) silent() time.Duration {
	if l.first == 0 {
		return time.Since(l.began)
	}
	return time.Since(l.last)
}

// reason turns an error into a line for people, of bounded length.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it did not answer in time"
	}
	s := strings.ToValidUTF8(err.Error(), "?")
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
