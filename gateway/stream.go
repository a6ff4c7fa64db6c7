package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// A relay passes one round's answer on as it is made.
type relay struct {
	g     *Gateway
	round *round
	out   *events
	say   script // how the dialect words it
	began time.Time
	id    string // of the request

	stall  *time.Timer // runs while the speaker is silent
	lastAt time.Time   // when text went out last
	legs   []*leg      // whose text went out, in order; the last one speaks
	spoken bool        // the opening chunk is out
	text   int         // bytes of the last leg that went out
	tokens int         // tokens of the last leg that went out
	offset int         // characters of all legs that went out
}

// stream answers p by server-sent events. It returns a problem only while no
// byte has gone out.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request, p prompt, m manner) *problem {
	ctx, began := r.Context(), time.Now()
	if bad := enter(w, r, p); bad != nil {
		return bad
	}
	round, err := g.begin(ctx, p)
	if err != nil {
		return asProblem(err, g)
	}
	s := &relay{
		g: g, round: round, began: began, id: requestID(w),
		out: &events{g: g, w: w, rc: http.NewResponseController(w)},
	}
	s.say = m.script(head{newID(), began, p.model.Name}, &round.prompt, s.out)
	round.idle = func() { _ = s.ping() } // ctx tells when nobody listens
	err = s.run(ctx)
	if err == nil {
		err = s.close(ctx)
	}
	if err == nil {
		g.later(ctx, round, p.strategy == First && !p.verdict)
		return nil
	}
	bad := asProblem(err, g)
	if !s.spoken {
		round.end()
		if s.out.begun {
			s.fail(bad)
			return nil
		}
		return bad
	}
	g.metrics.answered(s.counted(), time.Since(began))
	s.fail(bad)
	g.later(ctx, round, ctx.Err() == nil)
	return nil
}

// fail ends a stream that has begun in an error. What was given until then is
// counted and reported before it.
func (s *relay) fail(bad *problem) {
	if bad == errGone {
		return
	}
	s.g.metrics.broken.Inc()
	if s.spoken {
		s.say.tell(s.round.report(s.id, s.legs...))
	}
	s.say.fail(bad, s.counted())
	_ = s.out.flush() // a client that is gone misses nothing
}

// run relays until the answer's text is out.
func (s *relay) run(ctx context.Context) error {
	if p := &s.round.prompt; p.strategy != First || p.verified {
		return s.checked(ctx)
	}
	l := s.g.limits
	ping, hedge := time.NewTicker(l.Ping), s.round.patient()
	s.stall = time.NewTimer(l.Stall)
	defer ping.Stop()
	defer hedge.Stop()
	defer s.stall.Stop()
	for {
		if s.speaker() == nil && !s.pick() && !s.hope() {
			return s.checked(ctx)
		}
		if done, err := s.speak(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ping.C:
			if err := s.ping(); err != nil {
				return err
			}
		case <-hedge.C:
			s.round.hedge()
			hedge.again()
		case <-s.stall.C:
			s.giveUp()
		case <-s.round.box.ready:
			s.hear()
		}
	}
}

// speak sends what the speaker has said, and tells whether that was all. It
// finds another speaker when the one there is has died.
func (s *relay) speak() (done bool, err error) {
	for l := s.speaker(); l != nil; l = s.speaker() {
		if err := s.pass(l); err != nil || l.state != failed {
			return l.state == complete, err
		}
		if !s.takeOver(l) {
			return false, brokenOff(s.round.lastWord())
		}
	}
	return false, nil
}

// hear takes in what the miners did.
func (s *relay) hear() {
	for _, e := range s.round.box.take() {
		if s.round.apply(e) && s.speaker() == nil {
			s.round.replace()
		}
		if e.leg == s.speaker() {
			s.stall.Reset(s.patience(e.leg))
		}
	}
}

// patience is how long a leg may be silent.
func (s *relay) patience(l *leg) time.Duration {
	return s.round.model.routing.class.stallAfter(l.first > 0, s.g.limits.Stall)
}

// giveUp ends a speaker that has been silent for too long. Where nobody could
// go on for it, it has all the time there is.
func (s *relay) giveUp() {
	s.hear() // it may have spoken while we were busy
	l := s.speaker()
	if l == nil || l.state != running {
		return
	}
	patience := s.g.limits.Stall
	if s.replaceable(l) {
		patience = s.patience(l) // what is usual may have changed meanwhile
	}
	if left := patience - l.silent(); left > 0 {
		s.stall.Reset(left)
		return
	}
	s.round.giveUp(l)
}

// give makes l the speaker.
func (s *relay) give(l *leg) {
	s.legs = append(s.legs, l)
	s.text, s.tokens = 0, 0
	s.stall.Reset(s.patience(l))
}

// speaker is the leg whose text goes out, nil before there is one.
func (s *relay) speaker() *leg {
	if len(s.legs) == 0 {
		return nil
	}
	return s.legs[len(s.legs)-1]
}

