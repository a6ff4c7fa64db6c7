package explorer

import (
	"context"
	"path/filepath"
	"testing"
)

// BenchmarkFollow indexes blocks of 1,000 transactions each: fetching aside,
// which the made-up node does in no time, all that following costs.
func BenchmarkFollow(b *testing.B) {
	for _, on := range []struct {
		name string
		dsn  func() string
	}{
		{"sqlite", func() string { return filepath.Join(b.TempDir(), "index.db") }},
		{"postgres", func() string { return postgres(b) }},
	} {
		b.Run(on.name, func(b *testing.B) {
			f := newFake(20, 1000, 1)
			var rows int64
			for b.Loop() {
				x := open(b, on.dsn())
				if err := follow(context.WithoutCancel(b.Context()), x, f, FollowOptions{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for _, name := range histories {
					var n int64
					if err := x.read.QueryRow("SELECT COUNT(*) FROM " + name).Scan(&n); err != nil {
						b.Fatal(err)
					}
					rows += n
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(20*1000*b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

// BenchmarkReap reads a block of 1,000 transactions, without writing it.
func BenchmarkReap(b *testing.B) {
	block, err := newFake(1, 1000, 1).client().Block(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		reap(block)
	}
}
