package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/ledger"
)

// work adds proof of work to the command that registers a neuron.
func (c *txClient) work(register *cobra.Command) {
	burn := register.RunE
	var pow bool
	var threads int
	register.Flags().BoolVar(&pow, "pow", false, "register by proof of work instead: free, also for an account without a coin")
	register.Flags().IntVar(&threads, "threads", 0, "threads that work (default one per core)")
	register.RunE = func(cmd *cobra.Command, args []string) error {
		if !pow {
			return burn(cmd, args)
		}
		if cmd.Flags().Changed("max-price") {
			return errors.New("--pow and --max-price: register by work or by burning, not both")
		}
		netuid, err := netuidArg(args[0])
		if err != nil {
			return err
		}
		key, err := c.signer(cmd, nil)
		if err != nil {
			return err
		}
		actor, err := c.actor(cmd, key)
		if err != nil {
			return err
		}
		l, err := c.dial(ledger.Options{Gas: c.gas, Timeout: c.timeout})
		if err != nil {
			return err
		}
		defer shut(l)
		start := time.Now()
		uid, err := l.RegisterByWork(cmd.Context(), actor, netuid, ledger.Toil{Threads: threads, Report: func(p ledger.Progress) {
			if !isTerminal(cmd.ErrOrStderr()) {
				return
			}
			cmd.PrintErrf("\r%d seals of about %d, %.0f a second, about %v left  ", p.Tried, p.Difficulty, p.Rate, p.Expected.Round(time.Second))
		}})
		if err != nil {
			return c.hint(err)
		}
		if isTerminal(cmd.ErrOrStderr()) {
			cmd.PrintErrln()
		}
		if asJSON(cmd) {
			return printJSON(cmd, map[string]any{"uid": uid})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Registered with uid %d after %v of work\n", uid, time.Since(start).Round(time.Second))
		return nil
	}
}

// printWork shows what registration by work takes.
func printWork(ctx context.Context, cmd *cobra.Command, l *ledger.Client, args []string) error {
	netuid, err := netuidArg(args[0])
	if err != nil {
		return err
	}
	w, err := l.Work(ctx, netuid)
	if err != nil {
		return err
	}
	if w.Quota == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "Subnet %d takes no registration by work.\n", netuid)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "By work it takes about %d seals now and %d after one more registration, at most %d in a block; it halves every %d blocks, down to %d.\n",
		w.Difficulty, w.After, w.Quota, w.HalfLife, w.Floor)
	return nil
}
