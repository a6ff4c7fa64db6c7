package gateway

import (
	"encoding/json"
	"time"
)

// A manner is how a dialect lays out what it answers: in one piece, or as a
// stream.
type manner interface {
	// whole is the body of a complete answer; it must have a JSON form.
	whole(f full) any
	// script begins the stream of an answer to p.
	script(h head, p *prompt, out *events) script
}

// A head is what every part of an answer shares.
type head struct {
	id    string // random, without the dialect's prefix
	began time.Time
	model string
}

// A full is a complete answer before a dialect words it.
type full struct {
	head
	prompts []prompt // at least one
	pieces  []piece  // the choices, in order
	usage   usage
	report  *report
}

// A script writes one stream, in the order say…, end, tell?, close. Instead of
// what is missing there may be fail. It writes to a buffer; the caller flushes.
type script interface {
	// say words a part of the answer. opening tells that nothing was said yet.
	say(a piece, opening bool)
	// end says why the answer ended. told is nil when tell comes later.
	end(a piece, opening bool, told *report)
	// tell brings the verdicts that were waited for.
	tell(told *report)
	// close counts the tokens and ends the stream.
	close(u usage)
	// fail ends the stream by an error, after the tokens that u counts.
	fail(bad *problem, u usage)
	// ping keeps a silent connection alive.
	ping()
}

// split takes a piece of a stream apart into what it says and what it calls.
// The piece that says why the answer ended brings what was held back.
func (p *prompt) split(r *callReader, a piece) (said string, calls []callFragment) {
	if len(p.ask.Constraint.Tools) == 0 {
		return a.text, nil
	}
	return r.add(a.text, a.finish != "")
}

// asObject is a call's arguments as JSON: those of a call that was cut off are
// no object, and become an empty one.
func asObject(arguments string) json.RawMessage {
	if !json.Valid([]byte(arguments)) {
		return json.RawMessage("{}")
	}
	return json.RawMessage(arguments)
}

// openAI lays out answers as the OpenAI API does, with the choices of a voice.
type openAI struct{ voice }

func (o openAI) whole(f full) any {
	e := o.envelope(f.head, false)
	choices := make([]any, len(f.pieces))
	for i, a := range f.pieces {
		choices[i] = o.voice.whole(&f.prompts[a.prompt], a)
	}
	e.Choices, e.Usage, e.Plexus = choices, f.usage.raw(), f.report
	if _, chat := o.voice.(chatVoice); chat {
		e.PromptLogs = f.prompts[0].promptLogs()
	}
	return e
}

func (o openAI) envelope(h head, stream bool) envelope {
	return envelope{ID: o.prefix() + h.id, Object: o.object(stream), Created: h.began.Unix(), Model: h.model}
}

func (o openAI) script(h head, p *prompt, out *events) script {
	s := &openAIScript{voice: o.voice, prompt: p, out: out, head: o.envelope(h, true)}
	if p.usage {
		s.head.Usage = json.RawMessage("null")
	}
	return s
}

// openAIScript is a stream of chunks, ended by [DONE].
type openAIScript struct {
	voice  voice
	prompt *prompt
	out    *events
	head   envelope
}

func (s *openAIScript) say(a piece, opening bool) {
	c := s.head
	c.Choices = []any{s.voice.chunk(s.prompt, a, opening)}
	s.out.add(c)
}

func (s *openAIScript) end(a piece, opening bool, told *report) {
	c := s.head
	c.Choices, c.Plexus = []any{s.voice.chunk(s.prompt, a, opening)}, told
	s.out.add(c)
}

func (s *openAIScript) tell(told *report) {
	c := s.head
	c.Choices, c.Plexus = []any{}, told
	s.out.add(c)
}

func (s *openAIScript) close(u usage) {
	if s.prompt.usage {
		c := s.head
		c.Choices, c.Usage = []any{}, u.raw()
		s.out.add(c)
	}
	s.out.done()
}

func (s *openAIScript) fail(bad *problem, u usage) {
	if !s.prompt.usage {
		s.out.add(bad)
		return
	}
	s.out.add(struct {
		Error errorFields     `json:"error"`
		Usage json.RawMessage `json:"usage"`
	}{bad.fields(), u.raw()})
}

func (s *openAIScript) ping() { s.out.comment("ping") }
