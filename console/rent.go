package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/tenant"
)

// dseq reads the number of the deployment that a path names.
func dseq(r *http.Request) (uint64, error) {
	n, err := strconv.ParseUint(r.PathValue("dseq"), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: %q is no number of a deployment", errRequest, r.PathValue("dseq"))
	}
	return n, nil
}

// sum reads an amount of PLX as people write it.
func sum(text string) (ledger.Money, error) {
	if text == "" {
		return ledger.Money{}, nil
	}
	a, err := coin.Parse(text)
	if err != nil {
		return ledger.Money{}, fmt.Errorf("%w: %w", errRequest, err)
	}
	return ledger.Money{Denom: coin.Denom, Amount: market.Amount(a)}, nil
}

// deploy opens a deployment, which is then up for bids.
func (c *Console) deploy(r *http.Request) (any, error) {
	var in struct {
		file
		Deposit string `json:"deposit"` // "" means the least
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	parsed, err := in.parse()
	if err != nil {
		return nil, err
	}
	deposit, err := sum(in.Deposit)
	if err != nil {
		return nil, err
	}
	n, paid, err := c.o.Tenant.Deploy(r.Context(), parsed, deposit)
	return map[string]any{"dseq": n, "deposit": moneyText(paid), "groups": len(parsed.Groups)}, err
}

// A bid is one that can be taken.
type bid struct {
	ID       string `json:"id"`
	Group    uint32 `json:"group"`
	Provider string `json:"provider"`
	Rate     rate   `json:"rate"`
}

// bids follows the open bids on a deployment.
func (c *Console) bids(ctx context.Context, r *http.Request, send func(any) error) error {
	n, err := dseq(r)
	if err != nil {
		return err
	}
	block, err := c.o.Chain.BlockTime(ctx)
	if err != nil {
		return err
	}
	for all, err := range c.o.Tenant.Bids(ctx, n) {
		if err != nil {
			return err
		}
		open := []bid{}
		for _, b := range all {
			open = append(open, bid{b.ID.String(), b.ID.GSeq, b.ID.Provider, rateOf(b.Price, block)})
		}
		if err := send(map[string]any{"bids": open}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// take makes leases of bids.
func (c *Console) take(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Bids []string `json:"bids"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	var ids []market.BidID
	for _, text := range in.Bids {
		id, err := c.bidOn(n, text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: no bid is chosen; choose one for each group", errRequest)
	}
	return map[string]any{"leases": in.Bids}, c.o.Tenant.Take(r.Context(), ids...)
}

// bidOn reads the id of a bid on a deployment, or of the lease that it became.
func (c *Console) bidOn(dseq uint64, text string) (market.BidID, error) {
	id, err := market.ParseBidID(text)
	if err != nil || id.DSeq != dseq || id.Owner != c.o.Tenant.Address() {
		return id, fmt.Errorf("%w: %q is no bid on deployment %d", errRequest, text, dseq)
	}
	return id, nil
}

// parsed reads the SDL of a request about a deployment.
func parsed(r *http.Request) (uint64, *sdl.SDL, error) {
	n, err := dseq(r)
	if err != nil {
		return 0, nil, err
	}
	var in file
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	f, err := in.parse()
	return n, f, err
}

// told collects what is told of progress.
type told []string

func (t *told) tell(text string) { *t = append(*t, text) }

// send sends the manifest to the providers of a deployment's leases.
func (c *Console) send(r *http.Request) (any, error) {
	n, f, err := parsed(r)
	if err != nil {
		return nil, err
	}
	done := told{}
	err = c.o.Tenant.Send(r.Context(), n, f.Manifest, done.tell)
	return map[string]any{"done": done}, err
}

// update runs another manifest.
func (c *Console) update(r *http.Request) (any, error) {
	n, f, err := parsed(r)
	if err != nil {
		return nil, err
	}
	done := told{}
	err = c.o.Tenant.Update(r.Context(), n, f, done.tell)
	return map[string]any{"done": done}, err
}

// close ends a deployment.
func (c *Console) close(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	return map[string]any{"closed": true}, c.o.Tenant.Close(r.Context(), n)
}

// topUp pays more into a deployment's escrow.
func (c *Console) topUp(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Amount string `json:"amount"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	m, err := sum(in.Amount)
	if err == nil && m.Amount == 0 {
		err = fmt.Errorf("%w: an amount is wanted, such as 1plx", errRequest)
	}
	if err != nil {
		return nil, err
	}
	if err := c.o.Tenant.TopUp(r.Context(), n, m); err != nil {
		return nil, err
	}
	return c.o.Tenant.Runway(r.Context(), n)
}

// A deployment is one in the page's list.
type deployment struct {
	tenant.Listed
	Rate rate `json:"rate"`
}

func (c *Console) list(r *http.Request) (any, error) {
	block, err := c.o.Chain.BlockTime(r.Context())
	if err != nil {
		return nil, err
	}
	all, err := c.o.Tenant.List(r.Context(), r.FormValue("all") == "true")
	if err != nil {
		return nil, err
	}
	out := []deployment{}
	for _, one := range all {
		out = append(out, deployment{one, rateOf(one.Rate, block)})
	}
	return map[string]any{"deployments": out}, nil
}

// look tells how a deployment stands; its state is null while it has no lease.
func (c *Console) look(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	block, err := c.o.Chain.BlockTime(r.Context())
	if err != nil {
		return nil, err
	}
	one, err := c.o.Tenant.Listed(r.Context(), n)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"deployment": deployment{one, rateOf(one.Rate, block)}, "state": nil}
	state, err := c.o.Tenant.Look(r.Context(), n, 0)
	if errors.Is(err, tenant.ErrNoLease) {
		return out, nil
	}
	out["state"] = state
	return out, err
}
