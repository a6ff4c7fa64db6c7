package text

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/plexus-network/plexus/subnet"
)

// Folder keeps what a validator must be able to show later: fraud bundles and
// audits, each a file, and the secret that draws them.
type Folder struct {
	Path string
	Most int // files kept of each kind, the newest; 0 means 64
}

// How the names of files end.
const (
	fraudSuffix = ".fraud"
	auditSuffix = ".audit.json"
	secretName  = "audit.secret"
)

// Secret returns the folder's secret, for Options.Secret, which it draws at the
// first time. Whoever reads it knows which answers will be checked.
func (f Folder) Secret() (secret [32]byte, err error) {
	path := filepath.Join(f.Path, secretName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(secret[:])
		return secret, f.files().Keep(secretName, append([]byte(hex.EncodeToString(secret[:])), '\n'))
	}
	if err != nil {
		return secret, fmt.Errorf("the secret of audits: %w", err)
	}
	raw, err := hex.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(raw) != len(secret) {
		return secret, fmt.Errorf("the secret of audits: %s has %d bytes, 64 hex digits are wanted: remove it to draw another", path, len(b))
	}
	return [32]byte(raw), nil
}

// KeepBundle writes a bundle to a file named after its hash, whose path it
// returns, and removes the oldest ones beyond Most.
func (f Folder) KeepBundle(b Bundle) (string, error) {
	encoded, err := b.Encode()
	if err != nil {
		return "", err
	}
	hash := BundleHash(encoded)
	name := hex.EncodeToString(hash[:]) + fraudSuffix
	return filepath.Join(f.Path, name), f.keep(name, fraudSuffix, encoded)
}

// KeepAudit writes an audit to a file named after its epoch, and removes the
// oldest ones beyond Most.
func (f Folder) KeepAudit(a Audit) error {
	b, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("keep an audit: %w", err)
	}
	return f.keep(fmt.Sprintf("epoch-%d%s", a.Epoch, auditSuffix), auditSuffix, append(b, '\n'))
}

func (f Folder) keep(name, suffix string, b []byte) error {
	if err := f.files().Keep(name, b); err != nil {
		return err
	}
	return f.prune(suffix)
}

// Open returns the paths of the bundles of which nothing has become yet, oldest
// first.
func (f Folder) Open() ([]string, error) { return f.files().Open(fraudSuffix) }

// Settle notes in the name of a bundle's file what became of it: see
// [subnet.Folder].
func (f Folder) Settle(path, word string) error { return f.files().Settle(path, word) }

func (f Folder) files() subnet.Folder { return subnet.Folder{Path: f.Path} }

// prune removes the oldest files with a suffix.
func (f Folder) prune(suffix string) error {
	infos, err := f.files().Files(suffix)
	if err != nil {
		return err
	}
	for _, old := range infos[min(or(f.Most, 64), len(infos)):] {
		err = errors.Join(err, os.Remove(filepath.Join(f.Path, old.Name())))
	}
	return err
}
