package chain

import (
	"fmt"

	sdkaddress "github.com/cosmos/cosmos-sdk/types/address"
	"github.com/cosmos/cosmos-sdk/types/bech32"
)

// addresses writes addresses in bech32 under one prefix. It does as the SDK's
// own, which asks the process for its name and host at every address it reads:
// a twelfth of the time of a block of 64 validators.
type addresses struct{ prefix string }

// The three kinds of addresses.
var (
	accountAddresses   = addresses{Prefix}
	validatorAddresses = addresses{Prefix + "valoper"}
	consensusAddresses = addresses{Prefix + "valcons"}
)

// StringToBytes reads an address.
func (a addresses) StringToBytes(text string) ([]byte, error) {
	prefix, b, err := bech32.DecodeAndConvert(text)
	if err != nil {
		return nil, fmt.Errorf("address %.128q: %w", text, err)
	}
	if prefix != a.prefix {
		return nil, fmt.Errorf("address %.128q begins with %q; it must begin with %q", text, prefix, a.prefix)
	}
	if len(b) == 0 || len(b) > sdkaddress.MaxAddrLen {
		return nil, fmt.Errorf("address %.128q has %d bytes; it must have 1 to %d", text, len(b), sdkaddress.MaxAddrLen)
	}
	return b, nil
}

// BytesToString writes an address; no bytes are an empty text.
func (a addresses) BytesToString(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	return bech32.ConvertAndEncode(a.prefix, b)
}
