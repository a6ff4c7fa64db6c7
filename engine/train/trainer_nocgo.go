//go:build !cgo

package train

import "errors"

// ErrNoNative means that the program was built without cgo, so without ggml.
var ErrNoNative = errors.New("train: this build cannot train, build with CGO_ENABLED=1")

// A Trainer holds a model in training; without cgo there is none.
type Trainer struct{}

// New returns ErrNoNative.
func New(Shape, []float32, int) (*Trainer, error) { return nil, ErrNoNative }

// Shape is the model's size.
func (t *Trainer) Shape() Shape { return Shape{} }

// Params is the model's flat vector.
func (t *Trainer) Params() []float32 { return nil }

// Moments is the optimiser's memory.
func (t *Trainer) Moments() *Moments { return nil }

// Grad returns ErrNoNative.
func (t *Trainer) Grad(Batch) (float32, []float32, error) { return 0, nil, ErrNoNative }

// Logits returns ErrNoNative.
func (t *Trainer) Logits(Batch) ([]float32, error) { return nil, ErrNoNative }

// Apply returns ErrNoNative.
func (t *Trainer) Apply([]float32, Step) error { return ErrNoNative }

// Close does nothing.
func (t *Trainer) Close() {}
