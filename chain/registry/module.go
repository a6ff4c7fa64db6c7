package registry

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

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
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
	cdc.RegisterConcrete(&registryv1.MsgRegisterManifest{}, "plexus/registry/MsgRegisterManifest", nil)
	cdc.RegisterConcrete(&registryv1.MsgCommitAudit{}, "plexus/registry/MsgCommitAudit", nil)
	cdc.RegisterConcrete(&registryv1.MsgRevealAudit{}, "plexus/registry/MsgRevealAudit", nil)
	cdc.RegisterConcrete(&registryv1.MsgReportFraud{}, "plexus/registry/MsgReportFraud", nil)
	cdc.RegisterConcrete(&registryv1.MsgVoteFraud{}, "plexus/registry/MsgVoteFraud", nil)
	cdc.RegisterConcrete(&registryv1.MsgPublishRoot{}, "plexus/registry/MsgPublishRoot", nil)
	cdc.RegisterConcrete(&registryv1.MsgUpdateParams{}, "plexus/registry/MsgUpdateParams", nil)
}

// RegisterInterfaces makes the messages known to transactions.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*sdk.Msg)(nil),
		&registryv1.MsgRegisterManifest{}, &registryv1.MsgCommitAudit{}, &registryv1.MsgRevealAudit{},
		&registryv1.MsgReportFraud{}, &registryv1.MsgVoteFraud{}, &registryv1.MsgPublishRoot{}, &registryv1.MsgUpdateParams{},
	)
	msgservice.RegisterMsgServiceDesc(r, &registryv1.Msg_serviceDesc)
}

// RegisterGRPCGatewayRoutes serves the queries over HTTP.
func (Module) RegisterGRPCGatewayRoutes(c client.Context, mux *runtime.ServeMux) {
	if err := registryv1.RegisterQueryHandlerClient(context.Background(), mux, registryv1.NewQueryClient(c)); err != nil {
		panic(err)
	}
}

// RegisterServices serves messages and queries.
func (m Module) RegisterServices(c module.Configurator) {
	registryv1.RegisterMsgServer(c.MsgServer(), msgs{m.keeper})
	registryv1.RegisterQueryServer(c.QueryServer(), queries{m.keeper})
}

// DefaultGenesis returns [DefaultGenesis] as JSON.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(DefaultGenesis())
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g registryv1.GenesisState
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
	var g registryv1.GenesisState
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
