package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
	"github.com/plexus-network/plexus/market/wire"
)

// A till is a deployment's account while a message or the end of a block works
// on it. It is stored by [Keeper.keep].
type till struct {
	*escrow.Account
	record marketv1.Account
	key    []byte
}

// till returns the account of a deployment.
func (k *Keeper) till(ctx context.Context, key []byte) (*till, error) {
	record, err := k.accounts.Get(ctx, key)
	if err != nil {
		return nil, missing(err, "escrow account of that deployment")
	}
	account, err := wire.ReadAccount(record)
	return &till{Account: account, record: record, key: key}, err
}

// keep stores an account, and queues it for the height at which it is dry.
func (k *Keeper) keep(ctx context.Context, t *till) error {
	was := t.record.Dry
	wire.WriteAccount(t.Account, &t.record)
	err := k.accounts.Set(ctx, t.key, t.record)
	if was == t.record.Dry {
		return err
	}
	if was != 0 {
		err = errors.Join(err, k.drop(ctx, dryAccounts, was, t.key))
	}
	if t.record.Dry != 0 {
		err = errors.Join(err, k.put(ctx, dryAccounts, t.record.Dry, t.key))
	}
	return err
}

// collect moves coins of an account into escrow.
func (k *Keeper) collect(ctx context.Context, from sdk.AccAddress, c sdk.Coin) error {
	if c.IsZero() {
		return nil
	}
	return k.bank.SendCoinsFromAccountToModule(ctx, from, ModuleName, sdk.NewCoins(c))
}

// disburse moves an amount out of escrow to an account.
func (k *Keeper) disburse(ctx context.Context, to sdk.AccAddress, denom string, amount market.Amount) error {
	if amount == 0 {
		return nil
	}
	return k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, sdk.NewCoins(coins(denom, amount)))
}

// give moves an amount out of escrow to where the parameters say that the
// network's part goes.
func (k *Keeper) give(ctx context.Context, to marketv1.TakeTo, denom string, amount market.Amount) error {
	if amount == 0 {
		return nil
	}
	if to == marketv1.TakeTo_TAKE_TO_COMMUNITY_POOL {
		return k.pool.FundCommunityPool(ctx, sdk.NewCoins(coins(denom, amount)), moduleAccount)
	}
	return k.bank.BurnCoins(ctx, ModuleName, sdk.NewCoins(coins(denom, amount)))
}

// coins returns an amount of a denom as a coin of the SDK.
func coins(denom string, amount market.Amount) sdk.Coin {
	return sdk.NewCoin(denom, math.NewIntFromUint64(uint64(amount)))
}

// pay divides what a lease paid out between its provider and the network, and
// moves both out of escrow.
func (k *Keeper) pay(ctx context.Context, l *marketv1.Lease, denom string, due market.Amount) (provider, network market.Amount, err error) {
	if due == 0 {
		return 0, 0, nil
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return 0, 0, err
	}
	to, err := k.bytes(l.Id.Provider)
	if err != nil {
		return 0, 0, err
	}
	provider, network = escrow.Take(due, market.Part(currency(params, denom).Take))
	return provider, network, errors.Join(
		k.disburse(ctx, to, denom, provider),
		k.give(ctx, params.TakeTo, denom, network),
		emit(ctx, &marketv1.EventLeasePaid{
			Owner: l.Id.Owner, Dseq: l.Id.Dseq, Gseq: l.Id.Gseq, Oseq: l.Id.Oseq, Provider: l.Id.Provider,
			Paid: coins(denom, provider).String(), Take: coins(denom, network).String(),
		}),
	)
}

// currency returns what the parameters say of a denom. One that is not listed
// any more is not taken from.
func currency(p marketv1.Params, denom string) marketv1.Currency {
	for _, c := range p.Currencies {
		if c.Denom == denom {
			return c
		}
	}
	return marketv1.Currency{Denom: denom}
}

// payIn moves coins into a deployment's account: those of the payer or, if
// granter names one, of the granter's allowance to the payer.
func (k *Keeper) payIn(ctx context.Context, t *till, payer sdk.AccAddress, granter string, amount sdk.Coin) error {
	from := payer
	var err error
	if granter != "" {
		if from, err = k.bytes(granter); err != nil {
			return err
		}
		if err := k.spend(ctx, from, payer, amount); err != nil {
			return err
		}
	}
	who, err := k.addresses.BytesToString(from)
	if err != nil {
		return err
	}
	d := escrow.Deposit{Depositor: who, Grant: granter != "", Amount: market.Amount(amount.Amount.Uint64())}
	if err := t.Deposit(d, height(ctx)); err != nil {
		return refused(err)
	}
	if err := k.collect(ctx, from, amount); err != nil {
		return err
	}
	return errors.Join(k.keep(ctx, t), emit(ctx, &marketv1.EventDeposited{
		Owner: t.record.Id.Owner, Dseq: t.record.Id.Dseq, Depositor: who, Amount: amount.String(), Dry: t.record.Dry,
	}))
}

