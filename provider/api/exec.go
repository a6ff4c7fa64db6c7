package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/coder/websocket"

	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// exec runs a command inside a replica: its input and output are frames of a
// websocket.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	id, err := s.asked(r, pass.Shell)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	if _, err := s.desk.Keeper(id); err != nil {
		s.answer(w, nil, err)
		return
	}
	number, err := strconv.Atoi(r.FormValue("replica"))
	if err != nil {
		s.answer(w, nil, fmt.Errorf("replica %q is no number", r.FormValue("replica")))
		return
	}
	replica := sandbox.ID{Lease: sandbox.Lease(id.String()), Service: r.FormValue("service"), Replica: number}
	x := sandbox.Exec{Args: r.URL.Query()["arg"], TTY: r.FormValue("tty") == "true"}
	if len(x.Args) == 0 || len(x.Args) > 1000 {
		err = fmt.Errorf("a command has 1 to 1000 arguments, arg=…, not %d", len(x.Args))
	} else {
		err = replica.Check()
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	closed, err := s.open(id.Owner)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	defer closed()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.log.Debug("exec", "error", err)
		return
	}
	conn.SetReadLimit(maxFrame + 1)
	s.run(r.Context(), &wire{conn: conn}, replica, x, r.FormValue("stdin") == "true")
}

// run runs a command with its input and output on c, and tells how it ended.
func (s *Server) run(ctx context.Context, c *wire, replica sandbox.ID, x sandbox.Exec, stdin bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, typed := io.Pipe()
	sizes := make(chan sandbox.Size, 1)
	x.Stdout, x.Stderr, x.Resize = stream{ctx, c, frameStdout}, stream{ctx, c, frameStderr}, sizes
	if stdin {
		x.Stdin = in
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer cancel() // who hangs up ends the command
		err := hear(ctx, c, typed, sizes)
		typed.CloseWithError(err)
	}()
	code, err := s.engine.Exec(ctx, replica, x)
	end := outcome{Code: code}
	if err != nil {
		end.Error = err.Error()
	}
	text, _ := json.Marshal(end) // a number and a text always encode
	if err := c.send(context.WithoutCancel(ctx), frameEnd, text); err != nil {
		s.log.Debug("exec", "replica", replica, "error", err)
	}
	_ = in.Close()                                      // a pipe closes
	_ = c.conn.Close(websocket.StatusNormalClosure, "") // waits for the other end, or gives up
	<-heard
}

// hear passes on what the other end types, until it goes away.
func hear(ctx context.Context, c *wire, typed *io.PipeWriter, sizes chan sandbox.Size) error {
	for {
		kind, content, err := c.receive(ctx)
		if err != nil {
			return err
		}
		switch kind {
		case frameStdin:
			_, _ = typed.Write(content) // a command that has ended reads no more
		case frameEOF:
			_ = typed.Close() // a pipe closes
		case frameResize:
			var size sandbox.Size
			if json.Unmarshal(content, &size) == nil {
				select {
				case <-sizes: // only the latest counts
				default:
				}
				sizes <- size
			}
		}
	}
}

// A wire sends and receives frames. Several may send at the same time.
type wire struct {
	mu   sync.Mutex
	conn *websocket.Conn
}

func (c *wire) send(ctx context.Context, kind byte, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.Write(ctx, websocket.MessageBinary, append([]byte{kind}, content...))
}

func (c *wire) receive(ctx context.Context) (kind byte, content []byte, err error) {
	_, frame, err := c.conn.Read(ctx)
	if err == nil && len(frame) == 0 {
		err = errors.New("an empty frame")
	}
	if err != nil {
		return 0, nil, err
	}
	return frame[0], frame[1:], nil
}

// A stream writes frames of one kind.
type stream struct {
	ctx  context.Context
	to   *wire
	kind byte
}

func (s stream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		if err := s.to.send(s.ctx, s.kind, p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}
