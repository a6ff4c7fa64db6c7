// Package train trains small llama models on the CPU: gradients of a batch,
// AdamW, and a GGUF file of the result.
//
// A model is one flat vector of float32 in the order of [Shape.Tensors], and
// so is a gradient, which keeps averaging, compression and checkpoints free of
// any engine. The arithmetic is a ggml graph whose backward pass is written
// out by hand in ggml's forward operations, about twice as fast as ggml's own
// differentiation. The same binary on the same machine computes the same bits,
// whatever the number of threads.
//
// Start at [Trainer]; it needs cgo, the rest of the package does not.
package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Shape is the size of a model: a llama decoder with RMS norms, rotary
// positions, one key head per query head, SwiGLU, and an embedding that is
// also the output head. The zero Shape is invalid.
type Shape struct {
	Vocab   int     // tokens
	Context int     // most tokens of a sequence
	Width   int     // of the residual stream
	Layers  int     // decoder layers
	Heads   int     // attention heads; Width/Heads is a multiple of 2
	Hidden  int     // width inside the feed-forward part
	Base    float32 // of the rotary frequencies; 0 means 10,000
	Epsilon float32 // added in RMS norms; 0 means 1e-5
}

// ErrShape means that a Shape, a batch or a vector does not fit.
var ErrShape = errors.New("train: wrong shape")

// Bounds of a Shape: what the trainer's graphs and a file's header carry.
const (
	maxVocab   = 1 << 18
	maxContext = 1 << 14
	maxWidth   = 1 << 13
	maxLayers  = 64
)

// Check returns an error that wraps ErrShape when s cannot be trained.
func (s Shape) Check() error {
	for _, d := range []struct {
		name     string
		n, limit int
	}{
		{"vocabulary", s.Vocab, maxVocab},
		{"context", s.Context, maxContext},
		{"width", s.Width, maxWidth},
		{"layers", s.Layers, maxLayers},
		{"heads", s.Heads, s.Width},
		{"hidden width", s.Hidden, 4 * maxWidth},
	} {
		if d.n < 1 || d.n > d.limit {
			return fmt.Errorf("%w: %s is %d, want 1 to %d", ErrShape, d.name, d.n, d.limit)
		}
	}
	if s.Width%s.Heads != 0 || s.Width/s.Heads%2 != 0 {
		return fmt.Errorf("%w: width %d over %d heads is not an even number each", ErrShape, s.Width, s.Heads)
	}
	if s.base() < 1 || s.epsilon() < 0 {
		return fmt.Errorf("%w: rotary base %g or epsilon %g", ErrShape, s.Base, s.Epsilon)
	}
	return nil
}

func (s Shape) base() float32 {
	if s.Base == 0 {
		return 10_000
	}
	return s.Base
}

func (s Shape) epsilon() float32 {
	if s.Epsilon == 0 {
		return 1e-5
	}
	return s.Epsilon
}

// Tensor is one array of a model and where it lies in the flat vector. Names
// and layout are GGUF's: Columns runs fastest, so a matrix maps Columns inputs
// to Rows outputs. A vector has one row.
type Tensor struct {
	Name    string
	Columns int
	Rows    int
	Offset  int // of its first number in the flat vector
}

// Len is the tensor's count of numbers.
func (t Tensor) Len() int { return t.Columns * t.Rows }

// Matrix tells matrices from the vectors of norms, which are neither decayed
// nor quantised.
func (t Tensor) Matrix() bool { return t.Rows > 1 }

// Tensors lists the model's tensors in the order of the flat vector.
func (s Shape) Tensors() []Tensor {
	var all []Tensor
	offset := 0
	add := func(name string, columns, rows int) {
		all = append(all, Tensor{Name: name + ".weight", Columns: columns, Rows: rows, Offset: offset})
		offset += columns * rows
	}
	add("token_embd", s.Width, s.Vocab)
	for i := range s.Layers {
		layer := fmt.Sprintf("blk.%d.", i)
		add(layer+"attn_norm", s.Width, 1)
		add(layer+"attn_q", s.Width, s.Width)
		add(layer+"attn_k", s.Width, s.Width)
		add(layer+"attn_v", s.Width, s.Width)
		add(layer+"attn_output", s.Width, s.Width)
		add(layer+"ffn_norm", s.Width, 1)
		add(layer+"ffn_gate", s.Width, s.Hidden)
		add(layer+"ffn_up", s.Width, s.Hidden)
		add(layer+"ffn_down", s.Hidden, s.Width)
	}
	add("output_norm", s.Width, 1)
	return all
}

