// Package stock holds the language models that ship with Plexus, so that a
// network runs before anything is downloaded: plexus-4m, which answers
// sensibly on what its corpus covers, and plexus-1m, which is weaker and
// cheaper. README.md is their model card; engine/stock/make builds them.
//
// Start at [Models] and [Path].
package stock

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/plexus-network/plexus/engine"
)

// A Model is a file that ships in the binary.
type Model struct {
	Name       string  `json:"name"`       // as users and manifests write it
	File       string  `json:"file"`       // name of the GGUF file
	SHA256     string  `json:"sha256"`     // of the file, in hex
	Size       int     `json:"size"`       // bytes
	Parameters int     `json:"parameters"` // of the model
	Steps      int     `json:"steps"`      // of its training
	Loss       float64 `json:"loss"`       // at its end, nats per token
	Right      int     `json:"right"`      // of the exam's questions, before quantisation
	Asked      int     `json:"asked"`      // by the exam
}

// Strong and Weak name the stock models. Strong is the default.
const (
	Strong = "plexus-4m"
	Weak   = "plexus-1m"
)

// ListFile names the list of models beside the files.
const ListFile = "models.json"

//go:embed *.gguf models.json
var files embed.FS

var list = sync.OnceValues(func() ([]Model, error) {
	text, err := files.ReadFile(ListFile)
	if err != nil {
		return nil, err
	}
	var all []Model
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("stock: %s: %w", ListFile, err)
	}
	return all, nil
})

// Models lists the models, the strongest first. It is empty only in a build
// whose list is broken; [Open] says how.
func Models() []Model {
	all, _ := list()
	return slices.Clone(all)
}

// Open returns a model's file, checked against its hash, and its description.
// The bytes are the caller's. An unknown name gives an error that wraps
// engine.ErrBadModel and lists the names there are.
func Open(name string) ([]byte, Model, error) {
	all, err := list()
	if err != nil {
		return nil, Model{}, err
	}
	i := slices.IndexFunc(all, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return nil, Model{}, fmt.Errorf("%w: no stock model %q, there are %s", engine.ErrBadModel, name, names(all))
	}
	m := all[i]
	data, err := files.ReadFile(m.File)
	if err != nil {
		return nil, Model{}, err
	}
	if got := hash(data); got != m.SHA256 {
		return nil, Model{}, fmt.Errorf("%w: embedded %s has sha256 %s, want %s; build with engine/stock/make", engine.ErrBadModel, m.File, got, m.SHA256)
	}
	return data, m, nil
}

func names(all []Model) string {
	var n []string
	for _, m := range all {
		n = append(n, m.Name)
	}
	return strings.Join(n, ", ")
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Path returns the path of a model's file in dir, after writing it there
// unless a file with the right hash is already in place. The write is atomic,
// so any number of processes may share dir, which is made when it is missing.
func Path(dir, name string) (string, error) {
	data, m, err := Open(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, m.File)
	if there, err := os.ReadFile(path); err == nil && hash(there) == m.SHA256 {
		return path, nil
	}
	if err := write(path, data); err != nil {
		return "", fmt.Errorf("store model %s (%d bytes) in %s: %w", name, len(data), dir, err)
	}
	return path, nil
}

// write puts data at path by way of a temporary file in the same folder.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // without effect once it is renamed
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
