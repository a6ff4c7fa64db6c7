package chain

import (
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/std"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"
	"github.com/cosmos/gogoproto/proto"

	"github.com/plexus-network/plexus/coin"
)

// Encoding is how transactions and state are written as bytes and as JSON.
type Encoding struct {
	Registry codectypes.InterfaceRegistry
	Codec    codec.Codec
	Amino    *codec.LegacyAmino
	TxConfig client.TxConfig
}

// newEncoding returns an Encoding that knows no module's messages yet.
func newEncoding() (Encoding, error) {
	Configure()
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: proto.HybridResolver,
		SigningOptions: txsigning.Options{
			AddressCodec:          accountAddresses,
			ValidatorAddressCodec: validatorAddresses,
		},
	})
	if err != nil {
		return Encoding{}, err
	}
	cdc := codec.NewProtoCodec(registry)
	enc := Encoding{
		Registry: registry,
		Codec:    cdc,
		Amino:    codec.NewLegacyAmino(),
		TxConfig: authtx.NewTxConfig(cdc, authtx.DefaultSignModes),
	}
	std.RegisterLegacyAminoCodec(enc.Amino)
	std.RegisterInterfaces(enc.Registry)
	return enc, nil
}

// sdkInt returns a as an integer of the SDK.
func sdkInt(a coin.Amount) math.Int { return math.NewIntFromUint64(uint64(a)) }
