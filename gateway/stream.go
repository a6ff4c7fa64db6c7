package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// A relay passes one round's answers on as they are made, each in a choice of
// its own.
type relay struct {
	g     *Gateway
	round *round
	out   *events
	say   script // how the dialect words it
	began time.Time
	id    string // of the request

	choices []*choice   // as many as are wanted; the first of them are given first
	stall   *time.Timer // until the next speaker has been silent for too long
	heard   time.Time   // when a miner was heard of last
	begun   bool        // the first chunk is out
	live    bool        // text is out that was not checked before
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
	for i := range p.n {
		s.choices = append(s.choices, &choice{relay: s, index: i})
	}
	s.say = m.script(head{newID(), began, p.model.Name}, &round.prompt, s.out)
	round.idle = func() { _ = s.ping() } // ctx tells when nobody listens
	err = s.run(ctx)
	if err == nil {
		err = s.close(ctx)
	}
	if err == nil {
		g.later(ctx, round, s.live && !p.verdict)
		return nil
	}
	bad := asProblem(err, g)
	if !s.begun {
		round.end()
		if s.out.begun {
			s.fail(bad)
			return nil
		}
		return bad
	}
	g.metrics.answered(s.counted(nil), time.Since(began))
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
	if s.begun {
		s.say.tell(s.round.report(s.id, s.given()...))
	}
	s.say.fail(bad, s.counted(nil))
	_ = s.out.flush() // a client that is gone misses nothing
}

// run relays until the answers' texts are out.
func (s *relay) run(ctx context.Context) error {
	switch p := &s.round.prompt; {
	case p.verified:
	case p.strategy == First:
		if err := s.listen(ctx); err != nil {
			return err
		}
	case p.strategy == Merge:
		return s.merge(ctx)
	}
	if !slices.ContainsFunc(s.choices, (*choice).empty) {
		return nil
	}
	return s.checked(ctx)
}

