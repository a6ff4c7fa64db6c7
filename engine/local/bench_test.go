package local_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/local"
)

// models to measure: the one that ships, one of 55 million parameters and, on a
// graphics processor, one of 1.0 billion.
func models(b *testing.B) map[string]string {
	m := map[string]string{"55m": enginetest.RandomModel(b, enginetest.Shape{
		Dim: 768, Hidden: 2048, Layers: 8, Heads: 12, KeyHeads: 12, Context: 1024, Type: gguf.Q8_0,
	})}
	if _, err := os.Stat("../stock/plexus-4m-q8_0.gguf"); err == nil {
		m["stock"] = "../stock/plexus-4m-q8_0.gguf"
	}
	if len(options().Accelerators) > 0 {
		m["1b"] = enginetest.RandomModel(b, enginetest.Shape{
			Dim: 2048, Hidden: 5632, Layers: 22, Heads: 32, KeyHeads: 4, Context: 2048, Type: gguf.Q8_0,
		})
	}
	return m
}

// prompt is n tokens that no other call begins with, so that nothing is cached.
func prompt(n, salt, vocabulary int) []engine.Token {
	out := make([]engine.Token, n)
	for i := range out {
		out[i] = engine.Token((i*7 + salt*13 + i*salt) % min(250, vocabulary))
	}
	return out
}

// BenchmarkEngine measures the native engine in its worker on one thread. The
// metric tokens/cpu-s counts the worker's processor time: it can be compared
// where other programs run as well.
func BenchmarkEngine(b *testing.B) {
	for name, path := range models(b) {
		o := options()
		o.Sessions = 32
		e := open(b, path, o)
		b.Run(name+"/prefill512", func(b *testing.B) { prefill(b, e) })
		b.Run(name+"/score512", func(b *testing.B) { score(b, e) })
		for _, sessions := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/decode=%d", name, sessions), func(b *testing.B) { decode(b, e, sessions) })
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// processorTime is the seconds that this process and its workers used.
func processorTime(b *testing.B) float64 {
	ticks := 0.0
	for _, pid := range append(children(b, os.Getpid()), os.Getpid()) {
		ticks += float64(processorTicks(b, pid))
	}
	return ticks / 100
}

func report(b *testing.B, tokens int, start float64) {
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(float64(tokens)/(processorTime(b)-start), "tokens/cpu-s")
}

func prefill(b *testing.B, e engine.Checker) {
	salt, start := 0, processorTime(b)
	for b.Loop() {
		salt++
		_, err := e.Chat(b.Context(), engine.ChatRequest{Tokens: prompt(512, salt, e.Model().Vocabulary), MaxTokens: 1}, func(engine.Delta) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	report(b, 512*b.N, start)
}

func score(b *testing.B, e engine.Checker) {
	salt, start := 0, processorTime(b)
	for b.Loop() {
		salt++
		p := prompt(513, salt, e.Model().Vocabulary)
		if _, err := e.Score(b.Context(), p[:1], p[1:]); err != nil {
			b.Fatal(err)
		}
	}
	report(b, 512*b.N, start)
}

// decode measures answers of at most 64 tokens in some sessions at the same
// time: a story, which the stock model tells at that length.
func decode(b *testing.B, e engine.Checker, sessions int) {
	const length = 64
	made, start := 0, processorTime(b)
	var mu sync.Mutex
	for b.Loop() {
		var wait sync.WaitGroup
		for s := range sessions {
			wait.Go(func() {
				u, err := e.Chat(b.Context(), engine.ChatRequest{
					Messages: []engine.Message{{Role: engine.User, Content: "Tell me a story"}}, MaxTokens: length,
					Sampling: engine.Sampling{Temperature: 0.7, Seed: engine.Seed{byte(s)}},
				}, func(engine.Delta) error { return nil })
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				made += u.Completion
				mu.Unlock()
			})
		}
		wait.Wait()
	}
	report(b, made, start)
}

// BenchmarkReference measures the reference engine on the same.
func BenchmarkReference(b *testing.B) {
	const path = "../stock/plexus-4m-q8_0.gguf"
	if _, err := os.Stat(path); err != nil {
		b.Skip("the stock model is not there")
	}
	e := open(b, path, local.Options{Reference: true, Threads: 1, Sessions: 8})
	b.Run("prefill512", func(b *testing.B) { prefill(b, e) })
	b.Run("score512", func(b *testing.B) { score(b, e) })
	b.Run("decode=1", func(b *testing.B) { decode(b, e, 1) })
}
