package ref

import (
	"sync"
	"sync/atomic"
)

// matrix is rows of columns numbers each; times gives one number per row.
type matrix struct {
	rows, columns int
	numbers       []float32
}

func (w *matrix) row(i int) []float32 { return w.numbers[i*w.columns : (i+1)*w.columns] }

// dot is the sum of products, in eight running sums that are added pairwise at
// the end: the order is part of what this engine promises.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	b = b[:len(a)]
	for len(a) >= 8 && len(b) >= 8 {
		s0 += float32(a[0] * b[0])
		s1 += float32(a[1] * b[1])
		s2 += float32(a[2] * b[2])
		s3 += float32(a[3] * b[3])
		s4 += float32(a[4] * b[4])
		s5 += float32(a[5] * b[5])
		s6 += float32(a[6] * b[6])
		s7 += float32(a[7] * b[7])
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s0 += float32(a[i] * b[i])
	}
	return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
}

// times multiplies w with each vector of x. Blocks of rows go to threads; each
// number is computed alone, so the threads do not change it.
func (m *model) times(w *matrix, x [][]float32) [][]float32 {
	out := make([][]float32, len(x))
	for i := range out {
		out[i] = make([]float32, w.rows)
	}
	const block = 32
	m.parallel((w.rows+block-1)/block, func(b int) {
		for r := b * block; r < min((b+1)*block, w.rows); r++ {
			row := w.row(r)
			for i := range x {
				out[i][r] = dot(row, x[i])
			}
		}
	})
	return out
}

// parallel calls f for 0 to n−1, on as many threads as the model may use.
func (m *model) parallel(n int, f func(int)) {
	threads := min(m.threads, n)
	if threads <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range threads {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
}
