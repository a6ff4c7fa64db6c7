package chain

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
	reflectionv1 "cosmossdk.io/api/cosmos/reflection/v1"
	"cosmossdk.io/core/comet"
	corestore "cosmossdk.io/core/store"
	cosmoslog "cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/runtime"
	runtimeservices "github.com/cosmos/cosmos-sdk/runtime/services"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/api"
	"github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/version"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	authzpkg "github.com/cosmos/cosmos-sdk/x/authz"

	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/registry"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// An App is the state machine of the chain. Its exported fields are for those
// who look at a chain from within its process, as simulations do.
type App struct {
	*baseapp.BaseApp
	Encoding Encoding

	Accounts     authkeeper.AccountKeeper
	Bank         bankkeeper.Keeper
	Staking      *stakingkeeper.Keeper
	Distribution distrkeeper.Keeper
	Emission     *emission.Keeper
	Subnets      *subnet.Keeper
	Registry     *registry.Keeper
	Market       *market.Keeper

	slashing   slashingkeeper.Keeper
	gov        *govkeeper.Keeper
	upgrade    *upgradekeeper.Keeper
	evidence   *evidencekeeper.Keeper
	authz      authzkeeper.Keeper
	feegrant   feegrantkeeper.Keeper
	consensus  consensuskeeper.Keeper
	modules    *module.Manager
	basics     module.BasicManager
	configured module.Configurator
	keys       map[string]*storetypes.KVStoreKey
}

// AppOptions says how an App keeps its state. The zero value keeps it in
// memory.
type AppOptions struct {
	DB      dbm.DB // nil means a new one in memory
	Home    string // for upgrades; may be empty
	ChainID string
	Log     *slog.Logger // nil means none
	Base    []func(*baseapp.BaseApp)
}

var _ servertypes.Application = (*App)(nil)

// moduleAccounts lists the accounts of modules and what they may do.
func moduleAccounts() map[string][]string {
	return map[string][]string{
		authtypes.FeeCollectorName:          nil,
		distrtypes.ModuleName:               nil,
		emission.ModuleName:                 {authtypes.Minter, authtypes.Burner},
		emission.BootstrapName:              nil,
		stakingtypes.BondedPoolName:         {authtypes.Burner, authtypes.Staking},
		stakingtypes.NotBondedPoolName:      {authtypes.Burner, authtypes.Staking},
		stakingtypes.KeyRotationFeePoolName: {authtypes.Burner},
		govtypes.ModuleName:                 {authtypes.Burner},
		market.ModuleName:                   {authtypes.Burner},
	}
}

// storeNames lists the stores of all modules.
var storeNames = []string{
	authtypes.StoreKey, banktypes.StoreKey, stakingtypes.StoreKey, distrtypes.StoreKey,
	slashingtypes.StoreKey, govtypes.StoreKey, consensustypes.StoreKey, upgradetypes.StoreKey,
	evidencetypes.StoreKey, feegrant.StoreKey, authzkeeper.StoreKey,
	emission.ModuleName, subnet.ModuleName, registry.ModuleName, market.ModuleName,
}

// governance returns the address of x/gov, which may change parameters.
func governance() sdk.AccAddress { return authtypes.NewModuleAddress(govtypes.ModuleName) }

// NewApp returns the state machine with the state of o.DB loaded.
func NewApp(o AppOptions) (*App, error) {
	enc, err := newEncoding()
	if err != nil {
		return nil, err
	}
	if o.DB == nil {
		o.DB = dbm.NewMemDB()
	}
	log := cosmosLog(o.Log)
	options := append([]func(*baseapp.BaseApp){baseapp.SetChainID(o.ChainID)}, o.Base...)
	a := &App{
		BaseApp:  baseapp.NewBaseApp(Name, log, o.DB, enc.TxConfig.TxDecoder(), options...),
		Encoding: enc,
		keys:     storetypes.NewKVStoreKeys(storeNames...),
	}
	a.SetVersion(version.Version)
	a.SetInterfaceRegistry(enc.Registry)
	a.SetTxEncoder(enc.TxConfig.TxEncoder())
	a.makeKeepers(o.Home, log)
	if err := a.makeModules(); err != nil {
		return nil, err
	}
	a.MountKVStores(a.keys)
	a.SetInitChainer(a.initChain)
	a.SetPreBlocker(func(ctx sdk.Context, _ *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
		return a.modules.PreBlock(ctx)
	})
	a.SetBeginBlocker(a.modules.BeginBlock)
	a.SetEndBlocker(a.modules.EndBlock)
	ante, err := newAnteHandler(a)
	if err != nil {
		return nil, err
	}
	a.SetAnteHandler(ante)
	if err := a.setUpgrades(o.Home); err != nil {
		return nil, err
	}
	if err := a.LoadLatestVersion(); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	return a, nil
}

