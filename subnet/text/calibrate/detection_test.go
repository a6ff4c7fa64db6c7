package calibrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/quant"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet/text/calibrate"
)

// tokens is how many are examined per engine and temperature class, of the
// shipped model; a third of that of the large one.
var tokens = flag.Int("detection.tokens", 3000, "tokens per engine and temperature class")

// TestMain makes this program a worker where a benchmark starts it as one.
func TestMain(m *testing.M) {
	local.ServeIfAsked()
	os.Exit(m.Run())
}

// open opens models in workers of this program.
func open(ctx context.Context, path string, s calibrate.Shape) (engine.Checker, error) {
	return local.Open(ctx, path, local.Options{
		Threads: 1, Sessions: s.Sessions, Reference: s.Reference, Command: os.Args[:1],
	})
}

// BenchmarkDetection makes the tables of bench/detection.md, one model after
// the other: run it with -benchtime 1x.
func BenchmarkDetection(b *testing.B) {
	dir := b.TempDir()
	strong, err := stock.Path(dir, stock.Strong)
	if err != nil {
		b.Fatal(err)
	}
	weak, err := stock.Path(dir, stock.Weak)
	if err != nil {
		b.Fatal(err)
	}
	fine := rewrite(b, strong, gguf.F16, preimage)
	tuned := rewrite(b, strong, gguf.Q8_0, jitter(0.02))
	large := enginetest.RandomModel(b, enginetest.Shape{
		Dim: 512, Hidden: 1408, Layers: 8, Heads: 8, KeyHeads: 8, Context: 1024, Type: gguf.F16, Seed: 4,
	})
	large8 := rewrite(b, large, gguf.Q8_0, nil)
	shallow := enginetest.RandomModel(b, enginetest.Shape{
		Dim: 256, Hidden: 704, Layers: 4, Heads: 4, KeyHeads: 4, Context: 1024, Type: gguf.Q8_0, Seed: 5,
	})
	for _, c := range []struct {
		name      string
		model     string
		to        gguf.Type
		tokens    int
		reference bool
		cheats    []calibrate.Cheat
	}{
		{"plexus-4m in q8_0", strong, gguf.Q4_0, *tokens, true, append(calibrate.Behaviours(),
			calibrate.Cheat{Name: "smaller model: plexus-1m", Model: weak},
			calibrate.Cheat{Name: "another tuning: weights off by 2 %", Model: tuned})},
		{"plexus-4m in f16", fine, gguf.Q8_0, *tokens, false, nil},
		{"random model of 26 M in q8_0", large8, gguf.Q4_0, *tokens / 3, false, append(calibrate.Behaviours(),
			calibrate.Cheat{Name: "smaller model: random, 3 M", Model: shallow})},
		{"random model of 26 M in f16", large, gguf.Q8_0, *tokens / 3, false, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := calibrate.Options{
				Open: open, Model: c.model, Cheat: rewrite(b, c.model, c.to, nil), CheatName: c.to.String(),
				Tokens: c.tokens, Reference: c.reference,
			}
			for b.Loop() {
				detect(b, o, c.cheats)
			}
		})
	}
}

func detect(b *testing.B, o calibrate.Options, cheats []calibrate.Cheat) {
	r, err := calibrate.Run(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := r.Detect(b.Context(), o, cheats)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		b.Fatal(err)
	}
	if err := calibrate.PrintRows(&out, rows); err != nil {
		b.Fatal(err)
	}
	measured, err := json.Marshal(r.Measured)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("\n%s\n%s", &out, measured)
}

// rewrite puts a model into another type, after change.
func rewrite(b *testing.B, path string, to gguf.Type, change quant.Change) string {
	b.Helper()
	var out bytes.Buffer
	if err := quant.File(&out, path, to, change); err != nil {
		b.Fatal(err)
	}
	path = filepath.Join(b.TempDir(), "rewritten.gguf")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// preimage moves each number of q8_0 within its step, which gives a finer model
// that would be quantised to the file it came from.
func preimage(_ string, _ gguf.Type, numbers []float32) {
	draw := rand.New(rand.NewPCG(6, uint64(len(numbers))))
	for ; len(numbers) >= 32; numbers = numbers[32:] {
		largest := float32(0)
		for _, v := range numbers[:32] {
			largest = max(largest, v, -v)
		}
		for i, v := range numbers[:32] {
			if v != largest && v != -largest { // these set the step
				numbers[i] += largest / 127 * (draw.Float32() - 0.5) * 0.98
			}
		}
	}
}

// jitter moves each number by a share of itself, as a light training does.
func jitter(share float64) quant.Change {
	return func(_ string, _ gguf.Type, numbers []float32) {
		draw := rand.New(rand.NewPCG(7, uint64(len(numbers))))
		for i := range numbers {
			numbers[i] *= float32(1 + share*draw.NormFloat64())
		}
	}
}

// BenchmarkVerification compares the processor time of checking answers with
// that of making them, one at a time on one thread: the share that a validator
// which checks everything needs.
func BenchmarkVerification(b *testing.B) {
	strong, err := stock.Path(b.TempDir(), stock.Strong)
	if err != nil {
		b.Fatal(err)
	}
	large := enginetest.RandomModel(b, enginetest.Shape{
		Dim: 512, Hidden: 1408, Layers: 8, Heads: 8, KeyHeads: 8, Context: 1024, Type: gguf.Q8_0, Seed: 4,
	})
	for name, path := range map[string]string{"plexus-4m": strong, "random-26m": large} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				verify(b, path, 40)
			}
		})
	}
}

// verify makes and checks answers of 100 tokens, and reports seconds per 1,000
// tokens of both.
func verify(b *testing.B, path string, answers int) {
	const length = 100
	said := make([][]engine.Token, answers)
	prompt := func(e engine.Checker, i int) []engine.Token {
		tokens, err := e.Render([]engine.Message{{Role: engine.User, Content: "Tell me a story about a cat and " + string(rune('a'+i%26)) + string(rune('a'+i/26))}})
		if err != nil {
			b.Fatal(err)
		}
		return tokens
	}
	idle := processor(b, path, func(engine.Checker) {})
	made := processor(b, path, func(e engine.Checker) {
		for i := range said {
			_, err := e.Chat(b.Context(), engine.ChatRequest{
				Tokens: prompt(e, i), MaxTokens: length, TopCount: 5, Sampling: engine.Sampling{Temperature: 1, Seed: engine.Seed{byte(i)}},
			}, func(d engine.Delta) error {
				for _, t := range d.Tokens {
					said[i] = append(said[i], t.Token)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	checked := processor(b, path, func(e engine.Checker) {
		for i := range said {
			if _, err := e.Score(b.Context(), prompt(e, i), said[i]); err != nil {
				b.Fatal(err)
			}
		}
	})
	tokens := 0
	for _, s := range said {
		tokens += len(s)
	}
	b.ReportMetric(1000*(made-idle)/float64(tokens), "s/1000-made")
	b.ReportMetric(1000*(checked-idle)/float64(tokens), "s/1000-checked")
	b.ReportMetric((checked-idle)/(made-idle), "checked/made")
}

// processor is the processor time in seconds of an engine's worker that does
// work, from its start to its end.
func processor(b *testing.B, path string, work func(engine.Checker)) float64 {
	b.Helper()
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	before := used()
	e, err := local.Open(b.Context(), path, local.Options{Threads: 1, Sessions: 1, Command: os.Args[:1]})
	if err != nil {
		b.Fatal(err)
	}
	work(e)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	return used() - before
}
