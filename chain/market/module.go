package market

import (
	"context"
	"encoding/json"
	"fmt"

	"cosmossdk.io/core/appmodule"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/grpc-ecosystem/grpc-gateway/runtime"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
)

var (
	_ appmodule.AppModule     = Module{}
	_ module.HasGenesis       = Module{}
	_ module.HasServices      = Module{}
	_ appmodule.HasEndBlocker = Module{}
)

// Module plugs a [Keeper] into the application.
type Module struct{ keeper *Keeper }

// NewModule returns the module of k.
func NewModule(k *Keeper) Module { return Module{keeper: k} }

// IsOnePerModuleType marks a module.
func (Module) IsOnePerModuleType() {}

// IsAppModule marks a module.
func (Module) IsAppModule() {}

// Name returns [ModuleName].
func (Module) Name() string { return ModuleName }

// ConsensusVersion counts changes of the stored state.
func (Module) ConsensusVersion() uint64 { return 1 }

// RegisterLegacyAminoCodec names the messages for amino JSON signing.
func (Module) RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	cdc.RegisterConcrete(&marketv1.MsgCreateDeployment{}, "plexus/market/MsgCreateDeployment", nil)
	cdc.RegisterConcrete(&marketv1.MsgUpdateDeployment{}, "plexus/market/MsgUpdateDeployment", nil)
	cdc.RegisterConcrete(&marketv1.MsgCloseDeployment{}, "plexus/market/MsgCloseDeployment", nil)
	cdc.RegisterConcrete(&marketv1.MsgPauseGroup{}, "plexus/market/MsgPauseGroup", nil)
	cdc.RegisterConcrete(&marketv1.MsgStartGroup{}, "plexus/market/MsgStartGroup", nil)
	cdc.RegisterConcrete(&marketv1.MsgCloseGroup{}, "plexus/market/MsgCloseGroup", nil)
	cdc.RegisterConcrete(&marketv1.MsgCreateBid{}, "plexus/market/MsgCreateBid", nil)
	cdc.RegisterConcrete(&marketv1.MsgCloseBid{}, "plexus/market/MsgCloseBid", nil)
	cdc.RegisterConcrete(&marketv1.MsgCreateLease{}, "plexus/market/MsgCreateLease", nil)
	cdc.RegisterConcrete(&marketv1.MsgCloseLease{}, "plexus/market/MsgCloseLease", nil)
	cdc.RegisterConcrete(&marketv1.MsgReclaimLease{}, "plexus/market/MsgReclaimLease", nil)
	cdc.RegisterConcrete(&marketv1.MsgWithdrawLease{}, "plexus/market/MsgWithdrawLease", nil)
	cdc.RegisterConcrete(&marketv1.MsgDeposit{}, "plexus/market/MsgDeposit", nil)
	cdc.RegisterConcrete(&marketv1.MsgSetAllowance{}, "plexus/market/MsgSetAllowance", nil)
	cdc.RegisterConcrete(&marketv1.MsgCreateProvider{}, "plexus/market/MsgCreateProvider", nil)
	cdc.RegisterConcrete(&marketv1.MsgUpdateProvider{}, "plexus/market/MsgUpdateProvider", nil)
	cdc.RegisterConcrete(&marketv1.MsgDeleteProvider{}, "plexus/market/MsgDeleteProvider", nil)
	cdc.RegisterConcrete(&marketv1.MsgSignAttributes{}, "plexus/market/MsgSignAttributes", nil)
	cdc.RegisterConcrete(&marketv1.MsgDeleteAttributes{}, "plexus/market/MsgDeleteAttributes", nil)
	cdc.RegisterConcrete(&marketv1.MsgReportNonDelivery{}, "plexus/market/MsgReportNonDelivery", nil)
	cdc.RegisterConcrete(&marketv1.MsgVoteNonDelivery{}, "plexus/market/MsgVoteNonDelivery", nil)
	cdc.RegisterConcrete(&marketv1.MsgUpdateParams{}, "plexus/market/MsgUpdateParams", nil)
}

// RegisterInterfaces makes the messages known to transactions.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*sdk.Msg)(nil),
		&marketv1.MsgCreateDeployment{}, &marketv1.MsgUpdateDeployment{}, &marketv1.MsgCloseDeployment{},
		&marketv1.MsgPauseGroup{}, &marketv1.MsgStartGroup{}, &marketv1.MsgCloseGroup{},
		&marketv1.MsgCreateBid{}, &marketv1.MsgCloseBid{}, &marketv1.MsgCreateLease{},
		&marketv1.MsgCloseLease{}, &marketv1.MsgReclaimLease{}, &marketv1.MsgWithdrawLease{},
		&marketv1.MsgDeposit{}, &marketv1.MsgSetAllowance{}, &marketv1.MsgCreateProvider{},
		&marketv1.MsgUpdateProvider{}, &marketv1.MsgDeleteProvider{}, &marketv1.MsgSignAttributes{},
		&marketv1.MsgDeleteAttributes{}, &marketv1.MsgReportNonDelivery{}, &marketv1.MsgVoteNonDelivery{},
		&marketv1.MsgUpdateParams{},
	)
	msgservice.RegisterMsgServiceDesc(r, &marketv1.Msg_serviceDesc)
}

// RegisterGRPCGatewayRoutes serves the queries over HTTP.
func (Module) RegisterGRPCGatewayRoutes(c client.Context, mux *runtime.ServeMux) {
	if err := marketv1.RegisterQueryHandlerClient(context.Background(), mux, marketv1.NewQueryClient(c)); err != nil {
		panic(err)
	}
}

// RegisterServices serves messages and queries.
func (m Module) RegisterServices(c module.Configurator) {
	marketv1.RegisterMsgServer(c.MsgServer(), msgs{m.keeper})
	marketv1.RegisterQueryServer(c.QueryServer(), queries{m.keeper})
}

// DefaultGenesis returns [DefaultGenesis] as JSON.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(DefaultGenesis())
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g marketv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return fmt.Errorf("genesis of %s: %w", ModuleName, err)
	}
	if err := ValidateGenesis(&g); err != nil {
		return fmt.Errorf("genesis of %s: %w", ModuleName, err)
	}
	return nil
}

// InitGenesis sets the state; it panics if that fails, as a chain must not
// start then.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g marketv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.InitGenesis(ctx, &g); err != nil {
		panic(err)
	}
}

// ExportGenesis returns the state as JSON; it panics if that fails.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.ExportGenesis(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(g)
}

// EndBlock ends what is due.
func (m Module) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }
