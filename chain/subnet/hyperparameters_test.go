package subnet

import (
	"encoding/hex"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/yuma"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := validateParams(DefaultParams()); err != nil {
		t.Error(err)
	}
	if err := validate(DefaultHyperparameters(), DefaultParams()); err != nil {
		t.Error(err)
	}
	if err := ValidateGenesis(DefaultGenesis("governance")); err != nil {
		t.Error(err)
	}
}

func TestAmendedHyperparametersAreChecked(t *testing.T) {
	for _, c := range []struct{ bulk, want string }{
		{`{"tempo":20}`, ""},
		{`{"tempo":20,"bond_rule":2,"liquid_alpha":true}`, ""},
		{`{"kappa":0}`, ""},
		{`{"tempo":4}`, "tempo is 4; it must be from 5 to 50400"},
		{`{"tempo":1.5}`, "tempo"},
		{`{"tempo":-1}`, "tempo"},
		{`{"tempo":20} {}`, "more than one JSON object"},
		{`{"temp":20}`, `unknown field "temp"`},
		{`[]`, "hyperparameters"},
		{`{`, "hyperparameters"},
		{`{"alpha_low":60000}`, "alpha_low is 60000"},
		{`{"alpha_steepness":-20000}`, "alpha_steepness is 20000"},
		{`{"alpha_steepness":-2147483648}`, "alpha_steepness"},
		{`{"bond_rule":1}`, "bond_rule is 1"},
		{`{"burn_min":200000000000}`, "burn_min"},
		{`{"owner_cut":65535}`, "owner_cut is 65535; it must be from 0 to 11796"},
		{`{"max_uids":4097}`, "max_uids is 4097; it must be from 1 to 4096"},
		{strings.Repeat(" ", maxBulk+1), "at most 4096"},
	} {
		h, err := amend(DefaultHyperparameters(), c.bulk)
		if err == nil {
			err = validate(h, DefaultParams())
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.bulk, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%.40s: %v, want it to say %q", c.bulk, err, c.want)
		}
	}
}

func TestAmendChangesOnlyWhatIsNamed(t *testing.T) {
	h, err := amend(DefaultHyperparameters(), `{"kappa":1}`)
	want := DefaultHyperparameters()
	want.Kappa = 1
	if err != nil || h != want {
		t.Errorf("got %v and %v, want %v", h, err, want)
	}
}

func TestTextIsBounded(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		params     int
		want       string
	}{
		{"text", "a name", 10, ""},
		{"", "a", 0, "kind has 0 bytes"},
		{"text", strings.Repeat("x", 65), 0, "name has 65 bytes; it must have 1 to 64"},
		{"text", "a\nb", 0, "unprintable"},
		{"text", "\xff", 0, "unprintable"},
		{"text", "a", maxKindParams + 1, "kind_params have 16385 bytes"},
	} {
		err := validateText(c.kind, c.name, make([]byte, c.params))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q, %.20q: %v, want it to say %q", c.kind, c.name, err, c.want)
		}
	}
}

// The bytes that keys sign and hashes cover are part of the protocol: clients
// make them without this package.
func TestWireBytes(t *testing.T) {
	account := sdk.AccAddress("12345678901234567890")
	if got, want := string(AxonStatement("chain-1", 258, account)), "plexus/axon/v1chain-1\x00\x00\x01\x0212345678901234567890"; got != want {
		t.Errorf("axon statement %q, want %q", got, want)
	}
	hash := commitHash(account, shelfOf(1, 0), yuma.Row{{UID: 2, Value: 65535}}, 3, []byte("salt"))
	if got, want := hex.EncodeToString(hash), "5a766724d7ec03b588ae79df66136cdd318b59598f5c06583302bbbf207bf5ea"; got != want {
		t.Errorf("commit hash %s, want %s", got, want)
	}
}

func TestProtocols(t *testing.T) {
	many := make([]string, maxProtocols+1)
	for _, c := range []struct {
		list []string
		want string
	}{
		{nil, ""},
		{[]string{"/plexus/axon/1.0.0"}, ""},
		{[]string{""}, "0 bytes"},
		{[]string{"a b"}, "printable"},
		{many, "17 protocols; at most 16"},
	} {
		err := checkProtocols(c.list)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want it to say %q", c.list, err, c.want)
		}
	}
}

func TestForgetClearsAUID(t *testing.T) {
	e := subnetv1.Epoch{
		Stake: []uint64{1, 2}, Active: []bool{true, true}, Permit: []bool{true, true},
		Rank: []uint32{1, 2}, Trust: []uint32{1, 2}, Consensus: []uint32{1, 2}, Incentive: []uint32{1, 2},
		Dividends: []uint32{1, 2}, ValidatorTrust: []uint32{1, 2}, ServerEmission: []uint64{1, 2}, ValidatorEmission: []uint64{1, 2},
	}
	forget(&e, 1)
	if e.Permit[1] || e.Stake[1]+e.ServerEmission[1]+e.ValidatorEmission[1] != 0 || e.Incentive[1]+e.Trust[1]+e.ValidatorTrust[1] != 0 {
		t.Errorf("uid 1 is not forgotten: %v", e)
	}
	if !e.Permit[0] || e.Incentive[0] != 1 || e.Stake[0] != 1 {
		t.Errorf("uid 0 is forgotten: %v", e)
	}
}
