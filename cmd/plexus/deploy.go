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

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
)

// A deployer puts an SDL on the market and sees it run.
type deployer struct {
	tenant
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
	cmd.AddCommand(deployUpdateCmd(d), deployCloseCmd(d), deployTopupCmd(d), deployListCmd(d))
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
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return err
	}
	deposit, err := d.amount(ctx, parsed.Groups)
	if err != nil {
		return err
	}
	id, err := d.market().Deploy(ctx, d.actor(), ledger.Deployment{
		Hash: parsed.Manifest.Hash(), Groups: parsed.Groups, Reclaim: parsed.Reclamation, Deposit: deposit,
	})
	if err != nil {
		return err
	}
	dseq := id.DSeq
	cmd.PrintErrf("Deployment %d stands on the chain; its escrow holds %s.\n", dseq, money(fmt.Sprint(uint64(deposit.Amount)), deposit.Denom))
	chosen, err := d.bids(ctx, cmd, dseq, parsed.Groups)
	if err != nil {
		return d.undo(cmd, dseq, err)
	}
	var ids []market.BidID
	for _, b := range chosen {
		ids = append(ids, b.ID)
	}
	if _, err := d.market().Take(ctx, d.actor(), ids...); err != nil {
		return d.undo(cmd, dseq, err)
	}
	for _, b := range chosen {
		cmd.PrintErrf("Leased group %d from %s for %s per block.\n", b.ID.GSeq, b.ID.Provider, money(b.Price.Amount.String(), b.Price.Denom))
	}
	if err := d.send(ctx, cmd, dseq, parsed.Manifest); err != nil {
		return fmt.Errorf("%w; deployment %d stands: mend this and send it again with plexus deploy update %d %s, or end it with plexus deploy close %d", err, dseq, dseq, file, dseq)
	}
	return d.await(ctx, cmd, dseq)
}

// amount is the deposit to pay.
func (d *deployer) amount(ctx context.Context, groups []market.GroupSpec) (ledger.Money, error) {
	denom := groups[0].Price().Denom
	if d.deposit.amount != nil && denom == coin.Denom {
		return ledger.Money{Denom: denom, Amount: market.Amount(*d.deposit.amount)}, nil
	}
	params, err := d.market().Params(ctx)
	if err != nil {
		return ledger.Money{}, err
	}
	var taken []string
	for _, c := range params.Currencies {
		if c.Denom == denom {
			return ledger.Money{Denom: denom, Amount: market.Amount(c.MinDeposit)}, nil
		}
		taken = append(taken, c.Denom)
	}
	return ledger.Money{}, fmt.Errorf("the SDL is priced in %s, and the chain takes %s: write its pricing in one of them", denom, strings.Join(taken, ", "))
}

// undo closes a deployment that came to nothing, unless it is to be kept.
func (d *deployer) undo(cmd *cobra.Command, dseq uint64, why error) error {
	if d.keep {
		return fmt.Errorf("%w; deployment %d stays open: plexus deploy close %d ends it", why, dseq, dseq)
	}
	// Also after an interrupt: the money is the tenant's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Minute)
	defer cancel()
	if err := d.market().Close(ctx, d.actor(), dseq); err != nil {
		return errors.Join(why, fmt.Errorf("deployment %d stays open: %w", dseq, err))
	}
	return fmt.Errorf("%w; deployment %d is closed again and its deposit refunded", why, dseq)
}

