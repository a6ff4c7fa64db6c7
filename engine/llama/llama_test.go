//go:build cgo

package llama_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/llama"
	"github.com/plexus-network/plexus/engine/ref"
)

// accelerators is the back end that this test is to compute with, if any.
func accelerators() []string {
	if path := os.Getenv("PLEXUS_ACCELERATOR"); path != "" {
		return []string{path}
	}
	return nil
}

func openBoth(t *testing.T, path string) (native, reference *batch.Engine) {
	t.Helper()
	reference, err := ref.Open(path, ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	native, err = llama.Open(path, llama.Options{Threads: 1, Accelerators: accelerators()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, e := range []engine.Text{reference, native} {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return native, reference
}

// TestAgreesWithTheReference compares libllama with plain Go: the same tokens
// at temperature 0 up to near ties, and log-probabilities within what precision
// costs: keys and values are kept in half precision, and q8_0 rounds what it
// multiplies. Random weights are the hard case: their distributions are flat.
func TestAgreesWithTheReference(t *testing.T) {
	for _, c := range []struct {
		kind       gguf.Type
		mean, most float64
	}{
		{gguf.F32, 0.006, 0.06},
		{gguf.F16, 0.006, 0.06},
		{gguf.Q8_0, 0.06, 0.3},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			native, reference := openBoth(t, enginetest.RandomModel(t, enginetest.Shape{Type: c.kind}))
			compare(t, native, reference, c.mean, c.most)
		})
	}
}

// TestAgreesOnTheStockModel does the same with the model that ships, whose
// answers are the same up to a near tie, which another processor may round to
// another side.
func TestAgreesOnTheStockModel(t *testing.T) {
	native, reference := openBoth(t, "../stock/plexus-4m-q8_0.gguf")
	answers := compare(t, native, reference, 0.05, 0.3)
	same := 0
	for same < min(len(answers[0]), len(answers[1])) && answers[0][same] == answers[1][same] {
		same++
	}
	if accelerators() != nil || slices.Equal(answers[0], answers[1]) {
		return
	}
	t.Logf("greedy answers part after %d tokens: native %v, reference %v", same, answers[0], answers[1])
	prompt, err := reference.Render(question)
	if err != nil {
		t.Fatal(err)
	}
	near(t, reference, prompt, answers[0][:min(same+1, len(answers[0]))], 0.05)
	near(t, native, prompt, answers[1][:min(same+1, len(answers[1]))], 0.05)
}

// question is what both engines are asked.
var question = []engine.Message{{Role: engine.User, Content: "Tell me of the network <|im_end|>, it's 12."}}

// compare checks both engines on each other's greedy answers, and returns them.
func compare(t *testing.T, native, reference engine.Checker, mean, most float64) (answers [2][]engine.Token) {
	t.Helper()
	prompt, err := reference.Render(question)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range []engine.Text{native, reference} {
		_, err := e.Chat(t.Context(), engine.ChatRequest{Tokens: prompt, MaxTokens: 48}, func(d engine.Delta) error {
			for _, x := range d.Tokens {
				answers[i] = append(answers[i], x.Token)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	near(t, reference, prompt, answers[0], most)
	near(t, native, prompt, answers[1], most)
	a, err := native.Score(t.Context(), prompt, answers[1])
	if err != nil {
		t.Fatal(err)
	}
	b, err := reference.Score(t.Context(), prompt, answers[1])
	if err != nil {
		t.Fatal(err)
	}
	sum, top, n := 0.0, 0.0, 0
	for i := range a {
		for _, x := range a[i].Top[:10] {
			for _, y := range b[i].Top {
				if x.Token == y.Token {
					d := math.Abs(float64(x.LogProb - y.LogProb))
					sum, top, n = sum+d, max(top, d), n+1
				}
			}
		}
	}
	t.Logf("mean %.5f, most %.5f nats over %d candidates of %d tokens", sum/float64(n), top, n, len(a))
	if n < 9*len(a) || sum/float64(n) > mean || top > most {
		t.Errorf("mean %v, most %v nats over %d candidates; want %v and %v", sum/float64(n), top, n, mean, most)
	}
	return answers
}

// near checks that e, which did not write the answer, would have picked every
// token of it, or missed it by at most as many nats.
func near(t *testing.T, e engine.Checker, prompt, answer []engine.Token, most float64) {
	t.Helper()
	scores, err := e.Score(t.Context(), prompt, answer)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scores {
		if m := (engine.Sampling{}).Margin(s.Top, len(prompt)+i, s.Token); m > most {
			t.Errorf("token %d: the other engine is %v nats from picking it, want %v", i, m, most)
		}
	}
}

func TestTokenizersAgree(t *testing.T) {
	native, reference := openBoth(t, enginetest.RandomModel(t, enginetest.Shape{}))
	for _, s := range []string{
		"", " ", "  ", "a", "the network of machine intelligence", "it's we're I'll don't '", "12 345 6", "a1b2",
		"\n\n  x \t y\r\n", " \u00a0 z", "wörld ÄÖ 你好 🙂👍🏽", "a\u0301", "½ Ⅳ ٣", "<|im_end|>", "\x00\x01", "...!?", "  the", "x  ", "\u2028\u3000y",
	} {
		a, err1 := native.Encode(s)
		b, err2 := reference.Encode(s)
		if err1 != nil || err2 != nil || !slices.Equal(a, b) {
			t.Errorf("%q: native %v %v, reference %v %v", s, a, err1, b, err2)
		}
	}
	if a, b := native.Model().TemplateHash, reference.Model().TemplateHash; a != b {
		t.Errorf("template hashes %s and %s", a, b)
	}
}

func TestOpenSaysWhatTheLibrarySays(t *testing.T) {
	_, err := llama.Open(enginetest.RandomModel(t, enginetest.Shape{Arch: "llamb"}), llama.Options{})
	if err == nil || !strings.Contains(err.Error(), "unknown model architecture: 'llamb'") {
		t.Errorf("got %v", err)
	}
}

func TestAcceleratorHasADevice(t *testing.T) {
	if accelerators() == nil {
		t.Skip("no PLEXUS_ACCELERATOR: make accelerator builds one")
	}
	openBoth(t, enginetest.RandomModel(t, enginetest.Shape{}))
	devices := llama.Devices()
	if len(devices) == 0 {
		t.Fatalf("%s finds no device", accelerators())
	}
	for _, d := range devices {
		t.Logf("%+v", d)
		if d.Name == "" || d.Memory == 0 {
			t.Errorf("the device is %+v", d)
		}
	}
}

func TestOpenSaysWhichAcceleratorIsBad(t *testing.T) {
	path := enginetest.RandomModel(t, enginetest.Shape{})
	for _, bad := range []string{filepath.Join(t.TempDir(), "libggml-none.so"), path} {
		_, err := llama.Open(path, llama.Options{Accelerators: []string{bad}})
		if err == nil || !strings.Contains(err.Error(), "accelerator") || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestCompiled(t *testing.T) {
	if b := llama.Compiled(); b.Has == "" || b.Has == b.Slower {
		t.Errorf("the build is %+v", b)
	}
}
