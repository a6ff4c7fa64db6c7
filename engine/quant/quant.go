// Package quant turns a model's numbers from one type of GGUF into another, and
// whole model files with them.
//
// It is what a miner would do who wants to run a model for less than it
// declared, and so what a validator measures to know how that looks. It knows
// the types that such a miner begins with: f32, f16, bf16, q8_0 and q4_0. Start
// at [File].
package quant

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/gguf"
)

// block is how many numbers share a scale in q8_0 and q4_0.
const block = 32

// Next is the next lower type that a model of a precision, such as "q8_0", is
// cheaply run in: what its mildest cheat has. ok is false where this package
// knows none.
func Next(precision string) (lower gguf.Type, ok bool) {
	switch precision {
	case "f32":
		return gguf.F16, true
	case "f16", "bf16":
		return gguf.Q8_0, true
	case "q8_0":
		return gguf.Q4_0, true
	default:
		return 0, false
	}
}

// Parse returns the type of a name, such as "q8_0", that this package can make.
func Parse(name string) (gguf.Type, error) {
	for _, t := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_0} {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("no type %.20q can be made, but f32, f16, q8_0 and q4_0", name)
}

// fileTypes are the values of general.file_type (llama.h, enum llama_ftype).
var fileTypes = map[gguf.Type]uint32{gguf.F32: 0, gguf.F16: 1, gguf.Q4_0: 2, gguf.Q8_0: 7}

// A Change alters a tensor's numbers in place; nil alters none.
type Change func(tensor string, was gguf.Type, numbers []float32)

// File writes the model file at path to w with its matrices as type to, after
// change. Norms and whatever else has one dimension stay as they are, and so do
// matrices whose rows are no multiple of the type's block. The same arguments
// give the same bytes. The error wraps engine.ErrBadModel where the file has a
// type that is not known here.
func File(w io.Writer, path string, to gguf.Type, change Change) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	r, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open model: %w", err)
	}
	defer r.Close()
	tensors := make([]gguf.Source, 0, len(f.Tensors))
	for _, t := range f.Tensors {
		b := make([]byte, t.Size)
		if _, err := r.ReadAt(b, t.Offset); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		s := gguf.Source{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: b}
		if len(t.Shape) > 1 && to.Bytes(int64(t.Shape[0])) > 0 {
			if err := convert(&s, to, change); err != nil {
				return fmt.Errorf("%w: tensor %q: %w", engine.ErrBadModel, t.Name, err)
			}
		}
		tensors = append(tensors, s)
	}
	keys := make([]gguf.Key, 0, len(f.Keys()))
	for _, name := range f.Keys() {
		k := f.Key(name)
		if name == "general.file_type" {
			k.Value = fileTypes[to]
		}
		if name != "general.alignment" { // gguf.Write has its own
			keys = append(keys, k)
		}
	}
	return gguf.Write(w, keys, tensors)
}

func convert(s *gguf.Source, to gguf.Type, change Change) error {
	if s.Type == to && change == nil {
		return nil
	}
	numbers, err := Widen(s.Type, s.Data)
	if err != nil {
		return err
	}
	if change != nil {
		change(s.Name, s.Type, numbers)
	}
	s.Data, err = Narrow(to, numbers)
	s.Type = to
	return err
}

// Widen returns the numbers that b holds as type t.
func Widen(t gguf.Type, b []byte) ([]float32, error) {
	le := binary.LittleEndian
	out := make([]float32, 0, int64(len(b))*block/max(t.Bytes(block), 1))
	switch t {
	case gguf.F32:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, math.Float32frombits(le.Uint32(b)))
		}
	case gguf.F16:
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, single(le.Uint16(b)))
		}
	case gguf.BF16:
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, math.Float32frombits(uint32(le.Uint16(b))<<16))
		}
	case gguf.Q8_0:
		for ; len(b) >= 34; b = b[34:] {
			scale := single(le.Uint16(b))
			for _, q := range b[2:34] {
				out = append(out, scale*float32(int8(q)))
			}
		}
	case gguf.Q4_0:
		for ; len(b) >= 18; b = b[18:] {
			out = widenNibbles(out, single(le.Uint16(b)), b[2:18])
		}
	default:
		return nil, fmt.Errorf("numbers of type %v; f32, f16, bf16, q8_0 and q4_0 are known", t)
	}
	return out, nil
}

