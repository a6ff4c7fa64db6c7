package wallet

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/plexus-network/plexus/coin"
)

func open(t *testing.T, backend Backend, input string) *Keyring {
	t.Helper()
	r, err := Open(Options{Home: t.TempDir(), Backend: backend, Input: strings.NewReader(input)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeyring(t *testing.T) {
	for _, backend := range []Backend{Memory, Test, File} {
		t.Run(string(backend), func(t *testing.T) {
			// The file backend asks for its passphrase once, and once more to confirm.
			r := open(t, backend, strings.Repeat("correct horse\n", 8))
			made, mnemonic, err := r.Create("alice")
			if err != nil {
				t.Fatal(err)
			}
			if n := len(strings.Fields(mnemonic)); n != 24 {
				t.Errorf("mnemonic of %d words, want 24", n)
			}
			got, err := r.Key("alice")
			if err != nil || got.Address() != made.Address() {
				t.Fatalf("Key = %v, %v, want %v", got, err, made)
			}
			sig, err := got.Sign([]byte("doc"))
			if err != nil || !got.PubKey().VerifySignature([]byte("doc"), sig) {
				t.Errorf("signature %x does not verify: %v", sig, err)
			}
			if err := r.Delete("alice"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Key("alice"); !errors.Is(err, ErrNoKey) {
				t.Errorf("deleted key: %v, want %v", err, ErrNoKey)
			}
			if back, err := r.Recover("bob", " "+strings.ReplaceAll(mnemonic, " ", "\n ")); err != nil || back.Address() != made.Address() {
				t.Errorf("Recover = %v, %v, want %s", back, err, made.Address())
			}
		})
	}
}

// The address of a mnemonic is fixed by BIP-39, BIP-44 and bech32: any Cosmos
// wallet gives the same account for coin type 118.
func TestRecoverKnownMnemonic(t *testing.T) {
	const mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	k, err := open(t, Memory, "").Recover("zero", mnemonic)
	if err != nil {
		t.Fatal(err)
	}
	const cosmos = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"
	want, err := sdk.GetFromBech32(cosmos, "cosmos")
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Account(); string(got) != string(want) {
		t.Errorf("account %x, want %x", got, want)
	}
}

func TestKeyringRefuses(t *testing.T) {
	r := open(t, Memory, "")
	alice, mnemonic, err := r.Create("alice")
	if err != nil {
		t.Fatal(err)
	}
	armor, err := r.Export("alice", "long enough")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		do   func() error
		want string
	}{
		"taken name":       {func() error { _, _, err := r.Create("alice"); return err }, "key exists: alice"},
		"known key":        {func() error { _, err := r.Recover("bob", mnemonic); return err }, "under another name"},
		"bad name":         {func() error { _, _, err := r.Create("../etc"); return err }, "use letters"},
		"hotkey's hotkey":  {func() error { _, _, err := r.Create("a.b.c"); return err }, "use letters"},
		"misspelt word":    {func() error { _, err := r.Recover("bob", "apple pie"); return err }, "not a mnemonic: 2 words"},
		"no such key":      {func() error { _, err := r.Export("carol", "long enough"); return err }, "no such key: carol"},
		"short passphrase": {func() error { _, err := r.Export("alice", "short"); return err }, "at least 8"},
		"wrong passphrase": {func() error { _, err := r.Import("bob", armor, "not that one"); return err }, "invalid account password"},
		"no armor":         {func() error { _, err := r.Import("bob", "what?", "long enough"); return err }, "key bob"},
		"delete nothing":   {func() error { return r.Delete("carol") }, "no such key: carol"},
		"unknown backend":  {func() error { _, err := Open(Options{Home: t.TempDir(), Backend: "cloud"}); return err }, `"cloud"`},
		"grant to oneself": {func() error { _, err := Grants(alice.Address(), alice.Address(), Allowance{}); return err }, "both"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.do(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestExportImport(t *testing.T) {
	from, to := open(t, Memory, ""), open(t, Memory, "")
	alice, _, err := from.Create("alice")
	if err != nil {
		t.Fatal(err)
	}
	armor, err := from.Export("alice", "long enough")
	if err != nil {
		t.Fatal(err)
	}
	got, err := to.Import("copy", armor, "long enough")
	if err != nil || got.Address() != alice.Address() {
		t.Errorf("Import = %v, %v, want %s", got, err, alice.Address())
	}
}

func TestListPutsHotkeysAfterTheirColdkey(t *testing.T) {
	r := open(t, Memory, "")
	for _, name := range []string{"bob", "alice.two", "alice-b", "alice.one", "alice"} {
		if _, _, err := r.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range keys {
		names = append(names, k.Name())
	}
	if got, want := strings.Join(names, " "), "alice alice.one alice.two alice-b bob"; got != want {
		t.Errorf("List = %s, want %s", got, want)
	}
	if cold := keys[1].Coldkey(); cold != "alice" {
		t.Errorf("coldkey of alice.one = %q", cold)
	}
	if cold := keys[0].Coldkey(); cold != "" {
		t.Errorf("coldkey of alice = %q, want none", cold)
	}
}

func TestDerive(t *testing.T) {
	a, again := Derive("seed", "alice"), Derive("seed", "alice")
	if a.Address() != again.Address() {
		t.Errorf("one seed and name gave %s and %s", a.Address(), again.Address())
	}
	for _, other := range []*Key{Derive("seed", "bob"), Derive("other", "alice"), Derive("seed\x00alice", "")} {
		if other.Address() == a.Address() {
			t.Errorf("%v has the address of %v", other, a)
		}
	}
	doc := []byte("doc")
	sig, err := a.Sign(doc)
	if err != nil || !a.PubKey().VerifySignature(doc, sig) {
		t.Errorf("signature %x does not verify: %v", sig, err)
	}
}

func TestParseAddress(t *testing.T) {
	h := sha256.Sum256([]byte("module"))
	pub := secp256k1.GenPrivKeyFromSecret(h[:]).PubKey()
	for _, b := range [][]byte{pub.Address(), h[:]} {
		got, err := ParseAddress(FormatAddress(b))
		if err != nil || string(got) != string(b) {
			t.Errorf("ParseAddress(FormatAddress(%x)) = %x, %v", b, got, err)
		}
	}
	for _, s := range []string{
		"", "plx1", "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4",
		FormatAddress(pub.Address()) + "q", FormatAddress([]byte("too short")),
	} {
		if b, err := ParseAddress(s); err == nil {
			t.Errorf("ParseAddress(%q) = %x, want an error", s, b)
		}
	}
}

func TestGrants(t *testing.T) {
	cold, hot := Derive("s", "cold").Address(), Derive("s", "hot").Address()
	until := time.Unix(2e9, 0)
	msgs, err := Grants(cold, hot, Allowance{Until: until, Fees: 2 * coin.PLX})
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, m := range msgs[:len(msgs)-1] {
		g := m.(*authz.MsgGrant)
		if g.Granter != cold || g.Grantee != hot || !g.Grant.Expiration.Equal(until) {
			t.Errorf("grant %v is not %s's to %s until %v", g, cold, hot, until)
		}
		auth, err := g.Grant.GetAuthorization()
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, auth.MsgTypeURL())
	}
	if got, want := strings.Join(urls, " "), strings.Join(HotkeyMessages(), " "); got != want {
		t.Errorf("granted %s, want %s", got, want)
	}
	fees := msgs[len(msgs)-1].(*feegrant.MsgGrantAllowance)
	allowance, err := fees.GetFeeAllowanceI()
	if err != nil {
		t.Fatal(err)
	}
	if err := allowance.ValidateBasic(); err != nil {
		t.Errorf("allowance of fees: %v", err)
	}
	if back, err := Revocation(cold, hot, true); err != nil || len(back) != len(msgs) {
		t.Errorf("Revocation takes back %d of %d grants: %v", len(back), len(msgs), err)
	}
}
