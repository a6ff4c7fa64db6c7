package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// call is one question to a program that runs. What was said and not yet
// handed on is bounded by maxAnswer.
type call struct {
	news chan struct{} // has one when there is something new

	mu     sync.Mutex
	chunks [][]byte
	size   int
	over   bool
	result json.RawMessage
	err    error
}

func (c *call) hear(chunk []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size += max(len(chunk), perChunk)
	if c.size > maxAnswer {
		return fmt.Errorf("%w: an answer of more than %d bytes", ErrProgram, maxAnswer)
	}
	c.chunks = append(c.chunks, chunk)
	c.tell()
	return nil
}

func (c *call) finish(result json.RawMessage, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over, c.result, c.err = true, result, err
		c.tell()
	}
}

func (c *call) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// take returns what is new.
func (c *call) take() (chunks [][]byte, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	chunks, c.chunks = c.chunks, nil
	return chunks, c.over
}

// call asks and waits for the end of the answer. A program that is late with
// anything but work, which may be hard, is ended.
func (r *run) call(ctx context.Context, method string, params any, onChunk func([]byte) error) (json.RawMessage, error) {
	c := &call{news: make(chan struct{}, 1)}
	id, err := r.enlist(c)
	if err != nil {
		return nil, err
	}
	defer r.drop(id)
	if err := r.send(request{ID: id, Method: method, Params: params}); err != nil {
		return nil, err
	}
	m := meter{ctx: ctx, onChunk: onChunk}
	for {
		select {
		case <-c.news:
		case <-ctx.Done():
			if method != "work" && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				r.kill(fmt.Errorf("%w: no answer to %s in time", ErrProgram, method))
			} else {
				r.cancel(id)
			}
			return nil, ctx.Err()
		}
		chunks, over := c.take()
		for _, b := range chunks {
			if err := m.take(b); err != nil {
				r.cancel(id)
				return nil, err
			}
		}
		if over {
			return c.result, c.err
		}
	}
}

// enlist gives a call its number.
func (r *run) enlist(c *call) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	r.last++
	r.calls[r.last] = c
	return r.last, nil
}

func (r *run) drop(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, id)
}

// cancel tells the program that nobody waits for an answer any more.
func (r *run) cancel(id uint64) {
	_ = r.send(request{Method: "cancel", Params: struct { // a program that does not take it is ended
		ID uint64 `json:"id"`
	}{id}})
}

// send writes a line. A program that does not read is ended, for what it holds
// up would hold up all.
func (r *run) send(q request) error {
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	err = r.in.SetWriteDeadline(time.Now().Add(r.timeout))
	if err == nil {
		_, err = r.in.Write(append(line, '\n'))
	}
	if err != nil {
		err = fmt.Errorf("%w: it does not read: %w", ErrProgram, err)
		r.kill(err)
	}
	return err
}

// hear takes a line of the program's. An answer that nobody waits for is one
// that was cancelled.
func (r *run) hear(line []byte) error {
	said, err := parseReply(line)
	if err != nil {
		return err
	}
	r.mu.Lock()
	c, asked := r.calls[said.ID], said.ID > 0 && said.ID <= r.last
	r.mu.Unlock()
	switch {
	case !asked:
		return fmt.Errorf("%w: it answers call %d, which nobody made", ErrProgram, said.ID)
	case c == nil:
	case said.Chunk != nil:
		return c.hear(*said.Chunk)
	case said.Error != nil:
		c.finish(nil, said.Error.err("program"))
	default:
		c.finish(said.Result, nil)
	}
	return nil
}
