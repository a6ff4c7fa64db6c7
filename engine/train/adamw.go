package train

import (
	"fmt"
	"math"
)

// Step tunes one application of a gradient by AdamW (Loshchilov and Hutter,
// "Decoupled Weight Decay Regularization", 2019, algorithm 2). Its zero value
// takes the defaults, with a rate of 0, so that nothing moves.
type Step struct {
	Rate    float32 // learning rate
	Beta1   float32 // decay of the first moment; 0 means 0.9
	Beta2   float32 // decay of the second moment; 0 means 0.99
	Epsilon float32 // 0 means 1e-8
	Decay   float32 // weight decay of matrices, times Rate; 0 means none
	Clip    float32 // scales the gradient down to this norm; 0 means never
}

func (s Step) withDefaults() Step {
	or := func(v *float32, d float32) {
		if *v == 0 {
			*v = d
		}
	}
	or(&s.Beta1, 0.9)
	or(&s.Beta2, 0.99)
	or(&s.Epsilon, 1e-8)
	return s
}

// Moments is what AdamW remembers between steps. The zero Moments has taken
// none.
type Moments struct {
	Steps  int
	First  []float32
	Second []float32
}

// Apply moves params along grad. All vectors have the length s.Parameters().
// A gradient with a number that is not finite is refused with an error and
// changes nothing.
func (m *Moments) Apply(s Shape, params, grad []float32, step Step) error {
	n := s.Parameters()
	if m.First == nil {
		m.First, m.Second = make([]float32, n), make([]float32, n)
	}
	if len(params) != n || len(grad) != n || len(m.First) != n || len(m.Second) != n {
		return fmt.Errorf("%w: %d parameters, gradient of %d, moments of %d and %d, want %d",
			ErrShape, len(params), len(grad), len(m.First), len(m.Second), n)
	}
	norm := Norm(grad)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return fmt.Errorf("train: the gradient's norm is %g", norm)
	}
	step = step.withDefaults()
	scale := float32(1)
	if step.Clip > 0 && norm > float64(step.Clip) {
		scale = float32(float64(step.Clip) / norm)
	}
	m.Steps++
	for _, t := range s.Tensors() {
		decay := float32(0)
		if t.Matrix() {
			decay = step.Rate * step.Decay
		}
		from, to := t.Offset, t.Offset+t.Len()
		m.move(params[from:to], grad[from:to], from, step, scale, decay)
	}
	return nil
}

// move updates the parameters that lie at offset in the flat vector.
func (m *Moments) move(params, grad []float32, offset int, step Step, scale, decay float32) {
	first := m.First[offset : offset+len(params)]
	second := m.Second[offset : offset+len(params)]
	grad = grad[:len(params)]
	rate := step.Rate / float32(1-math.Pow(float64(step.Beta1), float64(m.Steps)))
	root := float32(1 / math.Sqrt(1-math.Pow(float64(step.Beta2), float64(m.Steps))))
	for i := range params {
		g := grad[i] * scale
		first[i] += (1 - step.Beta1) * (g - first[i])
		second[i] += (1 - step.Beta2) * (g*g - second[i])
		down := float32(math.Sqrt(float64(second[i])))*root + step.Epsilon
		params[i] -= rate*first[i]/down + decay*params[i]
	}
}

// Norm is the Euclidean norm of a flat vector.
func Norm(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
