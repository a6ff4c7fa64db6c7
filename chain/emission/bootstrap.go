package emission

import (
	"context"
	"fmt"
	"math/bits"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

// maxBootstrap bounds the number of genesis validators.
const maxBootstrap = 1000

// A pledge is the bootstrap stake on one validator.
type pledge struct {
	val    sdk.ValAddress
	shares math.LegacyDec
	tokens coin.Amount
	bonded bool
}

// lookAtBootstrap takes the rewards of the bootstrap stake back and burns of it
// what organic stake has replaced.
func (k *Keeper) lookAtBootstrap(ctx context.Context, params emissionv1.Params) error {
	pledges, err := k.pledges(ctx)
	if err != nil {
		return err
	}
	for _, p := range pledges {
		if _, err := k.rewards.WithdrawDelegationRewards(ctx, account(BootstrapName), p.val); err != nil {
			return fmt.Errorf("bootstrap rewards of %s: %w", p.val, err)
		}
	}
	if err := k.release(ctx, pledges, params.BootstrapRelease); err != nil {
		return err
	}
	return k.sweep(ctx)
}

// pledges returns the bootstrap delegations in the order of the store.
func (k *Keeper) pledges(ctx context.Context) ([]pledge, error) {
	delegations, err := k.staking.GetDelegatorDelegations(ctx, account(BootstrapName), maxBootstrap)
	if err != nil {
		return nil, err
	}
	pledges := make([]pledge, len(delegations))
	for i, d := range delegations {
		val, err := sdk.ValAddressFromBech32(d.ValidatorAddress)
		if err != nil {
			return nil, err
		}
		v, err := k.staking.GetValidator(ctx, val)
		if err != nil {
			return nil, fmt.Errorf("bootstrap validator %s: %w", val, err)
		}
		tokens := coin.Amount(v.TokensFromSharesTruncated(d.Shares).TruncateInt().Uint64())
		pledges[i] = pledge{val: val, shares: d.Shares, tokens: tokens, bonded: v.IsBonded()}
	}
	return pledges, nil
}

// release burns bootstrap stake until as much is gone as organic stake asks
// for: rate thousandths of it. Every pledge shrinks in proportion.
func (k *Keeper) release(ctx context.Context, pledges []pledge, rate uint32) error {
	total, err := k.staking.TotalValidatorPower(ctx)
	if err != nil {
		return err
	}
	var live, bonded coin.Amount
	for _, p := range pledges {
		live += p.tokens
		if p.bonded {
			bonded += p.tokens
		}
	}
	organic := coin.Amount(max(total.Uint64(), uint64(bonded))) - bonded

	state, err := k.state.Get(ctx)
	if err != nil {
		return err
	}
	due := released(organic, rate, live+coin.Amount(state.BootstrapBurned))
	var burned coin.Amount
	if gone := coin.Amount(state.BootstrapBurned); due > gone {
		if burned, err = k.burnPledges(ctx, pledges, due-gone, live); err != nil {
			return err
		}
	}
	return k.update(ctx, func(s *emissionv1.State) error {
		s.Bootstrap = uint64(live - burned)
		s.BootstrapBurned += uint64(burned)
		return nil
	})
}

// released returns how much of the whole bootstrap stake is to be gone when
// organic stake is bonded: rate thousandths of it, at most all.
func released(organic coin.Amount, rate uint32, whole coin.Amount) coin.Amount {
	hi, lo := bits.Mul64(uint64(organic), uint64(rate))
	if hi >= 1000 {
		return whole
	}
	due, _ := bits.Div64(hi, lo, 1000)
	return min(coin.Amount(due), whole)
}

// burnPledges burns the part amount/live of every pledge, rounded down, and
// returns how much that was.
func (k *Keeper) burnPledges(ctx context.Context, pledges []pledge, amount, live coin.Amount) (coin.Amount, error) {
	part := math.LegacyNewDecFromInt(sdkInt(amount)).QuoTruncate(math.LegacyNewDecFromInt(sdkInt(live)))
	var burned coin.Amount
	for _, p := range pledges {
		shares := p.shares.MulTruncate(part)
		if amount == live {
			shares = p.shares
		}
		if !shares.IsPositive() {
			continue
		}
		tokens, err := k.staking.Unbond(ctx, account(BootstrapName), p.val, shares)
		if err != nil {
			return 0, fmt.Errorf("release bootstrap stake of %s: %w", p.val, err)
		}
		if !tokens.IsPositive() {
			continue
		}
		pool := stakingtypes.NotBondedPoolName
		if p.bonded {
			pool = stakingtypes.BondedPoolName
		}
		gone := coin.Amount(tokens.Uint64())
		if err := k.bank.BurnCoins(ctx, pool, coins(gone)); err != nil {
			return 0, err
		}
		burned += gone
	}
	return min(burned, live), nil
}

// sweep takes what lies in the bootstrap account back into the schedule.
func (k *Keeper) sweep(ctx context.Context) error {
	balance := k.bank.GetBalance(ctx, account(BootstrapName), coin.Denom).Amount
	if !balance.IsPositive() {
		return nil
	}
	amount := coin.Amount(balance.Uint64())
	if err := k.bank.SendCoinsFromAccountToModule(ctx, account(BootstrapName), ModuleName, coins(amount)); err != nil {
		return err
	}
	return k.update(ctx, func(s *emissionv1.State) error {
		s.Unallocated += uint64(amount)
		return nil
	})
}

// sdkInt returns a as an integer of the SDK.
func sdkInt(a coin.Amount) math.Int { return math.NewIntFromUint64(uint64(a)) }
