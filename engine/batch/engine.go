package batch

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/chat"
)

// An Engine is a model with its tokenizer and its scheduler. It is an
// engine.Checker.
type Engine struct {
	info     engine.Model
	model    Model
	vocab    Vocabulary
	template *chat.Template
	opts     Options
	longest  int // bytes of the longest token
	machines machines

	wake chan struct{} // one pending wake-up of the scheduler
	done chan struct{} // closed when the scheduler has ended

	mu     sync.Mutex
	queue  []*job
	closed bool

	// What follows is the scheduler's alone.
	slots []slot
	clock int64
}

// New starts an engine on a model, which it owns from now on. info says what
// the model is; its Context and Vocabulary bound every request.
func New(info engine.Model, m Model, v Vocabulary, t *chat.Template, o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{
		info: info, model: m, vocab: v, template: t, opts: o,
		machines: newMachines(v), wake: make(chan struct{}, 1), done: make(chan struct{}), slots: make([]slot, o.Slots),
	}
	e.info.TemplateHash = t.Hash()
	e.longest = 1
	for t := range v.Size() {
		e.longest = max(e.longest, len(v.Piece(engine.Token(t))))
	}
	go e.run()
	return e
}

// Model describes the model.
func (e *Engine) Model() engine.Model { return e.info }

// Render puts a conversation through the chat template.
func (e *Engine) Render(messages []engine.Message) ([]engine.Token, error) {
	return e.template.Tokens(messages)
}

// RenderTools puts a conversation and the tools that it may use through the
// chat template.
func (e *Engine) RenderTools(messages []engine.Message, tools []engine.Tool) ([]engine.Token, error) {
	return e.template.TokensWithTools(messages, tools)
}

// Encode returns the tokens of text.
func (e *Engine) Encode(text string) ([]engine.Token, error) { return e.vocab.Encode(text) }

// Decode returns the text of tokens.
func (e *Engine) Decode(tokens []engine.Token) string { return Decode(e.vocab, tokens) }

// Ends tells whether t ends the assistant's turn.
func (e *Engine) Ends(t engine.Token) bool { return e.vocab.Ends(t) }

// Piece is the bytes of one token; control tokens have none.
func (e *Engine) Piece(t engine.Token) string { return e.vocab.Piece(t) }

// Decode returns the text of tokens as an answer of them reads.
func Decode(v interface{ Piece(engine.Token) string }, tokens []engine.Token) string {
	var t text
	var b strings.Builder
	for _, token := range tokens {
		b.WriteString(t.decode(v.Piece(token)))
	}
	return b.String() + t.rest()
}

// Chat answers r.
func (e *Engine) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	return e.Resume(ctx, r, nil, emit)
}

// Resume goes on with an answer of which made are the tokens that were emitted
// before. It emits what follows, as Chat would have; nothing where the answer
// had ended.
func (e *Engine) Resume(ctx context.Context, r engine.ChatRequest, made []engine.Token, emit func(engine.Delta) error) (engine.Usage, error) {
	j, err := e.answer(ctx, r, made)
	if err != nil {
		return engine.Usage{}, err
	}
	usage := engine.Usage{Completion: len(made)}
	if j.finish != "" {
		usage.Prompt, usage.Finish = j.prompt, j.finish
		return usage, nil
	}
	if err := e.submit(j); err != nil {
		return engine.Usage{}, err
	}
	for {
		deltas, finished := j.take()
		for _, d := range deltas {
			err := ctx.Err()
			if err == nil {
				err = emit(d)
			}
			if err != nil {
				e.cancel(j)
				usage.Prompt, usage.Cached = j.prompt, j.cached
				return usage, err
			}
			usage.Completion += len(d.Tokens)
		}
		if finished {
			usage.Prompt, usage.Cached, usage.Finish = j.prompt, j.cached, j.finish
			return usage, j.err
		}
		select {
		case <-j.news:
		case <-ctx.Done():
			e.cancel(j)
		}
	}
}

