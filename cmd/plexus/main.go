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
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/wallet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	cmd, err := newRootCmd().ExecuteContextC(ctx)
	interrupted := ctx.Err() != nil
	stop()
	if ended := exitCode(0); errors.As(err, &ended) {
		os.Exit(int(ended))
	}
	switch {
	case err == nil, interrupted && errors.Is(err, context.Canceled):
	case errors.Is(err, errShort):
		fmt.Fprintln(os.Stderr, "plexus:", err)
		os.Exit(shortCode)
	case interrupted:
		fmt.Fprintln(os.Stderr, "plexus:", advise(cmd, err))
		os.Exit(130) // as a shell has it of a program that Ctrl-C ended
	default:
		fmt.Fprintln(os.Stderr, "plexus:", advise(cmd, err))
		os.Exit(1)
	}
}

// advise adds to an error what a user can do about it.
func advise(cmd *cobra.Command, err error) error {
	if errors.Is(err, wallet.ErrNoKey) {
		return fmt.Errorf("%w; plexus keys list shows yours, plexus keys create NAME makes one", err)
	}
	return usage(cmd, err)
}

// usage adds to an error about the number of a command's arguments which it
// takes.
func usage(cmd *cobra.Command, err error) error {
	if err == nil || !miscounted.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%w: %s", err, cmd.UseLine())
}

// miscounted finds cobra's word for a wrong number of arguments.
var miscounted = regexp.MustCompile(`^(accepts|requires) .*arg\(s\), (only )?received [0-9]+$`)
