package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A Waiting is a shim that has not been told to start its container. While
// the daemon makes disks and networks, it loads.
type Waiting struct {
	word   *os.File // to it
	answer *os.File // from it
}

// Spawn starts a shim for dir as a process of its own. command is a program
// and arguments that call [Run] with dir, which is added as the last argument,
// standard input, and [Ready]. Every Waiting must be closed.
//
// The process outlives its parent. While the parent lives, a goroutine waits
// for the shim, so that it leaves no zombie.
func Spawn(command []string, dir string) (*Waiting, error) {
	hears, word, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answer, says, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hears.Close(), word.Close())
	}
	cmd := exec.Command(command[0], append(command[1:], dir)...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // it only waits
	cmd.Stdin = hears
	cmd.ExtraFiles = []*os.File{says}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_, _ = hears.Close(), says.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the warden: %w", err), word.Close(), answer.Close())
	}
	go func() { _ = cmd.Wait() }()
	return &Waiting{word: word, answer: answer}, nil
}

// Go has the container of dir's [Plan] started, and returns when it runs.
func (w *Waiting) Go(ctx context.Context) error {
	if _, err := w.word.Write([]byte{1}); err != nil {
		return fmt.Errorf("tell the warden to start: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.answer.Close() })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(w.answer, 8192))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("wait for the container: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("wait for the container: %w", err)
	case len(text) == 0:
		return errors.New("the warden died before the container started")
	case string(text) != ready:
		return errors.New(strings.TrimSpace(string(text)))
	}
	return nil
}

// Close lets go of the shim: one that was told to start goes on, one that was
// not ends.
func (w *Waiting) Close() {
	_, _ = w.word.Close(), w.answer.Close() // the end of ctx may have closed it
}
