package chain

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// maxAminoName is the longest name that a Ledger shows and signs.
const maxAminoName = 39

// messages returns an empty message of each of our types.
func messages(t *testing.T, app *App) []sdk.Msg {
	t.Helper()
	var all []sdk.Msg
	for _, url := range app.Encoding.Registry.ListImplementations(sdk.MsgInterfaceProtoName) {
		if !strings.HasPrefix(url, "/plexus.") {
			continue
		}
		msg, err := app.Encoding.Registry.Resolve(url)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, msg)
	}
	if len(all) < 15 {
		t.Fatalf("%d types of messages are ours; there must be more", len(all))
	}
	return all
}

// fill sets all fields of a message to something that is not zero.
func fill(v reflect.Value, address string) {
	switch {
	case v.Type() == reflect.TypeFor[math.Int]():
		v.Set(reflect.ValueOf(math.NewInt(7)))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), address)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), address)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), address)
		fill(v.Index(1), address)
	case v.Kind() == reflect.String:
		v.SetString(address)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(2)
	case v.CanUint():
		v.SetUint(2)
	}
}

// sign sets the fields of msg that name who signs, and its coins, which a
// message cannot leave out.
func sign(msg sdk.Msg, address string) {
	v := reflect.ValueOf(msg).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if slices.Contains([]string{"Account", "Owner", "Authority", "Provider", "Granter", "Auditor"}, name) {
			v.Field(i).SetString(address)
		}
		if c, ok := v.Field(i).Addr().Interface().(*sdk.Coin); ok {
			*c = nplx(coin.PLX)
		}
	}
}

// aminoDoc returns what a Ledger signs for a message.
func aminoDoc(t *testing.T, app *App, msg sdk.Msg) string {
	t.Helper()
	cfg := app.Encoding.TxConfig
	b := cfg.NewTxBuilder()
	if err := b.SetMsgs(msg); err != nil {
		t.Fatal(err)
	}
	b.SetGasLimit(200_000)
	b.SetFeeAmount(sdk.NewCoins(nplx(5)))
	doc, err := authsigning.GetSignBytesAdapter(t.Context(), cfg.SignModeHandler(), signing.SignMode_SIGN_MODE_LEGACY_AMINO_JSON,
		authsigning.SignerData{ChainID: "plexus-test", AccountNumber: 1, Sequence: 2, Address: newPerson("a").String(), PubKey: newPerson("a").key.PubKey()}, b.GetTx())
	if err != nil {
		t.Fatalf("%T: %v", msg, err)
	}
	return string(doc)
}

// sorted returns JSON with its keys in order.
func sorted(t *testing.T, doc []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A wallet without protobuf signs amino JSON. What it derives from a message's
// registered name and Go struct must be what the chain verifies, with all
// fields set and with none.
func TestAminoJSON(t *testing.T) {
	app, err := NewApp(AppOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := newPerson("a").String()
	for _, msg := range messages(t, app) {
		for _, full := range []bool{false, true} {
			if sign(msg, address); full {
				fill(reflect.ValueOf(msg).Elem(), address)
			}
			legacy, err := app.Encoding.Amino.MarshalJSON(msg)
			if err != nil {
				t.Errorf("%T: %v", msg, err)
				continue
			}
			var named struct{ Type string }
			if err := json.Unmarshal(legacy, &named); err != nil || named.Type == "" || len(named.Type) > maxAminoName {
				t.Errorf("%T is named %q (%v); it must have 1 to %d bytes", msg, named.Type, err, maxAminoName)
			}
			want := sorted(t, legacy)
			if doc := aminoDoc(t, app, msg); !strings.Contains(doc, want) {
				t.Errorf("%T, full %v: the chain verifies\n%s\nbut amino makes\n%s", msg, full, doc, want)
			}
		}
	}
}

func TestAminoDocs(t *testing.T) {
	app, err := NewApp(AppOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := newPerson("a")
	for _, c := range []struct {
		msg  sdk.Msg
		want string
	}{
		{
			&subnetv1.MsgSetWeights{Account: p.String(), Netuid: 1, Uids: []uint32{3, 4}, Weights: []uint32{65535, 1}, Version: 9},
			`{"type":"plexus/subnet/MsgSetWeights","value":{"account":"` + p.String() + `","netuid":1,"uids":[3,4],"version":"9","weights":[65535,1]}}`,
		},
		{
			&subnetv1.MsgRegisterNeuron{Account: p.String(), Netuid: 2, MaxPrice: nplx(coin.PLX)},
			`{"type":"plexus/subnet/MsgRegisterNeuron","value":{"account":"` + p.String() + `","max_price":{"amount":"1000000000","denom":"nplx"},"netuid":2}}`,
		},
		{
			&subnetv1.MsgSetMechanisms{Authority: p.String(), Netuid: 2, Count: 2, Split: []uint32{65535, 0}},
			`{"type":"plexus/subnet/MsgSetMechanisms","value":{"authority":"` + p.String() + `","count":2,"netuid":2,"split":[65535,0]}}`,
		},
	} {
		want := `{"account_number":"1","chain_id":"plexus-test","fee":{"amount":[{"amount":"5","denom":"nplx"}],"gas":"200000"},"memo":"","msgs":[` + c.want + `],"sequence":"2"}`
		if got := aminoDoc(t, app, c.msg); got != want {
			t.Errorf("%T signs\n%s\nwant\n%s", c.msg, got, want)
		}
	}
}
