package emission

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

// DefaultParams replace the bootstrap stake one for one, looking every 100
// blocks.
func DefaultParams() emissionv1.Params {
	return emissionv1.Params{BootstrapRelease: 1000, BootstrapTempo: 100}
}

// DefaultGenesis has minted nothing and has no bootstrap stake.
func DefaultGenesis() *emissionv1.GenesisState {
	return &emissionv1.GenesisState{Params: DefaultParams()}
}

// validateParams tells what is wrong with parameters, if anything.
func validateParams(p emissionv1.Params) error {
	if p.BootstrapTempo == 0 {
		return errors.New("bootstrap_tempo is 0 blocks; it must be at least 1")
	}
	return nil
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func ValidateGenesis(g *emissionv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	s := g.State
	if got, want := coin.Amount(s.Minted), coin.Scheduled(clock(&s)); got != want {
		return fmt.Errorf("minted %v, but the schedule says %v at clock %d ms", got, want, s.ClockMs)
	}
	if s.Unallocated > s.Minted+s.GenesisSupply {
		return fmt.Errorf("unallocated %v is more than ever existed, %v", coin.Amount(s.Unallocated), coin.Amount(s.Minted+s.GenesisSupply))
	}
	return nil
}

// InitGenesis sets the module's state. The bank must hold it already.
func (k *Keeper) InitGenesis(ctx context.Context, g *emissionv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	return k.state.Set(ctx, g.State)
}

// ExportGenesis returns the module's state. A chain that starts from it goes on
// as after a halt: its first block advances the clock by 10 s at most.
func (k *Keeper) ExportGenesis(ctx context.Context) (*emissionv1.GenesisState, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	state, err := k.state.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &emissionv1.GenesisState{Params: params, State: state}, nil
}

// Check returns an error if the state contradicts itself or the bank. promised
// is all that was allocated and not paid yet.
//
//	minted = Scheduled(clock) ≤ 21 M
//	supply = minted + genesis supply − burned
//	module's balance = unallocated + promised
func (k *Keeper) Check(ctx context.Context, promised coin.Amount) error {
	s, err := k.state.Get(ctx)
	if err != nil {
		return err
	}
	if got, want := coin.Amount(s.Minted), coin.Scheduled(clock(&s)); got != want || got > coin.Cap {
		return fmt.Errorf("emission: minted %v, schedule %v, cap %v", got, want, coin.Cap)
	}
	supply := k.bank.GetSupply(ctx, coin.Denom).Amount
	if want := sdkInt(coin.Amount(s.Minted + s.GenesisSupply - s.Burned)); !supply.Equal(want) {
		return fmt.Errorf("emission: supply %v, but minted + genesis − burned = %v", supply, want)
	}
	balance := k.bank.GetBalance(ctx, account(ModuleName), coin.Denom).Amount
	if want := sdkInt(coin.Amount(s.Unallocated) + promised); !balance.Equal(want) {
		return fmt.Errorf("emission: the account holds %v, but unallocated %v + promised %v = %v at height %d",
			balance, s.Unallocated, uint64(promised), want, sdk.UnwrapSDKContext(ctx).BlockHeight())
	}
	return nil
}
