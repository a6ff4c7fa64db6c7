//go:build cgo

package llama

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
)

// BenchmarkDecode measures one step of the library: a row in each of so many
// slots, each 64 rows on. One operation is one step.
func BenchmarkDecode(b *testing.B) {
	path := enginetest.RandomModel(b, enginetest.Shape{
		Dim: 768, Hidden: 2048, Layers: 8, Heads: 12, KeyHeads: 12, Context: 1024, Type: gguf.Q8_0,
	})
	if err := start(); err != nil {
		b.Fatal(err)
	}
	if library := os.Getenv("PLEXUS_ACCELERATOR"); library != "" {
		if err := accelerate(library); err != nil {
			b.Fatal(err)
		}
	}
	f, err := gguf.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, slots := range []int{1, 8, 32} {
		b.Run(fmt.Sprint("slots=", slots), func(b *testing.B) {
			m, err := load(path)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			if err := m.begin(f, &Options{Threads: 1, Batch: batch.Options{Slots: slots}}); err != nil {
				b.Fatal(err)
			}
			at, began := 0, processorTime(b)
			for b.Loop() {
				if at == 128 {
					for s := range slots {
						m.Trim(s, 64)
					}
					at = 64
				}
				var rows []batch.Row
				for s := range slots {
					rows = append(rows, batch.Row{Token: engine.Token(at), Slot: s, Position: at, Logits: true})
				}
				if err := m.Decode(rows); err != nil {
					b.Fatal(err)
				}
				m.Logits(slots - 1)
				at++
			}
			b.ReportMetric(float64(slots*b.N)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(slots*b.N)/(processorTime(b)-began).Seconds(), "tokens/cpu-s")
		})
	}
}

// processorTime is what this process used until now.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
