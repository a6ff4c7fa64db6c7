package market

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/market"
)

// Bounds of the parameters.
const (
	maxSpan       = 365 * 24 * 3600      // blocks: a year of blocks of one second
	maxTime       = 10 * 365 * 24 * 3600 // seconds
	maxCurrencies = 32
	maxMaxBids    = 500 // as Akash's
)

// DefaultParams take deployments in PLX with a deposit of half a PLX; the
// network takes two percent and burns it. Bids and notices are Akash's. An
// order waits for a day of blocks of six seconds and a bid for an hour; a
// provider's deposit is 10 PLX, of which a proven non-delivery costs a fifth,
// and returns 21 days after it left. Reports are voted on for a day, and what
// has ended is kept for a week.
func DefaultParams() marketv1.Params {
	r := market.DefaultRules()
	return marketv1.Params{
		Currencies: []marketv1.Currency{{
			Denom: coin.Denom, MinDeposit: uint64(coin.PLX / 2), MinBidDeposit: uint64(coin.PLX / 2), Take: 200,
		}},
		TakeTo: marketv1.TakeTo_TAKE_TO_BURN, MaxBids: r.MaxBids,
		MinReclaim: uint64(r.MinReclaim), MaxReclaim: uint64(r.MaxReclaim),
		OrderLifetime: 14_400, BidLifetime: 600,
		ProviderDeposit: uint64(10 * coin.PLX), Unbonding: 21 * 24 * 3600, Slash: 2000,
		ReportDeposit: uint64(coin.PLX), VotingPeriod: 14_400, Retention: 100_800,
	}
}

// DefaultGenesis is empty.
func DefaultGenesis() *marketv1.GenesisState {
	return &marketv1.GenesisState{Params: DefaultParams()}
}

// validateParams tells what is wrong with parameters, if anything.
func validateParams(p marketv1.Params) error {
	if err := validateCurrencies(p.Currencies); err != nil {
		return err
	}
	if p.TakeTo != marketv1.TakeTo_TAKE_TO_BURN && p.TakeTo != marketv1.TakeTo_TAKE_TO_COMMUNITY_POOL {
		return fmt.Errorf("take_to is %v; it must be TAKE_TO_BURN or TAKE_TO_COMMUNITY_POOL", p.TakeTo)
	}
	for _, f := range []struct {
		name            string
		is, least, upTo uint64
	}{
		{"max_bids", uint64(p.MaxBids), 1, maxMaxBids},
		{"min_reclaim", p.MinReclaim, 1, maxTime},
		{"max_reclaim", p.MaxReclaim, p.MinReclaim, maxTime},
		{"order_lifetime", p.OrderLifetime, 1, maxSpan},
		{"bid_lifetime", p.BidLifetime, 1, maxSpan},
		{"provider_deposit", p.ProviderDeposit, 0, uint64(coin.Cap)},
		{"unbonding", p.Unbonding, 1, maxTime},
		{"slash", uint64(p.Slash), 0, uint64(market.All)},
		{"court", uint64(p.Court), 0, 1<<16 - 1},
		{"report_deposit", p.ReportDeposit, 0, uint64(coin.Cap)},
		{"voting_period", p.VotingPeriod, 1, maxSpan},
		{"retention", p.Retention, 1, maxSpan},
	} {
		if f.is < f.least || f.is > f.upTo {
			return fmt.Errorf("%s is %d; it must be %d to %d", f.name, f.is, f.least, f.upTo)
		}
	}
	return nil
}

// validateCurrencies tells what is wrong with the list of currencies, if
// anything.
func validateCurrencies(list []marketv1.Currency) error {
	if len(list) == 0 || len(list) > maxCurrencies {
		return fmt.Errorf("%d currencies; there must be 1 to %d", len(list), maxCurrencies)
	}
	seen := map[string]bool{}
	for _, c := range list {
		if err := sdk.ValidateDenom(c.Denom); err != nil {
			return fmt.Errorf("currencies: %w", err)
		}
		if seen[c.Denom] {
			return fmt.Errorf("currencies: %s stands twice", c.Denom)
		}
		seen[c.Denom] = true
		if c.Take > uint32(market.All) {
			return fmt.Errorf("currencies: the take of %s is %d hundredths of a percent; it must be 0 to %d", c.Denom, c.Take, market.All)
		}
	}
	return nil
}

