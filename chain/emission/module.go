package emission

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

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
)

var (
	_ appmodule.AppModule       = Module{}
	_ module.HasGenesis         = Module{}
	_ module.HasServices        = Module{}
	_ appmodule.HasBeginBlocker = Module{}
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
func (Module) ConsensusVersion() uint64 { return consensusVersion }

// RegisterLegacyAminoCodec names the messages for amino JSON signing.
func (Module) RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	cdc.RegisterConcrete(&emissionv1.MsgUpdateParams{}, "plexus/emission/MsgUpdateParams", nil)
}

// RegisterInterfaces makes the messages known to transactions.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*sdk.Msg)(nil), &emissionv1.MsgUpdateParams{})
	msgservice.RegisterMsgServiceDesc(r, &emissionv1.Msg_serviceDesc)
}

// RegisterGRPCGatewayRoutes serves the queries over HTTP.
func (Module) RegisterGRPCGatewayRoutes(c client.Context, mux *runtime.ServeMux) {
	if err := emissionv1.RegisterQueryHandlerClient(context.Background(), mux, emissionv1.NewQueryClient(c)); err != nil {
		panic(err)
	}
}

// RegisterServices serves messages and queries, and knows how to take over the
// state of earlier versions. It panics if two migrations start from one
// version: a bug, found by any test.
func (m Module) RegisterServices(c module.Configurator) {
	emissionv1.RegisterMsgServer(c.MsgServer(), msgs{m.keeper})
	emissionv1.RegisterQueryServer(c.QueryServer(), queries{m.keeper})
	if err := c.RegisterMigration(ModuleName, 1, func(ctx sdk.Context) error { return m.keeper.migrate1to2(ctx) }); err != nil {
		panic(err)
	}
}

// DefaultGenesis returns [DefaultGenesis] as JSON.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(DefaultGenesis())
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g emissionv1.GenesisState
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
	var g emissionv1.GenesisState
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

// BeginBlock mints.
func (m Module) BeginBlock(ctx context.Context) error { return m.keeper.BeginBlock(ctx) }
