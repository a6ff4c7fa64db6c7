package market

import (
	"context"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// queries serves the module's queries.
type queries struct{ *Keeper }

// Params returns the parameters.
func (q queries) Params(ctx context.Context, _ *marketv1.QueryParamsRequest) (*marketv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	return &marketv1.QueryParamsResponse{Params: p}, err
}

// Deployment returns a deployment with its groups and its escrow.
func (q queries) Deployment(ctx context.Context, r *marketv1.QueryDeploymentRequest) (*marketv1.QueryDeploymentResponse, error) {
	key, err := q.deploymentKey(marketv1.DeploymentID{Owner: r.Owner, Dseq: r.Dseq})
	if err != nil {
		return nil, err
	}
	d, err := q.deployments.Get(ctx, key)
	if err != nil {
		return nil, missing(err, "deployment %s/%d: it never was, or was forgotten", r.Owner, r.Dseq)
	}
	it, err := q.groups.Iterate(ctx, starting(key))
	if err != nil {
		return nil, err
	}
	groups, err := it.Values()
	if err != nil {
		return nil, err
	}
	e, err := q.escrow(ctx, key)
	return &marketv1.QueryDeploymentResponse{Deployment: d, Groups: groups, Escrow: e}, err
}

// Deployments lists deployments.
func (q queries) Deployments(ctx context.Context, r *marketv1.QueryDeploymentsRequest) (*marketv1.QueryDeploymentsResponse, error) {
	prefix, err := q.under(r.Owner, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	list, page, err := query.CollectionFilteredPaginate(ctx, q.deployments, r.Pagination,
		func(_ []byte, d marketv1.Deployment) (bool, error) { return r.State == 0 || d.State == r.State, nil },
		func(_ []byte, d marketv1.Deployment) (marketv1.Deployment, error) { return d, nil }, prefixed(prefix))
	return &marketv1.QueryDeploymentsResponse{Deployments: list, Pagination: page}, err
}

// Group returns a group.
func (q queries) Group(ctx context.Context, r *marketv1.QueryGroupRequest) (*marketv1.QueryGroupResponse, error) {
	key, err := q.groupKey(marketv1.GroupID{Owner: r.Owner, Dseq: r.Dseq, Gseq: r.Gseq})
	if err != nil {
		return nil, err
	}
	g, err := q.groups.Get(ctx, key)
	return &marketv1.QueryGroupResponse{Group: g}, missing(err, "group %s/%d/%d", r.Owner, r.Dseq, r.Gseq)
}

// Order returns an order with what it asks for.
func (q queries) Order(ctx context.Context, r *marketv1.QueryOrderRequest) (*marketv1.QueryOrderResponse, error) {
	o, key, err := q.orderAt(ctx, marketv1.OrderID{Owner: r.Owner, Dseq: r.Dseq, Gseq: r.Gseq, Oseq: r.Oseq})
	if err != nil {
		return nil, err
	}
	o, err = q.filled(ctx, key, o)
	return &marketv1.QueryOrderResponse{Order: o}, err
}

// filled returns an order with what it asks for.
func (q queries) filled(ctx context.Context, key []byte, o marketv1.Order) (marketv1.Order, error) {
	g, err := q.groups.Get(ctx, cut(key, groupSize))
	o.Spec = &g.Spec
	return o, err
}

// Orders lists orders: the open ones by their own list.
func (q queries) Orders(ctx context.Context, r *marketv1.QueryOrdersRequest) (*marketv1.QueryOrdersResponse, error) {
	prefix, err := q.under(r.Owner, r.Dseq, 0, 0)
	if err != nil {
		return nil, err
	}
	if r.State == marketv1.OrderState_ORDER_STATE_OPEN {
		list, page, err := query.CollectionPaginate(ctx, q.open, r.Pagination,
			func(key []byte, _ collections.NoValue) (marketv1.Order, error) {
				o, err := q.orders.Get(ctx, key)
				if err != nil {
					return o, err
				}
				return q.filled(ctx, key, o)
			}, prefixed(prefix))
		return &marketv1.QueryOrdersResponse{Orders: list, Pagination: page}, err
	}
	list, page, err := query.CollectionFilteredPaginate(ctx, q.orders, r.Pagination,
		func(_ []byte, o marketv1.Order) (bool, error) { return r.State == 0 || o.State == r.State, nil },
		func(key []byte, o marketv1.Order) (marketv1.Order, error) { return q.filled(ctx, key, o) }, prefixed(prefix))
	return &marketv1.QueryOrdersResponse{Orders: list, Pagination: page}, err
}

// Bid returns a bid.
func (q queries) Bid(ctx context.Context, r *marketv1.QueryBidRequest) (*marketv1.QueryBidResponse, error) {
	b, _, err := q.bidAt(ctx, marketv1.BidID{Owner: r.Owner, Dseq: r.Dseq, Gseq: r.Gseq, Oseq: r.Oseq, Provider: r.Provider})
	return &marketv1.QueryBidResponse{Bid: b}, err
}

// Bids lists bids: those of a provider by its own list, unless an owner is
// named too.
func (q queries) Bids(ctx context.Context, r *marketv1.QueryBidsRequest) (*marketv1.QueryBidsResponse, error) {
	wanted := func(b marketv1.Bid) bool {
		return (r.State == 0 || b.State == r.State) && (r.Provider == "" || b.Id.Provider == r.Provider)
	}
	list, page, err := listed(ctx, q.bids, q.offers, who{q, r.Provider, r.Owner, r.Dseq, r.Gseq, r.Oseq}, r.Pagination,
		r.State == 0, ended(r.State), wanted)
	return &marketv1.QueryBidsResponse{Bids: list, Pagination: page}, err
}

// Lease returns a lease, with what it has earned.
func (q queries) Lease(ctx context.Context, r *marketv1.QueryLeaseRequest) (*marketv1.QueryLeaseResponse, error) {
	record, key, err := q.leaseAt(ctx, marketv1.BidID{Owner: r.Owner, Dseq: r.Dseq, Gseq: r.Gseq, Oseq: r.Oseq, Provider: r.Provider})
	if err != nil {
		return nil, err
	}
	response := &marketv1.QueryLeaseResponse{Lease: record, Runway: -1}
	if !market.LeaseState(record.State).Runs() {
		return response, nil
	}
	t, err := q.till(ctx, cut(key, deploymentSize))
	if err != nil {
		return nil, err
	}
	_, p, err := wire.ReadLease(record)
	if err != nil {
		return nil, err
	}
	dry := t.record.Dry
	due, err := t.Withdraw(&p, height(ctx))
	response.Owed, response.Runway = uint64(due), max(dry-int64(height(ctx)), 0)
	return response, err
}

// Leases lists leases: those of a provider by its own list, unless an owner is
// named too.
func (q queries) Leases(ctx context.Context, r *marketv1.QueryLeasesRequest) (*marketv1.QueryLeasesResponse, error) {
	wanted := func(l marketv1.Lease) bool {
		return (r.State == 0 || l.State == r.State) && (r.Provider == "" || l.Id.Provider == r.Provider)
	}
	list, page, err := listed(ctx, q.leases, q.rentals, who{q, r.Provider, r.Owner, r.Dseq, 0, 0}, r.Pagination,
		r.State == 0, !market.LeaseState(r.State).Runs(), wanted)
	return &marketv1.QueryLeasesResponse{Leases: list, Pagination: page}, err
}

// who says whose bids or leases are asked for.
type who struct {
	queries
	provider, owner string
	dseq            uint64
	gseq, oseq      uint32
}

// listed lists what somebody asks for: through the index of a provider, if one
// is named and no owner; of any state, or of those that ended or did not.
func listed[V any](ctx context.Context, all collections.Map[[]byte, V], index collections.KeySet[[]byte], w who, p *query.PageRequest,
	any, ended bool, wanted func(V) bool,
) ([]V, *query.PageResponse, error) {
	prefix, err := w.under(w.owner, w.dseq, w.gseq, w.oseq)
	if err != nil {
		return nil, nil, err
	}
	if w.provider == "" || w.owner != "" {
		return query.CollectionFilteredPaginate(ctx, all, p,
			func(_ []byte, v V) (bool, error) { return wanted(v), nil },
			func(_ []byte, v V) (V, error) { return v, nil }, prefixed(prefix))
	}
	provider, err := w.bytes(w.provider)
	if err != nil {
		return nil, nil, err
	}
	prefix = byProviderState(provider, ended)
	if any {
		prefix = ownerKey(provider)
	}
	get := func(at []byte) (V, error) { return all.Get(ctx, indexed(at)) }
	return query.CollectionFilteredPaginate(ctx, index, p,
		func(at []byte, _ collections.NoValue) (bool, error) {
			v, err := get(at)
			return err == nil && wanted(v), err
		},
		func(at []byte, _ collections.NoValue) (V, error) { return get(at) }, prefixed(prefix))
}

// under returns what the keys of an owner's objects begin with, as far as they
// are named; nothing for all owners.
func (q queries) under(owner string, dseq uint64, gseq, oseq uint32) ([]byte, error) {
	if owner == "" {
		if dseq != 0 || gseq != 0 || oseq != 0 {
			return nil, sdkerrors.ErrInvalidRequest.Wrap("a dseq, gseq or oseq without the owner: name the owner too")
		}
		return nil, nil
	}
	address, err := q.bytes(owner)
	if err != nil {
		return nil, err
	}
	switch {
	case dseq == 0 && (gseq != 0 || oseq != 0), gseq == 0 && oseq != 0:
		return nil, sdkerrors.ErrInvalidRequest.Wrap("a gseq needs a dseq, and an oseq both")
	case dseq == 0:
		return ownerKey(address), nil
	case gseq == 0:
		return deploymentKey(address, dseq), nil
	case oseq == 0:
		return groupKey(address, dseq, gseq), nil
	}
	return orderKey(address, dseq, gseq, oseq), nil
}

// prefixed makes a page one of keys that begin with prefix.
func prefixed(prefix []byte) func(*query.CollectionsPaginateOptions[[]byte]) {
	return func(o *query.CollectionsPaginateOptions[[]byte]) {
		if prefix != nil {
			o.Prefix = &prefix
		}
	}
}

// Escrow returns a deployment's money.
func (q queries) Escrow(ctx context.Context, r *marketv1.QueryEscrowRequest) (*marketv1.QueryEscrowResponse, error) {
	key, err := q.deploymentKey(marketv1.DeploymentID{Owner: r.Owner, Dseq: r.Dseq})
	if err != nil {
		return nil, err
	}
	e, err := q.escrow(ctx, key)
	return &marketv1.QueryEscrowResponse{Escrow: e}, err
}

// escrow returns an account as if it were settled through this block.
func (q queries) escrow(ctx context.Context, key []byte) (marketv1.Escrow, error) {
	t, err := q.till(ctx, key)
	if err != nil {
		return marketv1.Escrow{}, err
	}
	if err := t.Settle(height(ctx)); err != nil {
		return marketv1.Escrow{}, err
	}
	e := marketv1.Escrow{Account: t.record, Height: int64(height(ctx)), Funds: uint64(t.Funds()), Runway: -1}
	wire.WriteAccount(t.Account, &e.Account)
	e.Left = market.Whole(t.Funds()).Sub(t.Drawn).String()
	e.Owed = t.Drawn.Sub(market.Whole(t.Account.Paid)).String()
	if dry, pays := t.DryAt(); pays {
		e.Runway = int64(min(dry-height(ctx), market.Height(maxRunway)))
	}
	return e, nil
}

// maxRunway is the longest runway that is told, in blocks.
const maxRunway = 1 << 62

// Allowances lists who may pay deployments from whose coins.
func (q queries) Allowances(ctx context.Context, r *marketv1.QueryAllowancesRequest) (*marketv1.QueryAllowancesResponse, error) {
	for _, text := range []string{r.Granter, r.Grantee} {
		if text == "" {
			continue
		}
		if _, err := q.bytes(text); err != nil {
			return nil, err
		}
	}
	list, page, err := query.CollectionFilteredPaginate(ctx, q.allowances, r.Pagination,
		func(_ grant, a marketv1.Allowance) (bool, error) {
			return (r.Granter == "" || a.Granter == r.Granter) && (r.Grantee == "" || a.Grantee == r.Grantee), nil
		},
		func(_ grant, a marketv1.Allowance) (marketv1.Allowance, error) { return a, nil })
	return &marketv1.QueryAllowancesResponse{Allowances: list, Pagination: page}, err
}

// auditsShown is how many audits come with a provider.
const auditsShown = 100

// Provider returns a provider with what auditors sign of it.
func (q queries) Provider(ctx context.Context, r *marketv1.QueryProviderRequest) (*marketv1.QueryProviderResponse, error) {
	address, p, err := q.provider(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	response := &marketv1.QueryProviderResponse{Provider: p}
	err = q.audits.Walk(ctx, collections.NewPrefixedPairRange[[]byte, []byte](address), func(_ word, a marketv1.Audit) (bool, error) {
		response.Audits = append(response.Audits, a)
		return len(response.Audits) == auditsShown, nil
	})
	return response, err
}

// Providers lists the providers.
func (q queries) Providers(ctx context.Context, r *marketv1.QueryProvidersRequest) (*marketv1.QueryProvidersResponse, error) {
	list, page, err := query.CollectionFilteredPaginate(ctx, q.providers, r.Pagination,
		func(_ []byte, p marketv1.Provider) (bool, error) { return r.State == 0 || p.State == r.State, nil },
		func(_ []byte, p marketv1.Provider) (marketv1.Provider, error) { return p, nil })
	return &marketv1.QueryProvidersResponse{Providers: list, Pagination: page}, err
}

// Audits lists what auditors sign of providers.
func (q queries) Audits(ctx context.Context, r *marketv1.QueryAuditsRequest) (*marketv1.QueryAuditsResponse, error) {
	of := func(*query.CollectionsPaginateOptions[word]) {}
	if r.Provider != "" {
		provider, err := q.bytes(r.Provider)
		if err != nil {
			return nil, err
		}
		of = query.WithCollectionPaginationPairPrefix[[]byte, []byte](provider)
	}
	list, page, err := query.CollectionFilteredPaginate(ctx, q.audits, r.Pagination,
		func(_ word, a marketv1.Audit) (bool, error) { return r.Auditor == "" || a.Auditor == r.Auditor, nil },
		func(_ word, a marketv1.Audit) (marketv1.Audit, error) { return a, nil }, of)
	return &marketv1.QueryAuditsResponse{Audits: list, Pagination: page}, err
}

// Case returns a report of non-delivery with its votes.
func (q queries) Case(ctx context.Context, r *marketv1.QueryCaseRequest) (*marketv1.QueryCaseResponse, error) {
	c, err := q.cases.Get(ctx, r.Id)
	if err != nil {
		return nil, missing(err, "case %d: it never was, or was forgotten", r.Id)
	}
	it, err := q.votes.Iterate(ctx, collections.NewPrefixedPairRange[uint64, []byte](r.Id))
	if err != nil {
		return nil, err
	}
	votes, err := it.Values()
	return &marketv1.QueryCaseResponse{Case: c, Votes: votes}, err
}

// Cases lists the reports of non-delivery that are kept.
func (q queries) Cases(ctx context.Context, r *marketv1.QueryCasesRequest) (*marketv1.QueryCasesResponse, error) {
	list, page, err := query.CollectionFilteredPaginate(ctx, q.cases, r.Pagination,
		func(_ uint64, c marketv1.Case) (bool, error) {
			return r.Provider == "" || c.Lease.Provider == r.Provider, nil
		},
		func(_ uint64, c marketv1.Case) (marketv1.Case, error) { return c, nil })
	return &marketv1.QueryCasesResponse{Cases: list, Pagination: page}, err
}
