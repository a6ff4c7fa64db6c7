package ref_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/grammar"
	"github.com/plexus-network/plexus/engine/ref"
)

func TestConforms(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{Exact: true, Open: func(t *testing.T) engine.Text {
		e, err := ref.Open(enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16, Context: 1024}), ref.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}})
}

// scores computes what a fixed model says of fixed tokens, as bytes.
func scores(t *testing.T, o ref.Options) []byte {
	t.Helper()
	e, err := ref.Open(enginetest.RandomModel(t, enginetest.Shape{Type: gguf.Q8_0, Seed: 1}), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	prompt := make([]engine.Token, 40)
	for i := range prompt {
		prompt[i] = engine.Token(i * 7 % 300)
	}
	list, err := e.Score(t.Context(), prompt[:10], prompt[10:])
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, s := range list {
		for _, c := range append(s.Top, engine.Candidate{Token: s.Token, LogProb: s.LogProb}) {
			b = binary.LittleEndian.AppendUint32(b, uint32(c.Token))
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.LogProb))
		}
	}
	return b
}

// TestBits pins the numbers of the reference engine: they are what class
// f32-ref promises, on every machine.
func TestBits(t *testing.T) {
	const want = "06400051bae11b7f51c8c648339cd9210042dda30ca6fbf2d8cb07bc96054866"
	if got := fmt.Sprintf("%x", sha256.Sum256(scores(t, ref.Options{}))); got != want {
		t.Errorf("the scores' hash is %s, want %s", got, want)
	}
}

// TestBitsDoNotDependOnTheBatch computes with other threads and other steps.
func TestBitsDoNotDependOnTheBatch(t *testing.T) {
	want := scores(t, ref.Options{Threads: 1})
	for _, o := range []ref.Options{{Threads: 3}, {Threads: 2, Batch: batch.Options{Slots: 1, Rows: 1}}, {Threads: 1, Batch: batch.Options{Rows: 7, Slots: 2}}} {
		if !bytes.Equal(scores(t, o), want) {
			t.Errorf("%+v changes bits", o)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		shape enginetest.Shape
		want  string
	}{
		{enginetest.Shape{Arch: "qwen3"}, `"qwen3"`},
		{enginetest.Shape{Heads: 4, KeyHeads: 3}, "do not fit"},
	} {
		_, err := ref.Open(enginetest.RandomModel(t, c.shape), ref.Options{})
		if !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want ErrBadModel with %q", err, c.want)
		}
	}
}

// TestTheStockModelKeepsToSchemas holds a model that was never taught JSON to
// a schema and to a call: it is the grammar that makes them whole.
func TestTheStockModelKeepsToSchemas(t *testing.T) {
	e, err := ref.Open("../stock/plexus-4m-q8_0.gguf", ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	schema := []byte(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"],"additionalProperties":false}`)
	for name, c := range map[string]engine.Constraint{
		"schema": {Form: engine.JSONSchema, Schema: schema, Within: 60},
		"call":   {Tools: []engine.Tool{{Name: "weather", Parameters: schema}}, Only: "weather", Single: true, Within: 100},
	} {
		for _, temperature := range []float32{0, 1} {
			text := ""
			usage, err := e.Chat(t.Context(), engine.ChatRequest{
				Messages:  []engine.Message{{Role: engine.User, Content: "What is the capital of France?"}},
				MaxTokens: c.Within, Constraint: c, Sampling: engine.Sampling{Temperature: temperature},
			}, func(d engine.Delta) error { text += d.Text; return nil })
			if err != nil || usage.Finish != engine.FinishStop {
				t.Fatalf("%s at %v: %q, %+v, %v", name, temperature, text, usage, err)
			}
			t.Logf("%s at %v: %s", name, temperature, text)
			var trip struct {
				City string
				Days *int
			}
			text = strings.TrimSuffix(text[strings.LastIndex(text, `{"city"`):], grammar.CallEnd)
			if name == "call" {
				text = strings.TrimSuffix(strings.TrimSpace(text), "}")
			}
			if err := json.Unmarshal([]byte(text), &trip); err != nil || trip.Days == nil {
				t.Errorf("%s at %v: %q: %v", name, temperature, text, err)
			}
		}
	}
}
