package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
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
			cmd.PrintErrf("\r%d seals of about %d, %.0f a second, about %v left  ", p.Tried, p.Difficulty, p.Rate, p.Expected.Round(time.Second))
		}})
		if err != nil {
			return c.hint(err)
		}
		cmd.PrintErrln()
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

// batch adds the command that sets weights on several subnets at once.
func (c *txClient) batch(subnet *cobra.Command) {
	var version uint64
	cmd := c.act("set-weights-batch NETUID:UID=WEIGHT,...", "Replace a validator's weights on several subnets at once", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			m := &subnetv1.MsgSetWeightsBatch{Account: a.Account()}
			for _, arg := range args {
				netuid, list, ok := strings.Cut(arg, ":")
				if !ok {
					return nil, fmt.Errorf("weights %q: write NETUID:UID=WEIGHT,UID=WEIGHT, as in 1:3=65535,4=20000", arg)
				}
				n, row, err := rowArgs(append([]string{netuid}, strings.Split(list, ",")...))
				if err != nil {
					return nil, err
				}
				set := subnetv1.MsgSetWeights{Account: a.Account(), Netuid: uint32(n), Version: version}
				set.Uids, set.Weights = columns(row)
				m.Sets = append(m.Sets, set)
			}
			return []sdk.Msg{m}, nil
		})
	cmd.Flags().Uint64Var(&version, "version", 0, "the subnets' weights version")
	subnet.AddCommand(cmd)
}

// children adds the command that lends stake to others on a subnet.
func (c *txClient) children(subnet *cobra.Command) {
	subnet.AddCommand(c.act("set-children NETUID CHILD=PROPORTION...",
		"Let up to 5 accounts vote with parts of the validator's stake, each of 65535; none takes all back", cobra.MinimumNArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			netuid, err := netuidArg(args[0])
			if err != nil {
				return nil, err
			}
			m := &subnetv1.MsgSetChildren{Account: a.Account(), Netuid: uint32(netuid)}
			for _, arg := range args[1:] {
				name, part, ok := strings.Cut(arg, "=")
				proportion, err := strconv.ParseUint(part, 10, 16)
				if !ok || err != nil || proportion == 0 {
					return nil, fmt.Errorf("child %q: write CHILD=PROPORTION, as in bob=32768 for a half, with a proportion of 1 to 65535", arg)
				}
				child, err := c.address(cmd, name)
				if err != nil {
					return nil, err
				}
				m.Loans = append(m.Loans, subnetv1.Loan{Child: child, Proportion: uint32(proportion)})
			}
			return []sdk.Msg{m}, nil
		}))
}
