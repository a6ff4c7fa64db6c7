// Package chain is the Plexus blockchain: its state machine, its genesis, and
// a node as a library.
//
// The state machine ([App]) is the Cosmos SDK, wired by hand, with two modules
// of our own: emission mints the token by its schedule, subnet pays it to
// those who do the work. [StartNode] runs it under CometBFT in this process;
// one process can hold several nodes. [Genesis] makes the first block by code.
package chain

import (
	"cmp"
	"os"
	"sync"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/plexus-network/plexus/coin"
)

// Name is what the chain's software calls itself, Prefix begins every address,
// and CoinType is the number of the token in key derivation paths (BIP-44).
const (
	Name     = "plexus"
	Prefix   = "plx"
	CoinType = 118
)

var configureOnce sync.Once

// Configure sets the address prefix and the staking token of the SDK, which
// are of the whole process. Everything exported here calls it; a command that
// prints or parses addresses with the SDK before that calls it first. It may
// be called any number of times.
func Configure() {
	configureOnce.Do(func() {
		// Without a scope, the SDK asks the process for its file and host at
		// every address it reads: a seventh of the time of a payment.
		_ = os.Setenv(sdk.EnvConfigScope, cmp.Or(os.Getenv(sdk.EnvConfigScope), Name))
		sdk.DefaultBondDenom = coin.Denom
		c := sdk.GetConfig()
		c.SetBech32PrefixForAccount(Prefix, Prefix+"pub")
		c.SetBech32PrefixForValidator(Prefix+"valoper", Prefix+"valoperpub")
		c.SetBech32PrefixForConsensusNode(Prefix+"valcons", Prefix+"valconspub")
		c.SetCoinType(CoinType)
		c.Seal()
	})
}

// nplx returns a as coins of the SDK.
func nplx(a coin.Amount) sdk.Coin { return sdk.NewCoin(coin.Denom, sdkInt(a)) }
