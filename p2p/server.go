package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// axonProtocol carries one request and its answer per stream. A change of what
// is signed, or of how it is framed, is a new version.
const axonProtocol protocol.ID = "/plexus/axon/1.0.0"

var errCallerGone = errors.New("p2p: the caller is gone")

// A Request is what a handler or policy sees of a call. The host has checked
// its size, its receiver, its time, its signature and that it is new.
type Request struct {
	From    peer.ID // who signed it, and sent it
	Method  string
	Body    []byte    // the handler may keep and change it
	Hash    Digest    // names the request in its receipt
	Expires time.Time // of the request, not of the work on it
}

// A Handler answers a request. It hands out the answer's pieces, each of at
// most [MaxPiece] bytes, by send, which may be called by one goroutine at a
// time, not after the handler returned, and does not keep the piece. The context ends when the caller cancels
// or goes away, or the host closes. To fail, it returns a [*Refused]; of any
// other error the caller learns only that the peer failed.
type Handler func(ctx context.Context, r Request, send func(piece []byte) error) error

// A Policy decides whether a signed, new request is served. It returns nil, or
// a [*Refused] that the caller will see.
type Policy func(ctx context.Context, r Request) error

type method struct {
	handle   Handler
	policies []Policy
}

// Serve answers a method, once all policies, asked in order, let a request
// pass. A name has 1 to 64 of a–z, 0–9 and . _ / -; a bad one panics, and so
// does a second handler for one method.
func (h *Host) Serve(name string, handle Handler, policies ...Policy) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, dup := h.methods[name]; dup || !validMethod(name) {
		panic(fmt.Sprintf("p2p: Serve(%q): a bad name, or served already", name))
	}
	h.methods[name] = method{handle: handle, policies: policies}
}

// serveCall owns a stream that a peer opened.
func (h *Host) serveCall(s network.Stream) {
	c := &call{host: h, stream: s, from: s.Conn().RemotePeer(), answer: newAnswerer(h.key, Digest{}), calm: func() bool { return true }}
	ctx, visit, err := h.gate.enter(c.from)
	if err == nil {
		defer h.gate.leave(visit)
		c.calm = context.AfterFunc(ctx, func() { _ = s.Reset() })
		if err = c.serve(ctx, visit); err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		h.complain("call not served", c.from, err)
	}
	if err := c.finish(err); err != nil {
		h.complain("call broken off", c.from, err)
	}
	c.unwatch()
}

// call is one request being served.
type call struct {
	host    *Host
	stream  network.Stream
	from    peer.ID
	answer  *answerer
	calm    func() bool   // stops the reset of the stream when the work is cancelled
	watched chan struct{} // closed when the watcher ended; nil if none runs
}

// serve reads the request, checks it in the order of what the checks cost us,
// and runs its handler.
func (c *call) serve(ctx context.Context, v *visit) error {
	in := bufio.NewReader(c.stream)
	m, err := c.read(in)
	if err != nil {
		return err
	}
	hash := requestHash(m)
	c.answer = newAnswerer(c.host.key, hash)
	now := c.host.now()
	if err := checkRequest(m, c.host.ID(), c.from, now); err != nil {
		return err
	}
	c.watch(in, v.cancel)

	r := Request{From: c.from, Method: m.Method, Body: m.Body, Hash: hash, Expires: time.UnixMilli(m.ExpiresMs)}
	nonce, err := c.host.nonces.reserve(c.from, m.Nonce, r.Expires.Add(clockSkew), now)
	if err != nil {
		return err
	}
	handle, err := c.host.admit(ctx, r)
	if err != nil {
		// Not executed, so there is nothing to protect from a replay, and
		// whoever is refused costs us no disk.
		c.host.nonces.release(nonce)
		return err
	}
	c.host.gate.welcome(v)
	if err := c.host.nonces.commit(nonce, now); err != nil {
		c.host.alarm.Do(func() { c.host.log.Error("cannot record a request, so it is refused", "err", err) })
		return &Refused{Code: Busy, Message: "the peer cannot record requests now", RetryAfter: time.Minute}
	}
	err = handle(ctx, r, func(piece []byte) error { return c.send(ctx, piece) })
	if _, told := errors.AsType[*Refused](err); err != nil && !told && ctx.Err() == nil {
		c.host.alarm.Do(func() { c.host.log.Warn("a handler failed", "method", r.Method, "err", err) })
	}
	return err
}

