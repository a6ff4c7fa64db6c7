package wallet

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
)

// Prefix begins every address in bech32, and CoinType is the network's number
// in key derivation paths (BIP-44).
const (
	Prefix   = "plx"
	CoinType = 118
)

// addressSize is the length of the bytes of an account made from a key.
const addressSize = 20

// A Key is a key that can sign. It shows no secret: print it freely. It may be
// used from many goroutines.
type Key struct {
	name string
	pub  cryptotypes.PubKey
	sign func(doc []byte) ([]byte, error)
}

// Name returns what the key is called in its keyring: "alice" for a coldkey,
// "alice.miner" for a hotkey of hers.
func (k *Key) Name() string { return k.name }

// Coldkey returns the name of the coldkey that k is a hotkey of, and "" for a
// coldkey.
func (k *Key) Coldkey() string { return Coldkey(k.name) }

// PubKey returns the public key (secp256k1).
func (k *Key) PubKey() cryptotypes.PubKey { return k.pub }

// Account returns the 20 bytes of the account that the key controls.
func (k *Key) Account() []byte { return k.pub.Address() }

// Address returns the account in bech32, "plx1…".
func (k *Key) Address() string { return FormatAddress(k.Account()) }

// Sign signs the SHA-256 of doc. A key in a keyring may ask for its
// passphrase.
func (k *Key) Sign(doc []byte) ([]byte, error) {
	sig, err := k.sign(doc)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.name, err)
	}
	return sig, nil
}

// String returns name and address.
func (k *Key) String() string { return k.name + " " + k.Address() }

// Derive returns the key that a seed gives for a name, kept in memory alone.
// It is for networks that are made for a day: whoever knows the seed has all
// its keys.
func Derive(seed, name string) *Key {
	h := sha256.Sum256([]byte("plexus/devnet/v1\x00" + seed + "\x00" + name))
	priv := secp256k1.GenPrivKeyFromSecret(h[:])
	return &Key{name: name, pub: priv.PubKey(), sign: priv.Sign}
}

// Coldkey returns the name of the coldkey in a hotkey's name: "alice" for
// "alice.miner". It is "" for a coldkey's name.
func Coldkey(name string) string {
	cold, _, hot := strings.Cut(name, ".")
	if !hot {
		return ""
	}
	return cold
}

// FormatAddress writes an account's bytes in bech32.
func FormatAddress(account []byte) string {
	s, err := bech32.ConvertAndEncode(Prefix, account)
	if err != nil {
		// Only a group of bits out of range is refused, and bytes have none.
		panic(err)
	}
	return s
}

// ParseAddress reads an account's address and returns its 20 bytes, or 32 for
// the account of a module.
func ParseAddress(s string) ([]byte, error) {
	hrp, b, err := bech32.DecodeAndConvert(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address %q: %w", s, err)
	case hrp != Prefix:
		return nil, fmt.Errorf("address %q begins with %q, not %q", s, hrp, Prefix)
	case len(b) != addressSize && len(b) != 32:
		return nil, fmt.Errorf("address %q has %d bytes, want %d or 32", s, len(b), addressSize)
	}
	return b, nil
}

// direct is how keys sign: over the exact bytes of a transaction.
const direct = signing.SignMode_SIGN_MODE_DIRECT
