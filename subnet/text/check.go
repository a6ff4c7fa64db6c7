package text

import (
	"context"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// reply is an answer put together from its chunks.
type reply struct {
	text   string
	tokens []engine.TokenScore
	finish engine.Finish
	usage  engine.Usage
}

func newReply(body []byte) (reply, error) {
	chunks, err := DecodeChunks(body)
	if err != nil {
		return reply{}, err
	}
	var r reply
	var text strings.Builder
	for _, c := range chunks {
		text.WriteString(c.Text)
		r.tokens = append(r.tokens, c.Tokens...)
		r.finish, r.usage = c.Finish, c.Usage
	}
	r.text = text.String()
	return r, nil
}

func (r reply) ids() []engine.Token {
	ids := make([]engine.Token, len(r.tokens))
	for i, t := range r.tokens {
		ids[i] = t.Token
	}
	return ids
}

// form is what the shape of an honest reply follows from.
type form struct {
	engine   engine.Checker
	prompt   []engine.Token
	made     []engine.Token // the end of prompt that is the answer so far
	stop     []string
	limit    int // tokens
	evidence int // alternatives per token

	constraint engine.Constraint
	grammar    *grammar.Grammar // of constraint; nil binds nothing
}

// contextSlack is how many tokens before the end of its context an engine may
// stop for lack of room.
const contextSlack = 16

// broken says in words what no honest miner's reply has, or "".
func (f form) broken(r reply) string {
	n := len(r.tokens)
	model := f.engine.Model()
	switch {
	case r.finish == "":
		return "the answer has no end"
	case n == 0:
		return "the answer has no tokens"
	case n > f.limit:
		return fmt.Sprintf("%d tokens, at most %d were asked for", n, f.limit)
	case r.usage.Completion != n:
		return fmt.Sprintf("%d tokens, but %d are charged", n, r.usage.Completion)
	case r.usage.Prompt != len(f.prompt):
		return fmt.Sprintf("a prompt of %d tokens, but %d are charged", len(f.prompt), r.usage.Prompt)
	}
	if why := f.misshapen(r); why != "" {
		return why
	}
	stopped, same := ending(f.decode(r), r.text, f.stop)
	if !same {
		return "the text is not what the tokens say"
	}
	ended := stopped || f.engine.Ends(r.tokens[n-1].Token)
	full := n == f.limit || model.Context > 0 && len(f.prompt)+n >= model.Context-contextSlack
	switch {
	case r.finish == engine.FinishStop && !ended:
		return "the answer breaks off before the model ended it"
	case r.finish == engine.FinishLength && !full:
		return fmt.Sprintf("the answer ends for its length after %d of %d tokens", n, f.limit)
	}
	return ""
}

// misshapen says in words what is wrong with single tokens of a reply, or "".
func (f form) misshapen(r reply) string {
	n, vocabulary := len(r.tokens), f.engine.Model().Vocabulary
	for i, t := range r.tokens {
		switch {
		case vocabulary > 0 && int(t.Token) >= vocabulary:
			return fmt.Sprintf("token %d is %d, the vocabulary has %d", i, t.Token, vocabulary)
		case i < n-1 && f.engine.Ends(t.Token):
			return fmt.Sprintf("%d tokens after the end of the turn", n-1-i)
		case len(t.Top) < f.alternatives():
			return fmt.Sprintf("token %d has %d log-probabilities, %d are asked for", i, len(t.Top), f.evidence)
		}
	}
	return f.unbound(r)
}

// ending tells whether a stop text ends decoded, and whether text is decoded
// up to there, or all of it where none does. Where stop texts overlap, which
// one came first depends on how tokens cut the text, so any may.
func ending(decoded, text string, stops []string) (stopped, same bool) {
	for _, s := range stops {
		if i := strings.Index(decoded, s); i >= 0 {
			stopped = true
			same = same || plain(decoded[:i]) == plain(text)
		}
	}
	return stopped, same || !stopped && plain(decoded) == plain(text)
}

// plain drops what engines may write differently: bytes that are not UTF-8,
// their replacement, and the space that some vocabularies begin a text with.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.ReplaceAll(text, string(utf8.RuneError), "")
	return strings.TrimPrefix(text, " ")
}

// finding is what one pass of the checker's model over a reply showed.
type finding struct {
	evidence float64 // Σ ln f1/f0
	tokens   int
	missed   int     // tokens that are not the sampler's pick
	worst    float64 // largest margin, in nats
	distance float64 // mean, of log-probabilities
}

// replay compares a reply with what the checker's model says.
func (f form) replay(ctx context.Context, r reply, s engine.Sampling, c Calibration) (finding, error) {
	scores, err := engine.Score(ctx, f.engine, f.prompt, r.ids(), f.constraint, len(f.made))
	if err != nil {
		return finding{}, err
	}
	if len(scores) != len(r.tokens) {
		return finding{}, fmt.Errorf("text: the engine scored %d of %d tokens", len(scores), len(r.tokens))
	}
	found := finding{tokens: len(scores)}
	for i, reference := range scores {
		m := margin(s, reference.Top, len(f.prompt)+i, r.tokens[i].Token)
		found.evidence += c.weigh(m)
		found.worst = max(found.worst, m)
		if m > 0 {
			found.missed++
		}
		found.distance += distance(r.tokens[i].Top, reference.Top) / float64(len(scores))
	}
	return found, nil
}

// rim is how far the borders of TopP and MinP are moved to both sides. A
// candidate at the border is in for one engine and out for another that
// differs by rounding, and neither is wrong.
const rim = 0.02

// margin is the least margin of token under the sampler and the samplers just
// inside and outside its borders.
func margin(s engine.Sampling, top []engine.Candidate, position int, token engine.Token) float64 {
	m := s.Margin(top, position, token)
	if m == 0 || s.Temperature == 0 {
		return m
	}
	for _, by := range []float32{-rim, rim} {
		loose := s
		if s.TopP > 0 && s.TopP < 1 {
			loose.TopP = min(max(s.TopP+by, math.SmallestNonzeroFloat32), 1)
		}
		if s.MinP > 0 {
			loose.MinP = s.MinP * (1 - 4*by)
		}
		if loose != s {
			m = min(m, loose.Margin(top, position, token))
		}
	}
	return m
}

// distance is the mean of |a − b| / (|a| + |b| + 10⁻⁶) / 2 over a miner's
// alternatives, with b the checker's log-probability of the same token; 0 is
// equal, and a token that the checker does not list counts 0.5. The formula is
// that of Gonka's inference validation.
func distance(miner, checker []engine.Candidate) float64 {
	if len(miner) == 0 {
		return 0
	}
	sum := 0.0
	for _, a := range miner {
		d := 1.0
		for _, b := range checker {
			if a.Token == b.Token {
				x, y := float64(a.LogProb), float64(b.LogProb)
				d = math.Abs(x-y) / (math.Abs(x) + math.Abs(y) + 1e-6)
				break
			}
		}
		sum += d / 2
	}
	return sum / float64(len(miner))
}