// widenNibbles appends a block of q4_0: the low halves, then the high ones, in
// units of scale around 8.
func widenNibbles(out []float32, scale float32, b []byte) []float32 {
	for _, q := range b {
		out = append(out, scale*float32(int(q&15)-8))
	}
	for _, q := range b {
		out = append(out, scale*float32(int(q>>4)-8))
	}
	return out
}

// Narrow returns numbers as type t, rounded as ggml's reference quantisers
// round (ggml-quants.c). Blocks must be whole.
func Narrow(t gguf.Type, numbers []float32) ([]byte, error) {
	le := binary.LittleEndian
	out := make([]byte, 0, t.Bytes(int64(len(numbers))))
	if t == gguf.Q8_0 || t == gguf.Q4_0 {
		if len(numbers)%block != 0 {
			return nil, fmt.Errorf("%d numbers are no whole blocks of %d", len(numbers), block)
		}
	}
	switch t {
	case gguf.F32:
		for _, x := range numbers {
			out = le.AppendUint32(out, math.Float32bits(x))
		}
	case gguf.F16:
		for _, x := range numbers {
			out = le.AppendUint16(out, half(x))
		}
	case gguf.Q8_0:
		for ; len(numbers) > 0; numbers = numbers[block:] {
			out = narrowBytes(out, numbers[:block])
		}
	case gguf.Q4_0:
		for ; len(numbers) > 0; numbers = numbers[block:] {
			out = narrowNibbles(out, numbers[:block])
		}
	default:
		return nil, fmt.Errorf("type %v cannot be made; f32, f16, q8_0 and q4_0 can", t)
	}
	return out, nil
}

// narrowBytes appends a block of q8_0: its scale, so that the largest number
// becomes ±127, and the numbers in units of it.
func narrowBytes(out []byte, v []float32) []byte {
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

// narrowNibbles appends a block of q4_0: its scale, so that the number largest
// in size becomes −8, and the numbers in units of it around 8, low halves first.
func narrowNibbles(out []byte, v []float32) []byte {
	var far float32
	for _, x := range v {
		if math.Abs(float64(x)) > math.Abs(float64(far)) {
			far = x
		}
	}
	scale := far / -8
	out = binary.LittleEndian.AppendUint16(out, half(scale))
	quarter := func(x float32) byte {
		if scale == 0 {
			return 8
		}
		return byte(min(int(x/scale+8.5), 15))
	}
	for i := range block / 2 {
		out = append(out, quarter(v[i])|quarter(v[i+block/2])<<4)
	}
	return out
}

// single widens an IEEE half-precision number.
func single(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero and subnormal: fraction · 2⁻²⁴, exact in float32
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0xFF<<23 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	}
}

// half rounds to the nearest half-precision number, ties to even; what is too
// large becomes an infinity.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	if bits&0x7FFFFFFF > 0x7F800000 {
		return sign | 0x7E00 // not a number
	}
	size := math.Abs(float64(x))
	// Numbers of half precision are multiples of 2⁻²⁴, or of 2⁻¹¹ of the power
	// of two above them.
	_, power := math.Frexp(size)
	step := math.Ldexp(1, max(power-11, -24))
	rounded := math.RoundToEven(size/step) * step
	switch {
	case rounded >= 65520:
		return sign | 0x7C00
	case rounded < 1.0/(1<<14):
		return sign | uint16(rounded*(1<<24))
	}
	fraction, power := math.Frexp(rounded)
	return sign | uint16(power+14)<<10 | uint16((fraction*2-1)*1024)
}
