package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	keyBlock    = "PRIVATE KEY" // PKCS #8, RFC 5958, readable by openssl
	keyIDHeader = "Peer-Id"     // guards against a silently damaged key
	maxKeyFile  = 4 << 10
)

// LoadKey reads the Ed25519 key at path, or makes one there, readable by its
// owner alone, if the file does not exist. The key is the peer's identity:
// whoever copies the file can act as the peer. A damaged file, or one that
// others can read, is an error and is never replaced.
func LoadKey(path string) (crypto.PrivKey, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("peer key %s is open to other users (mode %04o): run chmod 600 on it", path, st.Mode().Perm())
	}
	if st.Size() > maxKeyFile {
		return nil, fmt.Errorf("peer key %s is %d bytes, a key has at most %d: restore it from a backup", path, st.Size(), maxKeyFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	key, err := decodeKey(data)
	if err != nil {
		return nil, fmt.Errorf("peer key %s is damaged (%w): restore it from a backup, or remove it to start as a new peer", path, err)
	}
	return key, nil
}

func createKey(path string) (crypto.PrivKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	key, data, err := encodeKey(seed)
	if err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	if err := writeNew(path, data); err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	return key, nil
}

// encodeKey returns the key grown from seed and its file's content.
func encodeKey(seed []byte) (crypto.PrivKey, []byte, error) {
	raw := ed25519.NewKeyFromSeed(seed)
	key, err := crypto.UnmarshalEd25519PrivateKey(raw)
	if err != nil {
		return nil, nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(raw)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{
		Type:    keyBlock,
		Headers: map[string]string{keyIDHeader: id.String()},
		Bytes:   der,
	}), nil
}

func decodeKey(data []byte) (crypto.PrivKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != keyBlock {
		return nil, errors.New("no private key block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	raw, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, not an Ed25519 key", parsed)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if want := block.Headers[keyIDHeader]; want != id.String() {
		return nil, fmt.Errorf("the key belongs to peer %s, the file says %q", id, want)
	}
	return key, nil
}

// writeNew writes a file that must not exist yet, and has it on disk, whole or
// not at all, when it returns.
func writeNew(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, fails if another process was first.
	return os.Link(tmp.Name(), path)
}
