package train

import (
	"fmt"
	"io"

	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/quant"
)

// ExportGGUF writes the model that params describes as a GGUF file of
// architecture llama, which llama.cpp and its kin load. Matrices are kept as
// t, one of gguf.F32, gguf.F16 and gguf.Q8_0, and norms as float32; Q8_0 needs
// widths of a multiple of 32. The model's sizes are written from s; keys adds
// the name, the tokenizer and the rest.
func ExportGGUF(w io.Writer, s Shape, params []float32, t gguf.Type, keys []gguf.Key) error {
	if err := s.Check(); err != nil {
		return err
	}
	if len(params) != s.Parameters() {
		return fmt.Errorf("%w: %d parameters, want %d", ErrShape, len(params), s.Parameters())
	}
	file, ok := fileTypes[t]
	if !ok {
		return fmt.Errorf("train: a model cannot be written as %v, but as f32, f16 or q8_0", t)
	}
	if t == gguf.Q8_0 && (s.Width%block != 0 || s.Hidden%block != 0) {
		return fmt.Errorf("%w: q8_0 wants widths of a multiple of %d, not %d and %d", ErrShape, block, s.Width, s.Hidden)
	}
	var tensors []gguf.Source
	for _, x := range s.Tensors() {
		numbers := params[x.Offset : x.Offset+x.Len()]
		source := gguf.Source{Name: x.Name, Type: gguf.F32, Shape: []int{x.Columns}}
		if x.Matrix() {
			source.Type, source.Shape = t, []int{x.Columns, x.Rows}
		}
		var err error
		if source.Data, err = quant.Narrow(source.Type, numbers); err != nil {
			return fmt.Errorf("train: tensor %q: %w", x.Name, err)
		}
		tensors = append(tensors, source)
	}
	return gguf.Write(w, append(s.keys(file), keys...), tensors)
}

// fileTypes are the values of general.file_type (llama.h, enum llama_ftype).
var fileTypes = map[gguf.Type]uint32{gguf.F32: 0, gguf.F16: 1, gguf.Q8_0: 7}

func (s Shape) keys(file uint32) []gguf.Key {
	return []gguf.Key{
		{Name: "general.architecture", Value: "llama"},
		{Name: "general.file_type", Value: file},
		{Name: "general.quantization_version", Value: uint32(2)},
		{Name: "llama.vocab_size", Value: uint32(s.Vocab)},
		{Name: "llama.context_length", Value: uint32(s.Context)},
		{Name: "llama.embedding_length", Value: uint32(s.Width)},
		{Name: "llama.block_count", Value: uint32(s.Layers)},
		{Name: "llama.feed_forward_length", Value: uint32(s.Hidden)},
		{Name: "llama.attention.head_count", Value: uint32(s.Heads)},
		{Name: "llama.attention.head_count_kv", Value: uint32(s.Heads)},
		{Name: "llama.attention.layer_norm_rms_epsilon", Value: s.epsilon()},
		{Name: "llama.rope.dimension_count", Value: uint32(s.Width / s.Heads)},
		{Name: "llama.rope.freq_base", Value: s.base()},
	}
}

// block is how many numbers share a scale in q8_0.
const block = 32
