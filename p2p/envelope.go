package p2p

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

const nonceSize = 16

// A Digest is a SHA-256 hash.
type Digest [sha256.Size]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// statement is the exact bytes that a signature covers: a name of what is
// said, then the fields in order. Texts and bytes stand behind their length as
// a big-endian uint32, numbers are big-endian uint64, lists stand behind their
// count, so that no two statements share their bytes. How protobuf lays out a
// message does not matter.
type statement []byte

func newStatement(name string) statement {
	return statement(nil).text(name)
}

func (s statement) bytes(b []byte) statement {
	return append(binary.BigEndian.AppendUint32(s, uint32(len(b))), b...)
}

func (s statement) text(t string) statement { return s.bytes([]byte(t)) }

func (s statement) number(n uint64) statement {
	return binary.BigEndian.AppendUint64(s, n)
}

// requestStatement says what m's signature covers: all but the body, which
// its hash stands for.
func requestStatement(m *axonv1.Request) statement {
	return newStatement("plexus/axon/1.0.0/request").
		text(m.Method).
		bytes(m.BodyHash).
		bytes(m.Caller).
		bytes(m.Receiver).
		bytes(m.Nonce).
		number(uint64(m.IssuedMs)).
		number(uint64(m.ExpiresMs))
}

// requestHash names a request: the hash of its statement.
func requestHash(m *axonv1.Request) Digest {
	return sha256.Sum256(requestStatement(m))
}

// responseStatement says what m's signature covers: all but the body, which
// the running hash stands for.
func responseStatement(m *axonv1.Response) statement {
	r := m.GetRefusal()
	return newStatement("plexus/axon/1.0.0/response").
		bytes(m.RequestHash).
		number(uint64(m.Sequence)).
		bytes(m.RunningHash).
		number(flag(m.Last)).
		number(flag(r != nil)).
		number(uint64(r.GetCode())).
		text(r.GetMessage()).
		number(uint64(r.GetRetryAfterMs()))
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// chain extends a running hash by one body. The first link is the request's
// hash, so that equal answers to two requests never look alike.
func chain(running Digest, body []byte) Digest {
	h := sha256.New()
	h.Write(running[:])
	h.Write(body)
	return Digest(h.Sum(nil))
}

// signRequest makes the request that key's peer sends to another.
func signRequest(key crypto.PrivKey, from, to peer.ID, method string, body []byte, now, expires time.Time) (*axonv1.Request, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	hash := sha256.Sum256(body)
	m := &axonv1.Request{
		Method:    method,
		Body:      body,
		BodyHash:  hash[:],
		Caller:    []byte(from),
		Receiver:  []byte(to),
		Nonce:     nonce,
		IssuedMs:  now.UnixMilli(),
		ExpiresMs: expires.UnixMilli(),
	}
	sig, err := key.Sign(requestStatement(m))
	if err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	m.Signature = sig
	return m, nil
}

// checkRequest decides whether m, which came from peer from, is a request to
// self that may be considered at all. The cheap checks come first, the
// signature last; replay, policy and method are not looked at here.
func checkRequest(m *axonv1.Request, self, from peer.ID, now time.Time) error {
	if err := checkShape(m); err != nil {
		return err
	}
	if string(m.Receiver) != string(self) {
		return &Refused{Code: WrongReceiver, Message: fmt.Sprintf("the request is for another peer than %s", self)}
	}
	if err := checkTimes(m.IssuedMs, m.ExpiresMs, now); err != nil {
		return err
	}
	if string(m.Caller) != string(from) {
		return &Refused{Code: BadSignature, Message: fmt.Sprintf("the request does not name its sender %s as caller", from)}
	}
	hash := sha256.Sum256(m.Body)
	if !bytes.Equal(hash[:], m.BodyHash) {
		return &Refused{Code: BadSignature, Message: "the body differs from the signed hash"}
	}
	if err := verify(from, requestStatement(m), m.Signature); err != nil {
		return &Refused{Code: BadSignature, Message: "the request's signature is not the caller's"}
	}
	return nil
}

func checkShape(m *axonv1.Request) error {
	switch {
	case !validMethod(m.Method):
		return &Refused{Code: Malformed, Message: fmt.Sprintf("a method has 1 to %d of a-z 0-9 . _ / -", maxMethod)}
	case len(m.Body) > MaxBody:
		return &Refused{Code: TooLarge, Message: fmt.Sprintf("the body has %d bytes, the limit is %d", len(m.Body), MaxBody)}
	case len(m.Nonce) != nonceSize:
		return &Refused{Code: Malformed, Message: fmt.Sprintf("the nonce has %d bytes, not %d", len(m.Nonce), nonceSize)}
	case len(m.BodyHash) != sha256.Size:
		return &Refused{Code: Malformed, Message: fmt.Sprintf("the body's hash has %d bytes, not %d", len(m.BodyHash), sha256.Size)}
	}
	return nil
}

// checkTimes accepts a request in its time as seen by a clock that may be off
// by clockSkew in either direction.
func checkTimes(issuedMS, expiresMS int64, now time.Time) error {
	lifetime := expiresMS - issuedMS
	if issuedMS < 0 || expiresMS < 0 || lifetime <= 0 || lifetime > maxLifetime.Milliseconds() {
		return &Refused{Code: Expired, Message: fmt.Sprintf("a request lives for more than 0 and at most %v", maxLifetime)}
	}
	if early := time.UnixMilli(issuedMS).Sub(now); early > clockSkew {
		return &Refused{Code: Expired, Message: fmt.Sprintf("the request was issued %v ahead of this peer's clock, %v is allowed: check both clocks", early.Round(time.Second), clockSkew)}
	}
	if late := now.Sub(time.UnixMilli(expiresMS)); late > clockSkew {
		return &Refused{Code: Expired, Message: fmt.Sprintf("the request expired %v ago by this peer's clock, %v is allowed: check both clocks", late.Round(time.Second), clockSkew)}
	}
	return nil
}

func validMethod(s string) bool {
	if len(s) == 0 || len(s) > maxMethod {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '/', c == '-':
		default:
			return false
		}
	}
	return true
}

