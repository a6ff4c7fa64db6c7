package market

import (
	"context"
	"errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
)

// order puts a group up for bids and stores it.
func (k *Keeper) order(ctx context.Context, key []byte, g *marketv1.Group, reclaim uint64, params marketv1.Params) error {
	g.Orders++
	o := marketv1.Order{
		Id:    marketv1.OrderID{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq, Oseq: g.Orders},
		State: marketv1.OrderState_ORDER_STATE_OPEN, Reclaim: reclaim,
		Created: int64(height(ctx)), Expires: later(height(ctx), params.OrderLifetime),
	}
	at := below(key, g.Orders)
	return errors.Join(
		k.groups.Set(ctx, key, *g),
		k.orders.Set(ctx, at, o),
		k.open.Set(ctx, at),
		k.put(ctx, expiries, o.Expires, at),
		emit(ctx, &marketv1.EventOrderCreated{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Gseq: o.Id.Gseq, Oseq: o.Id.Oseq}),
	)
}

// vacate ends the order of a group, and its lease if it has one: only the
// latest order can still stand. The caller moves the group and keeps the
// account.
func (k *Keeper) vacate(ctx context.Context, t *till, key []byte, g *marketv1.Group, reason market.Reason) error {
	at := below(key, g.Orders)
	o, err := k.orders.Get(ctx, at)
	if err != nil {
		// Orders are forgotten a while after they close.
		return ignoreMissing(err)
	}
	switch market.OrderState(o.State) {
	case market.OrderOpen:
		return k.closeOrder(ctx, at, &o, reason)
	case market.OrderActive:
		return k.endLease(ctx, t, at, &o, reason)
	case market.OrderClosed:
	}
	return nil
}

// closeOrder ends an open order and its bids.
func (k *Keeper) closeOrder(ctx context.Context, key []byte, o *marketv1.Order, reason market.Reason) error {
	if err := k.closeBids(ctx, key, o, nil, market.BidClosed, reason); err != nil {
		return err
	}
	return errors.Join(k.unlist(ctx, key, o), k.retire(ctx, key, o, reason))
}

// unlist takes an order that is not open any more off the lists of those that
// are.
func (k *Keeper) unlist(ctx context.Context, key []byte, o *marketv1.Order) error {
	return errors.Join(k.open.Remove(ctx, key), k.drop(ctx, expiries, o.Expires, key))
}

// retire closes an order and has it forgotten after a while.
func (k *Keeper) retire(ctx context.Context, key []byte, o *marketv1.Order, reason market.Reason) error {
	state, err := market.OrderState(o.State).To(market.OrderClosed)
	if err != nil {
		return refused(err)
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	o.State, o.Reason, o.Closed = marketv1.OrderState(state), marketv1.Reason(reason), int64(height(ctx))
	o.Until = later(height(ctx), params.Retention)
	return errors.Join(
		k.orders.Set(ctx, key, *o),
		k.put(ctx, oblivion, o.Until, key),
		emit(ctx, &marketv1.EventOrderClosed{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Gseq: o.Id.Gseq, Oseq: o.Id.Oseq, Reason: o.Reason}),
	)
}

// expire ends an order or a bid that nobody took in time. The group of an
// order is paused: its owner may start it again.
func (k *Keeper) expire(ctx context.Context, key []byte) error {
	if len(key) > len(cut(key, orderSize)) {
		return k.expireBid(ctx, key)
	}
	o, err := k.orders.Get(ctx, key)
	if err != nil || market.OrderState(o.State) != market.OrderOpen {
		return err
	}
	at := cut(key, groupSize)
	g, err := k.groups.Get(ctx, at)
	if err != nil {
		return err
	}
	return errors.Join(
		k.closeOrder(ctx, key, &o, market.Expired),
		k.move(ctx, at, &g, market.Expired.GroupAfter(), market.Expired),
	)
}

// forget removes a closed order with its bids and its lease, or a closed
// deployment with its groups and its account. Orders are closed before, and
// forgotten before.
func (k *Keeper) forget(ctx context.Context, key []byte) error {
	if isDeployment(key) {
		return errors.Join(
			k.deployments.Remove(ctx, key),
			k.groups.Clear(ctx, starting(key)),
			k.accounts.Remove(ctx, key),
		)
	}
	it, err := k.bids.Iterate(ctx, starting(key))
	if err != nil {
		return err
	}
	bids, err := it.Keys()
	for _, bid := range bids {
		provider := bid[len(key):]
		err = errors.Join(err,
			k.bids.Remove(ctx, bid), k.offers.Remove(ctx, byProvider(provider, true, bid)),
			k.leases.Remove(ctx, bid), k.rentals.Remove(ctx, byProvider(provider, true, bid)),
		)
	}
	return errors.Join(err, k.orders.Remove(ctx, key))
}
