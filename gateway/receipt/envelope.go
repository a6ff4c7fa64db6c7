package receipt

import (
	"encoding/json"
	"fmt"

	"github.com/plexus-network/plexus/wallet"
)

// PayloadType says what an envelope's payload is.
const PayloadType = "application/vnd.plexus.receipt+json"

// An Envelope is a receipt with its signature. What is signed is the pre-
// authentication encoding of DSSE (secure-systems-lab/dsse, protocol.md): the
// payload's type and its exact bytes, each behind its length.
type Envelope struct {
	Payload     []byte `json:"payload"` // the exact JSON of a Receipt; base64 in JSON
	PayloadType string `json:"payload_type"`
	PublicKey   []byte `json:"public_key"` // secp256k1, 33 bytes; base64 in JSON
	Signature   []byte `json:"signature"`  // r ‖ s, 64 bytes; base64 in JSON
}

// Sign puts a receipt into an envelope.
func Sign(r Receipt, by *wallet.Key) (Envelope, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return Envelope{}, fmt.Errorf("receipt %s: %w", r.ID, err)
	}
	signature, err := by.Sign(statement(PayloadType, payload))
	if err != nil {
		return Envelope{}, fmt.Errorf("receipt %s: %w", r.ID, err)
	}
	return Envelope{Payload: payload, PayloadType: PayloadType, PublicKey: by.PubKey().Bytes(), Signature: signature}, nil
}

// Open checks an envelope's signature and returns its receipt with the address
// of the key that signed it. Whether that is the receipt's own hotkey is for
// [Verify].
func (e Envelope) Open() (r Receipt, signer string, err error) {
	if e.PayloadType != PayloadType {
		return r, "", fmt.Errorf("%w: the payload is %.60q, not %s", ErrMalformed, e.PayloadType, PayloadType)
	}
	if signer, err = wallet.Verify(e.PublicKey, statement(e.PayloadType, e.Payload), e.Signature); err != nil {
		return r, signer, err
	}
	r, err = decode(e.Payload)
	return r, signer, err
}

// Leaf returns the hash of the receipt's leaf in the tree of its epoch.
func (e Envelope) Leaf() Hash { return leaf(e.Payload) }

// statement is what is signed.
func statement(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}