// send sends a deployment's manifest to the providers of its leases. One that
// has not seen its lease yet is asked again.
func (d *deployer) send(ctx context.Context, cmd *cobra.Command, dseq uint64, m manifest.Manifest) error {
	leases, err := d.leases(ctx, dseq)
	if err != nil {
		return err
	}
	sent := map[string]bool{}
	for _, l := range leases {
		if sent[l.ID.Provider] {
			continue
		}
		sent[l.ID.Provider] = true
		p, err := d.tenant.provider(ctx, l.ID.Provider)
		if err != nil {
			return err
		}
		until := time.Now().Add(30 * time.Second)
		for {
			_, err = p.SendManifest(ctx, dseq, m)
			again := errors.Is(err, api.ErrNoLease) || errors.Is(err, api.ErrAway) || errors.Is(err, api.ErrMismatch)
			if err == nil || !again || time.Now().After(until) {
				break
			}
			if !sleep(ctx, time.Second) {
				return ctx.Err()
			}
		}
		if err != nil {
			return fmt.Errorf("send the manifest to provider %s: %w", l.ID.Provider, err)
		}
		cmd.PrintErrf("Provider %s has the manifest.\n", l.ID.Provider)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// A running deployment, for scripts.
type deployed struct {
	Owner  string        `json:"owner"`
	DSeq   uint64        `json:"dseq"`
	Ready  bool          `json:"ready"`
	Runway runway        `json:"runway"`
	Leases []leaseStatus `json:"leases"`
}

// await waits until all of a deployment runs, and shows it.
func (d *deployer) await(ctx context.Context, cmd *cobra.Command, dseq uint64) error {
	until := time.Now().Add(d.ready)
	last := map[string]int{}
	for {
		state, err := d.look(ctx, dseq)
		if err != nil {
			return err
		}
		if state.Ready {
			return d.show(cmd, state)
		}
		d.told(ctx, cmd, state, last)
		if time.Now().After(until) {
			return fmt.Errorf("not all replicas of deployment %d run after %v: plexus lease events %d and plexus lease logs %d say why", dseq, d.ready, dseq, dseq)
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// told prints the events of leases that were not printed yet.
func (d *deployer) told(ctx context.Context, cmd *cobra.Command, state deployed, last map[string]int) {
	for _, l := range state.Leases {
		p, err := d.tenant.provider(ctx, l.provider.Provider)
		if err != nil {
			continue
		}
		for e, err := range p.Events(ctx, l.provider, false) {
			if err != nil {
				break
			}
			if e.Number > last[l.ID] {
				last[l.ID] = e.Number
				cmd.PrintErrf("  %s %s: %s\n", e.Where, e.Kind, e.Text)
			}
		}
	}
}

// look asks the providers how a deployment's leases stand.
func (d *deployer) look(ctx context.Context, dseq uint64) (deployed, error) {
	out := deployed{Owner: d.key.Address(), DSeq: dseq, Ready: true}
	leases, err := d.leases(ctx, dseq)
	if err != nil {
		return out, err
	}
	for _, l := range leases {
		s := d.leaseStatus(ctx, l)
		out.Ready = out.Ready && s.Ready
		out.Leases = append(out.Leases, s)
	}
	out.Runway, err = d.runway(ctx, dseq)
	return out, err
}

func (d *deployer) show(cmd *cobra.Command, state deployed) error {
	if asJSON(cmd) {
		return printJSON(cmd, state)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Deployment %d runs. Escrow: %v.\n", state.DSeq, state.Runway)
	for _, l := range state.Leases {
		l.print(out)
	}
	return nil
}

func deployUpdateCmd(d *deployer) *cobra.Command {
	return &cobra.Command{
		Use:   "update DSEQ SDL",
		Short: "Run another image, command, environment or name of a deployment",
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
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return err
	}
	got, err := d.market().Deployment(ctx, d.deployment(dseq))
	if err != nil {
		return err
	}
	var groups []market.GroupSpec
	for _, g := range got.Groups {
		spec, err := wire.ReadGroupSpec(g.Spec)
		if err != nil {
			return err
		}
		groups = append(groups, spec)
	}
	if err := parsed.Manifest.Check(groups); err != nil {
		return fmt.Errorf("%w; what a deployment asks of its providers cannot be changed: make a new one", err)
	}
	if hash := parsed.Manifest.Hash(); string(got.Deployment.Hash) != string(hash[:]) {
		if err := d.market().Update(ctx, d.actor(), dseq, hash); err != nil {
			return err
		}
		cmd.PrintErrf("Deployment %d has manifest %v on the chain.\n", dseq, hash)
	}
	if err := d.send(ctx, cmd, dseq, parsed.Manifest); err != nil {
		return err
	}
	d.ready = 10 * time.Minute
	return d.await(ctx, cmd, dseq)
}

func deployCloseCmd(d *deployer) *cobra.Command {
	return &cobra.Command{
		Use:   "close DSEQ",
		Short: "End a deployment; what is left of its escrow returns",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return d.run(cmd, func(ctx context.Context) error {
				if err := d.market().Close(ctx, d.actor(), dseq); err != nil {
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
		Use:   "topup DSEQ AMOUNT",
		Short: "Pay more into a deployment's escrow",
		Args:  cobra.ExactArgs(2),
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
				if _, err := d.market().TopUp(ctx, d.actor(), d.deployment(dseq), ledger.Money{Amount: market.Amount(amount)}, ""); err != nil {
					return err
				}
				left, err := d.runway(ctx, dseq)
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

// A listed deployment.
type listed struct {
	DSeq   uint64 `json:"dseq"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // why it closed
	Leases int    `json:"leases"`           // that run
	Price  string `json:"price"`            // of all leases per block
	Runway runway `json:"runway"`
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
	filter := marketv1.QueryDeploymentsRequest{Owner: d.key.Address(), State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE}
	if closed {
		filter.State = 0
	}
	all, err := d.market().Deployments(ctx, filter)
	if err != nil {
		return err
	}
	rows := []listed{}
	for _, one := range all {
		row, err := d.row(ctx, one)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if asJSON(cmd) {
		return printJSON(cmd, rows)
	}
	if len(rows) == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s has no deployments; plexus deploy SDL makes one.\n", d.key.Name())
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

func (d *deployer) row(ctx context.Context, one marketv1.Deployment) (listed, error) {
	r := listed{DSeq: one.Id.Dseq, State: market.DeploymentState(one.State).String(), Price: money("0", one.Denom)}
	if one.Reason != 0 {
		r.Reason = market.Reason(one.Reason).String()
	}
	got, err := d.market().Deployment(ctx, d.deployment(one.Id.Dseq))
	if err != nil {
		return r, err
	}
	r.Leases = int(got.Escrow.Account.Payments)
	if rate := got.Escrow.Account.Rate; rate != "" {
		r.Price = money(rate, one.Denom)
	}
	r.Runway, err = d.runway(ctx, one.Id.Dseq)
	return r, err
}
