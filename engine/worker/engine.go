package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
)

// Options tunes an Engine. The zero value works.
type Options struct {
	Deaths int           // of the worker that one request lives through; 0 means 3
	Hang   time.Duration // after which a worker that ignores a cancel is ended; 0 means 60 s
	Log    *slog.Logger  // nil means no log
}

// Spawn starts a worker process and returns the pipe to it. Closing the pipe
// ends the process at once.
type Spawn func() (io.ReadWriteCloser, error)

// An Engine is an engine in a worker. It is an engine.Checker.
type Engine struct {
	spawn Spawn
	load  Load
	opts  Options
	log   *slog.Logger

	opened Opened
	pieces []string
	ends   []bool

	starting chan struct{} // holds a value while nobody starts a worker

	mu     sync.Mutex
	pipe   *pipe // nil while there is none
	closed bool
	deaths int // in a row, without a request that went well
}

// errDied means that the worker ended under a request.
var errDied = errors.New("worker: it ended")

// Start starts a worker and has it open a model.
func Start(ctx context.Context, spawn Spawn, load Load, o Options) (*Engine, error) {
	if o.Deaths <= 0 {
		o.Deaths = 3
	}
	if o.Hang <= 0 {
		o.Hang = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{spawn: spawn, load: load, opts: o, log: o.Log, starting: make(chan struct{}, 1)}
	e.starting <- struct{}{}
	p, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	e.opened, e.pieces, e.ends = p.opened, p.pieces, p.ends
	return e, nil
}

// Opened is what the first worker said of the model.
func (e *Engine) Opened() Opened { return e.opened }

// Model describes the model.
func (e *Engine) Model() engine.Model { return e.opened.Model }

// Ends tells whether t ends the assistant's turn.
func (e *Engine) Ends(t engine.Token) bool { return t >= 0 && int(t) < len(e.ends) && e.ends[t] }

// Piece is the bytes of one token; control tokens have none.
func (e *Engine) Piece(t engine.Token) string {
	if t < 0 || int(t) >= len(e.pieces) {
		return ""
	}
	return e.pieces[t]
}

// Decode returns the text of tokens.
func (e *Engine) Decode(tokens []engine.Token) string { return batch.Decode(e, tokens) }

// Close ends the worker and the requests on it.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	p := e.pipe
	e.mu.Unlock()
	if p != nil {
		p.fail(engine.ErrClosed)
		<-p.done
	}
	return nil
}

