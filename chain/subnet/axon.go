package subnet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// Bounds of what an axon may carry.
const (
	maxProtocols = 16
	maxProtocol  = 64  // bytes of a protocol's name
	maxPeerID    = 128 // bytes of a peer id's text
	maxSalt      = 64  // bytes of a commit's salt
)

// AxonStatement returns the bytes that a peer key signs to serve a neuron.
func AxonStatement(chainID string, netuid uint32, account sdk.AccAddress) []byte {
	b := append([]byte("plexus/axon/v1"), chainID...)
	b = binary.BigEndian.AppendUint32(b, netuid)
	return append(b, account...)
}

// checkPeer tells whether the Ed25519 key of a peer id signed a statement.
func checkPeer(text string, statement, proof []byte) error {
	if len(text) > maxPeerID {
		return fmt.Errorf("peer id of %d bytes; at most %d", len(text), maxPeerID)
	}
	id, err := peer.Decode(text)
	if err != nil {
		return fmt.Errorf("peer id %q: %w", text, err)
	}
	if id.String() != text {
		return fmt.Errorf("peer id %q is not in its usual form, %s", text, id)
	}
	key, err := id.ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("peer id %s does not hold its key; use one of an Ed25519 key: %w", text, err)
	}
	if key.Type() != crypto.Ed25519 {
		return fmt.Errorf("peer id %s is of a key of type %s; it must be Ed25519", text, key.Type())
	}
	if ok, err := key.Verify(statement, proof); err != nil || !ok {
		return errors.New("the proof is not the peer key's signature over \"plexus/axon/v1\", chain id, netuid and account")
	}
	return nil
}

// checkProtocols bounds the protocols that an axon speaks.
func checkProtocols(protocols []string) error {
	if len(protocols) > maxProtocols {
		return fmt.Errorf("%d protocols; at most %d", len(protocols), maxProtocols)
	}
	for i, p := range protocols {
		if p == "" || len(p) > maxProtocol {
			return fmt.Errorf("protocol %d has %d bytes; it must have 1 to %d", i, len(p), maxProtocol)
		}
		for _, r := range p {
			if r <= ' ' || r > '~' {
				return fmt.Errorf("protocol %q has a character that is not printable ASCII", p)
			}
		}
	}
	return nil
}

// axonReady returns an error while the rate limit of axons lasts.
func axonReady(n subnetv1.Neuron, h subnetv1.Hyperparameters, now int64) error {
	if n.Axon.UpdatedAt == 0 {
		return nil
	}
	return tooSoon("axons", n.Axon.UpdatedAt, h.AxonRateLimit, now)
}

// sdkInt returns a as an integer of the SDK.
func sdkInt(a coin.Amount) math.Int { return math.NewIntFromUint64(uint64(a)) }
