package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

// A round is one prompt put to several miners. All but its goroutines' calls to
// the box belong to the goroutine that made it.
type round struct {
	g      *Gateway
	model  *Model
	prompt prompt
	body   []byte // the encoded request, the same for every miner
	began  time.Time

	receipt string // its id; empty if none is kept
	request string // id of the request, and
	chosen  []*leg // the legs whose answers were given, as they were told last

	ctx    context.Context // what the miners run under; ends with the round
	cancel context.CancelFunc
	legs   []*leg
	spare  []candidate // who steps in next
	box    box
	idle   func() // called now and then while collect hears nothing; may be nil
	wg     sync.WaitGroup
}

// A leg is one miner's part in a round.
type leg struct {
	candidate
	began  time.Time
	cancel context.CancelFunc

	text   strings.Builder
	tokens []engine.TokenScore
	finish engine.Finish
	usage  engine.Usage
	first  time.Duration // to the first text; 0 before it
	total  time.Duration // to the end; 0 before it
	state  legState
	trial  subnet.Trial
	score  subnet.Score
	why    string // for people: why it failed
}

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
)

// begin asks the first k candidates. The caller must end the round.
func (g *Gateway) begin(ctx context.Context, p prompt) (*round, error) {
	body, err := p.ask.Encode()
	if err != nil {
		return nil, invalid("", "the request cannot be sent to a miner: %v", err)
	}
	order := choose(p.model.Backend.Miners(), p.miners, g.limits.Explore)
	if len(order) == 0 {
		return nil, noMiners(p.model.Name)
	}
	r := &round{g: g, model: p.model, prompt: p, body: body, began: time.Now(), receipt: g.newReceipt()}
	r.box.ready = make(chan struct{}, 1)
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k := max(p.miners, p.n)
	for i := range k {
		if i >= len(order) && k > p.n {
			break // asking one miner twice helps only to make n answers
		}
		r.start(order[i%len(order)], body)
	}
	r.spare = order[min(k, len(order)):]
	return r, nil
}

// end cancels what still runs and waits for it.
func (r *round) end() {
	r.cancel()
	r.wg.Wait()
	r.g.pending.Delete(r.receipt)
}

// start asks one miner.
func (r *round) start(c candidate, body []byte) *leg {
	ctx, cancel := context.WithCancel(r.ctx)
	l := &leg{candidate: c, began: time.Now(), cancel: cancel}
	r.legs = append(r.legs, l)
	r.g.metrics.asked.Inc()
	r.wg.Go(func() {
		defer cancel()
		e := event{leg: l, end: true}
		e.trial, e.err = r.ask(ctx, l, body)
		e.at = time.Now()
		r.box.put(e)
	})
	return l
}

// ask runs one miner's answer and puts its chunks into the box. It runs on the
// miner's own goroutine and touches of l only what start set.
func (r *round) ask(ctx context.Context, l *leg, body []byte) (trial subnet.Trial, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.g.log.Error("asking a miner panicked", "miner", l.Peer.UID, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("asking it failed inside the gateway")
		}
	}()
	budget, tokens := r.prompt.ask.MaxTokens, 0
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
		if l.first == 0 && (c.Text != "" || len(c.Tokens) > 0) {
			l.first = max(e.at.Sub(l.began), 1)
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
	if !e.end || l.state != running {
		return false
	}
	l.total, l.trial = e.at.Sub(l.began), e.trial
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

// replace asks the next spare miner in place of one that failed, and tells
// whether there was one.
func (r *round) replace() bool {
	if len(r.spare) == 0 || len(r.legs) >= 2*r.g.limits.MaxMiners {
		return false
	}
	next := r.spare[0]
	r.spare = r.spare[1:]
	r.start(next, r.body)
	return true
}

// hedge asks one more miner when none has said anything.
func (r *round) hedge() {
	if !slices.ContainsFunc(r.legs, func(l *leg) bool { return l.first > 0 }) {
		r.replace()
	}
}

// drop cancels the legs that still run and waits for none of them.
func (r *round) drop() {
	for _, l := range r.legs {
		if l.state == running {
			l.state, l.why = cancelled, "it was not needed any more"
			l.cancel()
		}
	}
}

// count returns how many legs are in a state.
func (r *round) count(s legState) (n int) {
	for _, l := range r.legs {
		if l.state == s {
			n++
		}
	}
	return n
}

// content tells whether an answer is there that is worth its while: of a proven
// miner, or of anybody when no proven one is still at work.
func (r *round) content() bool {
	hope := false
	for _, l := range r.legs {
		if l.state == complete && l.proven {
			return true
		}
		hope = hope || l.state == running && l.proven
	}
	return !hope && r.count(complete) > 0
}

// collect listens until want legs are complete, or the patience after the first
// that counts is over, or nobody is left, or ctx ends. It replaces miners that
// fail.
func (r *round) collect(ctx context.Context, want int) error {
	var patience <-chan time.Time
	ping, hedge := time.NewTicker(r.g.limits.Ping), time.NewTicker(r.g.limits.Hedge)
	defer ping.Stop()
	defer hedge.Stop()
	for r.count(running) > 0 && r.count(complete) < want {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			return nil
		case <-hedge.C:
			r.hedge()
		case <-ping.C:
			if r.idle != nil {
				r.idle()
			}
		case <-r.box.ready:
			for _, e := range r.box.take() {
				if r.apply(e) {
					r.replace()
				}
			}
		}
		if patience == nil && r.content() {
			timer := time.NewTimer(max(r.g.limits.Patience, time.Since(r.began)/2))
			defer timer.Stop()
			patience = timer.C
		}
	}
	return nil
}

