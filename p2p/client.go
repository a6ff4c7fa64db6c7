package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// Call asks a peer and hands each checked piece of its answer to onPiece, in
// order; a nil onPiece drops them. An error from onPiece ends the call and is
// returned. Cancel ctx to stop the peer's work; ctx should have a deadline,
// since a peer may stay silent for as long as it likes.
//
// The receipt proves what was received, also when the answer broke off: then
// it covers the pieces that were handed out, and is to be kept or dropped by
// the caller. Errors are a [*Refused] signed by the peer, [ErrUnreachable],
// [ErrBadSignature], [ErrMalformed], [ErrTooLarge] or ctx's own.
func (h *Host) Call(ctx context.Context, to peer.ID, method string, body []byte, onPiece func(piece []byte) error) (Receipt, error) {
	if len(body) > MaxBody {
		return Receipt{}, fmt.Errorf("call %s: %w: the body has %d bytes, the limit is %d", method, ErrTooLarge, len(body), MaxBody)
	}
	if !validMethod(method) {
		return Receipt{}, fmt.Errorf("call %q: %w: a method has 1 to %d of a-z 0-9 . _ / -", method, ErrMalformed, maxMethod)
	}
	receipt, err := h.call(ctx, to, method, body, onPiece)
	if err != nil {
		return receipt, fmt.Errorf("call %s of %s: %w", method, to, err)
	}
	return receipt, nil
}

func (h *Host) call(ctx context.Context, to peer.ID, method string, body []byte, onPiece func(piece []byte) error) (Receipt, error) {
	s, err := h.open(ctx, to)
	if err != nil {
		return Receipt{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	now := h.now()
	m, err := signRequest(h.key, h.ID(), to, method, body, now, now.Add(requestLifetime))
	if err != nil {
		return Receipt{}, errors.Join(err, s.Reset())
	}
	receipt, err := exchange(s, m, onPiece)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return receipt, err
}

// exchange writes the request and reads its answer, at once: a peer that
// refuses a request may never read it to its end.
func exchange(s network.Stream, m *axonv1.Request, onPiece func(piece []byte) error) (Receipt, error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = writeFrame(s, m) // hear tells better what went wrong
	}()
	receipt, err := hear(s, m, onPiece)
	if err != nil {
		_ = s.Reset() // err says more
		<-sent
		return receipt, err
	}
	select {
	case <-sent:
		s.Close()
	default:
		_ = s.Reset() // answered before it was asked to the end
		<-sent
	}
	return receipt, nil
}

// hear reads pieces until the last.
func hear(s network.Stream, q *axonv1.Request, onPiece func(piece []byte) error) (Receipt, error) {
	in := bufio.NewReader(s)
	hash := requestHash(q)
	from := listener{from: s.Conn().RemotePeer(), request: hash, running: hash}
	receipt := newReceipt(q, nil)
	for {
		m := new(axonv1.Response)
		if err := receive(in, MaxPiece+maxEnvelope, m); err != nil {
			return receipt, lost(err)
		}
		if err := from.accept(m); err != nil {
			return receipt, err
		}
		if !from.unbound {
			receipt = newReceipt(q, m)
		}
		if m.Refusal != nil {
			return receipt, refused(m.Refusal)
		}
		if m.Last {
			return receipt, nil
		}
		if onPiece == nil {
			continue
		}
		if err := onPiece(m.Body); err != nil {
			return receipt, err
		}
	}
}

// lost tells a broken connection from a message that is bad in itself.
func lost(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: the answer broke off: %w", ErrUnreachable, err)
}

// open dials the peer if need be. If none of the addresses known for it
// answers, it asks the network for newer ones, once.
func (h *Host) open(ctx context.Context, to peer.ID) (network.Stream, error) {
	if to == h.ID() {
		return nil, fmt.Errorf("%w: it is this host itself", ErrUnreachable)
	}
	if h.reach == Local {
		h.retryDial(to) // nothing is far away, so a restarted peer is met at once
	}
	s, err := h.stream(ctx, to)
	if err != nil && h.dht != nil && ctx.Err() == nil && h.refind(ctx, to) {
		s, err = h.stream(ctx, to)
	}
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}

func (h *Host) stream(ctx context.Context, to peer.ID) (network.Stream, error) {
	if h.dht != nil && !h.reachable(to) {
		if _, err := h.Find(ctx, to); err != nil {
			return nil, err
		}
	}
	// A relayed connection will do until there is a direct one: what it cuts
	// off shows in the receipt.
	return h.net.NewStream(network.WithAllowLimitedConn(ctx, "call"), to, axonProtocol)
}
