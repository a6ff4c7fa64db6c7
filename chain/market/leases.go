package market

import (
	"context"
	"errors"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
	"github.com/plexus-network/plexus/market/wire"
)

// CreateLease takes a bid: from the next block on it is paid for.
func (m msgs) CreateLease(ctx context.Context, msg *marketv1.MsgCreateLease) (*marketv1.MsgCreateLeaseResponse, error) {
	_, gkey, _, t, err := m.group(ctx, msg.Owner, msg.Dseq, msg.Gseq)
	if err != nil {
		return nil, err
	}
	at := below(gkey, msg.Oseq)
	o, err := m.orders.Get(ctx, at)
	if err != nil {
		return nil, missing(err, "order %s/%d/%d/%d", msg.Owner, msg.Dseq, msg.Gseq, msg.Oseq)
	}
	b, key, err := m.bidAt(ctx, marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider})
	if err != nil {
		return nil, err
	}
	provider, p, err := m.provider(ctx, msg.Provider)
	if err != nil {
		return nil, err
	}
	if p.State != marketv1.ProviderState_PROVIDER_STATE_ACTIVE {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("provider %s is leaving the market: take another bid", msg.Provider)
	}
	lease, err := m.take(ctx, t, &o, &b)
	if err != nil {
		return nil, err
	}
	p.Leases++
	err = errors.Join(
		m.unlist(ctx, at, &o),
		m.orders.Set(ctx, at, o),
		m.drop(ctx, expiries, b.Expires, key),
		m.bids.Set(ctx, key, b),
		m.closeBids(ctx, at, &o, key, market.BidLost, market.Outbid),
		m.leases.Set(ctx, key, lease),
		m.rentals.Set(ctx, byProvider(provider, false, key)),
		m.providers.Set(ctx, provider, p),
		m.keep(ctx, t),
		emit(ctx, &marketv1.EventLeaseCreated{
			Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider, Price: priceText(b.Price),
		}),
	)
	return &marketv1.MsgCreateLeaseResponse{Dry: t.record.Dry}, err
}

// take makes a lease of a bid by the law, and has the account pay for it.
func (k *Keeper) take(ctx context.Context, t *till, o *marketv1.Order, b *marketv1.Bid) (marketv1.Lease, error) {
	order, err := wire.ReadOrder(*o, marketv1.GroupSpec{})
	if err != nil {
		return marketv1.Lease{}, err
	}
	bid, err := wire.ReadBid(*b)
	if err != nil {
		return marketv1.Lease{}, err
	}
	l, err := order.Take(&bid, height(ctx))
	if err != nil {
		return marketv1.Lease{}, refused(err)
	}
	p, err := t.Pay(l.Price.Amount, height(ctx))
	if err != nil {
		return marketv1.Lease{}, sdkerrors.ErrInsufficientFunds.Wrap(err.Error())
	}
	o.State, o.Provider, b.State = marketv1.OrderState(order.State), b.Id.Provider, marketv1.BidState(bid.State)
	var record marketv1.Lease
	wire.WriteLease(l, p, &record)
	return record, nil
}

// leaseAt returns a lease and its key.
func (k *Keeper) leaseAt(ctx context.Context, id marketv1.BidID) (marketv1.Lease, []byte, error) {
	key, err := k.bidKey(id)
	if err != nil {
		return marketv1.Lease{}, nil, err
	}
	l, err := k.leases.Get(ctx, key)
	return l, key, missing(err, "lease %v", wire.ReadBidID(id))
}

// CloseLease ends a lease by its tenant; its group is ordered again.
func (m msgs) CloseLease(ctx context.Context, msg *marketv1.MsgCloseLease) (*marketv1.MsgCloseLeaseResponse, error) {
	l, key, err := m.leaseAt(ctx, marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider})
	if err != nil {
		return nil, err
	}
	if err := running(l); err != nil {
		return nil, err
	}
	return &marketv1.MsgCloseLeaseResponse{}, m.release(ctx, cut(key, orderSize), market.ByOwner)
}

// running returns an error if a lease has ended.
func running(l marketv1.Lease) error {
	if !market.LeaseState(l.State).Runs() {
		return sdkerrors.ErrInvalidRequest.Wrapf("lease %v closed at height %d: %v", wire.ReadBidID(l.Id), l.Closed, market.Reason(l.Reason))
	}
	return nil
}

// ReclaimLease gives notice: the lease ends when it is over.
func (m msgs) ReclaimLease(ctx context.Context, msg *marketv1.MsgReclaimLease) (*marketv1.MsgReclaimLeaseResponse, error) {
	record, key, err := m.leaseAt(ctx, marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider})
	if err != nil {
		return nil, err
	}
	l, p, err := wire.ReadLease(record)
	if err != nil {
		return nil, err
	}
	if err := l.GiveNotice(now(ctx)); err != nil {
		return nil, refused(err)
	}
	wire.WriteLease(l, p, &record)
	return &marketv1.MsgReclaimLeaseResponse{Deadline: record.Deadline}, errors.Join(
		m.leases.Set(ctx, key, record),
		m.put(ctx, reclaims, record.Deadline, key),
		emit(ctx, &marketv1.EventLeaseReclaimed{
			Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider, Deadline: record.Deadline,
		}),
	)
}

