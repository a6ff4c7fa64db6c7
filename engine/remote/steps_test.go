package remote_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/remote"
)

// A server's owner answers as whoever holds the model would: token by token the
// pick of S1, at any temperature.
func TestStepsPickAsTheModelWould(t *testing.T) {
	path := enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16, Context: 1024})
	for name, dialect := range map[string]remote.Dialect{"vllm": remote.VLLM, "llamacpp": remote.LlamaCpp} {
		t.Run(name, func(t *testing.T) {
			url, direct := newServer(t, dialect)
			e, err := remote.Steps(open(t, url, dialect), path, batch.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if have := e.Model(); have.FileHash != direct.Model().FileHash || have.TemplateHash != direct.Model().TemplateHash {
				t.Errorf("it runs %+v, the server %+v", have, direct.Model())
			}
			for _, temperature := range []float32{0, 0.8, 1.5} {
				r := engine.ChatRequest{
					Prompt: "once upon a time", MaxTokens: 24, TopCount: 5,
					Sampling: engine.Sampling{Temperature: temperature, TopP: 0.95, Seed: engine.Seed{7}},
				}
				got, want := answer(t, e, r), answer(t, direct, r)
				if len(got) != len(want) {
					t.Fatalf("temperature %v: %d tokens, want %d", temperature, len(got), len(want))
				}
				for i := range got {
					if got[i].Token != want[i].Token || math.Abs(float64(got[i].LogProb-want[i].LogProb)) > 1e-3 {
						t.Fatalf("temperature %v, token %d is %d at %v, want %d at %v", temperature, i, got[i].Token, got[i].LogProb, want[i].Token, want[i].LogProb)
					}
				}
			}
		})
	}
}

func answer(t *testing.T, e engine.Text, r engine.ChatRequest) []engine.TokenScore {
	t.Helper()
	var all []engine.TokenScore
	if _, err := e.Chat(t.Context(), r, func(d engine.Delta) error { all = append(all, d.Tokens...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStepsNeedTokenIDs(t *testing.T) {
	url, _ := newServer(t, remote.OpenAI)
	_, err := remote.Steps(open(t, url, remote.OpenAI), "unread.gguf", batch.Options{})
	if !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), "vllm") {
		t.Errorf("error %v, want %v that names a dialect which does", err, engine.ErrUnsupported)
	}
}

// What the server does not tell might be what a schema wants: better no answer
// than one that is taken for a cheat's.
func TestStepsRefuseConstraints(t *testing.T) {
	url, _ := newServer(t, remote.VLLM)
	e, err := remote.Steps(open(t, url, remote.VLLM), enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16, Context: 1024}), batch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := engine.ChatRequest{Prompt: "a", Constraint: engine.Constraint{Form: engine.JSONObject}}
	if _, err := e.Chat(t.Context(), r, func(engine.Delta) error { return nil }); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
