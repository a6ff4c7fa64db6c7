package gateway

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet/text"
)

// A stream whose miner dies goes on at another, which is given the prompt and
// the very tokens that are out. At temperature 0 it says what the first would
// have said; above, each part is drawn under its own miner's seed and checked
// against that. The client sees a pause.

// takeOver asks a proven miner to go on from the very tokens that are out when
// the speaker died, and tells whether one does, or whether nothing is missing.
func (s *relay) takeOver(dead *leg) bool {
	if len(dead.tokens) == 0 && s.text == 0 && len(s.legs) > 1 { // it died before it added anything
		s.legs = s.legs[:len(s.legs)-1]
		s.forget(dead)
		dead = s.speaker()
		s.text, s.tokens = dead.text.Len(), len(dead.tokens)
	}
	if !s.cut(dead) {
		return false
	}
	dead.used = true
	if s.whole(dead) {
		return true
	}
	next, ok := s.heir()
	if !ok || len(s.round.legs) >= 2*s.g.limits.MaxMiners {
		return false
	}
	ask, ok := s.rest()
	if !ok {
		return false
	}
	l := s.round.start(next, ask)
	s.round.shifts = append(s.round.shifts, shift{From: dead.Peer.UID, To: next.Peer.UID, Token: ask.Made, to: l})
	s.g.metrics.resumed.Inc()
	s.give(l)
	return true
}

// forget drops the shift to a leg that added nothing.
func (s *relay) forget(dead *leg) {
	s.round.shifts = slices.DeleteFunc(s.round.shifts, func(t shift) bool { return t.to == dead })
}

// resumed notes the pause that ended with l's first text.
func (s *relay) resumed(l *leg) {
	for i, t := range s.round.shifts {
		if t.to == l && t.Gap == nil {
			s.round.shifts[i].Gap = millis(max(time.Since(s.lastAt).Seconds(), 1e-4))
		}
	}
}

// replaceable tells whether another miner could go on for l.
func (s *relay) replaceable(l *leg) bool {
	r := s.round
	other := slices.ContainsFunc(r.spare, func(c candidate) bool { return c.proven }) ||
		slices.ContainsFunc(r.legs, func(o *leg) bool { return o.proven && o.state != failed && o.Peer.UID != l.Peer.UID })
	return other && r.model.Tokenizer != nil && (len(l.tokens) > 0 || len(s.legs) > 1)
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
	broken := func(l *leg) bool {
		return slices.ContainsFunc(r.legs, func(o *leg) bool { return o.Peer.UID == l.Peer.UID && o.state == failed })
	}
	if i := slices.IndexFunc(r.legs, func(l *leg) bool { return l.proven && !broken(l) }); i >= 0 {
		return r.legs[i].candidate, true
	}
	return candidate{}, false
}

// all returns the answer so far: its tokens and the text that is out.
func (s *relay) all() (tokens []engine.Token, said string) {
	for _, l := range s.legs {
		tokens = append(tokens, tokensOf(l.tokens)...)
		said += l.text.String()
	}
	return tokens, said
}

// maxCut bounds the tokens that are given up because their text did not come.
const maxCut = 64

// cut drops the tokens of the leg that died, which is the last one, that run
// further ahead of its text than an unfinished character or stop text does. It
// tells whether the tokens that are out are then known exactly.
func (s *relay) cut(dead *leg) bool {
	t, stops := s.round.model.Tokenizer, s.round.prompt.ask.Stop
	if t == nil || len(dead.tokens) == 0 {
		return false
	}
	tokens, said := s.all()
	before := len(tokens) - len(dead.tokens)
	for n := len(tokens); n > max(before, len(tokens)-maxCut); n-- {
		decoded := t.Decode(tokens[:n])
		if hides(decoded, said, stops) || s.ended(tokens[:n], decoded, said) {
			dead.tokens = dead.tokens[:n-before]
			s.tokens = min(s.tokens, len(dead.tokens))
			return true
		}
	}
	return false
}

// hides tells whether what a reader lacks of decoded, who has said, is no more
// than an unfinished character and the beginning of a stop text, which an
// engine keeps back.
func hides(decoded, said string, stops []string) bool {
	rest, ok := strings.CutPrefix(decoded, said)
	rest = strings.TrimRight(rest, string(utf8.RuneError))
	begins := func(stop string) bool { return len(rest) < len(stop) && strings.HasPrefix(stop, rest) }
	return ok && (rest == "" || slices.ContainsFunc(stops, begins))
}

// ended tells whether an answer is complete though its miner did not say so.
func (s *relay) ended(tokens []engine.Token, decoded, said string) bool {
	p := &s.round.prompt
	full := len(tokens) >= p.ask.MaxTokens
	return strings.HasPrefix(decoded, said) &&
		(full || s.round.model.Tokenizer.Ends(tokens[len(tokens)-1]) || stopAt(decoded, p.ask.Stop) >= 0)
}

// stopAt is where the first stop text begins, or −1.
func stopAt(decoded string, stops []string) int {
	at := -1
	for _, stop := range stops {
		if i := strings.Index(decoded, stop); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}

// whole tells whether the miner that died had said all but that it was done,
// and then ends its answer for it.
func (s *relay) whole(dead *leg) bool {
	tokens, said := s.all()
	decoded := s.round.model.Tokenizer.Decode(tokens)
	if !s.ended(tokens, decoded, said) {
		return false
	}
	dead.finish = engine.FinishStop
	if i := stopAt(decoded, s.round.prompt.ask.Stop); i >= 0 {
		decoded = decoded[:max(i, len(said))]
	} else if !s.round.model.Tokenizer.Ends(tokens[len(tokens)-1]) {
		dead.finish = engine.FinishLength
	}
	dead.text.WriteString(decoded[len(said):])
	dead.state = complete
	return true
}

// rest is the request for what is missing of the answer.
func (s *relay) rest() (text.Request, bool) {
	p := &s.round.prompt
	prompt, err := p.render()
	if err != nil {
		return text.Request{}, false
	}
	made, _ := s.all()
	ask := p.ask
	ask.Messages, ask.Prompt = nil, ""
	ask.Tokens = slices.Concat(prompt, made)
	ask.Made, ask.MaxTokens = len(made), ask.MaxTokens-len(made)
	return ask, ask.MaxTokens > 0
}

func tokensOf(scores []engine.TokenScore) []engine.Token {
	out := make([]engine.Token, len(scores))
	for i, t := range scores {
		out[i] = t.Token
	}
	return out
}
