package shelf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// maxNote bounds the bytes of a note.
const maxNote = 16 << 10

// A Noted is what is kept beside a model file.
type Noted struct {
	SHA256  string    `json:"sha256"`
	Size    int64     `json:"size"`              // of the file when it was hashed
	Changed time.Time `json:"changed"`           // when the file had last been written then
	Source  string    `json:"source,omitempty"`  // URL that it was fetched from
	Version string    `json:"version,omitempty"` // what the source called this version, as an ETag
}

// Hash returns the sha256 of the file at path in hex: the one that was noted
// if the file has not changed since, else a new one, which it notes.
func Hash(ctx context.Context, path string) (string, error) {
	if n, ok := noted(path); ok {
		return n.SHA256, nil
	}
	sum, err := Sum(ctx, path)
	if err != nil {
		return "", err
	}
	// A folder that cannot be written to costs another hashing, no more.
	_ = Write(path, Noted{SHA256: sum})
	return sum, nil
}

// Sum computes the sha256 of the file at path in hex, until ctx ends.
func Sum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash model: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, patient{ctx, f}, make([]byte, 1<<20)); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// patient is a reader that stops when its context ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// Note returns what is noted of the file at path; it is zero where nothing is,
// or where the file has changed since.
func Note(path string) Noted {
	n, _ := noted(path)
	return n
}

// Write notes n of the file at path, with the file's size and time as they are.
func Write(path string, n Noted) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	n.Size, n.Changed = info.Size(), info.ModTime().UTC()
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return replace(noteFile(path), append(data, '\n'))
}

func noteFile(path string) string { return path + ".json" }

// noted reads the note of the file at path, and tells whether it holds.
func noted(path string) (Noted, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return Noted{}, false
	}
	f, err := os.Open(noteFile(path))
	if err != nil {
		return Noted{}, false
	}
	defer f.Close()
	var n Noted
	if json.NewDecoder(io.LimitReader(f, maxNote)).Decode(&n) != nil {
		return Noted{}, false
	}
	digest, err := hex.DecodeString(n.SHA256)
	if err != nil || len(digest) != sha256.Size || n.Size != info.Size() || !n.Changed.Equal(info.ModTime()) {
		return Noted{}, false
	}
	return n, true
}

// replace writes data beside file and renames it there.
func replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // without effect once it is renamed
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
