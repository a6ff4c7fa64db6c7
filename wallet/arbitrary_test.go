package wallet

import (
	"errors"
	"strings"
	"testing"
)

func TestTextDocIsThatOfADR36(t *testing.T) {
	const want = `{"account_number":"0","chain_id":"","fee":{"amount":[],"gas":"0"},"memo":"","msgs":[{"type":"sign/MsgSignData","value":{"data":"aGVsbG8=","signer":"plx1x"}}],"sequence":"0"}`
	if got := string(textDoc("plx1x", "hello")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSignedText(t *testing.T) {
	alice, bob := Derive("seed", "alice"), Derive("seed", "bob")
	sig, err := alice.SignText("hello")
	if err != nil {
		t.Fatal(err)
	}
	pub := alice.PubKey().Bytes()
	if err := VerifyText(alice.Address(), "hello", pub, sig); err != nil {
		t.Errorf("the signer's own text: %v", err)
	}
	for name, err := range map[string]error{
		"another text":   VerifyText(alice.Address(), "hullo", pub, sig),
		"another key":    VerifyText(alice.Address(), "hello", bob.PubKey().Bytes(), sig),
		"another signer": VerifyText(bob.Address(), "hello", bob.PubKey().Bytes(), sig),
		"short key":      VerifyText(alice.Address(), "hello", pub[1:], sig),
		"short sig":      VerifyText(alice.Address(), "hello", pub, sig[1:]),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
	if err := VerifyText("plx1nonsense", "hello", pub, sig); err == nil || !strings.Contains(err.Error(), "plx1nonsense") {
		t.Errorf("a bad address: %v", err)
	}
}

func TestVerify(t *testing.T) {
	alice := Derive("seed", "alice")
	sig, err := alice.Sign([]byte("doc"))
	if err != nil {
		t.Fatal(err)
	}
	if by, err := Verify(alice.PubKey().Bytes(), []byte("doc"), sig); err != nil || by != alice.Address() {
		t.Errorf("got %s, %v; want %s", by, err, alice.Address())
	}
	if _, err := Verify(alice.PubKey().Bytes(), []byte("dog"), sig); !errors.Is(err, ErrSignature) {
		t.Errorf("another document: %v", err)
	}
}

func TestUnlockedKeySignsTheSame(t *testing.T) {
	r := open(t, Memory, "")
	k, _, err := r.Create("alice")
	if err != nil {
		t.Fatal(err)
	}
	open, err := r.Unlock("alice")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := k.Sign([]byte("doc"))
	b, err := open.Sign([]byte("doc"))
	if err != nil || string(a) != string(b) || open.Address() != k.Address() || open.Name() != "alice" {
		t.Errorf("the unlocked key %s signs %x, %s signs %x; %v", open, b, k, a, err)
	}
	if _, err := r.Unlock("bob"); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
}
