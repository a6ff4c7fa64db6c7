package main

import (
	"context"

	basev1beta1 "cosmossdk.io/api/cosmos/base/v1beta1"
	"cosmossdk.io/client/v2/autocli/flag"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/plexus-network/plexus/coin"
)

// coinFlag reads an amount of a message: "1.5plx" or "1500nplx".
type coinFlag struct{}

// NewValue returns an amount that is not set.
func (coinFlag) NewValue(*context.Context, *flag.Builder) flag.Value { return &coinValue{} }

// DefaultValue is what help shows.
func (coinFlag) DefaultValue() string { return "" }

// coinValue is the value of a coinFlag.
type coinValue struct{ amount *coin.Amount }

// Get returns the amount as a message.
func (v *coinValue) Get(protoreflect.Value) (protoreflect.Value, error) {
	if v.amount == nil {
		return protoreflect.Value{}, nil
	}
	c := &basev1beta1.Coin{Denom: coin.Denom, Amount: fmtUint(uint64(*v.amount))}
	return protoreflect.ValueOfMessage(c.ProtoReflect()), nil
}

// Set reads the amount.
func (v *coinValue) Set(s string) error {
	a, err := coin.Parse(s)
	if err != nil {
		return err
	}
	v.amount = &a
	return nil
}

// String returns the amount in PLX.
func (v *coinValue) String() string {
	if v.amount == nil {
		return ""
	}
	return v.amount.String()
}

// Type is what help says of the flag.
func (*coinValue) Type() string { return "amount" }
