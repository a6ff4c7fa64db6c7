// Package toy is a language model that knows no language: a function from the
// last few tokens to random likelihoods, so that tests of whoever trusts and
// distrusts models need no model file.
//
// Two engines of the same [Options.Model] agree but for [Options.Noise], as
// honest engines on different machines do; engines of different models
// disagree as models do. Start at [New].
package toy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// The vocabulary: bytes, then the ends and beginnings of turns.
const (
	endOfTurn engine.Token = 256 + iota
	system
	user
	assistant
	vocabulary
)

// Options says what model to be. The zero value works.
type Options struct {
	Model    uint64        // which model
	Drift    float64       // standard deviation, in nats, of this model from Model; 0 is the model itself
	Noise    float64       // standard deviation, in nats, of rounding that changes with every call
	Sharp    float64       // standard deviation of logits; 0 means 3
	Context  int           // tokens; 0 means 4096
	PerToken time.Duration // what a token takes
}

// Engine is a model. It implements [engine.Checker].
type Engine struct {
	options Options
	calls   atomic.Uint64
	scored  atomic.Int64
}

var (
	_ engine.Checker     = (*Engine)(nil)
	_ engine.BoundScorer = (*Engine)(nil)
)

// New returns the model.
func New(o Options) *Engine {
	if o.Sharp == 0 {
		o.Sharp = 3
	}
	if o.Context == 0 {
		o.Context = 4096
	}
	return &Engine{options: o}
}

// Scored is how many tokens Score has scored.
func (e *Engine) Scored() int64 { return e.scored.Load() }

// Model describes the model; its hashes are those of its options.
func (e *Engine) Model() engine.Model {
	h := sha256.Sum256(fmt.Appendf(nil, "toy %d %v %v", e.options.Model, e.options.Drift, e.options.Sharp))
	return engine.Model{
		Name: fmt.Sprintf("toy-%d", e.options.Model), Architecture: "toy", Precision: "f32",
		Context: e.options.Context, Vocabulary: int(vocabulary),
		FileHash: hex.EncodeToString(h[:]), TemplateHash: hex.EncodeToString(h[:]),
	}
}

// Chat answers r.
func (e *Engine) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	tokens, err := e.prompt(r)
	if err != nil {
		return engine.Usage{}, err
	}
	bound, err := bind(r.Constraint, tokens[len(tokens)-r.Made:])
	if err != nil {
		return engine.Usage{}, err
	}
	usage := engine.Usage{Prompt: len(tokens), Finish: engine.FinishLength}
	limit := e.options.Context - len(tokens)
	if limit <= 0 {
		return usage, fmt.Errorf("%w: %d tokens, at most %d", engine.ErrTooLong, len(tokens), e.options.Context)
	}
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	call, said := e.calls.Add(1), speech{stops: r.Stop}
	for usage.Completion < limit {
		if err := e.pause(ctx); err != nil {
			return usage, err
		}
		logits := e.logits(tokens, call)
		top := bound.candidates(logits, logits.LogSum())
		picked := top[r.Sampling.Pick(top, len(tokens))]
		bound.advance(picked.Token)
		tokens = append(tokens, picked.Token)
		usage.Completion++
		d := engine.Delta{Tokens: []engine.TokenScore{{
			Token: picked.Token, LogProb: picked.LogProb, Top: top[:min(r.TopCount, len(top))],
		}}}
		ended := e.Ends(picked.Token)
		var stopped bool
		d.Text, stopped = said.say(e.Decode([]engine.Token{picked.Token}), ended || usage.Completion == limit)
		if ended = ended || stopped; ended {
			usage.Finish = engine.FinishStop
		}
		if err := emit(d); err != nil {
			return usage, err
		}
		if ended {
			break
		}
	}
	return usage, nil
}

// speech is an answer's text as it grows.
type speech struct {
	stops []string
	all   string
	shown int // bytes of all that were handed out
}

// say adds a piece and returns what may be shown: all that cannot be the
// beginning of a stop text, or all up to one. last flushes what is held back.
func (s *speech) say(piece string, last bool) (out string, stopped bool) {
	s.all += piece
	end := len(s.all)
	for _, stop := range s.stops {
		if i := strings.Index(s.all[:end], stop); i >= 0 {
			end, stopped = i, true
		}
	}
	if !stopped && !last {
		end -= s.unsure()
	}
	out, s.shown = s.all[s.shown:end], end
	return out, stopped
}

// unsure is how many bytes at the end may begin a stop text.
func (s *speech) unsure() int {
	most := 0
	for _, stop := range s.stops {
		for n := range len(stop) {
			if n > most && strings.HasSuffix(s.all, stop[:n]) {
				most = n
			}
		}
	}
	return most
}