// read takes the request off the stream within its size, memory and time.
func (c *call) read(in *bufio.Reader) (*axonv1.Request, error) {
	if err := c.stream.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	n, err := readLength(in, MaxBody+maxEnvelope)
	if err != nil {
		return nil, refuseRead(err)
	}
	// The frame and the message decoded from it.
	if err := c.stream.Scope().ReserveMemory(2*n, network.ReservationPriorityMedium); err != nil {
		return nil, &Refused{Code: Busy, Message: "the peer is out of memory for requests", RetryAfter: time.Second}
	}
	data, err := readFrame(in, n)
	if err != nil {
		return nil, refuseRead(err)
	}
	m := new(axonv1.Request)
	if err := decode(data, m); err != nil {
		return nil, refuseRead(err)
	}
	return m, c.stream.SetReadDeadline(time.Time{})
}

// refuseRead says why a request could not be read, where saying so can help.
func refuseRead(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return &Refused{Code: TooLarge, Message: fmt.Sprintf("a request has at most %d bytes", MaxBody)}
	case errors.Is(err, ErrMalformed):
		return &Refused{Code: Malformed, Message: "not a request"}
	default:
		return fmt.Errorf("read request: %w", err)
	}
}

// admit finds the method and asks its policies.
func (h *Host) admit(ctx context.Context, r Request) (Handler, error) {
	h.mu.Lock()
	m, ok := h.methods[r.Method]
	h.mu.Unlock()
	if !ok {
		return nil, &Refused{Code: UnknownMethod, Message: fmt.Sprintf("this peer does not serve %q", r.Method)}
	}
	for _, policy := range m.policies {
		if err := policy(ctx, r); err != nil {
			return nil, err
		}
	}
	return m.handle, nil
}

// send signs and writes one piece of the answer.
func (c *call) send(ctx context.Context, piece []byte) error {
	if len(piece) > MaxPiece {
		return fmt.Errorf("%w: the piece has %d bytes, the limit is %d", ErrTooLarge, len(piece), MaxPiece)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m, err := c.answer.piece(piece, false, nil)
	if err != nil {
		return err
	}
	return c.write(m)
}

// finish writes the last piece, with the refusal if err is one, and closes the
// stream. A caller that went away or never sent a request is told nothing, and
// neither is anyone by a host that closes.
func (c *call) finish(err error) error {
	_, tell := errors.AsType[*Refused](err)
	if errors.Is(err, errCallerGone) || errors.Is(err, errClosing) || c.watched == nil && err != nil && !tell {
		return c.stream.Reset()
	}
	var no *axonv1.Refusal
	if err != nil {
		no = refusal(err)
	}
	m, err := c.answer.piece(nil, true, no)
	if err != nil {
		return errors.Join(err, c.stream.Reset())
	}
	if err := c.write(m); err != nil {
		return errors.Join(err, c.stream.Reset())
	}
	c.calm() // a reset could overtake what is written
	return c.stream.Close()
}

func (c *call) write(m *axonv1.Response) error {
	if err := c.stream.SetWriteDeadline(time.Now().Add(pieceTimeout)); err != nil {
		return err
	}
	return writeFrame(c.stream, m)
}

// watch cancels the work as soon as anything but silence comes from the
// caller: a caller that waits for its answer keeps its side open and sends
// nothing.
func (c *call) watch(in *bufio.Reader, cancel context.CancelCauseFunc) {
	c.watched = make(chan struct{})
	go func() {
		defer close(c.watched)
		_, _ = in.ReadByte() // however it ends
		cancel(errCallerGone)
	}()
}

// unwatch waits for the watcher, which the stream's end wakes.
func (c *call) unwatch() {
	if c.watched != nil {
		<-c.watched
	}
}