// endNotice ends a lease whose provider gave notice in time.
func (k *Keeper) endNotice(ctx context.Context, key []byte) error {
	l, err := k.leases.Get(ctx, key)
	if err != nil || market.LeaseState(l.State) != market.LeaseReclaiming || l.Deadline > int64(now(ctx)) {
		return err
	}
	return k.release(ctx, cut(key, orderSize), market.ReclaimDeadline)
}

// WithdrawLease pays the provider what a lease has earned through this block.
func (m msgs) WithdrawLease(ctx context.Context, msg *marketv1.MsgWithdrawLease) (*marketv1.MsgWithdrawLeaseResponse, error) {
	record, key, err := m.leaseAt(ctx, marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider})
	if err != nil {
		return nil, err
	}
	if err := running(record); err != nil {
		return nil, err
	}
	t, err := m.till(ctx, cut(key, deploymentSize))
	if err != nil {
		return nil, err
	}
	l, p, err := wire.ReadLease(record)
	if err != nil {
		return nil, err
	}
	due, err := t.Withdraw(&p, height(ctx))
	if err != nil {
		return nil, refused(err)
	}
	wire.WriteLease(l, p, &record)
	provider, network, err := m.pay(ctx, &record, t.record.Denom, due)
	return &marketv1.MsgWithdrawLeaseResponse{Paid: coins(t.record.Denom, provider), Take: coins(t.record.Denom, network)}, errors.Join(
		err, m.leases.Set(ctx, key, record), m.keep(ctx, t),
	)
}

// release ends the lease of an order while its deployment goes on, and does to
// the group what the law says: it is ordered again or paused.
func (k *Keeper) release(ctx context.Context, key []byte, reason market.Reason) error {
	o, err := k.orders.Get(ctx, key)
	if err != nil {
		return err
	}
	g, gkey, d, t, err := k.group(ctx, o.Id.Owner, o.Id.Dseq, o.Id.Gseq)
	if err != nil {
		return err
	}
	if err := errors.Join(k.endLease(ctx, t, key, &o, reason), k.keep(ctx, t)); err != nil {
		return err
	}
	if after := reason.GroupAfter(); after != market.GroupOpen {
		return k.move(ctx, gkey, &g, after, reason)
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	return k.order(ctx, gkey, &g, d.Reclaim, params)
}

// endLease ends the lease of an active order, with its bid and the order: the
// provider is paid what it has earned. The caller moves the group and keeps the
// account.
func (k *Keeper) endLease(ctx context.Context, t *till, order []byte, o *marketv1.Order, reason market.Reason) error {
	provider, p, err := k.provider(ctx, o.Provider)
	if err != nil {
		return err
	}
	key := bidKey(order, provider)
	record, err := k.leases.Get(ctx, key)
	if err != nil {
		return err
	}
	if record.Deadline != 0 {
		if err := k.drop(ctx, reclaims, record.Deadline, key); err != nil {
			return err
		}
	}
	l, payment, err := wire.ReadLease(record)
	if err != nil {
		return err
	}
	due, err := settle(ctx, t, &l, &payment, reason)
	if err != nil {
		return err
	}
	wire.WriteLease(l, payment, &record)
	b, err := k.bids.Get(ctx, key)
	if err != nil {
		return err
	}
	p.Leases--
	_, _, paid := k.pay(ctx, &record, t.record.Denom, due)
	return errors.Join(paid,
		k.leases.Set(ctx, key, record),
		k.rentals.Remove(ctx, byProvider(provider, false, key)),
		k.rentals.Set(ctx, byProvider(provider, true, key)),
		k.providers.Set(ctx, provider, p),
		k.endBid(ctx, key, &b, market.BidClosed, reason),
		k.retire(ctx, order, o, reason),
		emit(ctx, &marketv1.EventLeaseClosed{
			Owner: o.Id.Owner, Dseq: o.Id.Dseq, Gseq: o.Id.Gseq, Oseq: o.Id.Oseq, Provider: o.Provider,
			State: record.State, Reason: record.Reason, Paid: coins(t.record.Denom, market.Amount(record.Paid)).String(),
		}),
	)
}

// settle closes a lease and its payment, and returns what it still has to get.
// The lease says the last block that was paid in full.
func settle(ctx context.Context, t *till, l *market.Lease, p *escrow.Payment, reason market.Reason) (market.Amount, error) {
	if err := l.CloseBy(reason, height(ctx), now(ctx)); err != nil {
		return 0, refused(err)
	}
	due, err := t.End(p, height(ctx))
	if err != nil {
		return 0, refused(err)
	}
	l.Closed = p.Closed
	return due, nil
}
