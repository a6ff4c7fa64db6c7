// Package shelf is a folder of model files on this machine: what stands on it,
// what each file's header says, and which one has a given hash.
//
// Hashing a large file takes a minute, so its hash is kept beside it, in
// FILE.gguf.json, for as long as the file's size and time of change stay the
// same. That is good for finding a file, not for trusting it: an engine hashes
// the file that it opens again.
//
// Start at [List] and [Find].
package shelf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/gguf"
)

// Suffix ends the name of a model file.
const Suffix = ".gguf"

// maxFiles bounds the files that a shelf is searched for.
const maxFiles = 10_000

// A Model is a file and what its header says: all that a subnet's manifest
// must say of it.
type Model struct {
	Name         string `json:"name"` // as the file calls itself; its file's name where it does not
	Path         string `json:"path"`
	Architecture string `json:"architecture"`
	Precision    string `json:"precision"` // the type of most numbers: "q8_0"
	Parameters   int64  `json:"parameters"`
	Context      int    `json:"context"`   // tokens that it was trained for
	Tokenizer    string `json:"tokenizer"` // kind of tokenizer, and how it splits words
	Vocabulary   int    `json:"vocabulary"`
	TemplateHash string `json:"template_hash"` // sha256 of the chat template; empty where the file has none
	FileHash     string `json:"file_hash"`     // sha256 of the file
	Size         int64  `json:"size"`          // bytes
	Source       string `json:"source,omitempty"`
	Fault        string `json:"fault,omitempty"` // why it is no model; then only Name, Path and Size are filled in
}

// Read describes the model file at path. A file that is no good is an error
// that wraps engine.ErrBadModel.
func Read(ctx context.Context, path string) (Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return Model{}, err
	}
	if err := f.Check(); err != nil {
		return Model{}, fmt.Errorf("%s: %w", path, err)
	}
	hash, err := Hash(ctx, path)
	if err != nil {
		return Model{}, err
	}
	tokens, _ := gguf.Value[[]string](f, "tokenizer.ggml.tokens")
	m := Model{
		Name: f.Text("general.name"), Path: path, Architecture: f.Architecture(), Precision: f.Precision(),
		Parameters: f.Parameters(), Context: f.Arch("context_length", 0),
		Tokenizer: f.Text("tokenizer.ggml.model"), Vocabulary: len(tokens),
		FileHash: hash, Size: f.Size, Source: Note(path).Source,
	}
	if m.Name == "" {
		m.Name = strings.TrimSuffix(filepath.Base(path), Suffix)
	}
	if split := f.Text("tokenizer.ggml.pre"); split != "" {
		m.Tokenizer += " " + split
	}
	if template := f.Text("tokenizer.chat_template"); template != "" {
		sum := sha256.Sum256([]byte(template))
		m.TemplateHash = hex.EncodeToString(sum[:])
	}
	return m, nil
}

// List describes the model files in dir, in order of name. A file that is no
// model is listed with its Fault; a folder that is not there is empty.
func List(ctx context.Context, dir string) ([]Model, error) {
	paths, err := files(dir)
	if err != nil {
		return nil, err
	}
	models := make([]Model, 0, len(paths))
	for _, path := range paths {
		m, err := Read(ctx, path)
		if errors.Is(err, engine.ErrBadModel) {
			m = Model{Name: strings.TrimSuffix(filepath.Base(path), Suffix), Path: path, Fault: err.Error()}
			if info, err := os.Stat(path); err == nil {
				m.Size = info.Size()
			}
		} else if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	return models, nil
}

// Find returns the path of the model file in dir that has hash, a sha256 in
// hex, and "" where none has. Files whose hash is known are looked at first.
func Find(ctx context.Context, dir, hash string) (string, error) {
	paths, err := files(dir)
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if n, ok := noted(path); ok && strings.EqualFold(n.SHA256, hash) {
			return path, nil
		}
	}
	for _, path := range paths {
		got, err := Hash(ctx, path)
		if err != nil {
			return "", err
		}
		if strings.EqualFold(got, hash) {
			return path, nil
		}
	}
	return "", nil
}

// files lists the regular files in dir that are named as models are.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if !strings.HasSuffix(strings.ToLower(e.Name()), Suffix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // a link to a file is one
			continue
		}
		if paths = append(paths, path); len(paths) > maxFiles {
			return nil, fmt.Errorf("models: %s holds more than %d model files: split it", dir, maxFiles)
		}
	}
	return paths, nil
}
