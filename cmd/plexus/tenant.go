package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/wallet"
)

// A tenant rents compute: what the commands deploy, lease and providers share.
type tenant struct {
	client
	from  string
	chain *ledger.Client
	key   *wallet.Key
	apis  map[string]*api.Client // by provider
}

// tenantFlags adds the flags of a tenant to a command and all below it.
func (t *tenant) tenantFlags(cmd *cobra.Command) {
	t.flags(cmd)
	cmd.PersistentFlags().StringVar(&t.from, "from", "", "name of the tenant's key (default from home)")
}

// run opens the tenant's key and the chain for do.
func (t *tenant) run(cmd *cobra.Command, do func(ctx context.Context) error) error {
	ring, err := t.keys(cmd)
	if err != nil {
		return err
	}
	name := t.from
	if name == "" {
		name = t.config.Key
	}
	if name == "" {
		return errors.New("whose deployments? Name the tenant's key with --from; plexus keys list shows them")
	}
	if t.key, err = ring.Key(name); err != nil {
		return err
	}
	if t.chain, err = t.dial(ledger.Options{}); err != nil {
		return err
	}
	defer shut(t.chain)
	return t.hint(do(cmd.Context()))
}

func (t *tenant) market() ledger.Market { return t.chain.Market() }

func (t *tenant) actor() ledger.Actor { return ledger.Actor{Key: t.key} }

// deployment is the name of the tenant's deployment of that number.
func (t *tenant) deployment(dseq uint64) market.DeploymentID {
	return market.DeploymentID{Owner: t.key.Address(), DSeq: dseq}
}

// passLife is for how long the tools sign a pass: a shell may stay open.
const passLife = 12 * time.Hour

// provider returns the API of a provider, as the chain knows it, opened by a
// pass of the tenant's.
func (t *tenant) provider(ctx context.Context, account string) (*api.Client, error) {
	if c := t.apis[account]; c != nil {
		return c, nil
	}
	p, err := t.market().Provider(ctx, account)
	if err != nil {
		return nil, err
	}
	token, err := pass.Sign(t.key, account, time.Now(), passLife, pass.Leases{})
	if err != nil {
		return nil, err
	}
	if t.apis == nil {
		t.apis = map[string]*api.Client{}
	}
	t.apis[account] = api.NewClient(p.Provider.HostUri, p.Provider.TlsPin, token)
	return t.apis[account], nil
}

// leases returns the tenant's leases of a deployment that run.
func (t *tenant) leases(ctx context.Context, dseq uint64) ([]market.Lease, error) {
	all, err := t.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: t.key.Address(), Dseq: dseq})
	if err != nil {
		return nil, err
	}
	var running []market.Lease
	for _, one := range all {
		l, _, err := wire.ReadLease(one)
		if err != nil {
			return nil, err
		}
		if l.State.Runs() {
			running = append(running, l)
		}
	}
	if len(running) == 0 {
		return nil, fmt.Errorf("no lease of deployment %d runs; plexus deploy list shows your deployments", dseq)
	}
	return running, nil
}

// dseqArg reads the number of a deployment.
func dseqArg(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("deployment %q is no number; plexus deploy list shows yours", text)
	}
	return n, nil
}

// A runway is how long a deployment's money lasts.
type runway struct {
	Blocks  int64  `json:"blocks"` // -1 while nothing is paid
	Seconds int64  `json:"seconds"`
	Left    string `json:"left"` // of its escrow, in its denom
}

// runway asks how long a deployment's money lasts.
func (t *tenant) runway(ctx context.Context, dseq uint64) (runway, error) {
	got, err := t.market().Deployment(ctx, t.deployment(dseq))
	if err != nil {
		return runway{}, err
	}
	block, err := t.chain.BlockTime(ctx)
	if err != nil {
		return runway{}, err
	}
	r := runway{Blocks: got.Escrow.Runway, Seconds: -1, Left: money(got.Escrow.Left, got.Escrow.Account.Denom)}
	if r.Blocks >= 0 {
		r.Seconds = int64(min(float64(r.Blocks)*block.Seconds(), math.MaxInt64/2))
	}
	return r, nil
}

// String says it for people.
func (r runway) String() string {
	if r.Blocks < 0 {
		return r.Left + ", and nothing is paid now"
	}
	return fmt.Sprintf("%s, good for %d blocks, about %s", r.Left, r.Blocks, span(r.Seconds))
}

// span formats seconds in the two greatest units.
func span(seconds int64) string {
	day, hour, minute := int64(86400), int64(3600), int64(60)
	switch {
	case seconds >= 400*day:
		return fmt.Sprintf("%.1f years", float64(seconds)/float64(365*day))
	case seconds >= 2*day:
		return fmt.Sprintf("%d days %d h", seconds/day, seconds%day/hour)
	case seconds >= 2*hour:
		return fmt.Sprintf("%d h %d min", seconds/hour, seconds%hour/minute)
	case seconds >= 2*minute:
		return fmt.Sprintf("%d min", seconds/minute)
	}
	return fmt.Sprintf("%d s", seconds)
}

// money formats an exact amount of a denom, PLX in its own unit.
func money(exact, denom string) string {
	e, err := market.ParseExact(exact)
	switch {
	case err != nil || denom != coin.Denom:
		return trimPrice(exact + denom)
	case e.Floor() < market.Amount(coin.PLX/1000):
		return trimPrice(market.Price{Denom: denom, Amount: e}.String())
	}
	return coin.Amount(e.Floor()).String()
}
