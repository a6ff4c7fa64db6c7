// Package gguf reads and writes GGUF, the file format of language models.
//
// A model file comes from strangers, and native code is about to parse it, so
// [Read] checks every count, length, offset and type against the file's size
// first: what it returns can be mapped into memory without another look. Its
// errors wrap engine.ErrBadModel and say what was wrong, with the numbers.
//
// Start at [Open] to look at a file, at [Write] to make one. The format is
// described in the ggml project's docs/gguf.md.
package gguf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/plexus-network/plexus/engine"
)

// Limits on what a header may claim. The largest vocabularies in use have
// 300,000 tokens, the largest models 3,000 tensors.
const (
	maxKeys      = 1 << 16
	maxTensors   = 1 << 16
	maxArray     = 1 << 24
	maxString    = 1 << 24
	maxName      = 1 << 16
	maxDims      = 4
	maxTensorLen = 63 // ggml keeps names in 64 bytes
)

// A File is the header of a GGUF file: its keys and where its tensors lie.
type File struct {
	Version int   // 2 or 3
	Size    int64 // bytes of the whole file
	Tensors []Tensor

	kinds map[string][2]uint64 // of each key's value, as numbered in the format, and of an array's elements
	keys  map[string]any       // bool, int64, float64, string or a slice of one of these
	order []string             // keys as they stand in the file
}

// A Tensor is an array of numbers in a file.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // fastest-varying dimension first, 1 to 4 of them
	Offset int64 // of its first byte, from the start of the file
	Size   int64 // bytes
}

// Elements is how many numbers t holds.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// bad is an error about the file that wraps engine.ErrBadModel.
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrBadModel, fmt.Sprintf(format, args...))
}

// Open reads and checks the header of the file at path. A file that is not
// there is the system's error, a file that is no good wraps engine.ErrBadModel.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, bad("not a regular file"))
	}
	h, err := Read(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Hash returns the sha256 of the file at path, in hex.
func Hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash model: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash model: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Keys lists the file's keys as they stand in it.
func (f *File) Keys() []string { return f.order }

// Key returns a key as it stands in the file, to be written to another; its
// Value is nil where the key is absent.
func (f *File) Key(name string) Key {
	kinds := f.kinds[name]
	k := Key{Name: name, Value: f.keys[name]}
	switch v := k.Value.(type) {
	case int64:
		k.Value = number{kinds[0], uint64(v)}
	case float64:
		k.Value = number{kinds[0], floatBits(kinds[0], v)}
	case []bool:
		k.Value = numbers(kinds[1], v, func(b bool) uint64 { return flag(b) })
	case []int64:
		k.Value = numbers(kinds[1], v, func(n int64) uint64 { return uint64(n) })
	case []float64:
		k.Value = numbers(kinds[1], v, func(x float64) uint64 { return floatBits(kinds[1], x) })
	}
	return k
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	for _, t := range f.Tensors {
		if t.Name == name {
			return t, true
		}
	}
	return Tensor{}, false
}

// Value returns key's value: a bool, int64, float64, string, or a slice of one
// of these. ok is false where the key is absent or of another type.
func Value[T any](f *File, key string) (v T, ok bool) {
	v, ok = f.keys[key].(T)
	return v, ok
}

// Text returns key's string, or "" where it is absent.
func (f *File) Text(key string) string {
	s, _ := Value[string](f, key)
	return s
}

// Int returns key's integer, or otherwise where it is absent.
func (f *File) Int(key string, otherwise int) int {
	if v, ok := Value[int64](f, key); ok {
		return int(v)
	}
	return otherwise
}

// Architecture is the value of general.architecture.
func (f *File) Architecture() string { return f.Text("general.architecture") }

// Arch returns the integer under the architecture's own prefix, such as
// "llama.block_count" for "block_count".
func (f *File) Arch(key string, otherwise int) int {
	return f.Int(f.Architecture()+"."+key, otherwise)
}

// Float returns the number under the architecture's own prefix.
func (f *File) Float(key string, otherwise float64) float64 {
	if v, ok := Value[float64](f, f.Architecture()+"."+key); ok {
		return v
	}
	return otherwise
}

// Parameters is how many numbers all tensors hold together.
func (f *File) Parameters() int64 {
	n := int64(0)
	for _, t := range f.Tensors {
		n += t.Elements()
	}
	return n
}

// Precision names the type that most of the parameters have, such as "q8_0".
func (f *File) Precision() string {
	count := map[Type]int64{}
	best := F32
	for _, t := range f.Tensors {
		count[t.Type] += t.Elements()
		if count[t.Type] > count[best] {
			best = t.Type
		}
	}
	return best.String()
}

// required lists the integer keys that a model needs under its architecture's
// prefix, with the largest value that makes sense.
var required = []struct {
	key string
	max int64
}{
	{"block_count", 4096},
	{"context_length", 1 << 24},
	{"embedding_length", 1 << 20},
}

// Check tells whether the keys that every language model needs are there and
// make sense. Its error wraps engine.ErrBadModel.
func (f *File) Check() error {
	arch := f.Architecture()
	if arch == "" {
		return bad("general.architecture is missing")
	}
	for _, r := range required {
		v, ok := Value[int64](f, arch+"."+r.key)
		if !ok {
			return bad("%s.%s is missing", arch, r.key)
		}
		if v < 1 || v > r.max {
			return bad("%s.%s is %d, want 1 to %d", arch, r.key, v, r.max)
		}
	}
	if f.Text("tokenizer.ggml.model") == "" {
		return bad("tokenizer.ggml.model is missing")
	}
	tokens, _ := Value[[]string](f, "tokenizer.ggml.tokens")
	if len(tokens) == 0 {
		return bad("tokenizer.ggml.tokens is missing")
	}
	if len(f.Tensors) == 0 {
		return bad("no tensors")
	}
	return f.checkTokenIDs(len(tokens))
}

// checkTokenIDs looks at the keys that name a token by its index.
func (f *File) checkTokenIDs(vocabulary int) error {
	for _, name := range []string{"bos", "eos", "eot", "eom", "unknown", "padding", "seperator"} {
		key := "tokenizer.ggml." + name + "_token_id"
		if id := f.Int(key, 0); id < 0 || id >= vocabulary {
			return bad("%s is %d, but there are %d tokens", key, id, vocabulary)
		}
	}
	for _, key := range []string{"tokenizer.ggml.token_type", "tokenizer.ggml.scores"} {
		n := -1
		switch v := f.keys[key].(type) {
		case []int64:
			n = len(v)
		case []float64:
			n = len(v)
		}
		if n >= 0 && n != vocabulary {
			return bad("%s has %d entries for %d tokens", key, n, vocabulary)
		}
	}
	return nil
}
