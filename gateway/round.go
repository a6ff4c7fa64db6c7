package gateway

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

// A round is one prompt put to several miners. All but its goroutines' calls to
// the box belong to the goroutine that made it.
type round struct {
	g      *Gateway
	model  *Model
	prompt prompt
	began  time.Time
	asked  time.Time // when a miner was asked last

	receipt string   // its id; empty if none is kept
	request string   // id of the request, and
	chosen  [][]*leg // the answers that were given, each by the legs that gave it in turn, as they were told last

	ctx    context.Context // what the miners run under; ends with the round
	cancel context.CancelFunc
	legs   []*leg
	ask    text.Request // what further miners are asked, in the role
	role   string       // of the legs; empty for answers
	spare  []candidate  // who steps in next
	box    box
	taken  int    // answers that a stream has given before the others are decided on
	idle   func() // called now and then while nothing is heard; may be nil
	by     string // what put the answers first, in a receipt's words
	said   string // why the answer was given, where an ensemble decided
	votes  []voteReport
	shifts []shift
	wg     sync.WaitGroup
}

// begin asks the first k candidates. The caller must end the round.
func (g *Gateway) begin(ctx context.Context, p prompt) (*round, error) {
	if _, err := p.ask.Encode(); err != nil {
		return nil, invalid("", "the request cannot be sent to a miner: %v", err)
	}
	order, err := g.order(&p)
	if err != nil {
		return nil, err
	}
	p.model.routing.class.request()
	r := &round{g: g, model: p.model, prompt: p, ask: p.ask, began: time.Now(), receipt: g.newReceipt()}
	r.by = receipt.ByScore
	if p.strategy == First {
		r.by = receipt.ByFirst
	}
	r.box.ready = make(chan struct{}, 1)
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k, least := max(p.miners, p.n), p.n
	if p.strategy == Vote {
		least = k // every question has a seed of its own, so one miner may vote twice
	}
	for i := range k {
		if i >= len(order) && i >= least {
			break
		}
		r.start(order[i%len(order)], p.ask)
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
func (r *round) start(c candidate, ask text.Request) *leg {
	ctx, cancel := context.WithCancel(r.ctx)
	now := time.Now()
	l := &leg{candidate: c, began: now, cancel: cancel, ask: ask, role: r.role}
	r.legs, r.asked = append(r.legs, l), now
	r.g.metrics.asked.Inc()
	r.model.routing.breakers.asked(c.Peer.PeerID, now)
	r.wg.Go(func() {
		defer cancel()
		e := event{leg: l, end: true}
		e.trial, e.err = r.put(ctx, l)
		e.at = time.Now()
		r.box.put(e)
	})
	return l
}

// replace asks the next spare miner in place of one that failed, and tells
// whether there was one.
func (r *round) replace() bool {
	if len(r.spare) == 0 || !r.roomy() {
		return false
	}
	next := r.spare[0]
	r.spare = r.spare[1:]
	r.start(next, r.ask)
	return true
}

// roomy tells whether the round may ask one more miner.
func (r *round) roomy() bool { return len(r.legs) < 2*r.g.limits.MaxMiners }

// heir finds a proven miner that can stand in for one that failed: one that was
// not asked yet, or else one that did not fail.
func (r *round) heir() (candidate, bool) {
	if i := slices.IndexFunc(r.spare, func(c candidate) bool { return c.proven }); i >= 0 {
		next := r.spare[i]
		r.spare = slices.Delete(r.spare, i, i+1)
		return next, true
	}
	broken := func(l *leg) bool {
		return slices.ContainsFunc(r.legs, func(o *leg) bool { return o.Peer.UID == l.Peer.UID && o.state == failed })
	}
	if i := slices.IndexFunc(r.legs, func(l *leg) bool { return l.proven && !broken(l) }); i >= 0 {
		return r.legs[i].candidate, true
	}
	return candidate{}, false
}

// rescueAfter is how many times the limit of a hedge all may be silent before
// they are given up and another is asked in their place.
const rescueAfter = 5

// hedge asks one more miner when none has said anything, within the share of
// requests that may cost it. A silence that is far too long is a failure.
func (r *round) hedge() {
	if slices.ContainsFunc(r.legs, func(l *leg) bool { return l.role == r.role && l.first > 0 }) || len(r.spare) == 0 {
		return
	}
	if time.Since(r.asked) >= rescueAfter*r.g.limits.Hedge {
		for _, l := range r.legs {
			r.giveUp(l)
		}
		r.replace()
	} else if r.model.routing.class.mayHedge() {
		r.g.metrics.hedges.Inc()
		r.replace()
	}
}

// unhedge cancels the miners that a hedge made one too many, the silent ones
// that were asked last first, when a proven one has begun to speak.
func (r *round) unhedge() {
	if !slices.ContainsFunc(r.legs, func(l *leg) bool { return l.proven && l.first > 0 && l.state <= complete }) {
		return
	}
	excess := r.count(running) + r.count(complete) - max(r.prompt.miners, r.prompt.n)
	for _, l := range slices.Backward(r.legs) {
		if excess > 0 && l.state == running && l.first == 0 {
			l.state, l.why = cancelled, "another was faster"
			l.cancel()
			excess--
		}
	}
}

// patient is a timer for hedges: each waits twice as long as the one before.
type patient struct {
	*time.Timer
	wait time.Duration
}

func (r *round) patient() patient {
	wait := r.model.routing.class.hedgeAfter(r.g.limits.Hedge)
	return patient{time.NewTimer(wait), wait}
}

func (p *patient) again() {
	p.wait *= 2
	p.Reset(p.wait)
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
	ping, hedge := time.NewTicker(r.g.limits.Ping), r.patient()
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
			hedge.again()
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
			r.unhedge()
		}
		if patience == nil && r.content() {
			timer := time.NewTimer(max(r.g.limits.Patience, time.Since(r.began)/2))
			defer timer.Stop()
			patience = timer.C
		}
	}
	return nil
}

