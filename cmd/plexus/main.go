// Command plexus is the whole network in one binary: every role, every tool.
//
// Each command has a file of its own here; what a command does lives in the
// room it speaks for. Start at newRootCmd.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCmd().ExecuteContext(ctx)
	stop()
	if ended := exitCode(0); errors.As(err, &ended) {
		os.Exit(int(ended))
	}
	if errors.Is(err, errShort) {
		fmt.Fprintln(os.Stderr, "plexus:", err)
		os.Exit(shortCode)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "plexus:", err)
		os.Exit(1)
	}
}
