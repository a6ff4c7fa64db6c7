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

// Spawn starts a shim for dir's plan as a process of its own, and returns when
// the container runs. command is a program and arguments that call [Run] with
// dir, which is added as the last argument, and [Ready].
//
// The process outlives its parent. While the parent lives, a goroutine waits
// for the shim, so that it leaves no zombie.
func Spawn(ctx context.Context, command []string, dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(command[0], append(command[1:], dir)...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // it only waits
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("start the warden: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	stop := context.AfterFunc(ctx, func() { _ = r.Close() })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(r, 8192))
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
