package train

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/plexus-network/plexus/engine/gguf"
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
		if x.Matrix() {
			tensors = append(tensors, gguf.Source{Name: x.Name, Type: t, Shape: []int{x.Columns, x.Rows}, Data: encode(numbers, t)})
			continue
		}
		tensors = append(tensors, gguf.Source{Name: x.Name, Type: gguf.F32, Shape: []int{x.Columns}, Data: encode(numbers, gguf.F32)})
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

// encode writes numbers as a type.
func encode(v []float32, t gguf.Type) []byte {
	out := make([]byte, 0, t.Bytes(int64(len(v))))
	switch t {
	case gguf.F16:
		for _, x := range v {
			out = binary.LittleEndian.AppendUint16(out, half(x))
		}
	case gguf.Q8_0:
		for i := 0; i < len(v); i += block {
			out = quantise(out, v[i:i+block])
		}
	default:
		for _, x := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
	}
	return out
}

// quantise appends a block of q8_0: its scale, so that the largest number
// becomes ±127, and the numbers in units of it.
func quantise(out []byte, v []float32) []byte {
	var largest float32
	for _, x := range v {
		largest = max(largest, float32(math.Abs(float64(x))))
	}
	scale := largest / 127
	out = binary.LittleEndian.AppendUint16(out, half(scale))
	for _, x := range v {
		q := 0.0
		if scale > 0 {
			q = math.Round(float64(x / scale))
		}
		out = append(out, byte(int8(q)))
	}
	return out
}

// half rounds to the nearest float16, ties to even, and keeps what is too
// large as an infinity.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	exponent := int(bits>>23&0xff) - 127 + 15
	mantissa := bits&0x7fffff | 0x800000
	switch {
	case exponent >= 0x1f:
		if bits&0x7fffffff > 0x7f800000 {
			return sign | 0x7e00
		}
		return sign | 0x7c00
	case exponent < -10:
		return sign
	}
	shift := 13
	if exponent <= 0 { // subnormal
		shift += 1 - exponent
		exponent = 0
	} else {
		mantissa &= 0x7fffff
	}
	rounded := mantissa >> shift
	rest, tie := mantissa&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > tie || rest == tie && rounded&1 == 1 {
		rounded++
	}
	return sign | uint16(uint32(exponent)<<10+rounded)
}
