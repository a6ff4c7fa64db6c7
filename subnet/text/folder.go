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
	"slices"
	"strings"
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
		return secret, f.write(secretName, append([]byte(hex.EncodeToString(secret[:])), '\n'))
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
	if err := f.write(name, b); err != nil {
		return err
	}
	return f.prune(suffix)
}

// write makes a file whole or not at all.
func (f Folder) write(name string, b []byte) error {
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	path := filepath.Join(f.Path, name)
	if err := writeDown(path+".new", b); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// writeDown writes a file that is there even if the machine loses its power:
// what a validator has promised to show must not be lost.
func writeDown(path string, b []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	return errors.Join(err, file.Sync(), file.Close())
}

// Open returns the paths of the bundles of which nothing has become yet, oldest
// first.
func (f Folder) Open() ([]string, error) {
	infos, err := f.files(fraudSuffix)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, info := range slices.Backward(infos) {
		if strings.Count(info.Name(), ".") == 1 {
			paths = append(paths, filepath.Join(f.Path, info.Name()))
		}
	}
	return paths, nil
}

// Settle notes in the name of a bundle's file what became of it, in a word
// without dots, so that it is open no longer. It does nothing for a file that
// was removed meanwhile.
func (f Folder) Settle(path, word string) error {
	to := strings.TrimSuffix(path, fraudSuffix) + "." + word + fraudSuffix
	if err := os.Rename(path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("settle a bundle: %w", err)
	}
	return nil
}

// files lists the files with a suffix, the newest first; none if there is no
// folder.
func (f Folder) files(suffix string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", f.Path, err)
	}
	var infos []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			infos = append(infos, info)
		}
	}
	slices.SortStableFunc(infos, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return infos, nil
}

// prune removes the oldest files with a suffix.
func (f Folder) prune(suffix string) error {
	infos, err := f.files(suffix)
	if err != nil {
		return err
	}
	for _, old := range infos[min(or(f.Most, 64), len(infos)):] {
		err = errors.Join(err, os.Remove(filepath.Join(f.Path, old.Name())))
	}
	return err
}
