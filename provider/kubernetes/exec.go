package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Exec implements [sandbox.Engine]. It goes over a WebSocket, or by SPDY where
// something on the way takes none.
func (e *Engine) Exec(ctx context.Context, id sandbox.ID, x sandbox.Exec) (int, error) {
	if len(x.Args) == 0 {
		return 0, fmt.Errorf("%w: no command to execute", sandbox.ErrInvalid)
	}
	r, err := e.running(ctx, id)
	if err != nil {
		return 0, err
	}
	to, err := e.executor(r, x)
	if err != nil {
		return 0, fmt.Errorf("execute in %s: %w", id, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = to.StreamWithContext(ctx, streams(ctx, x))
	var exit exec.CodeExitError
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("execute in %s: %w", id, ctx.Err())
	case errors.As(err, &exit):
		return exit.Code, nil
	case err != nil:
		return 0, fmt.Errorf("execute in %s: %w", id, err)
	}
	return 0, nil
}

// running returns the record of a replica that runs.
func (e *Engine) running(ctx context.Context, id sandbox.ID) (record, error) {
	if err := id.Check(); err != nil {
		return record{}, err
	}
	r, err := e.recall(ctx, id)
	if err != nil {
		return r, err
	}
	p, err := e.last(ctx, r)
	if err != nil {
		return r, err
	}
	if s := look(r, p); s.State != sandbox.Running {
		return r, fmt.Errorf("%w: %s is %s", sandbox.ErrNotRunning, id, s.State)
	}
	return r, nil
}

func (e *Engine) executor(r record, x sandbox.Exec) (remotecommand.Executor, error) {
	url := e.raw.Post().Resource("pods").Namespace(namespace(r.ID.Lease)).Name(r.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container, Command: x.Args, Stdin: x.Stdin != nil, Stdout: true, Stderr: !x.TTY, TTY: x.TTY,
		}, scheme.ParameterCodec).URL()
	socket, err := remotecommand.NewWebSocketExecutor(e.o.Config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(e.o.Config, "POST", url)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

func streams(ctx context.Context, x sandbox.Exec) remotecommand.StreamOptions {
	or := func(w io.Writer) io.Writer {
		if w == nil {
			return io.Discard
		}
		return w
	}
	o := remotecommand.StreamOptions{Stdin: x.Stdin, Stdout: or(x.Stdout), Tty: x.TTY}
	if x.TTY {
		o.TerminalSizeQueue = &sizes{done: ctx.Done(), first: x.Size, more: x.Resize}
	} else {
		o.Stderr = or(x.Stderr)
	}
	return o
}

// sizes are those of a terminal, one after the other, until done.
type sizes struct {
	done  <-chan struct{}
	first sandbox.Size
	more  <-chan sandbox.Size
	begun bool
}

// Next waits for the next size, and returns nil after the last.
func (s *sizes) Next() *remotecommand.TerminalSize {
	size := s.first
	if size == (sandbox.Size{}) {
		size = sandbox.Size{Rows: 24, Columns: 80}
	}
	if s.begun {
		var ok bool
		select {
		case size, ok = <-s.more: // nil waits for ever
			if !ok {
				return nil
			}
		case <-s.done:
			return nil
		}
	}
	s.begun = true
	return &remotecommand.TerminalSize{Width: size.Columns, Height: size.Rows}
}