// pick makes the first proven leg with text the speaker, and tells whether
// there is one.
func (s *relay) pick() bool {
	var first *leg
	for _, l := range s.round.legs {
		if l.proven && (l.state == complete || l.state == running && l.text.Len() > 0) &&
			(first == nil || l.began.Add(l.first).Before(first.began.Add(first.first))) {
			first = l
		}
	}
	if first == nil {
		return false
	}
	s.give(first)
	s.round.unhedge()
	return true
}

// hope tells whether a proven miner is still at work.
func (s *relay) hope() bool {
	return slices.ContainsFunc(s.round.legs, func(l *leg) bool { return l.proven && l.state == running })
}

// checked answers with text that was verified first: by wish, or because no
// miner that was asked has proved itself.
func (s *relay) checked(ctx context.Context) error {
	legs, err := s.round.decide(ctx)
	if err != nil {
		return err
	}
	s.legs = legs[:1]
	return s.pass(legs[0])
}

// pass sends what the speaker said since the last time.
func (s *relay) pass(l *leg) error {
	said := l.text.String()[s.text:]
	tokens := l.tokens[s.tokens:]
	if said == "" && (len(tokens) == 0 || l.state == running) {
		return nil
	}
	p := &s.round.prompt
	if !s.spoken {
		s.round.report(s.id, s.legs...).headers(s.out.w.Header())
		said = p.echo + said
	}
	if bad := spend(s.round.ctx, sofar(p, s.legs)); bad != nil {
		return bad
	}
	s.say.say(piece{text: said, tokens: tokens, offset: s.offset}, !s.spoken)
	if err := s.out.flush(); err != nil {
		return err
	}
	if !s.spoken {
		s.g.metrics.firstToken.Observe(time.Since(s.began).Seconds())
	}
	s.spoken = true
	s.resumed(l)
	s.lastAt = time.Now()
	s.text, s.tokens, s.offset = l.text.Len(), len(l.tokens), s.offset+utf8.RuneCountInString(said)
	return nil
}

// close sends the end of the stream: why it ended, how it came about, and the
// usage.
func (s *relay) close(ctx context.Context) error {
	p, last := &s.round.prompt, s.speaker()
	end := piece{finish: last.finish, offset: s.offset, stopped: last.stopped(p)}
	told := s.round.report(s.id, s.legs...)
	if !s.spoken {
		told.headers(s.out.w.Header())
	}
	counted := usageOf(p, s.legs...)
	if bad := spend(ctx, counted); bad != nil {
		return bad
	}
	s.g.metrics.answered(counted, time.Since(s.began))
	if p.verdict {
		s.say.end(end, !s.spoken, nil)
		if err := s.out.flush(); err != nil {
			return err
		}
		if err := s.round.finish(ctx); err != nil {
			return err
		}
		s.say.tell(s.round.report(s.id, s.legs...))
	} else {
		s.say.end(end, !s.spoken, told)
	}
	s.say.close(counted)
	return s.out.flush()
}

// counted is the usage of what went out so far.
func (s *relay) counted() usage {
	last := s.speaker()
	if last == nil {
		return usage{}
	}
	p := &s.round.prompt
	u := usageOf(p, s.legs...)
	u.Completion += p.count(last.tokens[:min(s.tokens, len(last.tokens))], last.text.String()[:s.text], 0) - last.count(p)
	u.Total = u.Prompt + u.Completion
	return u
}

// ping keeps a silent connection alive.
func (s *relay) ping() error {
	s.say.ping()
	return s.out.flush()
}

// finish waits for the slower answers within the round's patience and has all
// of them judged.
func (r *round) finish(ctx context.Context) error {
	r.spare = nil
	if err := r.collect(ctx, len(r.legs)); err != nil {
		return err
	}
	r.drop()
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.judge(ctx)
	return ctx.Err()
}

// settle waits a little for the ends of answers that were given up after their
// text had gone out, for what they said is checked too.
func (r *round) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := r.await(ctx, func() bool {
		return slices.ContainsFunc(r.legs, func(l *leg) bool { return l.used && l.total == 0 })
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// later ends the round after its answer went out, so that nobody waits for a
// miner that is slow to stop, and first has the rest judged when judge is true.
func (g *Gateway) later(ctx context.Context, r *round, judge bool) {
	select {
	case g.settle <- struct{}{}:
	default: // enough wait already; this one ends unjudged
		g.file(ctx, r)
		r.end()
		return
	}
	r.idle = nil
	g.late.Go(func() {
		defer func() { <-g.settle }()
		defer r.end()
		defer g.file(ctx, r)
		if !judge {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.limits.Answer)
		defer cancel()
		g.late.Go(func() {
			select {
			case <-g.done:
				cancel()
			case <-ctx.Done():
			}
		})
		_ = r.finish(ctx) // nobody is there to hear of it
	})
}
