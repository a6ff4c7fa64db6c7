package market

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
	"github.com/plexus-network/plexus/market/wire"
)

// Check returns an error if the state contradicts itself: the module's account
// has exactly what is in escrow; every account pays exactly the leases that
// run, and none of them outlives its money; states go together; every queue
// holds what it should and nothing else; counts are what they count.
func (k *Keeper) Check(ctx context.Context) error {
	c := &check{Keeper: k, held: sdk.NewCoins(), rates: map[string]market.Exact{}, runs: map[string]uint32{}, leases: map[string]uint64{}, cases: map[string]uint32{}}
	for _, part := range []func(context.Context) error{
		c.lists, c.leasesOf, c.bidsOf, c.ordersOf, c.deploymentsOf, c.accountsOf, c.casesOf, c.providersOf, c.balance, c.queuesOf,
	} {
		if err := part(ctx); err != nil {
			return fmt.Errorf("market: %w", err)
		}
	}
	return nil
}

// A check is one look at the whole state.
type check struct {
	*Keeper
	held   sdk.Coins               // what should be in escrow
	queued [queues]int             // how much should be queued
	rates  map[string]market.Exact // of the leases that run, by deployment
	runs   map[string]uint32       // how many do
	leases map[string]uint64       // and by provider
	cases  map[string]uint32       // open, by provider
	listed [2]int                  // bids and leases
	opened int                     // orders
}

// hold adds to what should be in escrow.
func (c *check) hold(denom string, amount uint64) {
	if amount > 0 {
		c.held = c.held.Add(sdk.NewCoin(denom, math.NewIntFromUint64(amount)))
	}
}

// due checks that something is queued, and counts it.
func (c *check) due(ctx context.Context, q queue, when int64, key []byte) error {
	c.queued[q]++
	has, err := c.queues[q].Has(ctx, collections.Join(uint64(when), key))
	if err == nil && !has {
		err = fmt.Errorf("%x is not in the queue of %s at %d", key, q, when)
	}
	return err
}

// lists counts the indices.
func (c *check) lists(ctx context.Context) error {
	var err error
	for _, l := range []struct {
		set collections.KeySet[[]byte]
		n   *int
	}{{c.offers, &c.listed[0]}, {c.rentals, &c.listed[1]}, {c.open, &c.opened}} {
		var e error
		*l.n, e = count(ctx, l.set)
		err = errors.Join(err, e)
	}
	return err
}

// count returns the number of keys of a set.
func count[K any](ctx context.Context, set collections.KeySet[K]) (n int, err error) {
	err = set.Walk(ctx, nil, func(K) (bool, error) {
		n++
		return false, nil
	})
	return n, err
}

func (c *check) leasesOf(ctx context.Context) error {
	return errors.Join(c.Keeper.leases.Walk(ctx, nil, func(key []byte, l marketv1.Lease) (bool, error) {
		c.listed[1]--
		state, provider := market.LeaseState(l.State), key[len(cut(key, orderSize)):]
		if has, err := c.rentals.Has(ctx, byProvider(provider, !state.Runs(), key)); err != nil || !has {
			return true, fmt.Errorf("lease %v is not in its provider's list: %w", wire.ReadBidID(l.Id), err)
		}
		if state == market.LeaseReclaiming {
			if err := c.due(ctx, reclaims, l.Deadline, key); err != nil {
				return true, err
			}
		}
		if !state.Runs() {
			if l.Reason == 0 || escrow.State(l.Payment) != escrow.Closed {
				return true, fmt.Errorf("lease %v is %v for reason %v, and its payment %v", wire.ReadBidID(l.Id), state, l.Reason, l.Payment)
			}
			return false, nil
		}
		price, err := wire.ReadPrice(l.Price)
		if err != nil {
			return true, err
		}
		at := string(cut(key, deploymentSize))
		c.rates[at], _ = c.rates[at].Add(price.Amount)
		c.runs[at]++
		c.leases[string(provider)]++
		return false, c.pair(ctx, key, l)
	}), c.empty(c.listed[1], "list of leases"))
}

