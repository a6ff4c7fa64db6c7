package sim

import (
	"errors"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/coin"
)

// Audit returns an error if the committed state contradicts itself: the checks
// of [chain.App.Check], and a count of all coins by where they lie,
//
//	balances + stake + rewards + pending = minted − burned + genesis
//
// in which every part is what its module says it owes, not what its account
// holds, and has to agree with that.
func (c *Chain) Audit() error {
	ctx, err := c.State()
	if err != nil {
		return err
	}
	if err := c.App.Check(ctx); err != nil {
		return err
	}
	stake, err := c.stake(ctx)
	if err != nil {
		return err
	}
	rewards, err := c.rewards(ctx)
	if err != nil {
		return err
	}
	promised, err := c.App.Subnets.Promised(ctx)
	if err != nil {
		return err
	}
	var schedule emissionv1.QueryScheduleResponse
	if err := c.Query("/plexus.emission.v1.Query/Schedule", &emissionv1.QueryScheduleRequest{}, &schedule); err != nil {
		return err
	}
	s := schedule.State
	pending := sdkInt(promised + coin.Amount(s.Unallocated))
	have := c.free(ctx).Add(stake).Add(rewards).Add(pending)
	if want := sdkInt(coin.Amount(s.Minted + s.GenesisSupply - s.Burned)); !have.Equal(want) {
		return fmt.Errorf("balances %v + stake %v + rewards %v + pending %v = %v, but minted − burned + genesis = %v",
			c.free(ctx), stake, rewards, pending, have, want)
	}
	return nil
}

// kept lists the accounts whose coins are owed to somebody: what they hold is
// counted as what their modules owe.
var kept = []string{stakingtypes.BondedPoolName, stakingtypes.NotBondedPoolName, distrtypes.ModuleName, emission.ModuleName}

// free returns the coins that lie in accounts of people, and in those of
// modules that are on their way: fees, deposits on proposals.
func (c *Chain) free(ctx sdk.Context) math.Int {
	owed := map[string]bool{}
	for _, name := range kept {
		owed[string(authtypes.NewModuleAddress(name))] = true
	}
	sum := math.ZeroInt()
	c.App.Bank.IterateAllBalances(ctx, func(account sdk.AccAddress, have sdk.Coin) bool {
		if !owed[string(account)] && have.Denom == coin.Denom {
			sum = sum.Add(have.Amount)
		}
		return false
	})
	return sum
}

// balance returns what a module's account holds.
func (c *Chain) balance(ctx sdk.Context, module string) math.Int {
	return c.App.Bank.GetBalance(ctx, authtypes.NewModuleAddress(module), coin.Denom).Amount
}

// stake returns all that is bonded or on its way out of a bond, and checks it
// against the pools and the delegations.
func (c *Chain) stake(ctx sdk.Context) (math.Int, error) {
	validators, err := c.App.Staking.GetAllValidators(ctx)
	if err != nil {
		return math.Int{}, err
	}
	bonded, loose := math.ZeroInt(), math.ZeroInt()
	for _, v := range validators {
		if v.IsBonded() {
			bonded = bonded.Add(v.Tokens)
		} else {
			loose = loose.Add(v.Tokens)
		}
		if err := c.shares(ctx, v); err != nil {
			return math.Int{}, err
		}
	}
	err = c.App.Staking.IterateUnbondingDelegations(ctx, func(_ int64, u stakingtypes.UnbondingDelegation) bool {
		for _, e := range u.Entries {
			loose = loose.Add(e.Balance)
		}
		return false
	})
	if err != nil {
		return math.Int{}, err
	}
	if pool := c.balance(ctx, stakingtypes.BondedPoolName); !pool.Equal(bonded) {
		return math.Int{}, fmt.Errorf("stake of %v is bonded, but its pool holds %v", bonded, pool)
	}
	if pool := c.balance(ctx, stakingtypes.NotBondedPoolName); !pool.Equal(loose) {
		return math.Int{}, fmt.Errorf("stake of %v is not bonded, but its pool holds %v", loose, pool)
	}
	return bonded.Add(loose), nil
}

// shares checks that a validator's delegations add up.
func (c *Chain) shares(ctx sdk.Context, v stakingtypes.Validator) error {
	operator, err := sdk.ValAddressFromBech32(v.OperatorAddress)
	if err != nil {
		return err
	}
	delegations, err := c.App.Staking.GetValidatorDelegations(ctx, operator)
	if err != nil {
		return err
	}
	sum := math.LegacyZeroDec()
	for _, d := range delegations {
		sum = sum.Add(d.Shares)
	}
	if !sum.Equal(v.DelegatorShares) {
		return fmt.Errorf("delegations to %s are %v shares, but it counts %v", v.OperatorAddress, sum, v.DelegatorShares)
	}
	return nil
}

// rewards returns all that x/distribution owes to validators, delegators and
// the community, rounded down, and checks it against what it holds.
func (c *Chain) rewards(ctx sdk.Context) (math.Int, error) {
	pool, err := c.App.Distribution.FeePool.Get(ctx)
	if err != nil {
		return math.Int{}, err
	}
	sum := pool.CommunityPool.AmountOf(coin.Denom)
	c.App.Distribution.IterateValidatorOutstandingRewards(ctx, func(_ sdk.ValAddress, r distrtypes.ValidatorOutstandingRewards) bool {
		sum = sum.Add(r.Rewards.AmountOf(coin.Denom))
		return false
	})
	owed := sum.TruncateInt()
	if have := c.balance(ctx, distrtypes.ModuleName); !have.Equal(owed) {
		return math.Int{}, fmt.Errorf("rewards of %v are owed, but %v are there", sum, have)
	}
	return owed, nil
}

// Solvent returns an error unless everybody could withdraw all rewards and
// commissions now, whoever comes first. Nothing is kept of it.
func (c *Chain) Solvent() error {
	state, err := c.State()
	if err != nil {
		return err
	}
	ctx, _ := state.CacheContext()
	validators, err := c.App.Staking.GetAllValidators(ctx)
	if err != nil {
		return err
	}
	for _, v := range validators {
		operator, err := sdk.ValAddressFromBech32(v.OperatorAddress)
		if err != nil {
			return err
		}
		if _, err := c.App.Distribution.WithdrawValidatorCommission(ctx, operator); err != nil && !errors.Is(err, distrtypes.ErrNoValidatorCommission) {
			return fmt.Errorf("commission of %s: %w", v.OperatorAddress, err)
		}
		delegations, err := c.App.Staking.GetValidatorDelegations(ctx, operator)
		if err != nil {
			return err
		}
		for _, d := range delegations {
			who, err := sdk.AccAddressFromBech32(d.DelegatorAddress)
			if err != nil {
				return err
			}
			if _, err := c.App.Distribution.WithdrawDelegationRewards(ctx, who, operator); err != nil {
				return fmt.Errorf("rewards of %s from %s: %w", d.DelegatorAddress, v.OperatorAddress, err)
			}
		}
	}
	return c.deposited(ctx)
}

// deposited checks that governance holds at least the deposits on proposals.
func (c *Chain) deposited(ctx sdk.Context) error {
	deposits, err := c.deposits()
	if err != nil {
		return err
	}
	if have := c.balance(ctx, govtypes.ModuleName); have.LT(deposits) {
		return fmt.Errorf("deposits of %v are on proposals, but governance holds %v", deposits, have)
	}
	return nil
}
