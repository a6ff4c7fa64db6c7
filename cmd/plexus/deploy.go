package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/tenant"
)

// A deployer puts an SDL on the market and sees it run.
type deployer struct {
	renter
	deposit  coinValue
	provider string
	choose   bool
	keep     bool
	gather   time.Duration
	wait     time.Duration
	ready    time.Duration
}

// newDeployCmd returns the command that rents what an SDL asks for.
func newDeployCmd() *cobra.Command {
	d := &deployer{}
	cmd := &cobra.Command{
		Use:   "deploy SDL",
		Short: "Rent what an SDL file asks for, and run it",
		Long: `Deploy an SDL file: pay a deposit into escrow, wait for providers' bids, take one
for each group, send the manifest, and wait until all of it runs. The rent is
taken from the deposit block by block, and what is left returns when you close.

  plexus deploy web.yaml                          # the cheapest bid
  plexus deploy web.yaml --choose                 # by hand
  plexus deploy web.yaml --provider plx1...       # this provider's

Without a bid it says which providers would not, and why, and closes again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd, func(ctx context.Context) error { return d.deploy(ctx, cmd, args[0]) })
		},
	}
	d.tenantFlags(cmd)
	f := cmd.Flags()
	f.Var(&d.deposit, "deposit", "to pay into escrow (default the least that the chain takes)")
	f.StringVar(&d.provider, "provider", "", "take the bid of the provider of this address")
	f.BoolVar(&d.choose, "choose", false, "choose among the bids by hand")
	f.BoolVar(&d.keep, "keep", false, "leave the deployment open if no bid comes")
	f.DurationVar(&d.gather, "gather", 15*time.Second, "wait so long for cheaper bids after the first")
	f.DurationVar(&d.wait, "wait", time.Minute, "wait so long for the first bid")
	f.DurationVar(&d.ready, "ready", 10*time.Minute, "wait so long until all replicas run")
	cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault) // files, beside the commands below
	completed(cmd, "provider", d.providers)
	cmd.AddCommand(deployUpdateCmd(d), deployCloseCmd(d), deployTopupCmd(d), deployListCmd(d), deployWatchCmd(d))
	return cmd
}

// readSDL reads a file, and says what is wrong with it as plexus sdl check
// does.
func readSDL(cmd *cobra.Command, file string) (*sdl.SDL, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := sdl.Parse(src)
	if err != nil {
		return nil, fmt.Errorf("%s is refused:\n%s:%s", file, file, strings.ReplaceAll(err.Error(), "\n", "\n"+file+":"))
	}
	for _, w := range parsed.Warnings {
		cmd.PrintErrf("%s:%s (warning)\n", file, w)
	}
	return parsed, nil
}

func (d *deployer) deploy(ctx context.Context, cmd *cobra.Command, file string) error {
	if err := filledIn(file); err != nil {
		return err
	}
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return err
	}
	dseq, err := d.tenant.Rent(ctx, parsed, d.terms(cmd))
	switch {
	case ctx.Err() != nil && dseq != 0:
		return interrupted(dseq)
	case ctx.Err() != nil && err != nil:
		return errors.New(strings.Replace(err.Error(), context.Canceled.Error(), "interrupted", 1))
	case err != nil && dseq != 0:
		return fmt.Errorf("%w; deployment %d stands: plexus deploy update %d %s sends its manifest again, plexus deploy close %d ends it", err, dseq, dseq, file, dseq)
	case err != nil:
		return err
	}
	return d.await(ctx, cmd, dseq)
}

// interrupted says what goes on after Ctrl-C.
func interrupted(dseq uint64) error {
	return fmt.Errorf("interrupted; deployment %d stands and costs: plexus lease status %d shows it, plexus deploy close %d ends it", dseq, dseq, dseq)
}

// terms are what the flags say.
func (d *deployer) terms(cmd *cobra.Command) tenant.Terms {
	began := time.Now()
	o := tenant.Terms{
		Provider: d.provider, Wait: d.wait, Gather: d.gather, Keep: d.keep,
		Tell: func(text string) { cmd.PrintErrln(text) },
		Seen: func(bids []market.Bid) {
			cmd.PrintErrf("Bids after %.0f s:\n%s", time.Since(began).Seconds(), bidTable(bids))
		},
	}
	if d.deposit.amount != nil {
		o.Deposit = ledger.Money{Denom: coin.Denom, Amount: market.Amount(*d.deposit.amount)}
	}
	if d.choose {
		o.Choose = func(bids []market.Bid) ([]market.Bid, error) { return askBids(cmd, bids) }
	}
	return o
}

// await waits until all of a deployment runs, and shows it.
func (d *deployer) await(ctx context.Context, cmd *cobra.Command, dseq uint64) error {
	patient, cancel := context.WithTimeout(ctx, d.ready)
	defer cancel()
	state, err := d.tenant.Await(patient, dseq, func(e lease.Event) { cmd.PrintErrf("  %s\n", said(e)) })
	switch {
	case ctx.Err() != nil:
		return interrupted(dseq)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not all replicas of deployment %d run after %v: plexus lease events %d and plexus lease logs %d say why", dseq, d.ready, dseq, dseq)
	case err != nil:
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, state)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Deployment %d runs. Escrow: %v.\n", state.DSeq, state.Runway)
	for _, l := range state.Leases {
		printLease(out, l)
	}
	return nil
}

func deployUpdateCmd(d *deployer) *cobra.Command {
	return &cobra.Command{
		Use:               "update DSEQ SDL",
		ValidArgsFunction: d.deployments,
		Short:             "Run another image, command, environment or name of a deployment",
		Long: `Update a deployment to a changed SDL: its images, commands, environments and
names may differ, its resources, replicas, ports and prices may not; those take a
new deployment. Volumes stay.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return d.run(cmd, func(ctx context.Context) error { return d.update(ctx, cmd, dseq, args[1]) })
		},
	}
}

