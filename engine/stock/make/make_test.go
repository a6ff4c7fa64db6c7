package main

import (
	"slices"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock/corpus"
	"github.com/plexus-network/plexus/engine/train"
)

// small is a recipe that takes no time.
var small = recipe{
	name: "small", seed: 3, rate: 1e-3, steps: 6,
	shape: train.Shape{Vocab: vocabulary, Context: 1024, Width: 16, Layers: 1, Heads: 2, Hidden: 16},
}

// TestResumeGoesOnExactly breaks a run off and compares what it becomes with a
// run that was left alone.
func TestResumeGoesOnExactly(t *testing.T) {
	tokens := learnTokens(1, 2000)
	o := options{work: t.TempDir()}
	whole, broken, resumed := start(t, small, tokens), start(t, small, tokens), start(t, small, tokens)
	take(t, whole, 5)
	take(t, broken, 3)
	if err := o.save(broken); err != nil {
		t.Fatal(err)
	}
	if err := o.resume(resumed); err != nil {
		t.Fatal(err)
	}
	if resumed.step != 3 {
		t.Fatalf("resumed at step %d, want 3", resumed.step)
	}
	take(t, resumed, 2)
	if !slices.Equal(whole.crew[0].Params(), resumed.crew[0].Params()) || whole.loss != resumed.loss {
		t.Error("a resumed run differs from one that was left alone")
	}
	other := small
	other.seed++
	fresh := start(t, other, tokens)
	if err := o.resume(fresh); err != nil || fresh.step != 0 {
		t.Errorf("another recipe resumed at step %d (%v), want 0", fresh.step, err)
	}
}

func start(t *testing.T, r recipe, tokens tokenizer) *run {
	t.Helper()
	n, err := newRun(r, tokens)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

func take(t *testing.T, n *run, steps int) {
	t.Helper()
	for range steps {
		if err := n.learn(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFeedKeepsDocumentsApart(t *testing.T) {
	tokens := learnTokens(1, 2000)
	f := &feed{source: corpus.New(9), tokens: tokens, turns: 6}
	for range 20 {
		b := f.next(3, 200)
		for i, at := range b.Start {
			place := i % b.Length
			first := i - place + int(at)
			if b.Start[first] != at {
				t.Fatalf("place %d belongs to a document that begins at %d, which belongs to one at %d", place, at, b.Start[first])
			}
			inside := place+1 < b.Length && b.Start[i+1] == at
			if b.Weight[i] > 0 && inside && b.Next[i] != b.Tokens[i+1] {
				t.Fatalf("place %d is to tell %d, but %d follows", place, b.Next[i], b.Tokens[i+1])
			}
		}
	}
}

func TestWriteWeighsWhatTheAssistantSays(t *testing.T) {
	tokens := learnTokens(1, 2000)
	s := tokens.write(corpus.Document{Messages: []engine.Message{{Role: engine.User, Content: "Hello"}, {Role: engine.Assistant, Content: "Hi!"}}})
	var full []int32
	for i, w := range s.weight {
		if w == 1 {
			full = append(full, s.tokens[i])
		}
	}
	if want := append(tokens.Encode("Hi!"), endToken); !slices.Equal(full, want) {
		t.Errorf("tokens of full weight are %v, want %v", full, want)
	}
}
