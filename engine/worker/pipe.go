package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// A pipe is the way to one worker process.
type pipe struct {
	conn io.ReadWriteCloser
	out  *writer
	log  *slog.Logger
	done chan struct{} // closed when the process is gone and every call has ended

	opened Opened
	pieces []string
	ends   []bool

	mu    sync.Mutex
	calls map[uint32]*call
	last  uint32
	err   error // why the pipe broke; nil while it works
}

// A call is a request on its way.
type call struct {
	news chan struct{} // one pending notice of a change below

	mu       sync.Mutex
	frames   []frame
	most     int // frames that may still come
	finished bool
	done     done
	err      error
}

func newPipe(conn io.ReadWriteCloser, log *slog.Logger) *pipe {
	return &pipe{conn: conn, out: &writer{w: conn}, log: log, done: make(chan struct{}), calls: map[uint32]*call{}}
}

// open has the worker load a model, and starts to read what it sends.
func (p *pipe) open(load Load) error {
	err := p.out.sendJSON(0, kindLoad, load)
	if err == nil {
		err = p.hello()
	}
	if err != nil {
		close(p.done)
		return fmt.Errorf("open %s: %w", load.Path, err)
	}
	go p.read()
	return nil
}

// hello reads what a worker says first.
func (p *pipe) hello() error {
	f, err := readFrame(p.conn)
	if err != nil {
		return fmt.Errorf("%w while it loaded the model: %w", engine.ErrWorkerDied, err)
	}
	switch f.kind {
	case kindDone:
		var d done
		if err := json.Unmarshal(f.payload, &d); err != nil || d.Code == "" {
			return frameError("want a model")
		}
		return decodeError(d.Code, d.Error)
	case kindOpened:
		if err := json.Unmarshal(f.payload, &p.opened); err != nil {
			return frameError("%v", err)
		}
	default:
		return frameError("want a model, got kind %d", f.kind)
	}
	if f, err = readFrame(p.conn); err != nil || f.kind != kindPieces {
		return frameError("want the tokens: %v", err)
	}
	u := unpack{b: f.payload}
	n := u.count(8)
	p.pieces, p.ends = make([]string, n), make([]bool, n)
	for i := range n {
		p.ends[i] = u.uint() == 1
		p.pieces[i] = u.text()
	}
	if n != p.opened.Model.Vocabulary || p.opened.Model.Context < 1 {
		return frameError("%d tokens of a vocabulary of %d", n, p.opened.Model.Vocabulary)
	}
	return u.end()
}

// read hands out frames until the pipe breaks.
func (p *pipe) read() {
	defer close(p.done)
	for {
		f, err := readFrame(p.conn)
		if err == nil {
			err = p.hand(f)
		}
		if err != nil {
			p.fail(fmt.Errorf("%w: %w", errDied, err))
			return
		}
	}
}

// hand gives a frame to its call. Calls that were given up are not missed.
func (p *pipe) hand(f frame) error {
	p.mu.Lock()
	c := p.calls[f.id]
	if f.kind == kindDone {
		delete(p.calls, f.id)
	}
	p.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.add(f)
}

func (c *call) add(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.kind == kindDone {
		if err := json.Unmarshal(f.payload, &c.done); err != nil {
			return frameError("%v", err)
		}
		c.finished, c.err = true, decodeError(c.done.Code, c.done.Error)
	} else {
		if c.most--; c.most < 0 {
			return frameError("an answer longer than the context")
		}
		c.frames = append(c.frames, f)
	}
	c.notify()
	return nil
}

func (c *call) notify() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// end ends a call that gets no more frames.
func (c *call) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.finished {
		c.finished, c.err = true, err
	}
	c.notify()
}

// take returns the frames that came since, and whether the call has ended.
func (c *call) take() ([]frame, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.frames
	c.frames = nil
	return f, c.finished
}

// fail breaks the pipe, once: the process ends, and so do the calls.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = err
	}
	calls := p.calls
	p.calls = map[uint32]*call{}
	p.mu.Unlock()
	for _, c := range calls {
		c.end(err)
	}
	if first {
		if err := p.conn.Close(); err != nil {
			p.log.Debug("engine worker ended", "error", err)
		}
	}
}

func (p *pipe) broken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// start registers a call and sends its request.
func (p *pipe) start(k kind, payload []byte, most int) (uint32, *call, error) {
	c := &call{news: make(chan struct{}, 1), most: most}
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return 0, nil, p.err
	}
	p.last++
	id := p.last
	p.calls[id] = c
	p.mu.Unlock()
	if err := p.out.send(frame{id, k, payload}); err != nil {
		p.fail(fmt.Errorf("%w: %w", errDied, err))
	}
	return id, c, nil
}

// call carries out a request on a pipe and gives each frame to take.
func (e *Engine) call(ctx context.Context, p *pipe, k kind, payload []byte, take func(frame) error) (engine.Usage, error) {
	if len(payload) > maxFrame/2 {
		return engine.Usage{}, fmt.Errorf("%w: a request of %d bytes", engine.ErrTooLong, len(payload))
	}
	id, c, err := p.start(k, payload, p.opened.Model.Context+1)
	if err != nil {
		return engine.Usage{}, err
	}
	for {
		frames, finished := c.take()
		for _, f := range frames {
			err := ctx.Err()
			if err == nil {
				err = take(f)
			}
			if err != nil {
				e.giveUp(p, id)
				return engine.Usage{}, err
			}
		}
		if finished {
			return c.done.Usage, c.err
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			e.giveUp(p, id)
			return engine.Usage{}, ctx.Err()
		}
	}
}

// giveUp cancels a request without waiting for the worker, and ends a worker
// that has not ended the request long after.
func (e *Engine) giveUp(p *pipe, id uint32) {
	c := &call{news: make(chan struct{}, 1), most: p.opened.Model.Context + 1}
	p.mu.Lock()
	if _, ok := p.calls[id]; !ok {
		p.mu.Unlock()
		return
	}
	p.calls[id] = c // takes the late frames
	p.mu.Unlock()
	if err := p.out.send(frame{id, kindCancel, nil}); err != nil {
		p.fail(fmt.Errorf("%w: %w", errDied, err))
		return
	}
	time.AfterFunc(e.opts.Hang, func() {
		if _, finished := c.take(); !finished {
			e.log.Warn("engine worker hangs and is ended")
			p.fail(fmt.Errorf("%w: it hung", errDied))
		}
	})
}
