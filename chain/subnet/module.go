package subnet

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

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
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
func (Module) ConsensusVersion() uint64 { return consensusVersion }

// RegisterLegacyAminoCodec names the messages for amino JSON signing.
func (Module) RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	cdc.RegisterConcrete(&subnetv1.MsgRegisterSubnet{}, "plexus/subnet/MsgRegisterSubnet", nil)
	cdc.RegisterConcrete(&subnetv1.MsgRegisterNeuron{}, "plexus/subnet/MsgRegisterNeuron", nil)
	cdc.RegisterConcrete(&subnetv1.MsgUpdateAxon{}, "plexus/subnet/MsgUpdateAxon", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetWeights{}, "plexus/subnet/MsgSetWeights", nil)
	cdc.RegisterConcrete(&subnetv1.MsgCommitWeights{}, "plexus/subnet/MsgCommitWeights", nil)
	cdc.RegisterConcrete(&subnetv1.MsgRevealWeights{}, "plexus/subnet/MsgRevealWeights", nil)
	cdc.RegisterConcrete(&subnetv1.MsgClaim{}, "plexus/subnet/MsgClaim", nil)
	cdc.RegisterConcrete(&subnetv1.MsgUpdateSubnet{}, "plexus/subnet/MsgUpdateSubnet", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetWeightsBatch{}, "plexus/subnet/MsgSetWeightsBatch", nil)
	cdc.RegisterConcrete(&subnetv1.MsgRegisterByWork{}, "plexus/subnet/MsgRegisterByWork", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetCommitment{}, "plexus/subnet/MsgSetCommitment", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetChildren{}, "plexus/subnet/MsgSetChildren", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetChildTake{}, "plexus/subnet/MsgSetChildTake", nil)
	cdc.RegisterConcrete(&subnetv1.MsgRotate{}, "plexus/subnet/MsgRotate", nil)
	cdc.RegisterConcrete(&subnetv1.MsgUpdateParams{}, "plexus/subnet/MsgUpdateParams", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetIdentity{}, "plexus/subnet/MsgSetIdentity", nil)
	cdc.RegisterConcrete(&subnetv1.MsgSetMechanisms{}, "plexus/subnet/MsgSetMechanisms", nil)
	cdc.RegisterConcrete(&subnetv1.MsgOfferSubnet{}, "plexus/subnet/MsgOfferSubnet", nil)
	cdc.RegisterConcrete(&subnetv1.MsgAcceptSubnet{}, "plexus/subnet/MsgAcceptSubnet", nil)
	cdc.RegisterConcrete(&subnetv1.MsgDissolveSubnet{}, "plexus/subnet/MsgDissolveSubnet", nil)
}

// RegisterInterfaces makes the messages known to transactions.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*sdk.Msg)(nil),
		&subnetv1.MsgRegisterSubnet{}, &subnetv1.MsgRegisterNeuron{}, &subnetv1.MsgUpdateAxon{},
		&subnetv1.MsgSetWeights{}, &subnetv1.MsgCommitWeights{}, &subnetv1.MsgRevealWeights{},
		&subnetv1.MsgSetWeightsBatch{}, &subnetv1.MsgRegisterByWork{}, &subnetv1.MsgSetCommitment{},
		&subnetv1.MsgSetChildren{}, &subnetv1.MsgSetChildTake{}, &subnetv1.MsgRotate{},
		&subnetv1.MsgClaim{}, &subnetv1.MsgUpdateSubnet{}, &subnetv1.MsgUpdateParams{},
		&subnetv1.MsgSetIdentity{}, &subnetv1.MsgSetMechanisms{}, &subnetv1.MsgOfferSubnet{},
		&subnetv1.MsgAcceptSubnet{}, &subnetv1.MsgDissolveSubnet{})
	msgservice.RegisterMsgServiceDesc(r, &subnetv1.Msg_serviceDesc)
}

// RegisterGRPCGatewayRoutes serves the queries over HTTP.
func (Module) RegisterGRPCGatewayRoutes(c client.Context, mux *runtime.ServeMux) {
	if err := subnetv1.RegisterQueryHandlerClient(context.Background(), mux, subnetv1.NewQueryClient(c)); err != nil {
		panic(err)
	}
}

// RegisterServices serves messages and queries, and knows how to take over the
// state of earlier versions. It panics if two migrations start from one
// version: a bug, found by any test.
func (m Module) RegisterServices(c module.Configurator) {
	subnetv1.RegisterMsgServer(c.MsgServer(), msgs{m.keeper})
	subnetv1.RegisterQueryServer(c.QueryServer(), queries{m.keeper})
	if err := c.RegisterMigration(ModuleName, 1, func(ctx sdk.Context) error { return m.keeper.migrate1to2(ctx) }); err != nil {
		panic(err)
	}
}

// DefaultGenesis returns [DefaultGenesis] as JSON.
func (m Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(DefaultGenesis(m.keeper.authority))
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g subnetv1.GenesisState
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
	var g subnetv1.GenesisState
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

// EndBlock runs the epochs that are due.
func (m Module) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }
