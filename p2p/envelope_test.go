package p2p

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// testPeer is a key and the id that goes with it, always the same for a seed.
func testPeer(t testing.TB, seed byte) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func testRequest(t testing.TB, body string) *axonv1.Request {
	t.Helper()
	key, from := testPeer(t, 1)
	_, to := testPeer(t, 2)
	m, err := signRequest(key, from, to, "text/chat", []byte(body), noon, noon.Add(requestLifetime))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fixedRequest is testRequest("hello") with the same bytes in every process,
// as a fuzzer's workers need it.
func fixedRequest(t testing.TB) *axonv1.Request {
	t.Helper()
	m := testRequest(t, "hello")
	m.Nonce = make([]byte, nonceSize)
	key, _ := testPeer(t, 1)
	sig, err := key.Sign(requestStatement(m))
	if err != nil {
		t.Fatal(err)
	}
	m.Signature = sig
	return m
}

func TestCheckRequest(t *testing.T) {
	_, from := testPeer(t, 1)
	_, to := testPeer(t, 2)
	strangerKey, stranger := testPeer(t, 3)
	second := time.Second

	tests := []struct {
		name  string
		alter func(m *axonv1.Request)
		at    time.Duration // after issue, by the receiver's clock
		want  Code          // Unspecified means accepted
	}{
		{name: "good"},
		{name: "caller's clock 9 s ahead", at: -9 * second},
		{name: "caller's clock 11 s ahead", at: -11 * second, want: Expired},
		{name: "caller's clock 39 s behind", at: 39 * second},
		{name: "caller's clock 41 s behind", at: 41 * second, want: Expired},
		{name: "lives too long", alter: func(m *axonv1.Request) { m.ExpiresMs = m.IssuedMs + maxLifetime.Milliseconds() + 1 }, want: Expired},
		{name: "expires before it is issued", alter: func(m *axonv1.Request) { m.ExpiresMs = m.IssuedMs }, want: Expired},
		{name: "times overflow", alter: func(m *axonv1.Request) { m.IssuedMs, m.ExpiresMs = -1<<63, 1<<63-1 }, want: Expired},
		{name: "times altered", alter: func(m *axonv1.Request) { m.ExpiresMs++ }, want: BadSignature},
		{name: "empty signature", alter: func(m *axonv1.Request) { m.Signature = nil }, want: BadSignature},
		{name: "signature cut", alter: func(m *axonv1.Request) { m.Signature = m.Signature[:63] }, want: BadSignature},
		{name: "signature altered", alter: func(m *axonv1.Request) { m.Signature[0] ^= 1 }, want: BadSignature},
		{name: "body altered", alter: func(m *axonv1.Request) { m.Body[0] ^= 1 }, want: BadSignature},
		{name: "body and hash altered", alter: func(m *axonv1.Request) {
			m.Body = []byte("other")
			m.BodyHash = testRequest(t, "other").BodyHash
		}, want: BadSignature},
		{name: "method altered", alter: func(m *axonv1.Request) { m.Method = "text/embed" }, want: BadSignature},
		{name: "nonce altered", alter: func(m *axonv1.Request) { m.Nonce[0] ^= 1 }, want: BadSignature},
		{name: "wrong receiver", alter: func(m *axonv1.Request) { m.Receiver = []byte(stranger) }, want: WrongReceiver},
		{name: "empty caller", alter: func(m *axonv1.Request) { m.Caller = nil }, want: BadSignature},
		{name: "signed by another key", alter: func(m *axonv1.Request) {
			sig, err := strangerKey.Sign(requestStatement(m))
			if err != nil {
				t.Fatal(err)
			}
			m.Signature = sig
		}, want: BadSignature},
		{name: "sent by another peer", alter: func(m *axonv1.Request) {
			m.Caller = []byte(stranger)
			sig, err := strangerKey.Sign(requestStatement(m))
			if err != nil {
				t.Fatal(err)
			}
			m.Signature = sig
		}, want: BadSignature},
		{name: "short nonce", alter: func(m *axonv1.Request) { m.Nonce = m.Nonce[:15] }, want: Malformed},
		{name: "no hash", alter: func(m *axonv1.Request) { m.BodyHash = nil }, want: Malformed},
		{name: "no method", alter: func(m *axonv1.Request) { m.Method = "" }, want: Malformed},
		{name: "method with a newline", alter: func(m *axonv1.Request) { m.Method = "text\nchat" }, want: Malformed},
		{name: "body too large", alter: func(m *axonv1.Request) { m.Body = make([]byte, MaxBody+1) }, want: TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := testRequest(t, "hello")
			if tt.alter != nil {
				tt.alter(m)
			}
			err := checkRequest(m, to, from, noon.Add(tt.at))
			var got Code
			if no, ok := errors.AsType[*Refused](err); ok {
				got = no.Code
			}
			if got != tt.want || (err == nil) != (tt.want == 0) {
				t.Errorf("got %v, want code %v", err, tt.want)
			}
		})
	}
}

func TestStatementsNeverCollide(t *testing.T) {
	a := requestStatement(&axonv1.Request{Method: "ab", BodyHash: []byte("c")})
	b := requestStatement(&axonv1.Request{Method: "a", BodyHash: []byte("bc")})
	if bytes.Equal(a, b) {
		t.Error("two requests have one statement")
	}
	c := responseStatement(&axonv1.Response{Last: true})
	d := responseStatement(&axonv1.Response{Last: true, Refusal: &axonv1.Refusal{}})
	if bytes.Equal(c, d) {
		t.Error("an end and a refusal have one statement")
	}
}

// testAnswer is the answer "one", "two", end to testRequest("hello").
func testAnswer(t testing.TB, q *axonv1.Request, end *axonv1.Refusal) []*axonv1.Response {
	t.Helper()
	key, _ := testPeer(t, 2)
	a := newAnswerer(key, requestHash(q))
	var pieces []*axonv1.Response
	for _, body := range []string{"one", "two", ""} {
		last := body == ""
		var no *axonv1.Refusal
		if last {
			no = end
		}
		m, err := a.piece([]byte(body), last, no)
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, m)
	}
	return pieces
}

func TestListenerAccept(t *testing.T) {
	busy := &axonv1.Refusal{Code: Busy, Message: "full", RetryAfterMs: 1000}
	tests := []struct {
		name  string
		alter func(m []*axonv1.Response) []*axonv1.Response
		want  error
	}{
		{name: "good"},
		{name: "body altered", alter: func(m []*axonv1.Response) []*axonv1.Response { m[1].Body = []byte("six"); return m }, want: ErrBadSignature},
		{name: "body and hash altered", alter: func(m []*axonv1.Response) []*axonv1.Response {
			hash := chain(Digest(m[0].RunningHash), []byte("six"))
			m[1].Body, m[1].RunningHash = []byte("six"), hash[:]
			return m
		}, want: ErrBadSignature},
		{name: "empty signature", alter: func(m []*axonv1.Response) []*axonv1.Response { m[0].Signature = nil; return m }, want: ErrBadSignature},
		{name: "other request", alter: func(m []*axonv1.Response) []*axonv1.Response {
			return testAnswer(t, testRequest(t, "bye"), nil)
		}, want: ErrBadSignature},
		{name: "unbound answer", alter: func(m []*axonv1.Response) []*axonv1.Response {
			key, _ := testPeer(t, 2)
			p, err := newAnswerer(key, Digest{}).piece([]byte("one"), false, nil)
			if err != nil {
				t.Fatal(err)
			}
			return []*axonv1.Response{p}
		}, want: ErrBadSignature},
		{name: "piece dropped", alter: func(m []*axonv1.Response) []*axonv1.Response { return m[1:] }, want: ErrMalformed},
		{name: "piece repeated", alter: func(m []*axonv1.Response) []*axonv1.Response { return append(m[:1], m[0]) }, want: ErrMalformed},
		{name: "end forged", alter: func(m []*axonv1.Response) []*axonv1.Response { m[1].Last = true; return m }, want: ErrMalformed},
		{name: "end denied", alter: func(m []*axonv1.Response) []*axonv1.Response { m[2].Last = false; return m }, want: ErrMalformed},
		{name: "refusal altered", alter: func(m []*axonv1.Response) []*axonv1.Response {
			m[2].Refusal = &axonv1.Refusal{Code: Busy, Message: "full", RetryAfterMs: 1}
			return m
		}, want: ErrBadSignature},
		{name: "refusal removed", alter: func(m []*axonv1.Response) []*axonv1.Response { m[2].Refusal = nil; return m }, want: ErrBadSignature},
		{name: "refusal in the middle", alter: func(m []*axonv1.Response) []*axonv1.Response { m[0].Refusal = busy; return m }, want: ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := testRequest(t, "hello")
			pieces := testAnswer(t, q, busy)
			if tt.alter != nil {
				pieces = tt.alter(pieces)
			}
			_, from := testPeer(t, 2)
			l := listener{from: from, request: requestHash(q), running: requestHash(q)}
			var err error
			for _, m := range pieces {
				if err = l.accept(m); err != nil {
					break
				}
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestListenerBoundsTheAnswer(t *testing.T) {
	q := testRequest(t, "hello")
	key, from := testPeer(t, 2)
	a := newAnswerer(key, requestHash(q))
	l := listener{from: from, request: requestHash(q), running: requestHash(q), total: MaxAnswer - 1}
	m, err := a.piece([]byte("ab"), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.accept(m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// Whatever the bytes, decoding and checking a request must neither panic nor
// accept what its caller did not sign.
func FuzzRequest(f *testing.F) {
	good := fixedRequest(f)
	data, err := good.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	_, from := testPeer(f, 1)
	_, to := testPeer(f, 2)
	f.Fuzz(func(t *testing.T, got []byte) {
		m := new(axonv1.Request)
		if decode(got, m) != nil {
			return
		}
		if checkRequest(m, to, from, noon) == nil && !bytes.Equal(requestStatement(m), requestStatement(good)) {
			t.Fatalf("accepted a request that was never signed: %x", got)
		}
	})
}

// Whatever the bytes, a caller accepts no piece that its peer did not sign.
func FuzzResponse(f *testing.F) {
	q := fixedRequest(f)
	good := testAnswer(f, q, nil)[0]
	data, err := good.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x32, 0x00})
	_, from := testPeer(f, 2)
	f.Fuzz(func(t *testing.T, got []byte) {
		m := new(axonv1.Response)
		if decode(got, m) != nil {
			return
		}
		l := listener{from: from, request: requestHash(q), running: requestHash(q)}
		if l.accept(m) == nil && !bytes.Equal(responseStatement(m), responseStatement(good)) {
			t.Fatalf("accepted a piece that was never signed: %x", got)
		}
	})
}