func (d *deployer) update(ctx context.Context, cmd *cobra.Command, dseq uint64, file string) error {
	if err := filledIn(file); err != nil {
		return err
	}
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return err
	}
	if err := d.tenant.Update(ctx, dseq, parsed, func(text string) { cmd.PrintErrln(text) }); err != nil {
		return err
	}
	d.ready = 10 * time.Minute
	return d.await(ctx, cmd, dseq)
}

func deployCloseCmd(d *deployer) *cobra.Command {
	return &cobra.Command{
		Use:               "close DSEQ",
		ValidArgsFunction: d.deployments,
		Short:             "End a deployment; what is left of its escrow returns",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return d.run(cmd, func(ctx context.Context) error {
				if err := d.tenant.Close(ctx, dseq); err != nil {
					return err
				}
				if asJSON(cmd) {
					return printJSON(cmd, map[string]any{"dseq": dseq, "closed": true})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Deployment %d is closed, and what was left of its escrow is back.\n", dseq)
				return nil
			})
		},
	}
}

func deployTopupCmd(d *deployer) *cobra.Command {
	return &cobra.Command{
		Use:               "topup DSEQ AMOUNT",
		ValidArgsFunction: d.deployments,
		Short:             "Pay more into a deployment's escrow",
		Args:              cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			amount, err := coin.Parse(args[1])
			if err != nil {
				return err
			}
			return d.run(cmd, func(ctx context.Context) error {
				if err := d.tenant.TopUp(ctx, dseq, ledger.Money{Amount: market.Amount(amount)}); err != nil {
					return err
				}
				left, err := d.tenant.Runway(ctx, dseq)
				if err != nil {
					return err
				}
				if asJSON(cmd) {
					return printJSON(cmd, left)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Deployment %d has %v.\n", dseq, left)
				return nil
			})
		},
	}
}

func deployListCmd(d *deployer) *cobra.Command {
	var closed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your deployments, with what they cost and how long their money lasts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd, func(ctx context.Context) error { return d.list(ctx, cmd, closed) })
		},
	}
	cmd.Flags().BoolVar(&closed, "all", false, "list closed ones too")
	return cmd
}

func (d *deployer) list(ctx context.Context, cmd *cobra.Command, closed bool) error {
	rows, err := d.tenant.List(ctx, closed)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, rows)
	}
	if len(rows) == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s has no deployments; plexus deploy SDL makes one.\n", d.tenant.Address())
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DSEQ\tSTATE\tLEASES\tPER BLOCK\tESCROW")
	for _, r := range rows {
		state := r.State
		if r.Reason != "" {
			state += " (" + r.Reason + ")"
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%v\n", r.DSeq, state, r.Leases, r.Price, r.Runway)
	}
	return w.Flush()
}
