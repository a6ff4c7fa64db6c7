package text

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet/text/toy"
)

// The signed exchanges themselves are made by real hosts in package neuron's
// tests; here are the bundle's own rules.

func someBundle(t *testing.T) Bundle {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	x := Exhibit{Asked: []byte("asked"), Pieces: [][]byte{[]byte("one"), []byte("two")}}
	x.Receipt.Request = &axonv1.Request{Method: "m", Caller: []byte(id), Receiver: []byte(id), Nonce: []byte{1}}
	x.Receipt.Response = &axonv1.Response{Sequence: 1, Last: true}
	return Bundle{Manifest: ManifestOf(toy.New(declared).Model()), Exhibits: []Exhibit{x}}
}

func TestBundleRoundTrip(t *testing.T) {
	b := someBundle(t)
	encoded := must(b.Encode())
	got, err := DecodeBundle(encoded)
	if err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("bundle = %+v, %v; want %+v", got, err, b)
	}
	if again := must(got.Encode()); !bytes.Equal(again, encoded) || BundleHash(again) != BundleHash(encoded) {
		t.Error("encoded again it has other bytes")
	}
}

func TestBundleBounds(t *testing.T) {
	b := someBundle(t)
	for name, n := range map[string]int{"none": 0, "too many": maxExhibits + 1} {
		c := b
		c.Exhibits = make([]Exhibit, n)
		for i := range c.Exhibits {
			c.Exhibits[i] = b.Exhibits[0]
		}
		if _, err := c.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("x"), make([]byte, maxBundle+1)} {
		if _, err := DecodeBundle(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.10q: %v, want ErrMalformed", bad, err)
		}
	}
}

func TestUnsignedBundleProvesNothing(t *testing.T) {
	_, err := someBundle(t).Check(t.Context(), toy.New(declared))
	if !errors.Is(err, ErrNoProof) {
		t.Errorf("Check = %v, want ErrNoProof", err)
	}
	other := toy.Options{Model: 2}
	if _, err := someBundle(t).Check(context.Background(), toy.New(other)); err == nil || errors.Is(err, ErrNoProof) {
		t.Errorf("Check on another model = %v", err)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	f.Add([]byte("\n\x02{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := DecodeBundle(in)
		if err != nil {
			return
		}
		encoded, err := b.Encode()
		if err != nil {
			t.Skip(err) // longer once its manifest has all defaults
		}
		if again, err := DecodeBundle(encoded); err != nil || again.Manifest != b.Manifest || len(again.Exhibits) != len(b.Exhibits) {
			t.Fatalf("%+v comes back as %+v, %v", b, again, err)
		}
	})
}

func TestExhibitNeedsItsPieces(t *testing.T) {
	b := newBench(t, Options{})
	a := b.ask(miner(declared), 1).Answer
	if _, ok := exhibitOf(a); ok {
		t.Error("an answer without a receipt is an exhibit")
	}
	a.Asked = []byte("asked")
	a.Receipt = must(json.Marshal(p2p.Receipt{Request: &axonv1.Request{}}))
	a.Cuts = []int{len(a.Body) - 1}
	if _, ok := exhibitOf(a); ok {
		t.Error("an answer with a piece missing is an exhibit")
	}
	a.Cuts = append(a.Cuts, 1)
	if x, ok := exhibitOf(a); !ok || len(x.Pieces) != 2 {
		t.Errorf("exhibit %+v, %v", x, ok)
	}
}
