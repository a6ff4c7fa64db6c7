package text

import (
	"context"
	"fmt"
	"math"
	"slices"
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

	marks      []Mark
	commitment Mark
	salt       Salt
	probe      []engine.TokenScore
}

func newReply(body []byte) (reply, error) {
	chunks, err := DecodeChunks(body)
	if err != nil {
		return reply{}, err
	}
	var r reply
	var text strings.Builder
	for i, c := range chunks {
		text.WriteString(c.Text)
		r.tokens = append(r.tokens, c.Tokens...)
		r.marks = append(r.marks, c.Marks...)
		r.finish, r.usage, r.salt, r.probe = c.Finish, c.Usage, c.Salt, c.Probe
		if i == 0 {
			r.commitment = c.Commitment
		}
	}
	r.text = text.String()
	return r, nil
}

func (r reply) ids() []engine.Token { return idsOf(r.tokens) }

func idsOf(tokens []engine.TokenScore) []engine.Token {
	ids := make([]engine.Token, len(tokens))
	for i, t := range tokens {
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
	probe    int // tokens of the probe
	seed     engine.Seed

	constraint engine.Constraint
	grammar    *grammar.Grammar // of constraint; nil binds nothing
}

func (f form) vocabulary() int { return f.engine.Model().Vocabulary }

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
	if !slices.Equal(marksOf(f.seed, r.ids()), r.marks) {
		return "the rolling hash is not that of the tokens"
	}
	if broken := f.brokenProbe(r.probe); broken != "" {
		return broken
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
	n := len(r.tokens)
	for i, t := range r.tokens {
		switch {
		case f.vocabulary() > 0 && int(t.Token) >= f.vocabulary():
			return fmt.Sprintf("token %d is %d, the vocabulary has %d", i, t.Token, f.vocabulary())
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

// replay compares a reply with what the checker's model says.
func (f form) replay(ctx context.Context, r reply, s engine.Sampling) (Examination, error) {
	x := Examination{Class: classOf(s)}
	scores, err := f.score(ctx, r.ids(), f.constraint, len(f.made))
	if err != nil {
		return x, err
	}
	for i, reference := range scores {
		x.Margins = append(x.Margins, margin(s, reference, len(f.prompt)+i, r.tokens[i].Token))
		x.Distance += distance(r.tokens[i].Top, reference.Top) / float64(len(scores))
	}
	x.end(f.engine.Ends(r.tokens[len(r.tokens)-1].Token))
	if len(r.probe) == 0 {
		return x, nil
	}
	if scores, err = f.score(ctx, idsOf(r.probe), engine.Constraint{}, 0); err != nil {
		return x, err
	}
	for i, reference := range scores {
		x.Probe = append(x.Probe, margin(probeSampling(s.Seed), reference, len(f.prompt)+i, r.probe[i].Token))
	}
	return x, nil
}

// score asks the engine about tokens after the prompt, whose last made are the
// answer so far, under a constraint.
func (f form) score(ctx context.Context, ids []engine.Token, c engine.Constraint, made int) ([]engine.TokenScore, error) {
	scores, err := engine.Score(ctx, f.engine, f.prompt, ids, c, made)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(ids) {
		return nil, fmt.Errorf("text: the engine scored %d of %d tokens", len(scores), len(ids))
	}
	return scores, nil
}

// How far the borders of the sampler's candidates are moved to both sides. A
// candidate at the border is in for one engine and out for another that
// differs by rounding, and neither is wrong.
const (
	rim      = 0.02 // of TopP's mass; four times as much of MinP
	rimCount = 2    // candidates, of TopK
	rimNats  = 0.1  // of log-probability, at the end of the list that S1 looks at
)

// margin is the least margin of token under the sampler and the samplers just
// inside and outside its borders.
func margin(s engine.Sampling, reference engine.TokenScore, position int, token engine.Token) float64 {
	top := widened(reference, token)
	m := s.Margin(top, position, token)
	if m == 0 || s.Temperature == 0 {
		return m
	}
	for _, by := range []int{-1, 1} {
		loose := s
		if s.TopP > 0 && s.TopP < 1 {
			loose.TopP = min(max(s.TopP+float32(by)*rim, math.SmallestNonzeroFloat32), 1)
		}
		if s.MinP > 0 {
			loose.MinP = s.MinP * (1 - 4*float32(by)*rim)
		}
		if s.TopK > 0 {
			loose.TopK = max(s.TopK+by*rimCount, 1)
		}
		if loose != s {
			m = min(m, loose.Margin(top, position, token))
		}
	}
	return m
}

// widened returns the candidates with token among them where it only just is
// not: in place of the last.
func widened(reference engine.TokenScore, token engine.Token) []engine.Candidate {
	top := reference.Top
	last := len(top) - 1
	if last < 1 || reference.LogProb < top[last].LogProb-rimNats {
		return top
	}
	if slices.ContainsFunc(top, func(c engine.Candidate) bool { return c.Token == token }) {
		return top
	}
	return append(slices.Clone(top[:last]), engine.Candidate{Token: token, LogProb: min(reference.LogProb, top[last].LogProb)})
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
