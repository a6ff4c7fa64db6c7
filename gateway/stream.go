package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
)

// A relay passes one round's answer on as it is made.
type relay struct {
	g     *Gateway
	round *round
	voice voice
	out   *events
	began time.Time
	id    string // of the request

	stall  *time.Timer // runs while the speaker is silent
	head   envelope    // what every chunk shares
	legs   []*leg      // whose text went out, in order; the last one speaks
	spoken bool        // the opening chunk is out
	text   int         // bytes of the last leg that went out
	tokens int         // tokens of the last leg that went out
	offset int         // characters of all legs that went out
}

// stream answers p by server-sent events. It returns a problem only while no
// byte has gone out.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request, p prompt, v voice) *problem {
	ctx, began := r.Context(), time.Now()
	if bad := enter(w, r, p); bad != nil {
		return bad
	}
	round, err := g.begin(ctx, p)
	if err != nil {
		return asProblem(err, g)
	}
	s := &relay{
		g: g, round: round, voice: v, began: began, id: requestID(w),
		out:  &events{g: g, w: w, rc: http.NewResponseController(w)},
		head: envelope{ID: v.prefix() + newID(), Object: v.object(true), Created: began.Unix(), Model: p.model.Name},
	}
	if p.usage {
		s.head.Usage = json.RawMessage("null")
	}
	round.idle = func() { _ = s.out.ping() } // ctx tells when nobody listens
	err = s.run(ctx)
	if err == nil {
		err = s.close(ctx)
	}
	if err == nil {
		g.later(ctx, round, p.strategy == First && !p.verdict)
		return nil
	}
	round.end()
	bad := asProblem(err, g)
	if !s.out.begun {
		return bad
	}
	if bad != errGone {
		s.out.add(bad)
		_ = s.out.flush()
		g.metrics.broken.Inc()
	}
	return nil
}

// run relays until the answer's text is out.
func (s *relay) run(ctx context.Context) error {
	if s.round.prompt.strategy == Best {
		return s.checked(ctx)
	}
	l := s.g.limits
	ping, hedge := time.NewTicker(l.Ping), time.NewTicker(l.Hedge)
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
			if err := s.out.ping(); err != nil {
				return err
			}
		case <-hedge.C:
			s.round.hedge()
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
		if e.leg == s.speaker() {
			s.stall.Reset(s.g.limits.Stall)
		}
		if s.round.apply(e) && s.speaker() == nil {
			s.round.replace()
		}
	}
}

// giveUp ends a speaker that has been silent for too long.
func (s *relay) giveUp() {
	if l := s.speaker(); l != nil && l.state == running {
		l.state, l.why = failed, "it stopped in the middle"
		l.cancel()
	}
}

// give makes l the speaker.
func (s *relay) give(l *leg) {
	s.legs = append(s.legs, l)
	s.text, s.tokens = 0, 0
	s.stall.Reset(s.g.limits.Stall)
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
	return true
}

// hope tells whether a proven miner is still at work.
func (s *relay) hope() bool {
	return slices.ContainsFunc(s.round.legs, func(l *leg) bool { return l.proven && l.state == running })
}

// checked answers with text that was verified first: by wish, or because no
// miner that was asked has proved itself.
func (s *relay) checked(ctx context.Context) error {
	legs, err := s.round.best(ctx)
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
	c := s.head
	c.Choices = []any{s.voice.chunk(p, piece{text: said, tokens: tokens, offset: s.offset}, !s.spoken)}
	s.out.add(c)
	if err := s.out.flush(); err != nil {
		return err
	}
	if !s.spoken {
		s.g.metrics.firstToken.Observe(time.Since(s.began).Seconds())
	}
	s.spoken = true
	s.text, s.tokens, s.offset = l.text.Len(), len(l.tokens), s.offset+utf8.RuneCountInString(said)
	return nil
}

// takeOver asks a proven miner to go on from the very tokens that are out when
// the speaker died, and tells whether one does.
func (s *relay) takeOver(dead *leg) bool {
	if s.text == 0 && len(s.legs) > 1 { // it died before it added anything
		s.legs = s.legs[:len(s.legs)-1]
		dead = s.speaker()
	}
	next, ok := s.heir()
	if !ok || len(s.round.legs) >= 2*s.g.limits.MaxMiners {
		return false
	}
	body, ok := s.rest(dead)
	if ok {
		s.give(s.round.start(next, body))
	}
	return ok
}