func (e *Engine) pause(ctx context.Context) error {
	if e.options.PerToken == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(e.options.PerToken):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) prompt(r engine.ChatRequest) ([]engine.Token, error) {
	switch {
	case len(r.Messages) > 0:
		return e.Render(r.Messages)
	case r.Prompt != "":
		return e.Encode(r.Prompt)
	default:
		return append([]engine.Token(nil), r.Tokens...), nil
	}
}

// logits are normal around the function of the last three tokens that the
// model is, for printable bytes and the end of the turn.
func (e *Engine) logits(tokens []engine.Token, call uint64) engine.Logits {
	recent := uint64(0)
	for _, t := range tokens[max(len(tokens)-3, 0):] {
		recent = recent<<16 | uint64(t)
	}
	o := e.options
	model := rand.New(rand.NewPCG(o.Model, recent))
	drift := rand.New(rand.NewPCG(^o.Model, recent))
	noise := rand.New(rand.NewPCG(call, uint64(len(tokens))))
	logits := make(engine.Logits, vocabulary)
	for t := range logits {
		logits[t] = float32(math.Inf(-1))
	}
	set := func(t engine.Token, v float64) {
		if o.Drift > 0 {
			v += drift.NormFloat64() * o.Drift
		}
		if o.Noise > 0 {
			v += noise.NormFloat64() * o.Noise
		}
		logits[t] = float32(v)
	}
	for t := engine.Token(' '); t <= '~'; t++ {
		set(t, model.NormFloat64()*o.Sharp)
	}
	set('\n', model.NormFloat64()*o.Sharp)
	set(endOfTurn, model.NormFloat64()+o.Sharp-2)
	return logits
}

// Score scores continuation by the model.
func (e *Engine) Score(ctx context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error) {
	return e.ScoreBound(ctx, prompt, continuation, engine.Constraint{}, 0)
}

// ScoreBound scores continuation by the model where c bound it.
func (e *Engine) ScoreBound(ctx context.Context, prompt, continuation []engine.Token, c engine.Constraint, made int) ([]engine.TokenScore, error) {
	bound, err := bind(c, prompt[len(prompt)-made:])
	if err != nil {
		return nil, err
	}
	if n := len(prompt) + len(continuation); n > e.options.Context {
		return nil, fmt.Errorf("%w: %d tokens, at most %d", engine.ErrTooLong, n, e.options.Context)
	}
	call := e.calls.Add(1)
	tokens := append([]engine.Token(nil), prompt...)
	scores := make([]engine.TokenScore, 0, len(continuation))
	for _, t := range continuation {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logits := e.logits(tokens, call)
		sum := logits.LogSum()
		scores = append(scores, engine.TokenScore{Token: t, LogProb: logits.LogProb(t, sum), Top: bound.candidates(logits, sum)})
		bound.advance(t)
		tokens = append(tokens, t)
	}
	e.scored.Add(int64(len(continuation)))
	return scores, nil
}

// Embed is not supported.
func (e *Engine) Embed(context.Context, []string) ([][]float32, error) {
	return nil, engine.ErrUnsupported
}

// Close does nothing.
func (e *Engine) Close() error { return nil }

// Render puts a mark before each turn and one for the assistant's at the end.
func (e *Engine) Render(messages []engine.Message) ([]engine.Token, error) {
	marks := map[engine.Role]engine.Token{engine.System: system, engine.User: user, engine.Assistant: assistant}
	var tokens []engine.Token
	for _, m := range messages {
		mark, ok := marks[m.Role]
		if !ok {
			return nil, fmt.Errorf("toy: no role %q", m.Role)
		}
		text, err := e.Encode(m.Content)
		if err != nil {
			return nil, err
		}
		tokens = append(append(append(tokens, mark), text...), endOfTurn)
	}
	return append(tokens, assistant), nil
}

// Encode returns text's bytes.
func (e *Engine) Encode(text string) ([]engine.Token, error) {
	tokens := make([]engine.Token, len(text))
	for i := range tokens {
		tokens[i] = engine.Token(text[i])
	}
	return tokens, nil
}

// Decode returns the text of tokens.
func (e *Engine) Decode(tokens []engine.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		if t >= 0 && t < 256 {
			b.WriteByte(byte(t))
		}
	}
	return b.String()
}

// Piece is a token's byte; the marks of turns have none.
func (e *Engine) Piece(t engine.Token) string { return pieces{}.Piece(t) }

// Ends tells whether t is the end of a turn.
func (e *Engine) Ends(t engine.Token) bool { return t == endOfTurn }
