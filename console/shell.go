package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// maxMessage bounds what a shell's page sends at once, in bytes.
const maxMessage = 64 << 10

// A control is what a shell's two ends say in text messages; binary ones carry
// what is typed and printed.
type control struct {
	Resize *sandbox.Size `json:"resize,omitempty"` // by the page
	End    *ending       `json:"end,omitempty"`    // by the console, the last message
}

// An ending is how a shell ended.
type ending struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// A terminal is the websocket of a shell.
type terminal struct {
	mu   sync.Mutex
	conn *websocket.Conn
	ctx  context.Context
}

// Write implements [io.Writer]: what a command prints goes to the page.
func (t *terminal) Write(p []byte) (int, error) {
	return len(p), t.send(websocket.MessageBinary, p)
}

func (t *terminal) send(kind websocket.MessageType, p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.ctx, maxStall)
	defer cancel()
	return t.conn.Write(ctx, kind, p)
}

// shell runs a command on a terminal inside a replica.
func (c *Console) shell(w http.ResponseWriter, r *http.Request) {
	id, p, which, x, err := c.asked(r)
	if err != nil {
		c.answer(w, nil, err)
		return
	}
	closed, err := c.open()
	if err != nil {
		c.answer(w, nil, err)
		return
	}
	defer closed()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{shellProtocol}})
	if err != nil {
		c.o.Log.Debug("shell", "error", err)
		return
	}
	defer conn.CloseNow() //nolint:errcheck // there is nobody left to tell
	conn.SetReadLimit(maxMessage)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	t := &terminal{conn: conn, ctx: ctx}
	in, typed := io.Pipe()
	sizes := make(chan sandbox.Size, 1)
	x.TTY, x.Stdin, x.Stdout, x.Stderr, x.Resize = true, in, t, t, sizes
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer cancel() // who hangs up ends the command
		typed.CloseWithError(t.hear(typed, sizes))
	}()
	end := ending{}
	if end.Code, err = p.Exec(ctx, id, which, x); err != nil {
		end.Error = err.Error()
	}
	_ = in.Close() // a pipe closes
	t.end(end)
	<-heard
}

// asked reads which replica and command a request means.
func (c *Console) asked(r *http.Request) (id market.BidID, p *api.Client, which api.Selection, x sandbox.Exec, err error) {
	n, err := dseq(r)
	if err != nil {
		return id, nil, which, x, err
	}
	g, err := gseq(r)
	if err != nil {
		return id, nil, which, x, err
	}
	which.Service = r.FormValue("service")
	if which.Replica, err = number(r, "replica", 0, 1<<20); err != nil {
		return id, nil, which, x, err
	}
	if x.Args = strings.Fields(r.FormValue("command")); len(x.Args) == 0 {
		x.Args = []string{"/bin/sh"}
	}
	rows, err := number(r, "rows", 24, 1000)
	if err != nil {
		return id, nil, which, x, err
	}
	columns, err := number(r, "columns", 80, 1000)
	if err != nil {
		return id, nil, which, x, err
	}
	x.Size = sandbox.Size{Rows: uint16(rows), Columns: uint16(columns)}
	id, p, err = c.o.Tenant.Serving(r.Context(), n, g, which.Service)
	return id, p, which, x, err
}

// hear passes on what is typed and how the page's terminal is sized, until the
// page goes away.
func (t *terminal) hear(typed io.Writer, sizes chan sandbox.Size) error {
	for {
		kind, content, err := t.conn.Read(t.ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			_, _ = typed.Write(content) // a command that has ended reads no more
			continue
		}
		var say control
		if err := json.Unmarshal(content, &say); err != nil || say.Resize == nil {
			return fmt.Errorf("%w: a text message that is no {\"resize\": …}", errRequest)
		}
		select {
		case <-sizes: // only the latest counts
		default:
		}
		sizes <- *say.Resize
	}
}

// end tells the page how its shell ended, and waits a little for it to hang up.
func (t *terminal) end(how ending) {
	text, err := json.Marshal(control{End: &how})
	if err == nil {
		err = t.send(websocket.MessageText, text)
	}
	if err == nil {
		_ = t.conn.Close(websocket.StatusNormalClosure, "") // waits for the other end, or gives up
	}
}
