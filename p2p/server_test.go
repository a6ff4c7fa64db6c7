package p2p

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// say opens a stream and writes bytes that Call never would.
func say(t *testing.T, from, to *Host, data []byte) network.Stream {
	t.Helper()
	from.AddPeer(to.Info())
	s, err := from.net.NewStream(t.Context(), to.ID(), axonProtocol)
	if err != nil {
		t.Fatal(err)
	}
	s.SetDeadline(time.Now().Add(time.Minute))
	var written sync.WaitGroup
	written.Go(func() { s.Write(data) }) // fails where the peer refuses early
	t.Cleanup(func() {
		s.Reset()
		written.Wait()
	})
	return s
}

// hearCode reads one piece and returns the code of its refusal, 0 for none.
func hearCode(t *testing.T, s network.Stream) Code {
	t.Helper()
	m := new(axonv1.Response)
	if err := receive(bufio.NewReader(s), MaxPiece+maxEnvelope, m); err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return m.GetRefusal().GetCode()
}

// frameOf signs a request as from, lets it be altered, and frames it.
func frameOf(t *testing.T, from, to *Host, alter func(m *axonv1.Request)) []byte {
	t.Helper()
	now := time.Now()
	m, err := signRequest(from.key, from.ID(), to.ID(), "echo", []byte("hello"), now, now.Add(requestLifetime))
	if err != nil {
		t.Fatal(err)
	}
	if alter != nil {
		alter(m)
	}
	var buf bytes.Buffer
	if err := writeFrame(&buf, m); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestServeRefusesBadRequests(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	other := newTestHost(t, Options{Reach: Local})
	asked := 0
	axon.Serve("echo", echo, func(context.Context, Request) error { asked++; return nil })

	huge := binary.AppendUvarint(nil, 1<<40)
	tests := []struct {
		name  string
		frame []byte
		want  Code
	}{
		{"garbage", append([]byte{200, 1}, bytes.Repeat([]byte{0xff}, 200)...), Malformed},
		{"promises a terabyte", huge, TooLarge},
		{"sends 5 MB", append(binary.AppendUvarint(nil, 5<<20), make([]byte, 5<<20)...), TooLarge},
		{"field of the future", append([]byte{4}, 0xfa, 0x01, 0x01, 0x00), Malformed},
		{"empty signature", frameOf(t, caller, axon, func(m *axonv1.Request) { m.Signature = nil }), BadSignature},
		{"altered body", frameOf(t, caller, axon, func(m *axonv1.Request) { m.Body[0] ^= 1 }), BadSignature},
		{"wrong receiver", frameOf(t, caller, other, nil), WrongReceiver},
		{"another's request", frameOf(t, other, axon, nil), BadSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hearCode(t, say(t, caller, axon, tt.frame)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if asked != 0 {
		t.Errorf("a policy was asked %d times about requests that are not signed", asked)
	}
}

func TestServeRefusesReplay(t *testing.T) {
	caller := newTestHost(t, Options{Reach: Local})
	opts := Options{Reach: Local, StateDir: t.TempDir(), KeyFile: t.TempDir() + "/peer.pem"}
	axon, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	axon.Serve("echo", echo)
	frame := frameOf(t, caller, axon, nil)
	if got := hearCode(t, say(t, caller, axon, frame)); got != 0 {
		t.Fatalf("first time: refused, %v", got)
	}
	if got := hearCode(t, say(t, caller, axon, frame)); got != Replayed {
		t.Errorf("second time: got %v, want replayed", got)
	}
	if err := axon.Close(); err != nil {
		t.Fatal(err)
	}

	again := newTestHost(t, opts)
	if again.ID() != axon.ID() {
		t.Fatal("the restarted host has another id")
	}
	again.Serve("echo", echo)
	if got := hearCode(t, say(t, caller, again, frame)); got != Replayed {
		t.Errorf("after the restart: got %v, want replayed", got)
	}
}

func TestServeMatchesSentinels(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	axon.Serve("echo", echo)
	axon.now = func() time.Time { return time.Now().Add(time.Minute) }
	_, err := caller.Call(t.Context(), axon.ID(), "echo", nil, nil)
	if no, ok := errors.AsType[*Refused](err); !errors.Is(err, ErrExpired) || !ok || no.Code != Expired {
		t.Errorf("to a clock a minute ahead: got %v, want ErrExpired", err)
	}
	axon.now = func() time.Time { return time.Now().Add(-time.Minute) }
	if _, err := caller.Call(t.Context(), axon.ID(), "echo", nil, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("to a clock a minute behind: got %v, want ErrExpired", err)
	}
}

func TestServePolicies(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	open := false
	gate := func(_ context.Context, r Request) error {
		if !open {
			return &Refused{Code: Forbidden, Message: "not registered", RetryAfter: 3 * time.Second}
		}
		return nil
	}
	axon.Serve("echo", echo, gate)

	frame := frameOf(t, caller, axon, nil)
	if got := hearCode(t, say(t, caller, axon, frame)); got != Forbidden {
		t.Fatalf("got %v, want forbidden", got)
	}
	receipt, err := caller.Call(t.Context(), axon.ID(), "echo", []byte("x"), nil)
	no, ok := errors.AsType[*Refused](err)
	if !ok || no.Code != Forbidden || no.Message != "not registered" || no.RetryAfter != 3*time.Second {
		t.Errorf("got %v, want the policy's refusal", err)
	}
	if err := receipt.Verify(); err != nil || receipt.Complete() {
		t.Errorf("a refusal's receipt: complete %v, %v", receipt.Complete(), err)
	}
	open = true
	if got := hearCode(t, say(t, caller, axon, frame)); got != 0 {
		t.Errorf("a request that was refused, not executed, is a replay: %v", got)
	}
	if _, err := caller.Call(t.Context(), axon.ID(), "sing", nil, nil); !strings.Contains(err.Error(), "unknown method") {
		t.Errorf("got %v, want unknown method", err)
	}
}

func TestServeHidesErrors(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	axon.Serve("fail", func(_ context.Context, _ Request, send func([]byte) error) error {
		if err := send(make([]byte, MaxPiece+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a piece over the limit: got %v, want ErrTooLarge", err)
		}
		return errors.Join(send([]byte("part")), errors.New("open /home/axon/secret"))
	})
	receipt, err := caller.Call(t.Context(), axon.ID(), "fail", nil, nil)
	no, ok := errors.AsType[*Refused](err)
	if !ok || no.Code != Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an internal error and no more", err)
	}
	if err := receipt.VerifyBodies(nil, [][]byte{[]byte("part")}); err != nil {
		t.Errorf("the failed answer's receipt: %v", err)
	}
}

func TestServeClipsRefusals(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	axon.Serve("fail", func(context.Context, Request, func([]byte) error) error {
		return &Refused{Code: Forbidden, Message: "\xff" + strings.Repeat("é", maxMessage), RetryAfter: -time.Second}
	})
	_, err := caller.Call(t.Context(), axon.ID(), "fail", nil, nil)
	no, ok := errors.AsType[*Refused](err)
	if !ok || no.Code != Forbidden || len(no.Message) > maxMessage || !utf8.ValidString(no.Message) || no.RetryAfter != 0 {
		t.Errorf("got %v, want a short, valid text", err)
	}
}

func TestServeLargeBodies(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	axon.Serve("tile", func(_ context.Context, r Request, send func([]byte) error) error {
		for range 8 {
			if err := send(r.Body[:MaxPiece]); err != nil {
				return err
			}
		}
		return nil
	})
	got := 0
	if _, err := caller.Call(t.Context(), axon.ID(), "tile", make([]byte, MaxBody), func(p []byte) error {
		got += len(p)
		return nil
	}); err != nil || got != 8*MaxPiece {
		t.Errorf("got %d bytes, %v, want %d", got, err, 8*MaxPiece)
	}
	if _, err := caller.Call(t.Context(), axon.ID(), "tile", make([]byte, MaxBody+1), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// A caller whose request is refused before it is read must not hang on it.
func TestServeRefusesEarly(t *testing.T) {
	for name, opts := range reaches {
		t.Run(name, func(t *testing.T) {
			caller, axon := pair(t, opts)
			for range streamsPerPeer {
				if _, _, err := axon.gate.enter(caller.ID()); err != nil {
					t.Fatal(err)
				}
			}
			defer func() {
				for v := range axon.gate.inside {
					axon.gate.leave(v)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := caller.Call(ctx, axon.ID(), "echo", make([]byte, MaxBody), nil)
			if no, ok := errors.AsType[*Refused](err); !ok || no.Code != Busy {
				t.Errorf("got %v, want busy", err)
			}
		})
	}
}

func TestGateKeepsRoomForTheKnown(t *testing.T) {
	g := newGate()
	friend := peer.ID("friend")
	_, v, err := g.enter(friend)
	if err != nil {
		t.Fatal(err)
	}
	g.welcome(v)
	g.leave(v)
	for i := range streamsStrangers {
		if _, _, err := g.enter(peer.ID(fmt.Sprint(i))); err != nil {
			t.Fatalf("stranger %d: %v", i, err)
		}
	}
	if _, _, err := g.enter("one too many"); err == nil {
		t.Error("strangers have the whole house")
	}
	_, v, err = g.enter(friend)
	if err != nil {
		t.Fatalf("the friend was sent away: %v", err)
	}
	g.leave(v)
	if g.strange != streamsStrangers || len(g.inside) != streamsStrangers {
		t.Errorf("%d strangers of %d inside, want %d", g.strange, len(g.inside), streamsStrangers)
	}
}

func TestCallCancelled(t *testing.T) {
	for name, opts := range reaches {
		t.Run(name, func(t *testing.T) {
			caller, axon := pair(t, opts)
			ended := make(chan error, 1)
			axon.Serve("wait", func(ctx context.Context, _ Request, send func([]byte) error) error {
				if err := send([]byte("started")); err != nil {
					return err
				}
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return ctx.Err()
			})
			ctx, cancel := context.WithCancel(t.Context())
			receipt, err := caller.Call(ctx, axon.ID(), "wait", nil, func([]byte) error {
				cancel()
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if err := receipt.VerifyBodies(nil, [][]byte{[]byte("started")}); err != nil {
				t.Errorf("receipt of what came before: %v", err)
			}
			if err := <-ended; !errors.Is(err, errCallerGone) {
				t.Errorf("the handler ended by %v, want errCallerGone", err)
			}
		})
	}
}

func TestCallStoppedByItsReader(t *testing.T) {
	caller, axon := pair(t, Options{Reach: Local})
	axon.Serve("echo", echo)
	enough := errors.New("enough")
	if _, err := caller.Call(t.Context(), axon.ID(), "echo", nil, func([]byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	caller := newTestHost(t, Options{Reach: Local})
	axon, err := New(Options{Reach: Local})
	if err != nil {
		t.Fatal(err)
	}
	caller.AddPeer(axon.Info())
	started := make(chan struct{})
	var ended atomic.Bool
	axon.Serve("wait", func(ctx context.Context, _ Request, _ func([]byte) error) error {
		close(started)
		<-ctx.Done()
		ended.Store(true)
		return ctx.Err()
	})
	// One more peer is in the middle of its request.
	half := say(t, caller, axon, []byte{100})
	result := make(chan error, 1)
	go func() {
		_, err := caller.Call(t.Context(), axon.ID(), "wait", nil, nil)
		result <- err
	}()
	<-started
	if err := axon.Close(); err != nil {
		t.Error(err)
	}
	if !ended.Load() {
		t.Error("Close did not wait for the handler")
	}
	if err := <-result; !errors.Is(err, ErrUnreachable) {
		t.Errorf("the caller got %v, want ErrUnreachable", err)
	}
	if _, err := io.ReadAll(half); err == nil {
		t.Error("the half-sent request was answered")
	}
}

func TestHostsOfAProcess(t *testing.T) {
	var hosts []*Host
	for range 12 {
		h := newTestHost(t, Options{Reach: Local})
		h.Serve("echo", echo)
		hosts = append(hosts, h)
	}
	for _, h := range hosts[1:] {
		hosts[0].AddPeer(h.Info())
		if _, err := hosts[0].Call(t.Context(), h.ID(), "echo", []byte("hi"), nil); err != nil {
			t.Error(err)
		}
	}
}