// UpdateParams replaces the module's parameters.
func (m msgs) UpdateParams(ctx context.Context, msg *marketv1.MsgUpdateParams) (*marketv1.MsgUpdateParamsResponse, error) {
	if err := m.onlyGovernance(msg.Authority); err != nil {
		return nil, err
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, refused(err)
	}
	return &marketv1.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}

// ValidateGenesis tells what is wrong with a genesis state, if anything that
// can be seen without the rest: that it does not contradict itself is checked
// when it is set.
func ValidateGenesis(g *marketv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	for _, p := range g.Providers {
		if err := checkProvider(p); err != nil {
			return fmt.Errorf("provider %s: %w", p.Account, err)
		}
	}
	for _, a := range g.Audits {
		if err := checkAttributes("attributes", a.Attributes); err != nil {
			return fmt.Errorf("audit of %s by %s: %w", a.Provider, a.Auditor, err)
		}
	}
	for _, d := range g.Deployments {
		if err := checkHash(d.Hash); err != nil {
			return fmt.Errorf("deployment %s/%d: %w", d.Id.Owner, d.Id.Dseq, err)
		}
	}
	for _, c := range g.Cases {
		if c.Id == 0 || c.Id > g.LatestCase {
			return fmt.Errorf("case %d, but the latest is %d", c.Id, g.LatestCase)
		}
	}
	return nil
}

// InitGenesis sets the module's state, after that of the bank and of the
// subnets. Queues and indices follow from the rest.
func (k *Keeper) InitGenesis(ctx context.Context, g *marketv1.GenesisState) error {
	err := errors.Join(k.params.Set(ctx, g.Params), k.latestCase.Set(ctx, g.LatestCase))
	for _, part := range []func(context.Context, *marketv1.GenesisState) error{
		k.initTenants, k.initOrders, k.initBids, k.initProviders, k.initCases,
	} {
		err = errors.Join(err, part(ctx, g))
	}
	if err != nil {
		return err
	}
	// What is dry at the first height, or due at it, is so at the end of its
	// block, which is yet to come.
	c := sdk.UnwrapSDKContext(ctx)
	return k.Check(c.WithBlockHeight(c.BlockHeight() - 1))
}

// initTenants sets deployments, groups, accounts and allowances.
func (k *Keeper) initTenants(ctx context.Context, g *marketv1.GenesisState) error {
	for _, l := range g.Latest {
		owner, err := k.bytes(l.Owner)
		if err := errors.Join(err, k.latest.Set(ctx, owner, l.Dseq)); err != nil {
			return err
		}
	}
	for _, d := range g.Deployments {
		key, err := k.deploymentKey(d.Id)
		if err == nil && d.Until != 0 {
			err = k.put(ctx, oblivion, d.Until, key)
		}
		if err := errors.Join(err, k.deployments.Set(ctx, key, d)); err != nil {
			return err
		}
	}
	for _, one := range g.Groups {
		key, err := k.groupKey(one.Id)
		if err := errors.Join(err, k.groups.Set(ctx, key, one)); err != nil {
			return err
		}
	}
	for _, a := range g.Accounts {
		key, err := k.deploymentKey(a.Id)
		if err == nil && a.Dry != 0 {
			err = k.put(ctx, dryAccounts, a.Dry, key)
		}
		if err := errors.Join(err, k.accounts.Set(ctx, key, a)); err != nil {
			return err
		}
	}
	for _, a := range g.Allowances {
		granter, e1 := k.bytes(a.Granter)
		grantee, e2 := k.bytes(a.Grantee)
		if err := errors.Join(e1, e2, k.allowances.Set(ctx, collections.Join3([]byte(granter), []byte(grantee), a.Denom), a)); err != nil {
			return err
		}
	}
	return nil
}

// initOrders sets orders.
func (k *Keeper) initOrders(ctx context.Context, g *marketv1.GenesisState) error {
	for _, o := range g.Orders {
		key, err := k.orderKey(o.Id)
		if err != nil {
			return err
		}
		switch market.OrderState(o.State) {
		case market.OrderOpen:
			err = errors.Join(k.open.Set(ctx, key), k.put(ctx, expiries, o.Expires, key))
		case market.OrderClosed:
			err = k.put(ctx, oblivion, o.Until, key)
		case market.OrderActive:
		}
		if err := errors.Join(err, k.orders.Set(ctx, key, o)); err != nil {
			return err
		}
	}
	return nil
}

