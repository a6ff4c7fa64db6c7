//go:build cgo

package train

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

var small = Shape{Vocab: 37, Context: 32, Width: 32, Layers: 2, Heads: 4, Hidden: 48}

// randomBatch has places without weight and two documents in a row.
func randomBatch(s Shape, rows, length int) Batch {
	r := rand.New(rand.NewPCG(3, 5))
	n := rows * length
	b := Batch{
		Rows: rows, Length: length,
		Tokens: make([]int32, n), Next: make([]int32, n), Weight: make([]float32, n), Start: make([]int32, n),
	}
	for i := range n {
		b.Tokens[i], b.Next[i] = int32(r.IntN(s.Vocab)), int32(r.IntN(s.Vocab))
		if r.IntN(3) > 0 {
			b.Weight[i] = r.Float32()
		}
		if at := i % length; at >= length/2 {
			b.Start[i] = int32(length / 2)
		}
	}
	return b
}

func newTrainer(t testing.TB, s Shape, threads int) *Trainer {
	t.Helper()
	params := s.Initial(1)
	r := rand.New(rand.NewPCG(7, 7))
	for _, x := range s.Tensors() { // norms of 1 would hide their gradient's mistakes
		for i := x.Offset; i < x.Offset+x.Len(); i++ {
			if x.Matrix() {
				params[i] *= 3
			} else {
				params[i] += 0.3 * float32(r.NormFloat64())
			}
		}
	}
	tr, err := New(s, params, threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// TestGradMatchesFiniteDifferences moves each tensor along its own gradient
// and along random directions, and compares the change of the loss.
func TestGradMatchesFiniteDifferences(t *testing.T) {
	tr := newTrainer(t, small, 1)
	b := randomBatch(small, 2, 16)
	_, g, err := tr.Grad(b)
	if err != nil {
		t.Fatal(err)
	}
	grad := append([]float32(nil), g...)
	r := rand.New(rand.NewPCG(11, 13))
	lossAt := func(at int, direction []float32, step float32) float64 {
		p := tr.Params()[at : at+len(direction)]
		saved := append([]float32(nil), p...)
		for i := range p {
			p[i] += step * direction[i]
		}
		loss, _, err := tr.Grad(b)
		if err != nil {
			t.Fatal(err)
		}
		copy(p, saved)
		return float64(loss)
	}
	for _, x := range small.Tensors() {
		for trial := range 3 {
			direction := make([]float32, x.Len())
			for i := range direction {
				direction[i] = float32(r.NormFloat64())
				if trial == 0 {
					direction[i] = grad[x.Offset+i]
				}
			}
			norm := float32(Norm(direction))
			want := 0.0
			for i := range direction {
				direction[i] /= norm
				want += float64(direction[i]) * float64(grad[x.Offset+i])
			}
			const h = 5e-3
			got := (lossAt(x.Offset, direction, h) - lossAt(x.Offset, direction, -h)) / (2 * h)
			if tolerance := 1e-4 + 0.02*math.Abs(want); math.Abs(got-want) > tolerance {
				t.Errorf("%s, direction %d: slope %.6f, gradient says %.6f", x.Name, trial, got, want)
			}
		}
	}
}

func TestGradIsTheSameForAnyThreads(t *testing.T) {
	b := randomBatch(small, 2, 16)
	one, two := newTrainer(t, small, 1), newTrainer(t, small, 2)
	lossOne, gradOne, err := one.Grad(b)
	if err != nil {
		t.Fatal(err)
	}
	lossTwo, gradTwo, err := two.Grad(b)
	if err != nil {
		t.Fatal(err)
	}
	if lossOne != lossTwo {
		t.Errorf("loss %v with one thread, %v with two", lossOne, lossTwo)
	}
	for i := range gradOne {
		if gradOne[i] != gradTwo[i] {
			t.Fatalf("gradient %d is %v with one thread, %v with two", i, gradOne[i], gradTwo[i])
		}
	}
}

func BenchmarkGrad(b *testing.B) {
	s := Shape{Vocab: 1024, Context: 1024, Width: 256, Layers: 4, Heads: 8, Hidden: 768}
	tr := newTrainer(b, s, 1)
	batch := randomBatch(s, 4, 256)
	for b.Loop() {
		if _, _, err := tr.Grad(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*1024)/b.Elapsed().Seconds(), "tok/s")
}

// TestTrainingLearnsASequence overfits one row, as a check on the whole path.
func TestTrainingLearnsASequence(t *testing.T) {
	tr, err := New(small, small.Initial(2), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b := randomBatch(small, 1, 16)
	b.Start = nil
	for i := range b.Tokens {
		b.Tokens[i], b.Next[i], b.Weight[i] = int32(i*7%37), int32((i+1)*7%37), 1
	}
	var first, last float32
	for i := range 60 {
		loss, grad, err := tr.Grad(b)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = loss
		}
		last = loss
		if err := tr.Apply(grad, Step{Rate: 1e-2, Clip: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if first < 3 || last > 0.1 {
		t.Errorf("loss went from %.3f to %.3f, want from about ln 37 to below 0.1", first, last)
	}
	logits, err := tr.Logits(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range b.Next {
		row := logits[i*small.Vocab : (i+1)*small.Vocab]
		for _, l := range row {
			if l > row[want] {
				t.Fatalf("place %d does not tell %d", i, want)
			}
		}
	}
}

func TestGradRefusesBadBatches(t *testing.T) {
	tr := newTrainer(t, small, 1)
	for name, spoil := range map[string]func(*Batch){
		"token outside":    func(b *Batch) { b.Tokens[3] = 99 },
		"negative target":  func(b *Batch) { b.Next[0] = -1 },
		"start in future":  func(b *Batch) { b.Start[2] = 3 },
		"no weight":        func(b *Batch) { clear(b.Weight) },
		"negative weight":  func(b *Batch) { b.Weight[0] = -1 },
		"NaN weight":       func(b *Batch) { b.Weight[0] = float32(math.NaN()) },
		"short":            func(b *Batch) { b.Tokens = b.Tokens[:5] },
		"beyond context":   func(b *Batch) { b.Length = 64 },
		"no rows":          func(b *Batch) { b.Rows = 0 },
		"too many to hold": func(b *Batch) { b.Rows = 1<<60 + 2 },
	} {
		b := randomBatch(small, 2, 16)
		spoil(&b)
		if _, _, err := tr.Grad(b); !errors.Is(err, ErrShape) {
			t.Errorf("%s: error is %v, want ErrShape", name, err)
		}
	}
}

func TestNewRefusesAShortVector(t *testing.T) {
	if _, err := New(small, make([]float32, 7), 1); !errors.Is(err, ErrShape) {
		t.Errorf("error is %v, want ErrShape", err)
	}
}