// pair checks that the order and the bid of a running lease are active.
func (c *check) pair(ctx context.Context, key []byte, l marketv1.Lease) error {
	o, e1 := c.orders.Get(ctx, cut(key, orderSize))
	b, e2 := c.bids.Get(ctx, key)
	if err := errors.Join(e1, e2); err != nil {
		return err
	}
	if market.OrderState(o.State) != market.OrderActive || market.BidState(b.State) != market.BidActive || o.Provider != l.Id.Provider {
		return fmt.Errorf("lease %v runs, its order is %v with the bid of %s, and its bid %v", wire.ReadBidID(l.Id), o.State, o.Provider, b.State)
	}
	return nil
}

// empty checks that a list has nothing else.
func (c *check) empty(rest int, what string) error {
	if rest != 0 {
		return fmt.Errorf("the %s has %d entries that it should not have", what, rest)
	}
	return nil
}

func (c *check) bidsOf(ctx context.Context) error {
	err := c.bids.Walk(ctx, nil, func(key []byte, b marketv1.Bid) (bool, error) {
		c.listed[0]--
		state, provider := market.BidState(b.State), key[len(cut(key, orderSize)):]
		if has, err := c.offers.Has(ctx, byProvider(provider, ended(b.State), key)); err != nil || !has {
			return true, fmt.Errorf("bid %v is not in its provider's list: %w", wire.ReadBidID(b.Id), err)
		}
		switch state {
		case market.BidOpen:
			c.hold(b.Price.Denom, b.Deposit)
			return false, c.due(ctx, expiries, b.Expires, key)
		case market.BidActive:
			c.hold(b.Price.Denom, b.Deposit)
			l, err := c.Keeper.leases.Get(ctx, key)
			if err != nil || !market.LeaseState(l.State).Runs() {
				err = fmt.Errorf("bid %v is active, but its lease is %v: %w", wire.ReadBidID(b.Id), l.State, err)
			}
			return false, err
		case market.BidLost, market.BidClosed:
			if b.Reason == 0 {
				return true, fmt.Errorf("bid %v ended for no reason", wire.ReadBidID(b.Id))
			}
			return false, nil
		}
		return true, fmt.Errorf("bid %v is %v", wire.ReadBidID(b.Id), b.State)
	})
	return errors.Join(err, c.empty(c.listed[0], "list of bids"))
}

func (c *check) ordersOf(ctx context.Context) error {
	err := c.orders.Walk(ctx, nil, func(key []byte, o marketv1.Order) (bool, error) {
		id := wire.ReadOrderID(o.Id)
		listed, err := c.open.Has(ctx, key)
		if err != nil {
			return true, err
		}
		state := market.OrderState(o.State)
		if listed != (state == market.OrderOpen) {
			return true, fmt.Errorf("order %v is %v; on the list of open ones: %v", id, state, listed)
		}
		switch state {
		case market.OrderOpen:
			c.opened--
			return false, c.due(ctx, expiries, o.Expires, key)
		case market.OrderActive:
			provider, err := c.bytes(o.Provider)
			if err != nil {
				return true, err
			}
			l, err := c.Keeper.leases.Get(ctx, bidKey(key, provider))
			if err != nil || !market.LeaseState(l.State).Runs() {
				err = fmt.Errorf("order %v is active, but its lease is %v: %w", id, l.State, err)
			}
			return false, err
		case market.OrderClosed:
			if o.Reason == 0 {
				return true, fmt.Errorf("order %v closed for no reason", id)
			}
			return false, c.due(ctx, oblivion, o.Until, key)
		}
		return true, fmt.Errorf("order %v is %v", id, state)
	})
	return errors.Join(err, c.empty(c.opened, "list of open orders"))
}

func (c *check) deploymentsOf(ctx context.Context) error {
	groups := 0
	err := c.deployments.Walk(ctx, nil, func(key []byte, d marketv1.Deployment) (bool, error) {
		groups += int(d.Groups)
		closed := market.DeploymentState(d.State) == market.DeploymentClosed
		for gseq := uint32(1); gseq <= d.Groups; gseq++ {
			g, err := c.groups.Get(ctx, below(key, gseq))
			if err != nil {
				return true, fmt.Errorf("group %d of deployment %s/%d: %w", gseq, d.Id.Owner, d.Id.Dseq, err)
			}
			if err := c.standing(ctx, below(key, gseq), g, closed); err != nil {
				return true, err
			}
		}
		if closed {
			if d.Reason == 0 {
				return true, fmt.Errorf("deployment %s/%d closed for no reason", d.Id.Owner, d.Id.Dseq)
			}
			return false, c.due(ctx, oblivion, d.Until, key)
		}
		return false, nil
	})
	return errors.Join(err, c.Keeper.groups.Walk(ctx, nil, func([]byte, marketv1.Group) (bool, error) {
		groups--
		return false, nil
	}), c.empty(groups, "list of groups"))
}