// makeKeepers builds the keepers, those first that others need.
func (a *App) makeKeepers(home string, log cosmoslog.Logger) {
	cdc, authority := a.Encoding.Codec, governance().String()
	store := func(name string) corestore.KVStoreService { return runtime.NewKVStoreService(a.keys[name]) }

	a.consensus = consensuskeeper.NewKeeper(cdc, store(consensustypes.StoreKey), authority, runtime.EventService{})
	a.SetParamStore(a.consensus.ParamsStore)
	a.Accounts = authkeeper.NewAccountKeeper(cdc, store(authtypes.StoreKey), authtypes.ProtoBaseAccount,
		moduleAccounts(), accountAddresses, Prefix, authority)
	a.Bank = meteredBank{
		BaseKeeper: bankkeeper.NewBaseKeeper(cdc, store(banktypes.StoreKey), a.Accounts, blockedAccounts(), authority, log),
		note:       func(ctx context.Context, burned sdk.Coins) error { return a.Emission.NoteBurn(ctx, burned) },
	}
	a.Staking = stakingkeeper.NewKeeper(cdc, store(stakingtypes.StoreKey), a.Accounts, a.Bank, authority,
		validatorAddresses, consensusAddresses)
	a.Distribution = distrkeeper.NewKeeper(cdc, store(distrtypes.StoreKey), a.Accounts, a.Bank, a.Staking,
		authtypes.FeeCollectorName, authority)
	a.slashing = slashingkeeper.NewKeeper(cdc, a.Encoding.Amino, store(slashingtypes.StoreKey), a.Staking, authority)
	a.Staking.SetHooks(stakingtypes.NewMultiStakingHooks(a.Distribution.Hooks(), a.slashing.Hooks()))
	a.feegrant = feegrantkeeper.NewKeeper(cdc, store(feegrant.StoreKey), a.Accounts)
	a.authz = authzkeeper.NewKeeper(store(authzkeeper.StoreKey), cdc, deposits{a.MsgServiceRouter(), a}, a.Accounts)
	a.upgrade = upgradekeeper.NewKeeper(nil, store(upgradetypes.StoreKey), cdc, home, a.BaseApp, authority)
	a.gov = govkeeper.NewKeeper(cdc, store(govtypes.StoreKey), a.Accounts, a.Bank, a.Distribution, deposits{a.MsgServiceRouter(), a},
		govtypes.DefaultConfig(), authority, govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(a.Staking))
	a.evidence = evidencekeeper.NewKeeper(cdc, store(evidencetypes.StoreKey), a.Staking, a.slashing,
		a.Accounts.AddressCodec(), blockInfo{})
	a.Emission = emission.NewKeeper(cdc, store(emission.ModuleName), a.Bank, a.Staking, a.Distribution, authority)
	a.Subnets = subnet.NewKeeper(cdc, store(subnet.ModuleName), a.Emission, a.Staking, a.Accounts.AddressCodec(), authority)
	a.Registry = registry.NewKeeper(cdc, store(registry.ModuleName), a.Subnets, a.Accounts.AddressCodec(), authority)
	a.Market = market.NewKeeper(cdc, store(market.ModuleName), a.Bank, a.Distribution, a.Subnets, a.Accounts.AddressCodec(), authority)
}

