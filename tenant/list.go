package tenant

import (
	"context"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
)

// A Listed is a deployment in a list.
type Listed struct {
	DSeq   uint64 `json:"dseq"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // why it closed
	Groups int    `json:"groups"`
	Leases int    `json:"leases"` // that run
	Price  string `json:"price"`  // of all leases per block
	Spent  string `json:"spent"`  // since it began
	Opened uint64 `json:"opened"` // height
	Closed uint64 `json:"closed"` // height; 0 while it is open
	Runway Runway `json:"runway"`

	Began     time.Time `json:"began,omitzero"`     // of the block Opened; zero if no node has it any more
	Ended     time.Time `json:"ended,omitzero"`     // of the block Closed; zero as above
	Forgotten uint64    `json:"forgotten,omitzero"` // height at which the chain forgets a closed one

	Rate market.Price `json:"-"` // Price, exactly
}

// List returns the tenant's deployments that are open, or with all those that
// are closed, too.
func (t *Tenant) List(ctx context.Context, all bool) ([]Listed, error) {
	filter := marketv1.QueryDeploymentsRequest{Owner: t.Address(), State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE}
	if all {
		filter.State = 0
	}
	deployments, err := t.market().Deployments(ctx, filter)
	if err != nil {
		return nil, err
	}
	rows := []Listed{}
	for _, one := range deployments {
		row, err := t.Listed(ctx, one.Id.Dseq)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Listed returns one deployment of the tenant's, open or closed, or
// [ledger.ErrNotFound].
func (t *Tenant) Listed(ctx context.Context, dseq uint64) (Listed, error) {
	got, err := t.market().Deployment(ctx, t.name(dseq))
	if err != nil {
		return Listed{}, err
	}
	block, err := t.chain.BlockTime(ctx)
	if err != nil {
		return Listed{}, err
	}
	d := got.Deployment
	r := Listed{
		DSeq: dseq, State: market.DeploymentState(d.State).String(), Groups: int(d.Groups), Leases: int(got.Escrow.Account.Payments),
		Opened: uint64(max(d.Created, 0)), Closed: uint64(max(d.Closed, 0)), Forgotten: uint64(max(d.Until, 0)), Runway: runway(got, block),
	}
	if d.Reason != 0 {
		r.Reason = market.Reason(d.Reason).String()
	}
	r.Rate.Denom = d.Denom
	if rate := got.Escrow.Account.Rate; rate != "" {
		if r.Rate.Amount, err = market.ParseExact(rate); err != nil {
			return r, err
		}
	}
	if r.Began, err = t.when(ctx, market.Height(r.Opened)); err != nil {
		return r, err
	}
	if r.Ended, err = t.when(ctx, market.Height(r.Closed)); err != nil {
		return r, err
	}
	r.Price = Money(r.Rate.Amount.String(), d.Denom)
	r.Spent, err = t.spent(ctx, got)
	return r, err
}

// spent is what all leases of a deployment have earned, those that ended too.
func (t *Tenant) spent(ctx context.Context, d *marketv1.QueryDeploymentResponse) (string, error) {
	leases, err := t.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: t.Address(), Dseq: d.Deployment.Id.Dseq})
	if err != nil {
		return "", err
	}
	var sum market.Exact
	if d.Escrow.Owed != "" {
		if sum, err = market.ParseExact(d.Escrow.Owed); err != nil {
			return "", err
		}
	}
	for _, l := range leases {
		sum, _ = sum.Add(market.Whole(market.Amount(l.Paid)))
	}
	return Money(sum.String(), d.Deployment.Denom), nil
}