// listen relays what proven miners say, until every choice has ended or is left
// without one.
func (s *relay) listen(ctx context.Context) error {
	l := s.g.limits
	ping, hedge := time.NewTicker(l.Ping), s.round.patient()
	s.stall = time.NewTimer(l.Stall)
	defer ping.Stop()
	defer hedge.Stop()
	defer s.stall.Stop()
	for {
		s.seat()
		for _, c := range s.choices {
			if err := c.speak(); err != nil {
				return err
			}
		}
		if !s.speaking() && !s.hope() {
			return nil
		}
		s.wake()
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

// seat makes the proven miners that speak the speakers of the choices that have
// none, in the order of their first text. Where nobody is left for a choice,
// a miner that speaks in another is asked once more.
func (s *relay) seat() {
	for _, c := range s.choices {
		if !c.empty() {
			continue
		}
		l := s.first()
		if l == nil {
			break
		}
		c.give(l)
		s.live = true
		s.round.unhedge()
	}
	if s.live && slices.ContainsFunc(s.choices, (*choice).empty) && !s.hope() && s.round.roomy() {
		if next, ok := s.round.heir(); ok {
			s.round.start(next, s.round.ask)
		}
	}
}

// first returns the proven leg that spoke first of those that no choice has.
func (s *relay) first() (first *leg) {
	r := s.round
	for _, l := range r.legs {
		speaks := l.text.Len() > 0 || l.state == complete && r.role == ""
		if l.role == r.role && l.proven && !l.given && speaks && (l.state == complete || l.state == running) &&
			(first == nil || l.began.Add(l.first).Before(first.began.Add(first.first))) {
			first = l
		}
	}
	return first
}

// hope tells whether a proven miner that no choice has is still at work for one
// that needs it.
func (s *relay) hope() bool {
	return slices.ContainsFunc(s.choices, (*choice).empty) && slices.ContainsFunc(s.round.legs, s.silent)
}

// silent tells whether a leg may yet become a speaker.
func (s *relay) silent(l *leg) bool {
	return l.role == s.round.role && l.proven && !l.given && l.state == running
}

// speaking tells whether a choice has more to come.
func (s *relay) speaking() bool { return slices.ContainsFunc(s.choices, (*choice).open) }

// hear takes in what the miners did.
func (s *relay) hear() {
	for _, e := range s.round.box.take() {
		s.heard = time.Now()
		if s.round.apply(e) && slices.ContainsFunc(s.choices, (*choice).empty) {
			s.round.replace()
		}
		for _, c := range s.choices {
			if c.open() && e.leg == c.speaker() {
				c.due = s.heard.Add(c.patience())
			}
		}
	}
}

// wake sets the timer to when the next speaker has been silent for too long.
// Once nobody speaks any more it is the turn of those who never did.
func (s *relay) wake() {
	var next time.Time
	for _, c := range s.choices {
		if c.open() && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	switch {
	case next.IsZero() && s.live:
		next = s.since().Add(s.g.limits.Stall)
	case next.IsZero():
		next = time.Now().Add(s.g.limits.Stall) // the hedges see to it
	}
	s.stall.Reset(time.Until(next))
}

// since is when a miner was heard of or asked last.
func (s *relay) since() time.Time {
	if s.heard.After(s.round.asked) {
		return s.heard
	}
	return s.round.asked
}

// giveUp ends what has been silent for too long.
func (s *relay) giveUp() {
	s.hear() // it may have spoken while we were busy
	for _, c := range s.choices {
		if c.open() {
			c.giveUp()
		}
	}
	if s.speaking() || !s.live || time.Since(s.since()) < s.g.limits.Stall {
		return
	}
	for _, l := range s.round.legs {
		if s.silent(l) {
			s.round.giveUp(l)
		}
	}
}

// checked fills the choices that are left with text that was verified first: by
// wish, or because no miner that was asked has proved itself. As without a
// stream there may be fewer answers than were wanted, but not none.
func (s *relay) checked(ctx context.Context) error {
	s.round.taken = len(s.given())
	legs, err := s.round.decide(ctx)
	if err != nil && (!s.begun || ctx.Err() != nil) {
		return err
	}
	return s.answer(legs)
}

// answer fills the choices that are left with whole answers.
func (s *relay) answer(legs []*leg) error {
	filled := len(s.given())
	s.choices = s.choices[:filled+len(legs)]
	for i, l := range legs {
		c := s.choices[filled+i]
		c.give(l)
		if err := c.speak(); err != nil {
			return err
		}
	}
	return nil
}

// close sends the end of the stream: why the answers ended, how they came
// about, and the usage. An answer that broke off makes it an error, after the
// others have ended.
func (s *relay) close(ctx context.Context) error {
	p := &s.round.prompt
	if err := s.breach(); err != nil {
		return err
	}
	told := s.round.report(s.id, s.given()...)
	if !s.begun {
		told.headers(s.out.w.Header())
	}
	counted := s.counted(nil)
	if bad := spend(ctx, counted); bad != nil {
		return bad
	}
	s.g.metrics.answered(counted, time.Since(s.began))
	if p.verdict {
		s.endAll(nil)
		if err := s.out.flush(); err != nil {
			return err
		}
		if err := s.round.finish(ctx); err != nil {
			return err
		}
		told = s.round.report(s.id, s.given()...)
	}
	if !s.endAll(told) {
		s.say.tell(told)
	}
	s.say.close(counted)
	return s.out.flush()
}

// breach ends the choices that can be ended when one broke off, and returns why
// that did.
func (s *relay) breach() error {
	for _, c := range s.choices {
		if c.broken != nil {
			s.endAll(nil)
			return c.broken
		}
	}
	return nil
}

// endAll ends the choices that are done, and tells whether there was one. Only
// the last can be left: the others end when they are done.
func (s *relay) endAll(told *report) (ended bool) {
	for _, c := range s.choices {
		if c.done && !c.ended {
			c.end(told)
			ended = true
		}
	}
	return ended
}

// given are the legs whose text went out, by choice.
func (s *relay) given() (all [][]*leg) {
	for _, c := range s.choices {
		if !c.empty() {
			all = append(all, c.legs)
		}
	}
	return all
}

// counted is the usage of what went out so far, and of what the choice more is
// about to say; more may be nil.
func (s *relay) counted(more *choice) (u usage) {
	for _, c := range s.choices {
		one := c.sent()
		if c == more {
			one = sofar(&s.round.prompt, c.legs)
		}
		u.Prompt, u.Details.Cached = max(u.Prompt, one.Prompt), max(u.Details.Cached, one.Details.Cached)
		u.Completion += one.Completion
	}
	u.Total = u.Prompt + u.Completion
	return u
}

// ping keeps a silent connection alive.
func (s *relay) ping() error {
	s.say.ping()
	return s.out.flush()
}