// judge has the complete legs checked, and what went out of those that broke
// off. Without a verdict in time they stay complete, which ranks below any that
// passed. Other failed legs are not held against their miners: it may have been
// us who asked too much, and a miner that only fails users cannot tell them
// from challenges.
func (r *round) judge(ctx context.Context) {
	var legs []*leg
	var trials []subnet.Trial
	for _, l := range r.legs {
		if l.total == 0 || l.state != complete && !(l.state == failed && l.used && len(l.trial.Answer.Body) > 0) {
			continue
		}
		t := l.trial
		t.Answer.Full = r.prompt.verified
		if l.err != nil {
			t.Answer.Err = l.err // it was the miner's silence that ended it, not our will
		}
		legs, trials = append(legs, l), append(trials, t)
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
		l.score = scores[i]
		if l.state == failed {
			l.used = false // once is enough
			continue
		}
		l.state = judged
		r.g.metrics.verdicts.WithLabelValues(l.verdict()).Inc()
	}
}

// ranked returns the legs whose answers may be given, best first: checked ones
// by their score, then those without a verdict; ties go to the better name and
// then to the faster.
func (r *round) ranked() []*leg {
	var legs []*leg
	for _, l := range r.legs {
		if l.role == "" && r.holds(l) {
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

// holds tells whether a leg's answer may be given.
func (r *round) holds(l *leg) bool {
	if l.state == judged {
		return !l.score.Reject && l.score.Value > 0 && (l.score.Checked || !r.prompt.verified)
	}
	return l.state == complete && !r.prompt.verified
}

// best returns the best answers, best first, or the first that hold when the
// strategy is First; what still runs then runs on. They are as many as are
// wanted and not given yet. It asks further miners while what came does not
// hold.
func (r *round) best(ctx context.Context) ([]*leg, error) {
	n := r.prompt.n - r.taken
	for {
		want := r.count(running) + r.count(complete)
		if r.prompt.strategy == First {
			want = 1
		}
		if err := r.collect(ctx, want); err != nil {
			return nil, err
		}
		r.judge(ctx)
		good := slices.DeleteFunc(r.ranked(), func(l *leg) bool { return l.given })
		if len(good) >= n || len(good) > 0 && !r.more() {
			if r.prompt.strategy != First {
				r.drop()
			}
			return good[:min(n, len(good))], nil
		}
		if !r.more() {
			return nil, r.nothing()
		}
	}
}

// nothing says why there is no answer.
func (r *round) nothing() error {
	if r.prompt.verified && slices.ContainsFunc(r.legs, func(l *leg) bool { return l.state == judged && !l.score.Reject && l.score.Value > 0 }) {
		return unverified(len(r.legs), r.lastWord())
	}
	return noAnswer(len(r.legs), r.lastWord())
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
