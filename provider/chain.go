package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/yuma"
)

// A Snapshot is the market as a provider sees it at one height.
type Snapshot struct {
	ledger.Head
	Attributes market.Attributes // of the provider, as the chain has them
	Audits     []market.Audit    // of the provider
	Leaving    bool              // the provider may not bid any more
	Cases      uint32            // reports of non-delivery against the provider that are open
	Slashed    uint64            // what it lost to such reports, in nplx
	Balance    uint64            // what its account holds, in nplx
	Rules      map[string]market.Rules
	Orders     []market.Order // everybody's open ones
	Bids       []market.Bid   // the provider's that are open or have a lease
	Leases     []market.Lease // the provider's that run
}

// A Deployment is what a provider needs of a tenant's.
type Deployment struct {
	Hash   manifest.Hash
	Groups map[uint32]market.GroupSpec // by gseq
	Leases []market.BidID              // the provider's that run
}

// A Fate is how a lease stands by the chain's word.
type Fate struct {
	Runs   bool
	Reason market.Reason // why it does not
	Owed   market.Amount // what it has earned and was not paid
}

// A Chain is what a provider asks of a chain: [Ledger] is the real one.
type Chain interface {
	// ID returns the chain's name.
	ID(ctx context.Context) (string, error)
	// Heads yields the latest block and every new one; see [ledger.Client.Heads].
	Heads(ctx context.Context) iter.Seq[ledger.Head]
	// Snapshot returns the market after the block of a head.
	Snapshot(ctx context.Context, at ledger.Head) (*Snapshot, error)
	// Deployment returns a tenant's deployment now.
	Deployment(ctx context.Context, id market.DeploymentID) (*Deployment, error)
	// Fate tells how a lease stands; one that the chain has forgotten does not
	// run.
	Fate(ctx context.Context, id market.BidID) (Fate, error)
	// Bid sends a bid and returns the height of the block that holds it, from
	// which on snapshots show it.
	Bid(ctx context.Context, b market.Bid, lifetime uint64) (yuma.Height, error)
	// Close ends a bid and its lease.
	Close(ctx context.Context, id market.BidID, reason market.Reason) error
	// Notice gives the notice that a lease was agreed on with; it ends by itself
	// then.
	Notice(ctx context.Context, id market.BidID) error
	// Withdraw pays out what a lease has earned.
	Withdraw(ctx context.Context, id market.BidID) (paid string, err error)
}

// A Ledger is the Chain behind a client, for the provider that Actor is.
type Ledger struct {
	Client *ledger.Client
	Actor  ledger.Actor
}

var _ Chain = Ledger{}

func (l Ledger) market() ledger.Market { return l.Client.Market() }

// ID implements [Chain].
func (l Ledger) ID(ctx context.Context) (string, error) { return l.Client.ChainID(ctx) }

// Heads implements [Chain].
func (l Ledger) Heads(ctx context.Context) iter.Seq[ledger.Head] { return l.Client.Heads(ctx) }

// Snapshot implements [Chain].
func (l Ledger) Snapshot(ctx context.Context, at ledger.Head) (*Snapshot, error) {
	ctx = ledger.At(ctx, at.Height)
	s := &Snapshot{Head: at, Rules: map[string]market.Rules{}}
	me := l.Actor.Account()
	p, err := l.provider(ctx, me)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("%w: register it by plexus provider init", err)
	}
	if err != nil {
		return nil, err
	}
	s.Attributes = wire.ReadAttributes(p.Provider.Attributes)
	s.Leaving = p.Provider.State != marketv1.ProviderState_PROVIDER_STATE_ACTIVE
	s.Cases, s.Slashed = p.Provider.Cases, p.Provider.Slashed
	balance, err := l.Client.Balance(ctx, me)
	if err != nil {
		return nil, err
	}
	s.Balance = uint64(balance)
	for _, a := range p.Audits {
		s.Audits = append(s.Audits, market.Audit{Auditor: a.Auditor, Attributes: wire.ReadAttributes(a.Attributes)})
	}
	params, err := l.market().Params(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range params.Currencies {
		s.Rules[c.Denom] = market.Rules{
			MaxBids: params.MaxBids, MinDeposit: market.Amount(c.MinBidDeposit),
			MinReclaim: wire.Seconds(params.MinReclaim), MaxReclaim: wire.Seconds(params.MaxReclaim),
		}
	}
	return s, errors.Join(l.orders(ctx, s), l.bids(ctx, s, me), l.leases(ctx, s, me))
}

