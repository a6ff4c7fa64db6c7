// Package emission mints the token by its schedule and keeps what is minted
// until those who earned it take it.
//
// Every block advances a clock of its own by the time since the block before,
// at most 10 s, and mints what the schedule of package coin asks for at that
// clock, so a slow chain mints late but never more. The coins lie in the
// module's account; the part that is not promised to anyone yet is called
// unallocated.
//
// The module also owns the bootstrap stake: what genesis validators are bonded
// with, which nobody can move. Its rewards become unallocated again, and it is
// burned as organic stake takes its place. Start at [Keeper.BeginBlock].
package emission

import (
	"context"
	"fmt"
	"time"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

// ModuleName names the module, its store and its account. BootstrapName names
// the account that holds the bootstrap delegations; it receives their rewards
// and is emptied at every look at the bootstrap stake.
const (
	ModuleName    = "emission"
	BootstrapName = "bootstrap"
)

// maxStep is the most that one block advances the clock.
const maxStep = 10 * time.Second

// bank moves coins.
type bank interface {
	mover
	MintCoins(ctx context.Context, module string, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	ledger
}

// mover moves coins between accounts and modules.
type mover interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	SendCoinsFromModuleToModule(ctx context.Context, from, to string, amount sdk.Coins) error
}

// ledger reads balances.
type ledger interface {
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
	GetSupply(ctx context.Context, denom string) sdk.Coin
}

// staking is what the bootstrap stake needs of x/staking.
type staking interface {
	validators
	GetDelegatorDelegations(ctx context.Context, delegator sdk.AccAddress, max uint16) ([]stakingtypes.Delegation, error)
	Unbond(ctx context.Context, delegator sdk.AccAddress, val sdk.ValAddress, shares math.LegacyDec) (math.Int, error)
}

// validators finds validators and their stake.
type validators interface {
	GetValidator(ctx context.Context, val sdk.ValAddress) (stakingtypes.Validator, error)
	TotalValidatorPower(ctx context.Context) (math.Int, error)
}

// rewards is what the module needs of x/distribution.
type rewards interface {
	AllocateTokensToValidator(ctx context.Context, val stakingtypes.ValidatorI, amount sdk.DecCoins) error
	WithdrawDelegationRewards(ctx context.Context, delegator sdk.AccAddress, val sdk.ValAddress) (sdk.Coins, error)
}

// A Keeper keeps the schedule and the coins it minted.
type Keeper struct {
	bank      bank
	staking   staking
	rewards   rewards
	authority string // who may change parameters
	store     store.KVStoreService

	schema collections.Schema
	params collections.Item[emissionv1.Params]
	state  collections.Item[emissionv1.State]
}

// NewKeeper returns the keeper of the schedule. authority is the bech32 address
// that may change its parameters.
func NewKeeper(cdc codec.BinaryCodec, s store.KVStoreService, b bank, st staking, r rewards, authority string) *Keeper {
	sb := collections.NewSchemaBuilder(s)
	k := &Keeper{
		bank: b, staking: st, rewards: r, authority: authority, store: s,
		params: collections.NewItem(sb, collections.NewPrefix(0), "params", codec.CollValue[emissionv1.Params](cdc)),
		state:  collections.NewItem(sb, collections.NewPrefix(1), "state", codec.CollValue[emissionv1.State](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err) // two collections of one name: a bug, found by any test
	}
	k.schema = schema
	return k
}

// BeginBlock advances the clock, mints what is due and, now and then, looks at
// the bootstrap stake.
func (k *Keeper) BeginBlock(ctx context.Context) error {
	if err := k.mint(ctx); err != nil {
		return err
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	c := sdk.UnwrapSDKContext(ctx)
	if uint64(c.BlockHeight())%params.BootstrapTempo != 0 {
		return nil
	}
	inner, keep := c.CacheContext()
	if err := guard(func() error { return k.lookAtBootstrap(inner, params) }); err != nil {
		c.Logger().Error("bootstrap stake is left as it is until the next look", "error", err)
		return nil
	}
	keep()
	return nil
}

// guard turns a panic of f into an error: nothing about the bootstrap stake may
// halt the chain.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// mint advances the clock by the time since the block before, and mints up to
// the schedule. The first block of a chain does not advance it.
func (k *Keeper) mint(ctx context.Context) error {
	now := sdk.UnwrapSDKContext(ctx).BlockTime().UnixMilli()
	return k.update(ctx, func(s *emissionv1.State) error {
		if s.LastMs != 0 {
			s.ClockMs += uint64(max(0, min(now-s.LastMs, maxStep.Milliseconds())))
		}
		s.LastMs = now
		due, err := coin.Scheduled(clock(s)).Sub(coin.Amount(s.Minted))
		if err != nil {
			return fmt.Errorf("mint at clock %d ms: %w", s.ClockMs, err)
		}
		if due == 0 {
			return nil
		}
		s.Minted += uint64(due)
		s.Unallocated += uint64(due)
		return k.bank.MintCoins(ctx, ModuleName, coins(due))
	})
}

// update changes the state by f.
func (k *Keeper) update(ctx context.Context, f func(*emissionv1.State) error) error {
	s, err := k.state.Get(ctx)
	if err != nil {
		return err
	}
	if err := f(&s); err != nil {
		return err
	}
	return k.state.Set(ctx, s)
}

// Unallocated returns what was minted or returned and is promised to nobody.
func (k *Keeper) Unallocated(ctx context.Context) (coin.Amount, error) {
	s, err := k.state.Get(ctx)
	return coin.Amount(s.Unallocated), err
}

// Allocate promises amount of what is unallocated. The promise is redeemed by
// [Keeper.Pay] and [Keeper.PayValidators].
func (k *Keeper) Allocate(ctx context.Context, amount coin.Amount) error {
	return k.update(ctx, func(s *emissionv1.State) error {
		left, err := coin.Amount(s.Unallocated).Sub(amount)
		s.Unallocated = uint64(left)
		return err
	})
}

// Return takes back a promise of amount: it is unallocated again.
func (k *Keeper) Return(ctx context.Context, amount coin.Amount) error {
	return k.update(ctx, func(s *emissionv1.State) error {
		s.Unallocated += uint64(amount)
		return nil
	})
}

// Pay sends amount of what was allocated to an account.
func (k *Keeper) Pay(ctx context.Context, to sdk.AccAddress, amount coin.Amount) error {
	return k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, coins(amount))
}

// PayValidators shares what was allocated between validators, amounts[i] for
// vals[i]: by its commission to the validator, and by stake to its delegators.
// They withdraw it from x/distribution.
func (k *Keeper) PayValidators(ctx context.Context, vals []sdk.ValAddress, amounts []coin.Amount) error {
	var sum coin.Amount
	for i, val := range vals {
		v, err := k.staking.GetValidator(ctx, val)
		if err != nil {
			return fmt.Errorf("pay validator %s: %w", val, err)
		}
		if err := k.rewards.AllocateTokensToValidator(ctx, v, sdk.NewDecCoinsFromCoins(coins(amounts[i])...)); err != nil {
			return fmt.Errorf("pay validator %s: %w", val, err)
		}
		if sum, err = sum.Add(amounts[i]); err != nil {
			return err
		}
	}
	return k.bank.SendCoinsFromModuleToModule(ctx, ModuleName, distrtypes.ModuleName, coins(sum))
}

// Burn destroys amount of an account's coins.
func (k *Keeper) Burn(ctx context.Context, from sdk.AccAddress, amount coin.Amount) error {
	if err := k.bank.SendCoinsFromAccountToModule(ctx, from, ModuleName, coins(amount)); err != nil {
		return err
	}
	return k.bank.BurnCoins(ctx, ModuleName, coins(amount))
}

// NoteBurn counts coins that the bank burned, for whatever module.
func (k *Keeper) NoteBurn(ctx context.Context, burned sdk.Coins) error {
	return k.update(ctx, func(s *emissionv1.State) error {
		s.Burned += burned.AmountOf(coin.Denom).Uint64()
		return nil
	})
}

// clock returns the emission clock of s.
func clock(s *emissionv1.State) time.Duration { return time.Duration(s.ClockMs) * time.Millisecond }

// coins returns a as coins of the SDK.
func coins(a coin.Amount) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(coin.Denom, math.NewIntFromUint64(uint64(a))))
}

// account returns the address of a module's account.
func account(module string) sdk.AccAddress { return authtypes.NewModuleAddress(module) }
