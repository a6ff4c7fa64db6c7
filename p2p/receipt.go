package p2p

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// A Receipt proves to anyone that a peer was asked, and what it answered, as
// far as the answer came. It holds hashes and signatures but no bodies, so it
// may be shown without showing the prompt. It encodes as JSON.
type Receipt struct {
	Request  *axonv1.Request  `json:"request"`  // without its body
	Response *axonv1.Response `json:"response"` // the latest piece, without its body; nil if none came
}

// newReceipt keeps what proves: the envelopes without their bodies.
func newReceipt(q *axonv1.Request, a *axonv1.Response) Receipt {
	request := *q
	request.Body = nil
	r := Receipt{Request: &request}
	if a != nil {
		response := *a
		response.Body = nil
		r.Response = &response
	}
	return r
}

// Hash names the request; every piece of its answer is signed over it.
func (r Receipt) Hash() Digest { return requestHash(r.Request) }

// Complete reports whether the peer declared its answer finished, and not by a
// refusal.
func (r Receipt) Complete() bool {
	return r.Response != nil && r.Response.Last && r.Response.Refusal == nil
}

// Verify checks both signatures and that the answer is to this request. Expiry
// is not looked at: a receipt is good forever.
func (r Receipt) Verify() error {
	if r.Request == nil || r.Response == nil {
		return errors.New("p2p: the receipt has no answer in it")
	}
	caller, err := peer.IDFromBytes(r.Request.Caller)
	if err != nil {
		return fmt.Errorf("%w: receipt's caller: %w", ErrMalformed, err)
	}
	receiver, err := peer.IDFromBytes(r.Request.Receiver)
	if err != nil {
		return fmt.Errorf("%w: receipt's receiver: %w", ErrMalformed, err)
	}
	if err := verify(caller, requestStatement(r.Request), r.Request.Signature); err != nil {
		return fmt.Errorf("receipt's request: %w", err)
	}
	hash := r.Hash()
	if !bytes.Equal(r.Response.RequestHash, hash[:]) {
		return fmt.Errorf("%w: the receipt's answer is to another request", ErrBadSignature)
	}
	if err := verify(receiver, responseStatement(r.Response), r.Response.Signature); err != nil {
		return fmt.Errorf("receipt's answer: %w", err)
	}
	return nil
}

// VerifyBodies checks, after Verify, that the receipt is about these bodies:
// the request's and all pieces of the answer, cut as they came.
func (r Receipt) VerifyBodies(request []byte, pieces [][]byte) error {
	if err := r.Verify(); err != nil {
		return err
	}
	if hash := sha256.Sum256(request); !bytes.Equal(hash[:], r.Request.BodyHash) {
		return fmt.Errorf("%w: the receipt is for another request body", ErrBadSignature)
	}
	if r.Response.Last {
		pieces = append(pieces[:len(pieces):len(pieces)], nil)
	}
	if got, want := len(pieces), int(r.Response.Sequence)+1; got != want {
		return fmt.Errorf("%w: the receipt is for %d pieces, not %d", ErrBadSignature, want, got)
	}
	running := r.Hash()
	for _, piece := range pieces {
		running = chain(running, piece)
	}
	if !bytes.Equal(running[:], r.Response.RunningHash) {
		return fmt.Errorf("%w: the receipt is for another answer", ErrBadSignature)
	}
	return nil
}
