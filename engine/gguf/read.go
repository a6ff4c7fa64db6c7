package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The value types of keys, as numbered in the format.
const (
	kindUint8 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// Read reads and checks the header of a file of size bytes. Every tensor that
// it returns lies inside the file.
func Read(r io.ReaderAt, size int64) (*File, error) {
	d := &decoder{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
	f := &File{Size: size, keys: map[string]any{}, kinds: map[string][2]uint64{}}
	if err := d.file(f); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, bad("truncated: the header goes on past the end of the file at %d bytes", size)
		}
		return nil, err
	}
	return f, nil
}

// decoder reads a header front to back.
type decoder struct {
	r    *bufio.Reader
	pos  int64
	size int64
	buf  [8]byte

	element uint64 // kind of the latest array's elements
}

func (d *decoder) file(f *File) error {
	var magic [4]byte
	if err := d.bytes(magic[:]); err != nil {
		return err
	}
	if string(magic[:]) != "GGUF" {
		return bad("not a GGUF file: it begins with %q", magic[:])
	}
	version, err := d.uint(4)
	if err != nil {
		return err
	}
	if version != 2 && version != 3 {
		return bad("GGUF version %d, want 2 or 3", version)
	}
	f.Version = int(version)
	tensors, err := d.count("tensors", maxTensors)
	if err != nil {
		return err
	}
	keys, err := d.count("keys", maxKeys)
	if err != nil {
		return err
	}
	for range keys {
		if err := d.key(f); err != nil {
			return err
		}
	}
	return d.tensors(f, tensors)
}

// count reads a number of things and bounds it.
func (d *decoder) count(of string, most int) (int, error) {
	n, err := d.uint(8)
	if err != nil {
		return 0, err
	}
	if n > uint64(most) {
		return 0, bad("%d %s, the most is %d", n, of, most)
	}
	return int(n), nil
}

func (d *decoder) key(f *File) error {
	name, err := d.string(maxName)
	if err != nil {
		return err
	}
	if _, ok := f.keys[name]; ok {
		return bad("key %q stands twice", name)
	}
	kind, err := d.uint(4)
	if err != nil {
		return err
	}
	v, err := d.value(kind)
	if err != nil {
		return fmt.Errorf("key %q: %w", name, err)
	}
	f.keys[name], f.kinds[name] = v, [2]uint64{kind, d.element}
	f.order = append(f.order, name)
	return nil
}

func (d *decoder) value(kind uint64) (any, error) {
	switch kind {
	case kindBool:
		v, err := d.uint(1)
		return v != 0, err
	case kindString:
		return d.string(maxString)
	case kindFloat32, kindFloat64:
		return d.float(kind)
	case kindArray:
		return d.array()
	default:
		return d.int(kind)
	}
}

// width gives the bytes of an integer kind, negative where it is signed.
var width = map[uint64]int{
	kindUint8: 1, kindInt8: -1, kindUint16: 2, kindInt16: -2,
	kindUint32: 4, kindInt32: -4, kindUint64: 8, kindInt64: -8,
}

func (d *decoder) int(kind uint64) (int64, error) {
	w, ok := width[kind]
	if !ok {
		return 0, bad("value of unknown type %d", kind)
	}
	if w > 0 {
		v, err := d.uint(w)
		if v > math.MaxInt64 {
			return 0, bad("the number %d is too large", v)
		}
		return int64(v), err
	}
	v, err := d.uint(-w)
	shift := 64 + 8*w
	return int64(v<<shift) >> shift, err
}

func (d *decoder) float(kind uint64) (float64, error) {
	if kind == kindFloat32 {
		v, err := d.uint(4)
		return float64(math.Float32frombits(uint32(v))), err
	}
	v, err := d.uint(8)
	return math.Float64frombits(v), err
}