// refund ends an account whose payments are closed: depositors get back what
// was not spent, the first of them spent first. What was paid from an allowance
// may be paid from it again.
func (k *Keeper) refund(ctx context.Context, t *till) error {
	back, err := t.Close()
	if err != nil {
		return err
	}
	id, denom := t.record.Id, t.record.Denom
	for _, d := range back {
		to, err := k.bytes(d.Depositor)
		if err != nil {
			return err
		}
		if err := k.disburse(ctx, to, denom, d.Amount); err != nil {
			return err
		}
		if d.Grant {
			if err := k.restore(ctx, to, id.Owner, denom, d.Amount); err != nil {
				return err
			}
		}
		if err := emit(ctx, &marketv1.EventRefunded{
			Owner: id.Owner, Dseq: id.Dseq, Depositor: d.Depositor, Amount: coins(denom, d.Amount).String(),
		}); err != nil {
			return err
		}
	}
	return k.keep(ctx, t)
}

// Deposit adds to a deployment's escrow.
func (m msgs) Deposit(ctx context.Context, msg *marketv1.MsgDeposit) (*marketv1.MsgDepositResponse, error) {
	payer, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	d, key, err := m.active(ctx, msg.Owner, msg.Dseq)
	if err != nil {
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	least := uint64(1)
	if msg.Account != msg.Owner {
		least = max(1, currency(params, d.Denom).MinDeposit) // so that crumbs take no depositor's place
	}
	if err := checkCoin("deposit", msg.Amount, d.Denom, least); err != nil {
		return nil, err
	}
	if msg.Granter != "" && msg.Account != msg.Owner {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("an allowance is for deployments of one's own, and this is one of %s", msg.Owner)
	}
	t, err := m.till(ctx, key)
	if err != nil {
		return nil, err
	}
	err = m.payIn(ctx, t, payer, msg.Granter, msg.Amount)
	return &marketv1.MsgDepositResponse{Dry: t.record.Dry}, err
}

// SetAllowance sets what another account may pay into its deployments.
func (m msgs) SetAllowance(ctx context.Context, msg *marketv1.MsgSetAllowance) (*marketv1.MsgSetAllowanceResponse, error) {
	granter, err := m.bytes(msg.Granter)
	if err != nil {
		return nil, err
	}
	grantee, err := m.bytes(msg.Grantee)
	if err != nil {
		return nil, err
	}
	if granter.Equals(grantee) {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("an account needs no allowance of its own")
	}
	if err := checkCoin("limit", msg.Limit, msg.Limit.Denom, 0); err != nil {
		return nil, err
	}
	at := collections.Join3([]byte(granter), []byte(grantee), msg.Limit.Denom)
	if msg.Limit.IsZero() {
		return &marketv1.MsgSetAllowanceResponse{}, m.allowances.Remove(ctx, at)
	}
	if msg.Expires != 0 && msg.Expires <= int64(now(ctx)) {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("an allowance until second %d, but it is %d already", msg.Expires, now(ctx))
	}
	return &marketv1.MsgSetAllowanceResponse{}, m.allowances.Set(ctx, at, marketv1.Allowance{
		Granter: msg.Granter, Grantee: msg.Grantee, Denom: msg.Limit.Denom, Left: msg.Limit.Amount.Uint64(), Expires: msg.Expires,
	})
}

// spend takes an amount off an allowance.
func (k *Keeper) spend(ctx context.Context, granter, grantee sdk.AccAddress, amount sdk.Coin) error {
	at := collections.Join3([]byte(granter), []byte(grantee), amount.Denom)
	a, err := k.allowances.Get(ctx, at)
	if err != nil {
		return missing(err, "allowance of %s in %s for this account", granter, amount.Denom)
	}
	if a.Expires != 0 && a.Expires <= int64(now(ctx)) {
		return sdkerrors.ErrUnauthorized.Wrapf("the allowance of %s ended at second %d", granter, a.Expires)
	}
	if want := amount.Amount.Uint64(); want > a.Left {
		return sdkerrors.ErrUnauthorized.Wrapf("the allowance of %s has %d%s left, and %s are asked of it", granter, a.Left, amount.Denom, amount)
	}
	a.Left -= amount.Amount.Uint64()
	return k.allowances.Set(ctx, at, a)
}

// restore adds what came back to an allowance, unless it was ended.
func (k *Keeper) restore(ctx context.Context, granter sdk.AccAddress, owner, denom string, amount market.Amount) error {
	grantee, err := k.bytes(owner)
	if err != nil {
		return err
	}
	at := collections.Join3([]byte(granter), []byte(grantee), denom)
	a, err := k.allowances.Get(ctx, at)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	a.Left += min(uint64(amount), ^a.Left)
	return k.allowances.Set(ctx, at, a)
}

// checkCoin tells what is wrong with an amount that should be of a denom, if
// anything.
func checkCoin(what string, c sdk.Coin, denom string, least uint64) error {
	if err := sdk.ValidateDenom(c.Denom); err != nil {
		return sdkerrors.ErrInvalidCoins.Wrapf("%s: %v", what, err)
	}
	if c.Amount.IsNil() || c.Amount.IsNegative() || !c.Amount.IsUint64() {
		return sdkerrors.ErrInvalidCoins.Wrapf("a %s of %v; it must be 0 to 2⁶⁴−1 base units", what, c.Amount)
	}
	if c.Denom != denom {
		return sdkerrors.ErrInvalidCoins.Wrapf("a %s in %s; it must be in %s", what, c.Denom, denom)
	}
	if c.Amount.Uint64() < least {
		return sdkerrors.ErrInvalidCoins.Wrapf("a %s of %s; it must be at least %d%s", what, c, least, denom)
	}
	return nil
}

// plx is the denom of deposits of providers and of reports.
const plx = coin.Denom