// standing checks that a group is open exactly if its latest order stands.
func (c *check) standing(ctx context.Context, key []byte, g marketv1.Group, closed bool) error {
	o, err := c.orders.Get(ctx, below(key, g.Orders))
	if err = ignoreMissing(err); err != nil {
		return err
	}
	state := market.OrderState(o.State)
	stands := state == market.OrderOpen || state == market.OrderActive
	if open := market.GroupState(g.State) == market.GroupOpen; stands != open || closed && !over(g.State) {
		return fmt.Errorf("group %v is %v, its latest order %v; its deployment is closed: %v", g.Id, g.State, state, closed)
	}
	return nil
}

func (c *check) accountsOf(ctx context.Context) error {
	err := c.accounts.Walk(ctx, nil, func(key []byte, r marketv1.Account) (bool, error) {
		a, err := wire.ReadAccount(r)
		if err != nil {
			return true, err
		}
		if a.State == escrow.Closed {
			return false, nil
		}
		at := string(key)
		if a.Rate != c.rates[at] || a.Payments != c.runs[at] {
			return true, fmt.Errorf("account of %s/%d pays %d leases %s per block, but %d run for %s", r.Id.Owner, r.Id.Dseq, a.Payments, a.Rate, c.runs[at], c.rates[at])
		}
		delete(c.runs, at)
		c.hold(r.Denom, uint64(a.Funds()-a.Paid))
		if r.Dry == 0 {
			return false, nil
		}
		if r.Dry <= int64(height(ctx)) {
			return true, fmt.Errorf("the leases of %s/%d outlive their money, which was gone at %d", r.Id.Owner, r.Id.Dseq, r.Dry)
		}
		return false, c.due(ctx, dryAccounts, r.Dry, key)
	})
	return errors.Join(err, c.empty(len(c.runs), "list of leases that no account pays"))
}

func (c *check) casesOf(ctx context.Context) error {
	return c.Keeper.cases.Walk(ctx, nil, func(id uint64, one marketv1.Case) (bool, error) {
		if one.Verdict == marketv1.CaseVerdict_CASE_VERDICT_OPEN {
			c.hold(plx, one.Deposit)
			c.cases[one.Lease.Provider]++
		}
		return false, c.due(ctx, docket, heardAt(one), number(id))
	})
}

func (c *check) providersOf(ctx context.Context) error {
	err := c.providers.Walk(ctx, nil, func(address []byte, p marketv1.Provider) (bool, error) {
		c.hold(plx, p.Deposit)
		if p.Leases != c.leases[string(address)] || p.Cases != c.cases[p.Account] {
			return true, fmt.Errorf("provider %s has %d leases and %d cases, but counts %d and %d", p.Account, c.leases[string(address)], c.cases[p.Account], p.Leases, p.Cases)
		}
		delete(c.leases, string(address))
		delete(c.cases, p.Account)
		if queued(p) {
			return false, c.due(ctx, leavers, p.Leaves, address)
		}
		return false, nil
	})
	return errors.Join(err, c.empty(len(c.leases)+len(c.cases), "market"))
}

// balance compares what the module's account has with what should be in escrow.
func (c *check) balance(ctx context.Context) error {
	if has := c.bank.GetAllBalances(ctx, moduleAccount); !has.Equal(c.held) {
		return fmt.Errorf("%s are in escrow, but the account has %s", c.held, has)
	}
	return nil
}

// queuesOf checks that the queues have nothing else.
func (c *check) queuesOf(ctx context.Context) error {
	for q := range queues {
		n, err := count(ctx, c.queues[q])
		if err := errors.Join(err, c.empty(n-c.queued[q], "queue of "+q.String())); err != nil {
			return err
		}
	}
	return nil
}
