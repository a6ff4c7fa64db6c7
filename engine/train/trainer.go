//go:build cgo

package train

// #include <stdlib.h>
// #include "graph.h"
// #cgo LDFLAGS: -lm
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	// ggml itself: the trainer's C file calls into it.
	_ "github.com/ollama/ollama/ml/backend/ggml/ggml/src"
)

// A Trainer holds a model in training. It is used from one goroutine at a
// time, and Close frees its memory, which lies outside Go's heap.
type Trainer struct {
	shape   Shape
	threads int
	params  []float32
	grads   []float32
	moments Moments

	step  *graph // gradient
	guess *graph // forward pass alone
}

// graph is a compiled batch size.
type graph struct {
	c            *C.graph
	rows, length int
	mask         []float32
	target       []float32
	weight       []float32
	out          []float32
}

// New returns a Trainer of the model that params, a flat vector, describes.
// The vector is copied. Threads below 1 mean 1.
func New(s Shape, params []float32, threads int) (*Trainer, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if len(params) != s.Parameters() {
		return nil, fmt.Errorf("%w: %d parameters, want %d", ErrShape, len(params), s.Parameters())
	}
	t := &Trainer{shape: s, threads: max(threads, 1)}
	var err error
	if t.params, err = floats(len(params)); err != nil {
		return nil, err
	}
	if t.grads, err = floats(len(params)); err != nil {
		t.Close()
		return nil, err
	}
	copy(t.params, params)
	return t, nil
}

// floats allocates outside Go's heap, where ggml may keep pointers to it.
func floats(n int) ([]float32, error) {
	p := C.graph_floats(C.size_t(n))
	if p == nil {
		return nil, fmt.Errorf("train: no memory for %d numbers", n)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), n), nil
}

// Shape is the model's size.
func (t *Trainer) Shape() Shape { return t.shape }

// Params is the model's flat vector itself, not a copy: writing to it changes
// the model. It is gone after Close.
func (t *Trainer) Params() []float32 { return t.params }

// Moments is the optimiser's memory, for checkpoints: reading or replacing it
// continues a run elsewhere.
func (t *Trainer) Moments() *Moments { return &t.moments }

// Grad returns the loss of a batch, in nats per token of weight 1, and its
// gradient. The gradient is the Trainer's own and holds until the next call.
// A batch whose weights sum to 0 is refused.
func (t *Trainer) Grad(b Batch) (loss float32, grad []float32, err error) {
	if err := b.check(t.shape); err != nil {
		return 0, nil, err
	}
	sum := b.weight()
	if sum <= 0 {
		return 0, nil, fmt.Errorf("%w: no token of the batch has a weight", ErrShape)
	}
	if t.step, err = t.sized(t.step, b, t.grads); err != nil {
		return 0, nil, err
	}
	g, vocab := t.step, t.shape.Vocab
	b.mask(g.mask)
	clear(g.target)
	for i, next := range b.Next {
		g.target[i*vocab+int(next)] = 1
		g.weight[i] = float32(float64(b.Weight[i]) / sum)
	}
	if err := g.run(b); err != nil {
		return 0, nil, err
	}
	var total float64
	for i, next := range b.Next {
		if w := g.weight[i]; w > 0 {
			total -= float64(w) * math.Log(max(float64(g.out[i*vocab+int(next)]), 1e-30))
		}
	}
	return float32(total), t.grads, nil
}

// Logits returns the model's raw preferences for the token after each of a
// batch's places, Vocab numbers each. Next and Weight are not looked at beyond
// their length. The slice is the Trainer's own and holds until the next call.
func (t *Trainer) Logits(b Batch) ([]float32, error) {
	if err := b.check(t.shape); err != nil {
		return nil, err
	}
	var err error
	if t.guess, err = t.sized(t.guess, b, nil); err != nil {
		return nil, err
	}
	b.mask(t.guess.mask)
	if err := t.guess.run(b); err != nil {
		return nil, err
	}
	return t.guess.out, nil
}

// Apply takes one AdamW step along grad, which may be this Trainer's or an
// average of many.
func (t *Trainer) Apply(grad []float32, s Step) error {
	return t.moments.Apply(t.shape, t.params, grad, s)
}

// Close frees the Trainer's memory. A closed Trainer is not used again.
func (t *Trainer) Close() {
	t.step.close()
	t.guess.close()
	for _, v := range [][]float32{t.params, t.grads} {
		if v != nil {
			C.free(unsafe.Pointer(unsafe.SliceData(v)))
		}
	}
	*t = Trainer{}
}

// sized returns g if it fits b, or else a new graph in its place; grads nil
// means the forward pass alone.
func (t *Trainer) sized(g *graph, b Batch, grads []float32) (*graph, error) {
	if g != nil && g.rows == b.Rows && g.length == b.Length {
		return g, nil
	}
	g.close()
	s := C.graph_shape{
		vocab: C.int(t.shape.Vocab), width: C.int(t.shape.Width), layers: C.int(t.shape.Layers),
		heads: C.int(t.shape.Heads), hidden: C.int(t.shape.Hidden),
		base: C.float(t.shape.base()), epsilon: C.float(t.shape.epsilon()),
	}
	c := C.graph_new(s, C.int(b.Rows), C.int(b.Length), C.int(t.threads), pointer(t.params), pointer(grads))
	if c == nil {
		return nil, fmt.Errorf("train: no memory for batches of %d rows of %d tokens", b.Rows, b.Length)
	}
	n := b.Rows * b.Length
	g = &graph{c: c, rows: b.Rows, length: b.Length}
	g.mask = make([]float32, n*b.Length)
	g.out = make([]float32, n*t.shape.Vocab)
	if grads != nil {
		g.target = make([]float32, n*t.shape.Vocab)
		g.weight = make([]float32, n)
	}
	return g, nil
}

func (g *graph) run(b Batch) error {
	status := C.graph_run(g.c, (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(b.Tokens))),
		pointer(g.mask), pointer(g.target), pointer(g.weight), pointer(g.out))
	if status != 0 {
		return errors.New("train: ggml could not compute the graph")
	}
	return nil
}

func (g *graph) close() {
	if g != nil {
		C.graph_free(g.c)
	}
}

func pointer(v []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(v))) }
