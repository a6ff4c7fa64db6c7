package chain

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/plexus-network/plexus/coin"
)

// listed reads a file that tells wallets of the chain.
func listed(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "registry", "plexus", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// required returns the version of a module that this one is built with.
func required(t *testing.T, module string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` v(\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("go.mod does not require %s", module)
	}
	return string(m[1])
}

// TestRegistryTellsTheTruth compares what wallets are told of the chain with
// what it is.
func TestRegistryTellsTheTruth(t *testing.T) {
	b := newBench(t, 1, nil, nil, nil)
	var chain struct {
		Name   string `json:"chain_name"`
		Prefix string `json:"bech32_prefix"`
		Bech32 struct {
			Acc  string `json:"bech32PrefixAccAddr"`
			Val  string `json:"bech32PrefixValAddr"`
			Cons string `json:"bech32PrefixConsAddr"`
		} `json:"bech32_config"`
		CoinType int      `json:"slip44"`
		Keys     []string `json:"key_algos"`
		Fees     struct {
			Tokens []struct {
				Denom string      `json:"denom"`
				Least json.Number `json:"fixed_min_gas_price"`
			} `json:"fee_tokens"`
		} `json:"fees"`
		Staking struct {
			Tokens []struct {
				Denom string `json:"denom"`
			} `json:"staking_tokens"`
			Lock struct {
				Time string `json:"time"`
			} `json:"lock_duration"`
		} `json:"staking"`
		Codebase struct {
			Consensus struct {
				Version string `json:"version"`
			} `json:"consensus"`
			SDK struct {
				Version string `json:"version"`
			} `json:"sdk"`
		} `json:"codebase"`
	}
	listed(t, "chain.json", &chain)
	config := sdk.GetConfig()
	stake, err := b.app.Staking.GetParams(b.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, told, is string }{
		{"name", chain.Name, Name},
		{"prefix", chain.Prefix, config.GetBech32AccountAddrPrefix()},
		{"prefix of accounts", chain.Bech32.Acc, config.GetBech32AccountAddrPrefix()},
		{"prefix of validators", chain.Bech32.Val, config.GetBech32ValidatorAddrPrefix()},
		{"prefix of block producers", chain.Bech32.Cons, config.GetBech32ConsensusAddrPrefix()},
		{"fee token", chain.Fees.Tokens[0].Denom, coin.Denom},
		{"staking token", chain.Staking.Tokens[0].Denom, stake.BondDenom},
		{"unbonding time", chain.Staking.Lock.Time, fmt.Sprintf("%.0fs", stake.UnbondingTime.Seconds())},
		{"consensus", chain.Codebase.Consensus.Version, required(t, "github.com/cometbft/cometbft")},
		{"SDK", chain.Codebase.SDK.Version, required(t, "github.com/cosmos/cosmos-sdk")},
		{"kind of keys", chain.Keys[0], b.person("v0").key.Type()},
	} {
		if c.told != c.is {
			t.Errorf("%s: wallets are told %q, it is %q", c.what, c.told, c.is)
		}
	}
	if chain.CoinType != CoinType || chain.CoinType != int(config.GetCoinType()) {
		t.Errorf("coin type: wallets are told %d, it is %d", chain.CoinType, CoinType)
	}
	if err := checkGasPrice(chain.Fees.Tokens[0].Least.String() + coin.Denom); err != nil {
		t.Error(err)
	}

	var list struct {
		Name   string `json:"chain_name"`
		Assets []struct {
			Units   []banktypes.DenomUnit `json:"denom_units"`
			Base    string                `json:"base"`
			Name    string                `json:"name"`
			Display string                `json:"display"`
			Symbol  string                `json:"symbol"`
		} `json:"assets"`
	}
	listed(t, "assetlist.json", &list)
	meta, ok := b.app.Bank.GetDenomMetaData(b.ctx(), coin.Denom)
	if !ok || list.Name != chain.Name || len(list.Assets) != 1 {
		t.Fatalf("metadata %v, list of %q with %d assets", ok, list.Name, len(list.Assets))
	}
	asset := list.Assets[0]
	if asset.Base != meta.Base || asset.Display != meta.Display || asset.Symbol != meta.Symbol || asset.Name != meta.Name {
		t.Errorf("the asset %+v is not the chain's %+v", asset, meta)
	}
	for i, unit := range meta.DenomUnits {
		if got := asset.Units[i]; got.Denom != unit.Denom || got.Exponent != unit.Exponent {
			t.Errorf("unit %d is %v in the list, %v on chain", i, got, unit)
		}
	}
	if one := coin.Amount(1); asset.Units[1].Exponent != 9 || coin.PLX != 1_000_000_000*one {
		t.Errorf("1 plx is 10^%d nplx in the list, %d on chain", asset.Units[1].Exponent, coin.PLX)
	}
}
