package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// A Key is a key of a file to be written. Value is a bool, uint32, int32,
// float32, string, or a slice of one of the last four, or what [File.Key] gives.
type Key struct {
	Name  string
	Value any
}

// A Source is a tensor to be written, with its bytes in the layout of its type.
type Source struct {
	Name  string
	Type  Type
	Shape []int // fastest-varying dimension first
	Data  []byte
}

// alignment of tensor data where no key says otherwise.
const alignment = 32

// Write writes a GGUF file of version 3. The same arguments give the same bytes.
func Write(w io.Writer, keys []Key, tensors []Source) error {
	e := &encoder{w: bufio.NewWriter(w)}
	e.raw([]byte("GGUF"))
	e.uint(4, 3)
	e.uint(8, uint64(len(tensors)))
	e.uint(8, uint64(len(keys)))
	for _, k := range keys {
		e.key(k)
	}
	offset := int64(0)
	for _, t := range tensors {
		e.tensor(t, offset)
		offset += padded(int64(len(t.Data)))
	}
	e.pad()
	for _, t := range tensors {
		e.raw(t.Data)
		e.pad()
	}
	if e.err != nil {
		return fmt.Errorf("write gguf: %w", e.err)
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("write gguf: %w", err)
	}
	return nil
}

func padded(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// encoder writes until its first error.
type encoder struct {
	w   *bufio.Writer
	pos int64
	err error
}

func (e *encoder) raw(b []byte) {
	if e.err != nil {
		return
	}
	n, err := e.w.Write(b)
	e.pos += int64(n)
	e.err = err
}

func (e *encoder) uint(width int, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	e.raw(b[:width])
}

func (e *encoder) text(s string) {
	e.uint(8, uint64(len(s)))
	e.raw([]byte(s))
}

func (e *encoder) pad() {
	e.raw(make([]byte, padded(e.pos)-e.pos))
}

func (e *encoder) key(k Key) {
	e.text(k.Name)
	switch v := k.Value.(type) {
	case bool:
		e.uint(4, kindBool)
		e.uint(1, flag(v))
	case number:
		e.uint(4, v.kind)
		e.uint(bytesOf(v.kind), v.bits)
	case []number:
		array(e, v[0].kind, v[1:], func(n number) { e.uint(bytesOf(n.kind), n.bits) })
	case []string:
		array(e, kindString, v, e.text)
	case []int32:
		array(e, kindInt32, v, func(n int32) { e.uint(4, uint64(uint32(n))) })
	case []uint32:
		array(e, kindUint32, v, func(n uint32) { e.uint(4, uint64(n)) })
	case []float32:
		array(e, kindFloat32, v, func(n float32) { e.uint(4, uint64(math.Float32bits(n))) })
	default:
		e.scalar(k)
	}
}

func (e *encoder) scalar(k Key) {
	switch v := k.Value.(type) {
	case uint32:
		e.uint(4, kindUint32)
		e.uint(4, uint64(v))
	case int32:
		e.uint(4, kindInt32)
		e.uint(4, uint64(uint32(v)))
	case float32:
		e.uint(4, kindFloat32)
		e.uint(4, uint64(math.Float32bits(v)))
	case string:
		e.uint(4, kindString)
		e.text(v)
	default:
		e.err = fmt.Errorf("key %q has a value of type %T", k.Name, k.Value)
	}
}

func array[T any](e *encoder, kind uint64, values []T, put func(T)) {
	e.uint(4, kindArray)
	e.uint(4, kind)
	e.uint(8, uint64(len(values)))
	for _, v := range values {
		put(v)
	}
}

func (e *encoder) tensor(t Source, offset int64) {
	elements := int64(1)
	for _, d := range t.Shape {
		elements *= int64(d)
	}
	if want := t.Type.Bytes(elements); e.err == nil && want != int64(len(t.Data)) {
		e.err = fmt.Errorf("tensor %q of %v %v has %d bytes, want %d", t.Name, t.Shape, t.Type, len(t.Data), want)
	}
	e.text(t.Name)
	e.uint(4, uint64(len(t.Shape)))
	for _, d := range t.Shape {
		e.uint(8, uint64(d))
	}
	e.uint(4, uint64(t.Type))
	e.uint(8, uint64(offset))
}

// number is a number of any kind of the format, as its low bits. A slice of
// them is an array, of which the first tells the kind and is no element.
type number struct{ kind, bits uint64 }

func numbers[T any](kind uint64, values []T, bits func(T) uint64) []number {
	out := []number{{kind: kind}}
	for _, v := range values {
		out = append(out, number{kind, bits(v)})
	}
	return out
}

// bytesOf is how many bytes a number of a kind takes.
func bytesOf(kind uint64) int {
	switch kind {
	case kindBool:
		return 1
	case kindFloat32:
		return 4
	case kindFloat64:
		return 8
	default:
		return max(width[kind], -width[kind])
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func floatBits(kind uint64, v float64) uint64 {
	if kind == kindFloat32 {
		return uint64(math.Float32bits(float32(v)))
	}
	return math.Float64bits(v)
}