// Parameters is the length of the model's flat vector.
func (s Shape) Parameters() int {
	layer := 2*s.Width + 4*s.Width*s.Width + 3*s.Width*s.Hidden
	return s.Width*s.Vocab + s.Layers*layer + s.Width
}

// Initial returns the flat vector of an untrained model, the same for the same
// seed. Matrices are normal with a deviation of ½/√inputs, smaller where they
// write into the residual stream; the embedding's is 0.02.
func (s Shape) Initial(seed uint64) []float32 {
	params := make([]float32, s.Parameters())
	random := rand.New(rand.NewPCG(seed, 0x706c78))
	for i, t := range s.Tensors() {
		v := params[t.Offset : t.Offset+t.Len()]
		if !t.Matrix() {
			for j := range v {
				v[j] = 1
			}
			continue
		}
		deviation := 0.5 / math.Sqrt(float64(t.Columns))
		switch (i - 1) % tensorsPerLayer {
		case 4, 8: // attn_output, ffn_down
			deviation /= math.Sqrt(float64(2 * s.Layers))
		}
		if i == 0 {
			deviation = 0.02
		}
		for j := range v {
			v[j] = float32(deviation * random.NormFloat64())
		}
	}
	return params
}

const tensorsPerLayer = 9

// Batch is what one gradient is taken of: Rows sequences of Length tokens.
// Slices are row-major and have Rows·Length entries.
type Batch struct {
	Rows   int
	Length int
	Tokens []int32
	Next   []int32   // the token to be told at each place
	Weight []float32 // how much it counts, ≥ 0; the loss is the weighted mean
	Start  []int32   // place in the row that attention reaches back to; nil means 0
}

// check returns an error that wraps ErrShape when b is not a batch for s.
func (b Batch) check(s Shape) error {
	if b.Rows < 1 || b.Rows > len(b.Tokens) || b.Length < 1 || b.Length > s.Context {
		return fmt.Errorf("%w: batch of %d rows of %d tokens, want 1 to %d tokens, all given", ErrShape, b.Rows, b.Length, s.Context)
	}
	n := b.Rows * b.Length
	if len(b.Tokens) != n || len(b.Next) != n || len(b.Weight) != n || b.Start != nil && len(b.Start) != n {
		return fmt.Errorf("%w: batch of %d×%d tokens has %d tokens, %d next, %d weights, %d starts",
			ErrShape, b.Rows, b.Length, len(b.Tokens), len(b.Next), len(b.Weight), len(b.Start))
	}
	for i := range n {
		if !s.has(b.Tokens[i]) || !s.has(b.Next[i]) {
			return fmt.Errorf("%w: token %d or %d at %d is outside the vocabulary of %d", ErrShape, b.Tokens[i], b.Next[i], i, s.Vocab)
		}
		if !(b.Weight[i] >= 0) {
			return fmt.Errorf("%w: weight %g at %d", ErrShape, b.Weight[i], i)
		}
		if b.Start != nil && (b.Start[i] < 0 || int(b.Start[i]) > i%b.Length) {
			return fmt.Errorf("%w: start %d at place %d", ErrShape, b.Start[i], i%b.Length)
		}
	}
	return nil
}

func (s Shape) has(token int32) bool { return token >= 0 && int(token) < s.Vocab }

// weight is the sum of the places' weights.
func (b Batch) weight() float64 {
	var sum float64
	for _, w := range b.Weight {
		sum += float64(w)
	}
	return sum
}

// mask writes the attention mask: for each place, 0 where it looks and -Inf
// where it does not.
func (b Batch) mask(to []float32) {
	never := float32(math.Inf(-1))
	for i := range b.Rows * b.Length {
		row, at := to[i*b.Length:(i+1)*b.Length], i%b.Length
		start := 0
		if b.Start != nil {
			start = int(b.Start[i])
		}
		for j := range row {
			row[j] = never
			if j >= start && j <= at {
				row[j] = 0
			}
		}
	}
}
