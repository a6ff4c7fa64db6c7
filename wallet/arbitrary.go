package wallet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
)

// ErrSignature means that a text was not signed by the account that it is said
// to be from.
var ErrSignature = errors.New("wallet: the signature does not hold")

// SignText signs a text that is no transaction, as wallets in browsers do
// (ADR-36; Keplr's signArbitrary), and returns the 64 bytes of the signature.
func (k *Key) SignText(text string) ([]byte, error) {
	return k.Sign(textDoc(k.Address(), text))
}

// VerifyText checks that the account of address signed text: that the public
// key of 33 bytes is its own, and the signature of 64 bytes the key's. It
// returns [ErrSignature] if not.
func VerifyText(address, text string, public, signature []byte) error {
	account, err := ParseAddress(address)
	if err != nil {
		return err
	}
	if len(public) != secp256k1.PubKeySize {
		return fmt.Errorf("%w: a public key has %d bytes, not %d", ErrSignature, secp256k1.PubKeySize, len(public))
	}
	key := &secp256k1.PubKey{Key: public}
	if !bytes.Equal(key.Address(), account) {
		return fmt.Errorf("%w: the public key is that of %s, not of %s", ErrSignature, FormatAddress(key.Address()), address)
	}
	if !key.VerifySignature(textDoc(address, text), signature) {
		return fmt.Errorf("%w: it is not that of %s on this text", ErrSignature, address)
	}
	return nil
}

// Verify checks a signature of [Key.Sign] on doc by a public key of 33 bytes,
// and returns the key's address, or [ErrSignature].
func Verify(public, doc, signature []byte) (address string, err error) {
	if len(public) != secp256k1.PubKeySize {
		return "", fmt.Errorf("%w: a public key has %d bytes, not %d", ErrSignature, secp256k1.PubKeySize, len(public))
	}
	key := &secp256k1.PubKey{Key: public}
	address = FormatAddress(key.Address())
	if !key.VerifySignature(doc, signature) {
		return address, fmt.Errorf("%w: it is not that of %s on this document", ErrSignature, address)
	}
	return address, nil
}

// textDoc returns what is signed for a text: the amino JSON of a transaction
// that can be none, with its fields in alphabetical order and without spaces
// (ADR-36 of the Cosmos SDK).
func textDoc(address, text string) []byte {
	type value struct {
		Data   string `json:"data"`
		Signer string `json:"signer"`
	}
	type msg struct {
		Type  string `json:"type"`
		Value value  `json:"value"`
	}
	type fee struct {
		Amount []string `json:"amount"`
		Gas    string   `json:"gas"`
	}
	doc, _ := json.Marshal(struct { // texts always encode
		AccountNumber string `json:"account_number"`
		ChainID       string `json:"chain_id"`
		Fee           fee    `json:"fee"`
		Memo          string `json:"memo"`
		Msgs          []msg  `json:"msgs"`
		Sequence      string `json:"sequence"`
	}{
		AccountNumber: "0", Fee: fee{[]string{}, "0"}, Sequence: "0",
		Msgs: []msg{{"sign/MsgSignData", value{base64.StdEncoding.EncodeToString([]byte(text)), address}}},
	})
	return doc
}
