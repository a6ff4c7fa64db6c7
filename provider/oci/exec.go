package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Exec implements [sandbox.Engine]. Ending ctx ends the command.
func (e *Engine) Exec(ctx context.Context, id sandbox.ID, x sandbox.Exec) (int, error) {
	if len(x.Args) == 0 {
		return 0, fmt.Errorf("%w: no command to execute", sandbox.ErrInvalid)
	}
	if _, err := e.running(ctx, id); err != nil {
		return 0, err
	}
	cmd := e.execCommand(ctx, id, x)
	var err error
	if x.TTY {
		err = terminal(cmd, x)
	} else {
		err = piped(cmd, x)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("execute in %s: %w", id, ctx.Err())
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case err != nil:
		return 0, fmt.Errorf("execute in %s: %w", id, err)
	}
	return 0, nil
}

// execCommand leaves user, folder and environment to the runtime, which knows
// them from the bundle: a tenant's secrets have no place in the host's list of
// processes.
func (e *Engine) execCommand(ctx context.Context, id sandbox.ID, x sandbox.Exec) *exec.Cmd {
	args := []string{"exec"}
	if x.TTY {
		args = append(append(args, e.runtime.TTY...), "--env", "TERM=xterm-256color")
	}
	cmd := e.command(ctx, append(append(args, container(id)), x.Args...)...)
	// The runtimes pass this on to the command inside.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// piped runs cmd without a terminal. Input is copied by hand: exec.Cmd would
// wait for it to end, long after the command has.
func piped(cmd *exec.Cmd, x sandbox.Exec) error {
	cmd.Stdout, cmd.Stderr = through(x.Stdout), through(x.Stderr)
	if x.Stdin == nil {
		return cmd.Run()
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // ends when the caller's Stdin does, or at the first write after the command's end
		_, _ = io.Copy(in, x.Stdin)
		_ = in.Close()
	}()
	return cmd.Wait()
}

// through hides that w may be a file, so that the command gets a pipe: gVisor
// would write to a file from its start, whatever is in it.
func through(w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	return struct{ io.Writer }{w}
}

// terminal runs cmd on a terminal of its own.
func terminal(cmd *exec.Cmd, x sandbox.Exec) error {
	ours, err := pty.StartWithSize(cmd, winsize(x.Size))
	if err != nil {
		return err
	}
	done := make(chan struct{})
	var copies sync.WaitGroup
	if x.Resize != nil {
		copies.Go(func() { follow(ours, cmd, x.Resize, done) })
	}
	if x.Stdin != nil {
		go func() { _, _ = io.Copy(ours, x.Stdin) }() // as in piped
	}
	out := x.Stdout
	if out == nil {
		out = io.Discard
	}
	copies.Go(func() { _, _ = io.Copy(out, ours) }) // ends with EIO when the last user of the terminal does
	err = cmd.Wait()
	close(done)
	late := time.AfterFunc(cmd.WaitDelay, func() { _ = ours.Close() })
	copies.Wait()
	late.Stop()
	_ = ours.Close()
	return err
}

// follow keeps the terminal's size. The kernel tells the runtime, which tells
// the command.
func follow(tty *os.File, cmd *exec.Cmd, sizes <-chan sandbox.Size, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s, ok := <-sizes:
			if !ok {
				return
			}
			_ = pty.Setsize(tty, winsize(s)) // the terminal may have gone
			_ = cmd.Process.Signal(syscall.SIGWINCH)
		}
	}
}

func winsize(s sandbox.Size) *pty.Winsize {
	if s == (sandbox.Size{}) {
		s = sandbox.Size{Rows: 24, Columns: 80}
	}
	return &pty.Winsize{Rows: s.Rows, Cols: s.Columns}
}