func (d *decoder) array() (any, error) {
	kind, err := d.uint(4)
	if err != nil {
		return nil, err
	}
	d.element = kind
	n, err := d.count("array entries", maxArray)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindBool:
		return list(n, func() (bool, error) { v, err := d.uint(1); return v != 0, err })
	case kindString:
		return list(n, func() (string, error) { return d.string(maxString) })
	case kindFloat32, kindFloat64:
		return list(n, func() (float64, error) { return d.float(kind) })
	case kindArray:
		return nil, bad("an array of arrays")
	default:
		return list(n, func() (int64, error) { return d.int(kind) })
	}
}

// list reads n values. It grows as they come, so that a count alone, without
// the bytes to back it, costs no memory.
func list[T any](n int, next func() (T, error)) ([]T, error) {
	out := make([]T, 0, min(n, 1024))
	for range n {
		v, err := next()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (d *decoder) tensors(f *File, n int) error {
	seen := make(map[string]bool)
	for range n {
		t, err := d.tensor()
		if err != nil {
			return err
		}
		if seen[t.Name] {
			return bad("tensor %q stands twice", t.Name)
		}
		seen[t.Name] = true
		f.Tensors = append(f.Tensors, t)
	}
	align := int64(f.Int("general.alignment", 32))
	if align < 1 || align > 1<<20 || align&(align-1) != 0 {
		return bad("general.alignment is %d, want a power of two up to %d", align, 1<<20)
	}
	start := (d.pos + align - 1) / align * align
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset%align != 0 {
			return bad("tensor %q begins at %d, which is no multiple of %d", t.Name, t.Offset, align)
		}
		// Neither side overflows: both are at most size, which fits.
		if start > f.Size || t.Offset > f.Size-start || t.Size > f.Size-start-t.Offset {
			return bad("truncated: tensor %q needs %d bytes at %d, the file has %d", t.Name, t.Size, start+min(t.Offset, f.Size), f.Size)
		}
		t.Offset += start
	}
	return nil
}

func (d *decoder) tensor() (Tensor, error) {
	t := Tensor{}
	var err error
	if t.Name, err = d.string(maxTensorLen); err != nil {
		return t, err
	}
	dims, err := d.uint(4)
	if err != nil {
		return t, err
	}
	if dims < 1 || dims > maxDims {
		return t, bad("tensor %q has %d dimensions, want 1 to %d", t.Name, dims, maxDims)
	}
	elements := int64(1)
	for range dims {
		n, err := d.uint(8)
		if err != nil {
			return t, err
		}
		if n < 1 || n > 1<<40 || elements > (1<<40)/int64(n) {
			return t, bad("tensor %q is too large or empty: a dimension is %d", t.Name, n)
		}
		elements *= int64(n)
		t.Shape = append(t.Shape, int(n))
	}
	kind, err := d.uint(4)
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	row := t.Type.Bytes(int64(t.Shape[0]))
	if row == 0 {
		return t, bad("tensor %q has rows of %d of %v, which does not exist", t.Name, t.Shape[0], t.Type)
	}
	t.Size = row * (elements / int64(t.Shape[0]))
	offset, err := d.uint(8)
	if err != nil {
		return t, err
	}
	if offset > uint64(d.size) {
		return t, bad("truncated: tensor %q begins %d bytes into the data, the file has %d in all", t.Name, offset, d.size)
	}
	t.Offset = int64(offset)
	return t, nil
}

func (d *decoder) string(most int) (string, error) {
	n, err := d.uint(8)
	if err != nil {
		return "", err
	}
	if n > uint64(d.size-d.pos) {
		return "", bad("truncated: a text of %d bytes, %d are left in the file", n, d.size-d.pos)
	}
	if n > uint64(most) {
		return "", bad("a text of %d bytes, the most is %d", n, most)
	}
	b := make([]byte, n)
	err = d.bytes(b)
	return string(b), err
}

// uint reads w bytes, little-endian.
func (d *decoder) uint(w int) (uint64, error) {
	b := d.buf[:]
	clear(b)
	if err := d.bytes(b[:w]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (d *decoder) bytes(b []byte) error {
	n, err := io.ReadFull(d.r, b)
	d.pos += int64(n)
	return err
}