// answer checks a request and makes its job.
func (e *Engine) answer(ctx context.Context, r engine.ChatRequest, made []engine.Token) (*job, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	prompt, err := e.prompt(r)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(checkMade(r.Made, len(prompt)), e.checkTokens(prompt, made)); err != nil {
		return nil, err
	}
	room := e.info.Context - len(prompt)
	if room < 1 {
		return nil, tooLong("the prompt has", len(prompt), e.info.Context)
	}
	if r.MaxTokens > 0 {
		room = min(room, r.MaxTokens)
	}
	if len(made) > room {
		return nil, request("%d tokens were made already, the most is %d", len(made), room)
	}
	j := newJob(ctx, kindAnswer)
	j.tokens = slices.Concat(prompt, made)
	j.prompt = len(prompt)
	j.limit = len(prompt) + room
	j.sampling = r.Sampling
	if j.bound, err = e.bind(r.Constraint, slices.Concat(prompt[len(prompt)-r.Made:], made)); err != nil {
		return nil, err
	}
	j.top = r.TopCount
	j.text.stops = r.Stop
	for _, t := range made {
		if _, stopped := j.text.add(e.vocab.Piece(t)); stopped || e.vocab.Ends(t) {
			j.finish = engine.FinishStop
		}
	}
	if j.finish == "" && len(made) == room {
		j.finish = engine.FinishLength
	}
	return j, nil
}

func (e *Engine) prompt(r engine.ChatRequest) ([]engine.Token, error) {
	switch {
	case len(r.Tokens) > 0:
		return r.Tokens, nil
	case len(r.Messages) > 0:
		size := 0
		for _, m := range r.Messages {
			size += len(m.Content)
		}
		if err := e.checkSize(size); err != nil {
			return nil, err
		}
		return e.template.TokensWithTools(r.Messages, r.Constraint.Tools)
	default:
		return e.begun(r.Prompt)
	}
}

// begun encodes text and puts the token before it that goes before every text.
func (e *Engine) begun(text string) ([]engine.Token, error) {
	if err := e.checkSize(len(text)); err != nil {
		return nil, err
	}
	tokens, err := e.vocab.Encode(text)
	if b := e.vocab.Begin(); b >= 0 {
		tokens = slices.Insert(tokens, 0, b)
	}
	return tokens, err
}

// checkSize turns away texts that cannot fit however they are cut into tokens,
// before any work goes into cutting them.
func (e *Engine) checkSize(bytes int) error {
	if n := bytes / e.longest; n > e.info.Context {
		return tooLong("the text has at least", n, e.info.Context)
	}
	return nil
}

func (e *Engine) checkTokens(lists ...[]engine.Token) error {
	for _, tokens := range lists {
		for i, t := range tokens {
			if t < 0 || int(t) >= e.info.Vocabulary {
				return request("token %d is %d, the vocabulary has %d", i, t, e.info.Vocabulary)
			}
		}
	}
	return nil
}

// Score returns how likely each token of continuation is after prompt.
func (e *Engine) Score(ctx context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error) {
	return e.ScoreBound(ctx, prompt, continuation, engine.Constraint{}, 0)
}

// ScoreBound is Score where c bound the answer of which the first made tokens
// are the last of prompt.
func (e *Engine) ScoreBound(ctx context.Context, prompt, continuation []engine.Token, c engine.Constraint, made int) ([]engine.TokenScore, error) {
	if len(prompt) == 0 {
		return nil, request("a score needs a prompt of at least one token")
	}
	if err := checkMade(made, len(prompt)); err != nil {
		return nil, err
	}
	if len(continuation) == 0 {
		return nil, nil
	}
	if err := e.checkTokens(prompt, continuation); err != nil {
		return nil, err
	}
	if n := len(prompt) + len(continuation); n > e.info.Context {
		return nil, tooLong("prompt and continuation have", n, e.info.Context)
	}
	j := newJob(ctx, kindScore)
	var err error
	if j.bound, err = e.bind(c, prompt[len(prompt)-made:]); err != nil {
		return nil, err
	}
	// The last token is only scored, never computed.
	j.tokens = slices.Concat(prompt, continuation[:len(continuation)-1])
	j.last = continuation[len(continuation)-1]
	j.prompt = len(prompt)
	j.scores = make([]engine.TokenScore, 0, len(continuation))
	if err := e.wait(ctx, j); err != nil {
		return nil, err
	}
	return j.scores, nil
}

// Embed returns a vector of norm 1 per text.
func (e *Engine) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, s := range texts {
		tokens, err := e.begun(s)
		if err != nil {
			return nil, err
		}
		if len(tokens) == 0 {
			return nil, request("text %d is empty", i)
		}
		if len(tokens) > e.info.Context {
			return nil, tooLong(fmt.Sprintf("text %d has", i), len(tokens), e.info.Context)
		}
		j := newJob(ctx, kindEmbed)
		j.tokens = tokens
		if err := e.wait(ctx, j); err != nil {
			return nil, err
		}
		out[i] = normalize(j.vector)
	}
	return out, nil
}

// normalize scales v to norm 1.
func normalize(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	if sum == 0 {
		return v
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
	return v
}

// Close ends the engine; answers that run get engine.ErrClosed.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.rouse()
	<-e.done
	return nil
}