// makeModules plugs the keepers in, and sets who comes when in a block.
func (a *App) makeModules() error {
	cdc, interfaces := a.Encoding.Codec, a.Encoding.Registry
	a.modules = module.NewManager(
		auth.NewAppModule(cdc, a.Accounts, nil),
		bank.NewAppModule(cdc, a.Bank.(meteredBank).BaseKeeper, a.Accounts), // its messages burn nothing, and want this type
		distr.NewAppModule(cdc, a.Distribution, a.Accounts, a.Bank, a.Staking),
		staking.NewAppModule(cdc, a.Staking, a.Accounts, a.Bank),
		slashing.NewAppModule(cdc, a.slashing, a.Accounts, a.Bank, a.Staking, interfaces),
		gov.NewAppModule(cdc, a.gov, a.Accounts, a.Bank),
		evidence.NewAppModule(*a.evidence),
		feegrantmodule.NewAppModule(cdc, a.Accounts, a.Bank, a.feegrant, interfaces),
		authzmodule.NewAppModule(cdc, a.authz, a.Accounts, a.Bank, interfaces),
		upgrade.NewAppModule(a.upgrade, a.Accounts.AddressCodec()),
		consensus.NewAppModule(cdc, a.consensus),
		emission.NewModule(a.Emission),
		subnet.NewModule(a.Subnets),
		registry.NewModule(a.Registry),
		market.NewModule(a.Market),
		genutil.NewAppModule(a.Accounts, a.Staking, a, a.Encoding.TxConfig),
	)
	a.basics = module.NewBasicManagerFromManager(a.modules, map[string]module.AppModuleBasic{
		genutiltypes.ModuleName: genutil.NewAppModuleBasic(genutiltypes.DefaultMessageValidator),
	})
	a.basics.RegisterLegacyAminoCodec(a.Encoding.Amino)
	a.basics.RegisterInterfaces(interfaces)

	a.modules.SetOrderPreBlockers(upgradetypes.ModuleName, authtypes.ModuleName)
	a.modules.SetOrderBeginBlockers(emission.ModuleName, distrtypes.ModuleName, slashingtypes.ModuleName,
		evidencetypes.ModuleName, stakingtypes.ModuleName, authzpkg.ModuleName)
	a.modules.SetOrderEndBlockers(market.ModuleName, registry.ModuleName, subnet.ModuleName, banktypes.ModuleName, govtypes.ModuleName,
		stakingtypes.ModuleName, feegrant.ModuleName)
	order := []string{
		consensustypes.ModuleName, authtypes.ModuleName, banktypes.ModuleName, distrtypes.ModuleName,
		stakingtypes.ModuleName, slashingtypes.ModuleName, govtypes.ModuleName, evidencetypes.ModuleName,
		authzpkg.ModuleName, feegrant.ModuleName, upgradetypes.ModuleName,
		emission.ModuleName, subnet.ModuleName, registry.ModuleName, market.ModuleName, genutiltypes.ModuleName,
	}
	a.modules.SetOrderInitGenesis(order...)
	a.modules.SetOrderExportGenesis(order...)

	a.configured = module.NewConfigurator(cdc, a.MsgServiceRouter(), a.GRPCQueryRouter())
	if err := a.modules.RegisterServices(a.configured); err != nil {
		return err
	}
	autocliv1.RegisterQueryServer(a.GRPCQueryRouter(), runtimeservices.NewAutoCLIQueryService(a.modules.Modules))
	reflection, err := runtimeservices.NewReflectionService()
	if err != nil {
		return err
	}
	reflectionv1.RegisterReflectionServiceServer(a.GRPCQueryRouter(), reflection)
	return nil
}

// initChain sets the state of the first block.
func (a *App) initChain(ctx sdk.Context, r *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	var genesis map[string]json.RawMessage
	if err := json.Unmarshal(r.AppStateBytes, &genesis); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	if err := a.upgrade.SetModuleVersionMap(ctx, a.modules.GetVersionMap()); err != nil {
		return nil, err
	}
	return a.modules.InitGenesis(ctx, a.Encoding.Codec, genesis)
}

// AutoCLI describes the commands of every module, by the module's name.
func (a *App) AutoCLI() map[string]*autocliv1.ModuleOptions {
	return runtimeservices.ExtractAutoCLIOptions(a.modules.Modules)
}

