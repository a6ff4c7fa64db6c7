package chain

import (
	"context"
	"fmt"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/registry"
)

// A release takes a chain from one version of this software to the next, at
// the height that governance planned under its name. Nodes of the old software
// stop there; the new one migrates every module whose version changed, starts
// those that are new, and goes on.
type release struct {
	name   string
	stores storetypes.StoreUpgrades // that come or go with it
}

// releases lists all upgrades that this software can do, oldest first. One that
// a chain has behind it stays: a node may have to replay it.
var releases = []release{
	// The emission's clock in one record; defaults for newer parameters of
	// subnets; the registry; the market.
	{name: "v2", stores: storetypes.StoreUpgrades{Added: []string{registry.ModuleName, market.ModuleName}}},
	// The market, for chains that began with the registry and without it.
	{name: "v3", stores: storetypes.StoreUpgrades{Added: []string{market.ModuleName}}},
}

// setUpgrades readies the state machine for planned upgrades. home may be empty
// if nothing is kept on disk; if it holds the note of an upgrade at which an
// old node stopped, stores are changed as that asks.
func (a *App) setUpgrades(home string) error {
	for _, u := range releases {
		a.upgrade.SetUpgradeHandler(u.name, func(ctx context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
			if err := a.claim(ctx, market.ModuleName); err != nil {
				return nil, err
			}
			return a.modules.RunMigrations(ctx, a.configured, from)
		})
	}
	if home == "" {
		return nil
	}
	plan, err := a.upgrade.ReadUpgradeInfoFromDisk()
	if err != nil {
		return fmt.Errorf("note of an upgrade in %s: %w", home, err)
	}
	for _, u := range releases {
		if u.name == plan.Name {
			a.SetStoreLoader(upgradetypes.UpgradeStoreLoader(plan.Height, &u.stores))
		}
	}
	return nil
}

// claim makes the account of a module that comes with a release the module's
// own. Before, anybody could send coins to its address, which made an ordinary
// account of it: those go to the community, since a module must have what its
// books say.
func (a *App) claim(ctx context.Context, name string) error {
	address := authtypes.NewModuleAddress(name)
	old := a.Accounts.GetAccount(ctx, address)
	if _, own := old.(sdk.ModuleAccountI); old == nil || own {
		return nil
	}
	if have := a.Bank.GetAllBalances(ctx, address); !have.IsZero() {
		if err := a.Distribution.FundCommunityPool(ctx, have, address); err != nil {
			return fmt.Errorf("what lies at the account of %s: %w", name, err)
		}
	}
	base := authtypes.NewBaseAccount(address, nil, old.GetAccountNumber(), old.GetSequence())
	a.Accounts.SetModuleAccount(ctx, authtypes.NewModuleAccount(base, name, moduleAccounts()[name]...))
	return nil
}