// verify checks a signature by the key that is part of the peer's id.
func verify(by peer.ID, s statement, sig []byte) error {
	key, err := by.ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("%w: peer %s: %w", ErrBadSignature, by, err)
	}
	ok, err := key.Verify(s, sig)
	if err != nil || !ok {
		return errors.Join(ErrBadSignature, err)
	}
	return nil
}

// An answerer makes the signed pieces of one answer, in order.
type answerer struct {
	key     crypto.PrivKey
	request Digest // zero if the request could not be read
	running Digest
	next    uint32
}

func newAnswerer(key crypto.PrivKey, request Digest) *answerer {
	return &answerer{key: key, request: request, running: request}
}

// piece signs the next body. The last piece has none, but maybe a refusal.
func (a *answerer) piece(body []byte, last bool, refusal *axonv1.Refusal) (*axonv1.Response, error) {
	a.running = chain(a.running, body)
	m := &axonv1.Response{
		RequestHash: a.request[:],
		Sequence:    a.next,
		Body:        body,
		RunningHash: bytes.Clone(a.running[:]),
		Last:        last,
		Refusal:     refusal,
	}
	sig, err := a.key.Sign(responseStatement(m))
	if err != nil {
		return nil, fmt.Errorf("sign response: %w", err)
	}
	m.Signature = sig
	a.next++
	return m, nil
}

// A listener checks the pieces of one answer, in order.
type listener struct {
	from    peer.ID
	request Digest
	running Digest
	next    uint32
	total   int
	unbound bool // the peer refused without having read the request
}

// accept checks that m is the next piece of the answer. An unbound refusal,
// which names no request since the peer could not read one, is accepted as a
// first word only, and proves nothing to others.
func (l *listener) accept(m *axonv1.Response) error {
	if m.Last && len(m.Body) > 0 || m.Refusal != nil && !m.Last {
		return fmt.Errorf("%w: the last piece alone, and without a body, ends an answer", ErrMalformed)
	}
	if said := m.GetRefusal().GetMessage(); len(said) > maxMessage || !utf8.ValidString(said) {
		return fmt.Errorf("%w: the refusal is not a text of at most %d bytes", ErrMalformed, maxMessage)
	}
	want := *l
	if m.Refusal != nil && l.next == 0 && bytes.Equal(m.RequestHash, make([]byte, sha256.Size)) {
		want.request, want.running, want.unbound = Digest{}, Digest{}, true
	}
	want.running = chain(want.running, m.Body)
	switch {
	case !bytes.Equal(m.RequestHash, want.request[:]):
		return fmt.Errorf("%w: the answer is to another request", ErrBadSignature)
	case m.Sequence != want.next:
		return fmt.Errorf("%w: piece %d came where %d was due", ErrMalformed, m.Sequence, want.next)
	case !bytes.Equal(m.RunningHash, want.running[:]):
		return fmt.Errorf("%w: the running hash of piece %d does not match its body", ErrBadSignature, m.Sequence)
	}
	if l.total+len(m.Body) > MaxAnswer {
		return fmt.Errorf("%w: the answer is over %d bytes", ErrTooLarge, MaxAnswer)
	}
	if err := verify(l.from, responseStatement(m), m.Signature); err != nil {
		return fmt.Errorf("piece %d: %w", m.Sequence, err)
	}
	*l = want
	l.next++
	l.total += len(m.Body)
	return nil
}
