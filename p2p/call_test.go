package p2p

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// newTestHost makes a host that closes with the test.
func newTestHost(t testing.TB, opts Options) *Host {
	t.Helper()
	h, err := New(opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h
}

// pair makes two hosts of one reach, where the first knows the second.
func pair(t testing.TB, opts Options) (caller, axon *Host) {
	t.Helper()
	caller, axon = newTestHost(t, opts), newTestHost(t, opts)
	caller.AddPeer(axon.Info())
	return caller, axon
}

// reaches are the transports whose streams differ in how they end.
var reaches = map[string]Options{
	"tcp":  {Reach: Local},
	"quic": {Reach: LAN, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}},
}

func echo(_ context.Context, r Request, send func([]byte) error) error {
	return send(r.Body)
}

func TestCall(t *testing.T) {
	for name, opts := range reaches {
		t.Run(name, func(t *testing.T) {
			caller, axon := pair(t, opts)
			var seen Request
			axon.Serve("count", func(_ context.Context, r Request, send func([]byte) error) error {
				seen = r
				return errors.Join(send([]byte("one")), send([]byte("two")))
			})
			var pieces [][]byte
			receipt, err := caller.Call(t.Context(), axon.ID(), "count", []byte("go"), func(p []byte) error {
				pieces = append(pieces, p)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(pieces); got != 2 || string(pieces[0]) != "one" || string(pieces[1]) != "two" {
				t.Fatalf("got pieces %q", pieces)
			}
			if seen.From != caller.ID() || seen.Method != "count" || string(seen.Body) != "go" || seen.Hash != receipt.Hash() {
				t.Errorf("the handler saw %+v", seen)
			}
			if err := receipt.VerifyBodies([]byte("go"), pieces); err != nil || !receipt.Complete() {
				t.Errorf("receipt: complete %v, %v", receipt.Complete(), err)
			}
		})
	}
}

func TestCallUnreachable(t *testing.T) {
	a, b := newTestHost(t, Options{Reach: Local}), newTestHost(t, Options{Reach: Local})
	for name, to := range map[string]peer.ID{"unknown": b.ID(), "self": a.ID()} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.Call(ctx, to, "x", nil, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: got %v, want ErrUnreachable", name, err)
		}
	}
}

func BenchmarkCall1kB(b *testing.B) {
	for name, opts := range reaches {
		b.Run(name, func(b *testing.B) {
			caller, axon := pair(b, opts)
			axon.Serve("echo", echo)
			body := make([]byte, 1024)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := caller.Call(b.Context(), axon.ID(), "echo", body, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One op is one piece of 16 bytes: what streaming costs a token.
func BenchmarkPiece(b *testing.B) {
	caller, axon := pair(b, Options{Reach: Local})
	axon.Serve("stream", func(_ context.Context, _ Request, send func([]byte) error) error {
		for range b.N {
			if err := send([]byte("sixteen bytes ok")); err != nil {
				return err
			}
		}
		return nil
	})
	b.ReportAllocs()
	if _, err := caller.Call(b.Context(), axon.ID(), "stream", nil, nil); err != nil {
		b.Fatal(err)
	}
}