// provider returns what the chain knows of an account. A node tells of a block
// an instant before it can answer for it, so that is waited for.
func (l Ledger) provider(ctx context.Context, account string) (*marketv1.QueryProviderResponse, error) {
	for try := 0; ; try++ {
		p, err := l.market().Provider(ctx, account)
		if err == nil || !strings.Contains(err.Error(), "height in the future") || try == 50 {
			return p, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l Ledger) orders(ctx context.Context, s *Snapshot) error {
	all, err := l.market().Orders(ctx, marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_OPEN})
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Spec == nil {
			continue
		}
		order, err := wire.ReadOrder(o, *o.Spec)
		if err != nil {
			return fmt.Errorf("order %v: %w", wire.ReadOrderID(o.Id), err)
		}
		s.Orders = append(s.Orders, order)
	}
	return nil
}

func (l Ledger) bids(ctx context.Context, s *Snapshot, me string) error {
	for _, state := range []market.BidState{market.BidOpen, market.BidActive} {
		all, err := l.market().Bids(ctx, marketv1.QueryBidsRequest{Provider: me, State: marketv1.BidState(state)})
		if err != nil {
			return err
		}
		for _, b := range all {
			bid, err := wire.ReadBid(b)
			if err != nil {
				return fmt.Errorf("bid %v: %w", wire.ReadBidID(b.Id), err)
			}
			s.Bids = append(s.Bids, bid)
		}
	}
	return nil
}

func (l Ledger) leases(ctx context.Context, s *Snapshot, me string) error {
	for _, state := range []market.LeaseState{market.LeaseActive, market.LeaseReclaiming} {
		all, err := l.market().Leases(ctx, marketv1.QueryLeasesRequest{Provider: me, State: marketv1.LeaseState(state)})
		if err != nil {
			return err
		}
		for _, one := range all {
			lease, _, err := wire.ReadLease(one)
			if err != nil {
				return fmt.Errorf("lease %v: %w", wire.ReadBidID(one.Id), err)
			}
			s.Leases = append(s.Leases, lease)
		}
	}
	return nil
}

// Deployment implements [Chain].
func (l Ledger) Deployment(ctx context.Context, id market.DeploymentID) (*Deployment, error) {
	got, err := l.market().Deployment(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(got.Deployment.Hash) != len(manifest.Hash{}) {
		return nil, fmt.Errorf("deployment %v: the node's hash has %d bytes", id, len(got.Deployment.Hash))
	}
	d := &Deployment{Hash: manifest.Hash(got.Deployment.Hash), Groups: map[uint32]market.GroupSpec{}}
	for _, g := range got.Groups {
		if d.Groups[g.Id.Gseq], err = wire.ReadGroupSpec(g.Spec); err != nil {
			return nil, fmt.Errorf("deployment %v: %w", id, err)
		}
	}
	all, err := l.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: id.Owner, Dseq: id.DSeq, Provider: l.Actor.Account()})
	for _, one := range all {
		if market.LeaseState(one.State).Runs() {
			d.Leases = append(d.Leases, wire.ReadBidID(one.Id))
		}
	}
	return d, err
}

// Fate implements [Chain].
func (l Ledger) Fate(ctx context.Context, id market.BidID) (Fate, error) {
	got, err := l.market().Lease(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return Fate{}, nil
	}
	if err != nil {
		return Fate{}, err
	}
	return Fate{
		Runs: market.LeaseState(got.Lease.State).Runs(), Reason: market.Reason(got.Lease.Reason), Owed: market.Amount(got.Owed),
	}, nil
}

// Bid implements [Chain].
func (l Ledger) Bid(ctx context.Context, b market.Bid, lifetime uint64) (yuma.Height, error) {
	at, _, err := l.market().Bid(ctx, l.Actor, b, yuma.Height(lifetime))
	return at, err
}

// Close implements [Chain].
func (l Ledger) Close(ctx context.Context, id market.BidID, reason market.Reason) error {
	return l.market().CloseBid(ctx, l.Actor, id.OrderID, reason)
}

// Notice implements [Chain].
func (l Ledger) Notice(ctx context.Context, id market.BidID) error {
	_, err := l.market().Reclaim(ctx, l.Actor, id.OrderID)
	return err
}

// Withdraw implements [Chain].
func (l Ledger) Withdraw(ctx context.Context, id market.BidID) (string, error) {
	paid, _, err := l.market().Withdraw(ctx, l.Actor, id.OrderID)
	return paid.String(), err
}
