package yuma

import "github.com/plexus-network/plexus/fixed"

// A matrix holds sparse rows of fractions, all in one piece. It is built from
// its first row to its last.
type matrix struct {
	start []int // row i lies from start[i] to start[i+1]
	uid   []UID
	val   []fixed.Frac
}

// A span is one row of a matrix: val[k] stands in column uid[k].
type span struct {
	uid []UID
	val []fixed.Frac
}

// newMatrix returns a matrix without rows, with room for n rows and for size entries.
func newMatrix(n, size int) matrix {
	return matrix{
		start: append(make([]int, 0, n+1), 0),
		uid:   make([]UID, 0, size),
		val:   make([]fixed.Frac, 0, size),
	}
}

// append adds an entry to the row that is being built.
func (m *matrix) append(j UID, v fixed.Frac) {
	m.uid = append(m.uid, j)
	m.val = append(m.val, v)
}

// endRow ends the row that is being built.
func (m *matrix) endRow() { m.start = append(m.start, len(m.uid)) }

// endRows adds empty rows until there are n.
func (m *matrix) endRows(n int) {
	for len(m.start) <= n {
		m.endRow()
	}
}

// len returns how many rows there are.
func (m *matrix) len() int { return len(m.start) - 1 }

// row returns row i, which shares the matrix' memory.
func (m *matrix) row(i int) span {
	from, to := m.start[i], m.start[i+1]
	return span{m.uid[from:to], m.val[from:to]}
}

// entries counts the entries of rows.
func entries(rows []Row) int {
	n := 0
	for _, row := range rows {
		n += len(row)
	}
	return n
}