// initBids sets bids and leases.
func (k *Keeper) initBids(ctx context.Context, g *marketv1.GenesisState) error {
	for _, b := range g.Bids {
		key, e1 := k.bidKey(b.Id)
		provider, e2 := k.bytes(b.Id.Provider)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		var err error
		if market.BidState(b.State) == market.BidOpen {
			err = k.put(ctx, expiries, b.Expires, key)
		}
		if err := errors.Join(err, k.bids.Set(ctx, key, b), k.offers.Set(ctx, byProvider(provider, ended(b.State), key))); err != nil {
			return err
		}
	}
	for _, l := range g.Leases {
		key, e1 := k.bidKey(l.Id)
		provider, e2 := k.bytes(l.Id.Provider)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		state := market.LeaseState(l.State)
		var err error
		if state == market.LeaseReclaiming {
			err = k.put(ctx, reclaims, l.Deadline, key)
		}
		if err := errors.Join(err, k.leases.Set(ctx, key, l), k.rentals.Set(ctx, byProvider(provider, !state.Runs(), key))); err != nil {
			return err
		}
	}
	return nil
}

// ended tells whether a bid is neither open nor has a lease.
func ended(s marketv1.BidState) bool {
	return s == marketv1.BidState_BID_STATE_LOST || s == marketv1.BidState_BID_STATE_CLOSED
}

// initProviders sets providers and audits.
func (k *Keeper) initProviders(ctx context.Context, g *marketv1.GenesisState) error {
	for _, p := range g.Providers {
		address, err := k.bytes(p.Account)
		if err == nil && queued(p) {
			err = k.put(ctx, leavers, p.Leaves, address)
		}
		if err := errors.Join(err, k.providers.Set(ctx, address, p)); err != nil {
			return err
		}
	}
	for _, a := range g.Audits {
		at, err := k.wordKey(a.Provider, a.Auditor)
		if err := errors.Join(err, k.audits.Set(ctx, at, a)); err != nil {
			return err
		}
	}
	return nil
}

// queued tells whether a provider stands in the queue of leavers.
func queued(p marketv1.Provider) bool {
	return p.State == marketv1.ProviderState_PROVIDER_STATE_LEAVING && p.Cases == 0
}

// initCases sets cases and votes.
func (k *Keeper) initCases(ctx context.Context, g *marketv1.GenesisState) error {
	for i := range g.Cases {
		c := g.Cases[i]
		if err := errors.Join(k.cases.Set(ctx, c.Id, c), k.put(ctx, docket, heardAt(c), number(c.Id))); err != nil {
			return err
		}
	}
	for _, v := range g.Votes {
		account, err := k.bytes(v.Account)
		if err := errors.Join(err, k.votes.Set(ctx, collections.Join(v.Case, []byte(account)), v)); err != nil {
			return err
		}
	}
	return nil
}

// heardAt returns when the queue looks at a case next.
func heardAt(c marketv1.Case) int64 {
	if c.Verdict == marketv1.CaseVerdict_CASE_VERDICT_OPEN {
		return c.Deadline
	}
	return c.Until
}

// ExportGenesis returns the module's state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*marketv1.GenesisState, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := k.latestCase.Peek(ctx)
	g := &marketv1.GenesisState{Params: params, LatestCase: latest}
	return g, errors.Join(err,
		gather(ctx, k.deployments, &g.Deployments),
		gather(ctx, k.groups, &g.Groups),
		gather(ctx, k.orders, &g.Orders),
		gather(ctx, k.bids, &g.Bids),
		gather(ctx, k.leases, &g.Leases),
		gather(ctx, k.accounts, &g.Accounts),
		gather(ctx, k.allowances, &g.Allowances),
		gather(ctx, k.providers, &g.Providers),
		gather(ctx, k.audits, &g.Audits),
		gather(ctx, k.cases, &g.Cases),
		gather(ctx, k.votes, &g.Votes),
		k.latest.Walk(ctx, nil, func(owner []byte, dseq uint64) (bool, error) {
			text, err := k.addresses.BytesToString(owner)
			g.Latest = append(g.Latest, marketv1.Latest{Owner: text, Dseq: dseq})
			return false, err
		}),
	)
}

// gather appends all values of a map.
func gather[K, V any](ctx context.Context, m collections.Map[K, V], into *[]V) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*into = append(*into, v)
		return false, nil
	})
}
