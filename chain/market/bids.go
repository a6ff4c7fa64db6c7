package market

import (
	"bytes"
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// CreateBid bids on an order.
func (m msgs) CreateBid(ctx context.Context, msg *marketv1.MsgCreateBid) (*marketv1.MsgCreateBidResponse, error) {
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	provider, p, err := m.bidder(ctx, msg.Provider, params)
	if err != nil {
		return nil, err
	}
	o, at, err := m.orderAt(ctx, marketv1.OrderID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq})
	if err != nil {
		return nil, err
	}
	b, err := m.draft(ctx, msg, params)
	if err != nil {
		return nil, err
	}
	key := bidKey(at, provider)
	switch has, err := m.bids.Has(ctx, key); {
	case err != nil:
		return nil, err
	case has:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%s has bid on order %v already", msg.Provider, wire.ReadOrderID(o.Id))
	}
	if err := m.consider(ctx, o, at, b, provider, p, params); err != nil {
		return nil, err
	}
	o.Bids++
	return &marketv1.MsgCreateBidResponse{Expires: b.Expires}, errors.Join(
		m.collect(ctx, provider, msg.Deposit),
		m.orders.Set(ctx, at, o),
		m.bids.Set(ctx, key, b),
		m.offers.Set(ctx, byProvider(provider, false, key)),
		m.put(ctx, expiries, b.Expires, key),
		emit(ctx, &marketv1.EventBidCreated{
			Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider, Price: priceText(b.Price),
		}),
	)
}

// bidder returns a provider that may bid.
func (k *Keeper) bidder(ctx context.Context, account string, params marketv1.Params) (sdk.AccAddress, marketv1.Provider, error) {
	address, p, err := k.provider(ctx, account)
	if err != nil {
		return nil, p, err
	}
	if p.State != marketv1.ProviderState_PROVIDER_STATE_ACTIVE {
		return nil, p, sdkerrors.ErrInvalidRequest.Wrapf("provider %s is leaving the market and may not bid", account)
	}
	if p.Deposit < params.ProviderDeposit {
		return nil, p, sdkerrors.ErrInsufficientFunds.Wrapf("the deposit of provider %s is %d%s; it takes %d to bid: add %d by update-provider",
			account, p.Deposit, plx, params.ProviderDeposit, params.ProviderDeposit-p.Deposit)
	}
	return address, p, nil
}

// orderAt returns an order and its key.
func (k *Keeper) orderAt(ctx context.Context, id marketv1.OrderID) (marketv1.Order, []byte, error) {
	key, err := k.orderKey(id)
	if err != nil {
		return marketv1.Order{}, nil, err
	}
	o, err := k.orders.Get(ctx, key)
	return o, key, missing(err, "order %v", wire.ReadOrderID(id))
}

// draft returns the bid of a message, whose form is right.
func (k *Keeper) draft(ctx context.Context, msg *marketv1.MsgCreateBid, params marketv1.Params) (marketv1.Bid, error) {
	if err := checkCoin("deposit", msg.Deposit, msg.Deposit.Denom, 0); err != nil {
		return marketv1.Bid{}, err
	}
	if msg.Deposit.Denom != msg.Price.Denom {
		return marketv1.Bid{}, sdkerrors.ErrInvalidCoins.Wrapf("a deposit in %s for a price in %s; they must be in the order's denom", msg.Deposit.Denom, msg.Price.Denom)
	}
	if err := checkOffers(msg.Offers); err != nil {
		return marketv1.Bid{}, err
	}
	price, err := wire.ReadPrice(msg.Price)
	if err != nil {
		return marketv1.Bid{}, refused(err)
	}
	if msg.Lifetime > params.BidLifetime {
		return marketv1.Bid{}, sdkerrors.ErrInvalidRequest.Wrapf("a bid for %d blocks; it may stand for %d at most", msg.Lifetime, params.BidLifetime)
	}
	life := msg.Lifetime
	if life == 0 {
		life = params.BidLifetime
	}
	return marketv1.Bid{
		Id:    marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider},
		State: marketv1.BidState_BID_STATE_OPEN, Price: wire.WritePrice(price), Offers: msg.Offers, Reclaim: msg.Reclaim,
		Deposit: msg.Deposit.Amount.Uint64(), Created: int64(height(ctx)), Expires: later(height(ctx), life),
	}, nil
}

// consider tells why the law refuses a bid, if it does.
func (k *Keeper) consider(ctx context.Context, o marketv1.Order, key []byte, b marketv1.Bid, provider []byte, p marketv1.Provider, params marketv1.Params) error {
	g, err := k.groups.Get(ctx, cut(key, groupSize))
	if err != nil {
		return err
	}
	order, err := wire.ReadOrder(o, g.Spec)
	if err != nil {
		return err
	}
	bid, err := wire.ReadBid(b)
	if err != nil {
		return refused(err)
	}
	audits, err := k.auditsFor(ctx, order.Spec.Requirements.SignedBy, provider)
	if err != nil {
		return err
	}
	if err := order.Consider(bid, rules(params, b.Price.Denom), wire.ReadAttributes(p.Attributes), audits); err != nil {
		return refused(err)
	}
	return nil
}