// alive returns the pipe to a worker, and starts one where there is none.
func (e *Engine) alive(ctx context.Context) (*pipe, error) {
	if p, err := e.current(); p != nil || err != nil {
		return p, err
	}
	select {
	case <-e.starting:
		defer func() { e.starting <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p, err := e.current(); p != nil || err != nil {
		return p, err
	}
	if err := e.pause(ctx); err != nil {
		return nil, err
	}
	p, err := e.connect(ctx)
	if err == nil && (p.opened.Model != e.opened.Model || len(p.pieces) != len(e.pieces)) {
		err = fmt.Errorf("%w: the file at %s is another one than before", engine.ErrBadModel, e.load.Path)
		p.fail(err)
	}
	if err != nil {
		return nil, err
	}
	e.log.Info("engine worker restarted", "model", e.opened.Model.Name)
	return p, nil
}

// current returns the pipe in use, nil where there is none or it broke.
func (e *Engine) current() (*pipe, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	if e.pipe != nil && e.pipe.broken() {
		e.pipe = nil
		e.deaths++
	}
	return e.pipe, nil
}

// pause waits before a restart, longer after each death in a row, up to 5 s.
func (e *Engine) pause(ctx context.Context) error {
	e.mu.Lock()
	n := e.deaths
	e.mu.Unlock()
	if n < 2 {
		return nil
	}
	t := time.NewTimer(min(50*time.Millisecond<<min(n, 10), 5*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect starts a worker, has it load the model, and makes it the current one.
func (e *Engine) connect(ctx context.Context) (*pipe, error) {
	conn, err := e.spawn()
	if err != nil {
		return nil, fmt.Errorf("start engine worker: %w", err)
	}
	p := newPipe(conn, e.log)
	stop := context.AfterFunc(ctx, func() { p.fail(ctx.Err()) })
	err = p.open(e.load)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		p.fail(err)
		<-p.done
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		p.fail(engine.ErrClosed)
		return nil, engine.ErrClosed
	}
	e.pipe = p
	return p, nil
}

// again repeats try while workers die under it, up to the limit.
func (e *Engine) again(ctx context.Context, try func(*pipe) error) error {
	for died := 0; ; {
		p, err := e.alive(ctx)
		if err == nil {
			err = try(p)
		}
		if err == nil {
			e.mu.Lock()
			e.deaths = 0
			e.mu.Unlock()
			return nil
		}
		if !errors.Is(err, errDied) || ctx.Err() != nil {
			return err
		}
		if died++; died > e.opts.Deaths {
			return fmt.Errorf("%w: %d times under this request: %w", engine.ErrWorkerDied, died, err)
		}
	}
}

// Chat answers r. Where the worker dies, the next one goes on with the answer.
func (e *Engine) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	return e.Resume(ctx, r, nil, emit)
}

// Resume goes on with an answer of which made are the tokens so far.
func (e *Engine) Resume(ctx context.Context, r engine.ChatRequest, made []engine.Token, emit func(engine.Delta) error) (engine.Usage, error) {
	if err := r.Sampling.Check(); err != nil {
		return engine.Usage{}, err
	}
	made = append([]engine.Token(nil), made...)
	usage := engine.Usage{}
	err := e.again(ctx, func(p *pipe) error {
		wire := chatRequest{ChatRequest: r, Text: []byte(r.Prompt), Said: made}
		wire.Prompt = ""
		payload, err := json.Marshal(wire)
		if err != nil {
			return fmt.Errorf("%w: %w", engine.ErrRequest, err)
		}
		u, err := e.call(ctx, p, kindChat, payload, func(f frame) error {
			d, err := e.delta(f)
			if err != nil {
				p.fail(err)
				return err
			}
			if err := emit(d); err != nil {
				return err
			}
			for _, t := range d.Tokens {
				made = append(made, t.Token)
			}
			return nil
		})
		if u.Prompt > 0 {
			usage = u
		}
		return err
	})
	usage.Completion = len(made)
	return usage, err
}

// delta reads a frame of an answer.
func (e *Engine) delta(f frame) (engine.Delta, error) {
	u := unpack{b: f.payload}
	d := engine.Delta{Text: strings.ToValidUTF8(u.text(), "\uFFFD"), Tokens: u.scores(len(e.pieces))}
	if err := u.end(); err != nil || f.kind != kindDelta || len(d.Tokens) == 0 {
		return d, fmt.Errorf("%w: %w", errDied, frameError("want a delta"))
	}
	return d, nil
}

// one carries out a request that is answered by one frame.
func (e *Engine) one(ctx context.Context, k kind, payload []byte, read func(*unpack)) error {
	return e.again(ctx, func(p *pipe) error {
		frames := 0
		_, err := e.call(ctx, p, k, payload, func(f frame) error {
			frames++
			u := unpack{b: f.payload}
			read(&u)
			if err := u.end(); err != nil {
				p.fail(err)
				return fmt.Errorf("%w: %w", errDied, err)
			}
			return nil
		})
		if err == nil && frames != 1 {
			return fmt.Errorf("%w: %w", errDied, frameError("%d answers to a question", frames))
		}
		return err
	})
}

// Score returns how likely each token of continuation is after prompt.
func (e *Engine) Score(ctx context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error) {
	return e.ScoreBound(ctx, prompt, continuation, engine.Constraint{}, 0)
}

// ScoreBound is Score where c bound the answer of which the first made tokens
// are the last of prompt.
func (e *Engine) ScoreBound(ctx context.Context, prompt, continuation []engine.Token, c engine.Constraint, made int) ([]engine.TokenScore, error) {
	payload, err := json.Marshal(scoreRequest{prompt, continuation, c, made})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	if len(continuation) == 0 && len(prompt) > 0 {
		return nil, nil
	}
	var scores []engine.TokenScore
	err = e.one(ctx, kindScore, payload, func(u *unpack) {
		scores = u.scores(len(e.pieces))
		u.bad = u.bad || len(scores) != len(continuation)
	})
	return scores, err
}

// Embed returns a vector of norm 1 per text.
func (e *Engine) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	var payload pack
	payload.uint(len(texts))
	for _, s := range texts {
		payload.text(s)
	}
	var vectors [][]float32
	err := e.one(ctx, kindEmbed, payload, func(u *unpack) {
		vectors = make([][]float32, u.count(4))
		u.bad = u.bad || len(vectors) != len(texts)
		for i := range vectors {
			vectors[i] = make([]float32, u.count(4))
			for k := range vectors[i] {
				vectors[i][k] = u.float()
			}
		}
	})
	return vectors, err
}

// Render puts a conversation through the chat template.
func (e *Engine) Render(messages []engine.Message) ([]engine.Token, error) {
	return e.RenderTools(messages, nil)
}

// RenderTools puts a conversation and the tools that it may use through the
// chat template.
func (e *Engine) RenderTools(messages []engine.Message, tools []engine.Tool) ([]engine.Token, error) {
	payload, err := json.Marshal(renderRequest{messages, tools})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	return e.tokens(kindRender, payload)
}

// Encode returns the tokens of text.
func (e *Engine) Encode(text string) ([]engine.Token, error) {
	return e.tokens(kindEncode, []byte(text))
}

func (e *Engine) tokens(k kind, payload []byte) ([]engine.Token, error) {
	// The tokenizer is quick; only a worker that hangs needs the limit.
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.Hang)
	defer cancel()
	var tokens []engine.Token
	err := e.one(ctx, k, payload, func(u *unpack) {
		tokens = u.tokens()
		for _, t := range tokens {
			u.within(t, 0, len(e.pieces))
		}
	})
	return tokens, err
}
