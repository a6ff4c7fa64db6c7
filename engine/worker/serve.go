package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/plexus-network/plexus/engine"
)

// maxRequests bounds the requests that a worker serves at the same time; the
// engine bounds the costly ones itself.
const maxRequests = 4096

// Serve answers the requests that come on r, and writes to w, until r ends or
// ctx does. The first request is a Load, which open carries out. It returns nil
// when r ended, and the engine is closed by then.
func Serve(ctx context.Context, r io.Reader, w io.Writer, open func(Load) (Served, Opened, error)) error {
	s := &server{out: &writer{w: w}, running: map[uint32]context.CancelFunc{}}
	f, err := readFrame(r)
	if err != nil {
		return ignoreEnd(err)
	}
	var load Load
	if f.kind != kindLoad || json.Unmarshal(f.payload, &load) != nil {
		return frameError("the first one must be a load")
	}
	engine, opened, err := open(load)
	if err != nil {
		code, text := encodeError(err)
		return s.out.sendJSON(f.id, kindDone, done{Code: code, Error: text})
	}
	s.engine = engine
	defer func() { _ = engine.Close() }() // the process ends next
	if err := s.hello(f.id, opened); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer s.wait.Wait()
	defer cancel()
	for {
		f, err := readFrame(r)
		if err != nil {
			return ignoreEnd(err)
		}
		if err := s.take(ctx, f); err != nil {
			return err
		}
	}
}

// ignoreEnd is nil where the other side closed the pipe.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// server is a worker's state.
type server struct {
	engine Served
	out    *writer
	wait   sync.WaitGroup

	mu      sync.Mutex
	running map[uint32]context.CancelFunc
}

// hello tells the other side of the model, and the text of every token, so
// that it can decode by itself.
func (s *server) hello(id uint32, o Opened) error {
	if err := s.out.sendJSON(id, kindOpened, o); err != nil {
		return err
	}
	var p pack
	p.uint(o.Model.Vocabulary)
	for t := range o.Model.Vocabulary {
		ends := 0
		if s.engine.Ends(engine.Token(t)) {
			ends = 1
		}
		p.uint(ends)
		p.text(s.engine.Piece(engine.Token(t)))
	}
	return s.out.send(frame{id, kindPieces, p})
}

// take starts what a frame asks for.
func (s *server) take(ctx context.Context, f frame) error {
	if f.kind == kindCancel {
		s.mu.Lock()
		defer s.mu.Unlock()
		if cancel := s.running[f.id]; cancel != nil {
			cancel()
		}
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	_, twice := s.running[f.id]
	full := len(s.running) >= maxRequests
	if !twice && !full {
		s.running[f.id] = cancel
	}
	s.mu.Unlock()
	if twice || full {
		cancel()
		return frameError("request %d comes twice or is one too many", f.id)
	}
	s.wait.Go(func() {
		defer cancel()
		usage, err := s.do(ctx, f)
		s.mu.Lock()
		delete(s.running, f.id)
		s.mu.Unlock()
		code, text := encodeError(err)
		// A pipe that cannot be written is about to end the loop that reads.
		_ = s.out.sendJSON(f.id, kindDone, done{usage, code, text})
	})
	return nil
}

// do carries out one request and sends its results.
func (s *server) do(ctx context.Context, f frame) (engine.Usage, error) {
	switch f.kind {
	case kindChat:
		return s.chat(ctx, f)
	case kindScore:
		return engine.Usage{}, s.score(ctx, f)
	case kindEmbed:
		return engine.Usage{}, s.embed(ctx, f)
	case kindRender:
		var r renderRequest
		if err := json.Unmarshal(f.payload, &r); err != nil {
			return engine.Usage{}, frameError("%v", err)
		}
		tokens, err := s.engine.RenderTools(r.Messages, r.Tools)
		return engine.Usage{}, s.sendTokens(f.id, tokens, err)
	case kindEncode:
		tokens, err := s.engine.Encode(string(f.payload))
		return engine.Usage{}, s.sendTokens(f.id, tokens, err)
	default:
		return engine.Usage{}, frameError("its kind is %d", f.kind)
	}
}

func (s *server) sendTokens(id uint32, tokens []engine.Token, err error) error {
	if err != nil {
		return err
	}
	var p pack
	p.tokens(tokens)
	return s.out.send(frame{id, kindTokens, p})
}

func (s *server) chat(ctx context.Context, f frame) (engine.Usage, error) {
	var r chatRequest
	if err := json.Unmarshal(f.payload, &r); err != nil {
		return engine.Usage{}, frameError("%v", err)
	}
	r.Prompt = string(r.Text)
	return s.engine.Resume(ctx, r.ChatRequest, r.Said, func(d engine.Delta) error {
		var p pack
		p.text(d.Text)
		p.scores(d.Tokens)
		return s.out.send(frame{f.id, kindDelta, p})
	})
}

func (s *server) score(ctx context.Context, f frame) error {
	var r scoreRequest
	if err := json.Unmarshal(f.payload, &r); err != nil {
		return frameError("%v", err)
	}
	scores, err := s.engine.ScoreBound(ctx, r.Prompt, r.Continuation, r.Constraint, r.Made)
	if err != nil {
		return err
	}
	var p pack
	p.scores(scores)
	return s.out.send(frame{f.id, kindScores, p})
}

func (s *server) embed(ctx context.Context, f frame) error {
	u := unpack{b: f.payload}
	texts := make([]string, u.count(4))
	for i := range texts {
		texts[i] = u.text()
	}
	if err := u.end(); err != nil {
		return err
	}
	vectors, err := s.engine.Embed(ctx, texts)
	if err != nil {
		return err
	}
	var p pack
	p.uint(len(vectors))
	for _, v := range vectors {
		p.uint(len(v))
		for _, x := range v {
			p.float(x)
		}
	}
	if len(p) > maxFrame/2 {
		return fmt.Errorf("%w: %d texts at once; ask for fewer", engine.ErrTooLong, len(texts))
	}
	return s.out.send(frame{f.id, kindVectors, p})
}