// rules returns what the parameters say of bids in a denom.
func rules(p marketv1.Params, denom string) market.Rules {
	return market.Rules{
		MaxBids: p.MaxBids, MinDeposit: market.Amount(currency(p, denom).MinBidDeposit),
		MinReclaim: wire.Seconds(p.MinReclaim), MaxReclaim: wire.Seconds(p.MaxReclaim),
	}
}

// auditsFor returns what the auditors that a group names sign of a provider.
func (k *Keeper) auditsFor(ctx context.Context, by market.SignedBy, provider []byte) ([]market.Audit, error) {
	var audits []market.Audit
	for _, list := range [][]string{by.AllOf, by.AnyOf} {
		for _, text := range list {
			auditor, err := k.bytes(text)
			if err != nil {
				return nil, err
			}
			a, err := k.audits.Get(ctx, collections.Join(provider, []byte(auditor)))
			if errors.Is(err, collections.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			audits = append(audits, market.Audit{Auditor: text, Attributes: wire.ReadAttributes(a.Attributes)})
		}
	}
	return audits, nil
}

// CloseBid ends a bid by its provider, and its lease if it has one. The group
// of the lease is then paused.
func (m msgs) CloseBid(ctx context.Context, msg *marketv1.MsgCloseBid) (*marketv1.MsgCloseBidResponse, error) {
	id := marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider}
	reason := market.Reason(msg.Reason)
	if reason == 0 {
		reason = market.Unspecified
	}
	if !reason.ByProvider() {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%v is no reason of a provider: those are %d to %d", msg.Reason, market.Unstable, market.ManifestTimeout)
	}
	b, key, err := m.bidAt(ctx, id)
	if err != nil {
		return nil, err
	}
	switch market.BidState(b.State) {
	case market.BidOpen:
		err = m.endBid(ctx, key, &b, market.BidClosed, reason)
	case market.BidActive:
		err = m.release(ctx, cut(key, orderSize), reason)
	case market.BidLost, market.BidClosed:
		err = sdkerrors.ErrInvalidRequest.Wrapf("bid %v is %v already: %v", wire.ReadBidID(id), market.BidState(b.State), market.Reason(b.Reason))
	}
	return &marketv1.MsgCloseBidResponse{}, err
}

// bidAt returns a bid and its key.
func (k *Keeper) bidAt(ctx context.Context, id marketv1.BidID) (marketv1.Bid, []byte, error) {
	key, err := k.bidKey(id)
	if err != nil {
		return marketv1.Bid{}, nil, err
	}
	b, err := k.bids.Get(ctx, key)
	return b, key, missing(err, "bid %v", wire.ReadBidID(id))
}

// endBid moves a bid to its end: its provider gets the deposit back.
func (k *Keeper) endBid(ctx context.Context, key []byte, b *marketv1.Bid, to market.BidState, reason market.Reason) error {
	state, err := market.BidState(b.State).To(to)
	if err != nil {
		return refused(err)
	}
	provider, err := k.bytes(b.Id.Provider)
	if err != nil {
		return err
	}
	if market.BidState(b.State) == market.BidOpen {
		err = k.drop(ctx, expiries, b.Expires, key)
	}
	b.State, b.Reason, b.Closed = marketv1.BidState(state), marketv1.Reason(reason), int64(height(ctx))
	return errors.Join(err,
		k.bids.Set(ctx, key, *b),
		k.offers.Remove(ctx, byProvider(provider, false, key)),
		k.offers.Set(ctx, byProvider(provider, true, key)),
		k.disburse(ctx, provider, b.Price.Denom, market.Amount(b.Deposit)),
		emit(ctx, &marketv1.EventBidClosed{
			Owner: b.Id.Owner, Dseq: b.Id.Dseq, Gseq: b.Id.Gseq, Oseq: b.Id.Oseq, Provider: b.Id.Provider, State: b.State, Reason: b.Reason,
		}),
	)
}

// closeBids ends the open bids on an order but one, which may be nil.
func (k *Keeper) closeBids(ctx context.Context, order []byte, o *marketv1.Order, but []byte, to market.BidState, reason market.Reason) error {
	if o.Bids == 0 || o.Bids == 1 && but != nil {
		return nil // which needs no look at a list
	}
	it, err := k.bids.Iterate(ctx, starting(order))
	if err != nil {
		return err
	}
	list, err := it.KeyValues()
	if err != nil {
		return err
	}
	for _, kv := range list {
		if bytes.Equal(kv.Key, but) || market.BidState(kv.Value.State) != market.BidOpen {
			continue
		}
		if err := k.endBid(ctx, kv.Key, &kv.Value, to, reason); err != nil {
			return err
		}
	}
	return nil
}

// expireBid ends a bid that was not taken in time.
func (k *Keeper) expireBid(ctx context.Context, key []byte) error {
	b, err := k.bids.Get(ctx, key)
	if err != nil || market.BidState(b.State) != market.BidOpen {
		return err
	}
	return k.endBid(ctx, key, &b, market.BidClosed, market.Expired)
}

// priceText formats a price as events have it.
func priceText(p marketv1.Price) string { return p.Amount + p.Denom }