// judge has the complete legs checked. Without a verdict in time they stay
// complete, which ranks below any that passed. A failed leg is not held against
// its miner: it may have been us who asked too much of it, and a miner that
// only fails users cannot tell them from challenges.
func (r *round) judge(ctx context.Context) {
	var legs []*leg
	var trials []subnet.Trial
	for _, l := range r.legs {
		if l.state == complete {
			legs, trials = append(legs, l), append(trials, l.trial)
		}
	}
	if len(legs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.g.limits.Judge)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.g.log.Error("judging panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	scores, err := r.model.Backend.Judge(ctx, trials)
	if err != nil || len(scores) != len(legs) {
		r.g.log.Warn("answers were not judged", "answers", len(legs), "error", err)
		return
	}
	for i, l := range legs {
		l.state, l.score = judged, scores[i]
		r.g.metrics.verdicts.WithLabelValues(l.verdict()).Inc()
	}
}

// ranked returns the legs whose answers may be given, best first: checked ones
// by their score, then those without a verdict; ties go to the better name and
// then to the faster.
func (r *round) ranked() []*leg {
	var legs []*leg
	for _, l := range r.legs {
		if l.state == complete || l.state == judged && !l.score.Reject && l.score.Value > 0 {
			legs = append(legs, l)
		}
	}
	slices.SortStableFunc(legs, func(a, b *leg) int {
		return cmp.Or(
			cmp.Compare(b.state, a.state),
			cmp.Compare(b.score.Value, a.score.Value),
			cmp.Compare(b.Score, a.Score),
			cmp.Compare(a.total, b.total),
		)
	})
	return legs
}

// best returns the n best answers, best first, or the first n that hold when
// the strategy is First; what still runs then runs on. It asks further miners
// while what came does not hold.
func (r *round) best(ctx context.Context) ([]*leg, error) {
	for {
		want := r.count(running) + r.count(complete)
		if r.prompt.strategy == First {
			want = 1
		}
		if err := r.collect(ctx, want); err != nil {
			return nil, err
		}
		r.judge(ctx)
		good := r.ranked()
		if len(good) >= r.prompt.n || len(good) > 0 && !r.more() {
			if r.prompt.strategy == Best {
				r.drop()
			}
			return good[:min(r.prompt.n, len(good))], nil
		}
		if !r.more() {
			return nil, noAnswer(len(r.legs), r.lastWord())
		}
	}
}

// more tells whether further answers may come, asking one more miner if need
// be.
func (r *round) more() bool { return r.count(running) > 0 || r.replace() }

// lastWord is why the latest leg is worth nothing.
func (r *round) lastWord() string {
	for _, l := range slices.Backward(r.legs) {
		if why := cmp.Or(l.why, l.score.Reason); why != "" {
			return fmt.Sprintf("miner %d: %s", l.Peer.UID, why)
		}
	}
	return "they gave no reason"
}