// Modules returns the modules by name, as commands are made of them.
func (a *App) Modules() map[string]any { return a.modules.Modules }

// Basics returns the stateless side of the modules: their hand-written
// commands and HTTP routes.
func (a *App) Basics() module.BasicManager { return a.basics }

// Check returns an error if the state contradicts itself. It looks at all of
// it: it is for tests and audits.
func (a *App) Check(ctx context.Context) error {
	promised, err := a.Subnets.Promised(ctx)
	if err != nil {
		return err
	}
	if err := a.Emission.Check(ctx, promised); err != nil {
		return err
	}
	if err := a.Subnets.Check(ctx); err != nil {
		return err
	}
	if err := a.Registry.Check(ctx); err != nil {
		return err
	}
	if err := a.Market.Check(ctx); err != nil {
		return err
	}
	total := sdk.NewCoins()
	a.Bank.IterateAllBalances(ctx, func(_ sdk.AccAddress, c sdk.Coin) bool {
		total = total.Add(c)
		return false
	})
	if supply := a.Bank.GetSupply(ctx, coin.Denom); !total.AmountOf(coin.Denom).Equal(supply.Amount) {
		return fmt.Errorf("balances add up to %s, but the supply is %s", total, supply)
	}
	return nil
}

// RegisterAPIRoutes serves the queries of all modules over HTTP.
func (a *App) RegisterAPIRoutes(s *api.Server, _ config.APIConfig) {
	authtx.RegisterGRPCGatewayRoutes(s.ClientCtx, s.GRPCGatewayRouter)
	cmtservice.RegisterGRPCGatewayRoutes(s.ClientCtx, s.GRPCGatewayRouter)
	nodeservice.RegisterGRPCGatewayRoutes(s.ClientCtx, s.GRPCGatewayRouter)
	a.basics.RegisterGRPCGatewayRoutes(s.ClientCtx, s.GRPCGatewayRouter)
}

// RegisterTxService serves transactions through the node of c.
func (a *App) RegisterTxService(c client.Context) {
	authtx.RegisterTxService(a.GRPCQueryRouter(), c, a.Simulate, a.Encoding.Registry)
}

// RegisterTendermintService serves blocks through the node of c.
func (a *App) RegisterTendermintService(c client.Context) {
	cmtservice.RegisterTendermintService(c, a.GRPCQueryRouter(), a.Encoding.Registry, server.NewCometABCIWrapper(a).Query)
}

// RegisterNodeService serves the node's configuration.
func (a *App) RegisterNodeService(c client.Context, cfg config.Config) {
	nodeservice.RegisterNodeService(c, a.GRPCQueryRouter(), cfg, func() int64 { return a.CommitMultiStore().EarliestVersion() })
}

// meteredBank is the bank with a meter on what is burned.
type meteredBank struct {
	bankkeeper.BaseKeeper
	note func(ctx context.Context, burned sdk.Coins) error
}

// BurnCoins burns coins of a module's account and counts them.
func (b meteredBank) BurnCoins(ctx context.Context, module string, amount sdk.Coins) error {
	if err := b.BaseKeeper.BurnCoins(ctx, module, amount); err != nil {
		return err
	}
	return b.note(ctx, amount)
}

// blockedAccounts lists the modules' accounts that nobody can send coins to.
// Governance may hold coins, and distribution pays rewards to the bootstrap
// account.
func blockedAccounts() map[string]bool {
	blocked := map[string]bool{}
	for name := range moduleAccounts() {
		blocked[authtypes.NewModuleAddress(name).String()] = true
	}
	delete(blocked, governance().String())
	delete(blocked, authtypes.NewModuleAddress(emission.BootstrapName).String())
	return blocked
}

// blockInfo tells evidence what CometBFT said of the block.
type blockInfo struct{}

// GetCometBlockInfo returns what CometBFT said of the block of ctx.
func (blockInfo) GetCometBlockInfo(ctx context.Context) comet.BlockInfo {
	return sdk.UnwrapSDKContext(ctx).CometInfo()
}