// heir finds a proven miner that can go on: one that was not asked yet, or else
// one that did not fail.
func (s *relay) heir() (candidate, bool) {
	r := s.round
	if i := slices.IndexFunc(r.spare, func(c candidate) bool { return c.proven }); i >= 0 {
		next := r.spare[i]
		r.spare = slices.Delete(r.spare, i, i+1)
		return next, true
	}
	if i := slices.IndexFunc(r.legs, func(l *leg) bool { return l.proven && l.state != failed }); i >= 0 {
		return r.legs[i].candidate, true
	}
	return candidate{}, false
}

// rest encodes a request for what is missing of the answer, or returns false
// where the tokens that are out are not known exactly.
func (s *relay) rest(dead *leg) ([]byte, bool) {
	p := &s.round.prompt
	if p.model.Tokenizer == nil || len(dead.tokens) == 0 {
		return nil, false
	}
	// Tokens may run ahead of the text by an unfinished character.
	said := dead.text.String()
	n := len(dead.tokens)
	for n > 0 && p.model.Tokenizer.Decode(tokensOf(dead.tokens[:n])) != said {
		n--
	}
	prompt, err := p.render()
	if n == 0 || err != nil {
		return nil, false
	}
	dead.tokens = dead.tokens[:n]
	ask := p.ask
	ask.Messages, ask.Prompt, ask.Tokens = nil, "", slices.Clone(prompt)
	for _, l := range s.legs {
		ask.Tokens = append(ask.Tokens, tokensOf(l.tokens)...)
		ask.Made += len(l.tokens)
		ask.MaxTokens -= len(l.tokens)
	}
	if ask.MaxTokens < 1 {
		return nil, false
	}
	body, err := ask.Encode()
	return body, err == nil
}

func tokensOf(scores []engine.TokenScore) []engine.Token {
	out := make([]engine.Token, len(scores))
	for i, t := range scores {
		out[i] = t.Token
	}
	return out
}

// close sends the end of the stream: why it ended, how it came about, and the
// usage.
func (s *relay) close(ctx context.Context) error {
	p, last := &s.round.prompt, s.speaker()
	end := s.head
	end.Choices = []any{s.voice.chunk(p, piece{finish: last.finish, offset: s.offset}, !s.spoken)}
	if !s.spoken {
		s.round.report(s.id, s.legs...).headers(s.out.w.Header())
	}
	counted := usageOf(p, s.legs...)
	if bad := spend(ctx, counted); bad != nil {
		return bad
	}
	s.g.metrics.answered(counted, time.Since(s.began))
	if p.verdict {
		s.out.add(end)
		if err := s.out.flush(); err != nil {
			return err
		}
		if err := s.round.finish(ctx); err != nil {
			return err
		}
		end = s.head
		end.Choices = []any{}
	}
	end.Plexus = s.round.report(s.id, s.legs...)
	s.out.add(end)
	if p.usage {
		c := s.head
		c.Choices, c.Usage = []any{}, counted.raw()
		s.out.add(c)
	}
	s.out.done()
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
	r.judge(ctx)
	return ctx.Err()
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

// events writes server-sent events.
type events struct {
	g     *Gateway
	w     http.ResponseWriter
	rc    *http.ResponseController
	buf   bytes.Buffer
	begun bool // the headers are out
}

// add puts an event with v as JSON into the buffer.
func (e *events) add(v any) {
	e.buf.WriteString("data: ")
	enc := json.NewEncoder(&e.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		e.g.log.Error("an event cannot be written as JSON", "error", err)
	}
	e.buf.WriteByte('\n') // Encode wrote the first of two
}

// done puts the end mark into the buffer.
func (e *events) done() { e.buf.WriteString("data: [DONE]\n\n") }

// ping keeps a silent connection alive.
func (e *events) ping() error {
	e.buf.WriteString(": ping\n\n")
	return e.flush()
}

// flush sends the buffer. A client that takes nothing for too long gets an
// error, and its miners stop.
func (e *events) flush() error {
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // proxies shall not hold it back
		e.w.WriteHeader(http.StatusOK)
	}
	e.g.extend(e.w)
	if _, err := e.w.Write(e.buf.Bytes()); err != nil {
		return errGone
	}
	e.buf.Reset()
	if err := e.rc.Flush(); err != nil {
		return errGone
	}
	return nil
}
