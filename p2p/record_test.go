package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

func testRecord(t testing.TB) Record {
	t.Helper()
	_, id := testPeer(t, 1)
	return Record{
		Peer:      id,
		Addresses: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/udp/4101/quic-v1")},
		Protocols: []string{string(axonProtocol)},
		Netuids:   []uint32{1},
		Account:   "plx1account",
		Issued:    noon,
		Expires:   noon.Add(recordLifetime),
	}
}

func sealed(t testing.TB, seed byte, r Record) []byte {
	t.Helper()
	key, _ := testPeer(t, seed)
	data, err := r.seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOpenRecord(t *testing.T) {
	_, id := testPeer(t, 1)
	_, stranger := testPeer(t, 3)
	many := func(n int) []ma.Multiaddr {
		return slices.Repeat([]ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/1")}, n)
	}
	tests := []struct {
		name  string
		alter func(r *Record)
		bytes func(m *axonv1.Record) // after signing
		seed  byte                   // of the signing key; 0 means the peer's own
		at    time.Duration          // after issue
		want  error
	}{
		{name: "good"},
		{name: "a second before its end", at: recordLifetime - time.Second},
		{name: "expired", at: recordLifetime, want: ErrExpired},
		{name: "not issued yet", at: -clockSkew - time.Second, want: ErrExpired},
		{name: "lives too long", alter: func(r *Record) { r.Expires = noon.Add(25 * time.Hour) }, want: ErrExpired},
		{name: "signed by another", seed: 3, want: ErrBadSignature},
		{name: "of another", alter: func(r *Record) { r.Peer = stranger }, seed: 3, want: ErrBadSignature},
		{name: "unsigned", bytes: func(m *axonv1.Record) { m.Signature = nil }, want: ErrBadSignature},
		{name: "account altered", bytes: func(m *axonv1.Record) { m.Account = "plx1thief" }, want: ErrBadSignature},
		{name: "address altered", bytes: func(m *axonv1.Record) { m.Addresses[0] = "/ip4/192.0.2.2/tcp/1" }, want: ErrBadSignature},
		{name: "subnet added", bytes: func(m *axonv1.Record) { m.Netuids = append(m.Netuids, 2) }, want: ErrBadSignature},
		{name: "no address", alter: func(r *Record) { r.Addresses = nil }, want: ErrMalformed},
		{name: "too many addresses", alter: func(r *Record) { r.Addresses = many(maxAddresses + 1) }, want: ErrMalformed},
		{name: "too many netuids", alter: func(r *Record) { r.Netuids = make([]uint32, maxNetuids+1) }, want: ErrMalformed},
		{name: "address of another", alter: func(r *Record) {
			r.Addresses = []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/192.0.2.1/tcp/1/p2p/%s", stranger))}
		}, want: ErrMalformed},
		{name: "no address at all", bytes: func(m *axonv1.Record) { m.Addresses[0] = "http://192.0.2.1" }, want: ErrMalformed},
		{name: "oversize", alter: func(r *Record) { r.Account = strings.Repeat("x", maxRecord) }, want: ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testRecord(t)
			if tt.alter != nil {
				tt.alter(&r)
			}
			data := sealed(t, max(tt.seed, 1), r)
			if tt.bytes != nil {
				data = rewrite(t, data, tt.bytes)
			}
			got, err := openRecord(id, data, noon.Add(tt.at))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && (got.Account != r.Account || !got.Expires.Equal(r.Expires) || !got.Addresses[0].Equal(r.Addresses[0])) {
				t.Errorf("got %+v, want %+v", got, r)
			}
		})
	}
}

// rewrite alters an encoded record without signing it again.
func rewrite(t testing.TB, data []byte, alter func(m *axonv1.Record)) []byte {
	t.Helper()
	m := new(axonv1.Record)
	if err := m.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	alter(m)
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRecordValidator(t *testing.T) {
	_, id := testPeer(t, 1)
	_, stranger := testPeer(t, 3)
	v := recordValidator{now: func() time.Time { return noon.Add(time.Minute) }}
	old := testRecord(t)
	young := old
	young.Issued = noon.Add(30 * time.Second)
	dead := old
	dead.Expires = noon.Add(time.Second)
	values := [][]byte{sealed(t, 1, dead), sealed(t, 1, old), sealed(t, 1, young), []byte("garbage"), sealed(t, 3, young)}

	if at, err := v.Select(recordKey(id), values); err != nil || at != 2 {
		t.Errorf("selected %d, %v, want the newest valid one, 2", at, err)
	}
	if _, err := v.Select(recordKey(id), values[:1]); !errors.Is(err, ErrNoRecord) {
		t.Errorf("of none valid: got %v, want ErrNoRecord", err)
	}
	for name, key := range map[string]string{
		"another peer's": recordKey(stranger),
		"no peer's":      "/neuron/x",
		"another space":  "/pk/" + string(id),
		"empty":          "",
	} {
		if err := v.Validate(key, values[1]); err == nil {
			t.Errorf("a record was valid under %s key", name)
		}
	}
}

func TestBook(t *testing.T) {
	var b book
	r := testRecord(t)
	b.put(r)
	newer := r
	newer.Issued, newer.Account = noon.Add(time.Minute), "plx1newer"
	b.put(newer)
	b.put(r)
	if got, ok := b.get(r.Peer, noon); !ok || got.Account != "plx1newer" {
		t.Errorf("got %q, %v, want the newer record", got.Account, ok)
	}
	if _, ok := b.get(r.Peer, r.Expires); ok {
		t.Error("got a record that has expired")
	}
	for i := range bookSize {
		other := newer
		other.Peer, other.Expires = peer.ID(fmt.Sprint(i)), newer.Expires.Add(time.Second)
		b.put(other)
	}
	if _, ok := b.get(r.Peer, noon); ok || len(b.records) != bookSize {
		t.Errorf("a full book of %d kept what expires first: %v", len(b.records), ok)
	}
}

func TestFindAsksThePeer(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	if _, err := caller.Find(t.Context(), axon.ID()); !errors.Is(err, ErrNoRecord) {
		t.Errorf("before Announce: got %v, want ErrNoRecord", err)
	}
	if err := axon.Announce("plx1account", 1); err != nil {
		t.Fatal(err)
	}
	r, err := caller.Find(t.Context(), axon.ID())
	if err != nil || r.Account != "plx1account" || !slices.Contains(r.Protocols, string(axonProtocol)) {
		t.Errorf("found %+v, %v", r, err)
	}
	if own, err := axon.Find(t.Context(), axon.ID()); err != nil || own.Account != "plx1account" {
		t.Errorf("itself: found %+v, %v", own, err)
	}
	if _, err := caller.Find(t.Context(), "unknown"); !errors.Is(err, ErrNoRecord) {
		t.Errorf("unknown peer: got %v, want ErrNoRecord", err)
	}
	if err := axon.Announce(strings.Repeat("x", maxAccount+1)); err == nil {
		t.Error("an endless account was announced")
	}
}

// Whatever the bytes, no record opens that its peer did not sign.
func FuzzRecord(f *testing.F) {
	_, id := testPeer(f, 1)
	good := sealed(f, 1, testRecord(f))
	f.Add(good)
	f.Add([]byte{})
	f.Add(rewrite(f, good, func(m *axonv1.Record) { m.Addresses = []string{"/p2p-circuit", "/dns/x/tcp/1"} }))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := openRecord(id, data, noon); err == nil && !bytes.Equal(signedPart(t, data), signedPart(t, good)) {
			t.Fatalf("opened a record that was never signed: %x", data)
		}
	})
}

func signedPart(t testing.TB, data []byte) []byte {
	t.Helper()
	m := new(axonv1.Record)
	if err := m.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	return recordStatement(m)
}
