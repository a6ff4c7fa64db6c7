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
func (c *choice) takeOver(dead *leg) bool {
	if len(dead.tokens) == 0 && c.text == 0 && len(c.legs) > 1 { // it died before it added anything
		c.legs = c.legs[:len(c.legs)-1]
		c.forget(dead)
		dead = c.speaker()
		c.text, c.tokens = dead.text.Len(), len(dead.tokens)
	}
	if !c.cut(dead) {
		return false
	}
	dead.used = true
	if c.whole(dead) {
		return true
	}
	ask, ok := c.rest()
	if !ok || !c.round.roomy() {
		return false
	}
	next, ok := c.round.heir()
	if !ok {
		return false
	}
	l := c.round.start(next, ask)
	c.round.shifts = append(c.round.shifts, shift{From: dead.Peer.UID, To: next.Peer.UID, Token: ask.Made, to: l})
	c.g.metrics.resumed.Inc()
	c.give(l)
	return true
}

// forget drops the shift to a leg that added nothing.
func (c *choice) forget(dead *leg) {
	c.round.shifts = slices.DeleteFunc(c.round.shifts, func(t shift) bool { return t.to == dead })
}

// resumed notes the pause that ended with l's first text.
func (c *choice) resumed(l *leg) {
	for i, t := range c.round.shifts {
		if t.to == l && t.Gap == nil {
			c.round.shifts[i].Gap = millis(max(time.Since(c.lastAt).Seconds(), 1e-4))
		}
	}
}

// replaceable tells whether another miner could go on for l.
func (c *choice) replaceable(l *leg) bool {
	r := c.round
	other := slices.ContainsFunc(r.spare, func(c candidate) bool { return c.proven }) ||
		slices.ContainsFunc(r.legs, func(o *leg) bool { return o.proven && o.state != failed && o.Peer.UID != l.Peer.UID })
	return other && r.model.Tokenizer != nil && (len(l.tokens) > 0 || len(c.legs) > 1)
}

// all returns the answer so far: its tokens and the text that is out.
func (c *choice) all() (tokens []engine.Token, said string) {
	for _, l := range c.legs {
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
func (c *choice) cut(dead *leg) bool {
	t, stops := c.round.model.Tokenizer, c.ask.Stop
	if t == nil || len(dead.tokens) == 0 {
		return false
	}
	tokens, said := c.all()
	before := len(tokens) - len(dead.tokens)
	for n := len(tokens); n > max(before, len(tokens)-maxCut); n-- {
		decoded := t.Decode(tokens[:n])
		if hides(decoded, said, stops) || c.finished(tokens[:n], decoded, said) {
			dead.tokens = dead.tokens[:n-before]
			c.tokens = min(c.tokens, len(dead.tokens))
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

// finished tells whether an answer is complete though its miner did not say so.
func (c *choice) finished(tokens []engine.Token, decoded, said string) bool {
	full := len(tokens) >= c.ask.MaxTokens
	return strings.HasPrefix(decoded, said) &&
		(full || c.round.model.Tokenizer.Ends(tokens[len(tokens)-1]) || stopAt(decoded, c.ask.Stop) >= 0)
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
func (c *choice) whole(dead *leg) bool {
	tokens, said := c.all()
	decoded := c.round.model.Tokenizer.Decode(tokens)
	if !c.finished(tokens, decoded, said) {
		return false
	}
	dead.finish = engine.FinishStop
	if i := stopAt(decoded, c.ask.Stop); i >= 0 {
		decoded = decoded[:max(i, len(said))]
	} else if !c.round.model.Tokenizer.Ends(tokens[len(tokens)-1]) {
		dead.finish = engine.FinishLength
	}
	dead.text.WriteString(decoded[len(said):])
	dead.state = complete
	return true
}

// rest is the request for what is missing of the answer.
func (c *choice) rest() (text.Request, bool) {
	prompt, err := c.round.model.render(c.ask)
	if err != nil {
		return text.Request{}, false
	}
	made, _ := c.all()
	ask := c.ask
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
