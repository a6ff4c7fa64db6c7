// Package enginetest is the conformance kit of engines: what every
// implementation of engine.Text must do, and small models to try it on.
//
// Start at [Run] and [RandomModel].
package enginetest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
)

// A Kit says which engine to try and what to expect of it.
type Kit struct {
	// Open opens the engine. The kit closes it. Its model should say at least
	// 24 tokens to "hello" before it ends its turn.
	Open func(t *testing.T) engine.Text
	// Exact is set for engines whose numbers do not depend on what else they
	// compute. Others may differ by Tolerance nats in the mean.
	Exact     bool
	Tolerance float64
	// Drifts is set for engines that may answer a request otherwise the second
	// time, where tokens are about as likely, as graphics processors do: how
	// rows are rounded depends there on how many are computed together.
	Drifts bool
}

// hello is the conversation that most checks use.
var hello = []engine.Message{{Role: engine.System, Content: "Answer."}, {Role: engine.User, Content: "hello"}}

// Run tries everything that an engine promises. Engines that are no
// engine.Checker are not asked for tokens and scores.
func Run(t *testing.T, k Kit) {
	e := k.Open(t)
	r := &runner{k, e}
	for _, c := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"Describes", r.describes},
		{"Repeats", r.repeats},
		{"Prompts", r.prompts},
		{"StopsAtLength", r.stopsAtLength},
		{"StopsAtText", r.stopsAtText},
		{"EndsWithTheContext", r.endsWithTheContext},
		{"EndsWithTheReader", r.endsWithTheReader},
		{"RefusesBadRequests", r.refusesBadRequests},
		{"ServesMany", r.servesMany},
		{"Embeds", r.embeds},
		{"HoldsToSchemas", r.holdsToSchemas},
		{"CallsTools", r.callsTools},
	} {
		t.Run(c.name, c.f)
	}
	if c, ok := e.(engine.Checker); ok {
		r.runChecker(t, c)
	}
	t.Run("Closes", r.closes)
}

type runner struct {
	Kit
	e engine.Text
}

// answer is what a chat gave.
type answer struct {
	text   string
	tokens []engine.TokenScore
	usage  engine.Usage
	err    error
}

func (a answer) ids() []engine.Token {
	out := make([]engine.Token, len(a.tokens))
	for i, t := range a.tokens {
		out[i] = t.Token
	}
	return out
}

// ask carries out a request and checks what holds for every answer.
func (r *runner) ask(t *testing.T, q engine.ChatRequest) answer {
	t.Helper()
	a := answer{}
	a.usage, a.err = r.e.Chat(t.Context(), q, func(d engine.Delta) error {
		if !utf8.ValidString(d.Text) {
			t.Errorf("delta %q is not whole UTF-8", d.Text)
		}
		a.text += d.Text
		a.tokens = append(a.tokens, d.Tokens...)
		return nil
	})
	if a.err == nil && (a.usage.Finish != engine.FinishStop && a.usage.Finish != engine.FinishLength) {
		t.Errorf("finish is %q", a.usage.Finish)
	}
	if len(a.tokens) > 0 && a.usage.Completion != len(a.tokens) {
		t.Errorf("usage counts %d tokens of %d", a.usage.Completion, len(a.tokens))
	}
	return a
}

// good is ask for a request that must go well.
func (r *runner) good(t *testing.T, q engine.ChatRequest) answer {
	t.Helper()
	a := r.ask(t, q)
	if a.err != nil {
		t.Fatalf("chat: %v", a.err)
	}
	return a
}

func (r *runner) describes(t *testing.T) {
	m := r.e.Model()
	if m.Name == "" {
		t.Errorf("the model has no name: %+v", m)
	}
	if _, ok := r.e.(engine.Checker); ok && (m.Context < 1 || m.Vocabulary < 1 || m.Precision == "" || m.TemplateHash == "") {
		t.Errorf("the model of an engine on a file says little: %+v", m)
	}
}

func (r *runner) repeats(t *testing.T) {
	q := engine.ChatRequest{Messages: hello, MaxTokens: 24}
	one, two := r.good(t, q), r.good(t, q)
	if one.text != two.text && !r.Drifts {
		t.Errorf("at temperature 0: %q, then %q", one.text, two.text)
	}
	if one.usage.Prompt < 1 || one.usage.Completion < 1 {
		t.Errorf("usage is %+v", one.usage)
	}
}

func (r *runner) prompts(t *testing.T) {
	if a := r.good(t, engine.ChatRequest{Prompt: "the network", MaxTokens: 4}); a.usage.Prompt < 1 {
		t.Errorf("usage is %+v", a.usage)
	}
}

func (r *runner) stopsAtLength(t *testing.T) {
	a := r.good(t, engine.ChatRequest{Messages: hello, MaxTokens: 3})
	if a.usage.Completion != 3 || a.usage.Finish != engine.FinishLength {
		t.Errorf("usage is %+v, want 3 tokens and %q", a.usage, engine.FinishLength)
	}
}

func (r *runner) stopsAtText(t *testing.T) {
	whole := r.good(t, engine.ChatRequest{Messages: hello, MaxTokens: 24}).text
	runes := []rune(whole)
	if len(runes) < 6 {
		t.Fatalf("the model says %q only", whole)
	}
	stop := string(runes[len(runes)/2 : len(runes)/2+2])
	want, _, _ := strings.Cut(whole, stop)
	a := r.good(t, engine.ChatRequest{Messages: hello, MaxTokens: 24, Stop: []string{"\x00never", stop}})
	if a.text != want || a.usage.Finish != engine.FinishStop {
		t.Errorf("stop %q: got %q and %q, want %q of %q", stop, a.text, a.usage.Finish, want, whole)
	}
}

func (r *runner) endsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := r.e.Chat(ctx, engine.ChatRequest{Messages: hello, MaxTokens: 100}, func(engine.Delta) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: got %v, want %v", err, context.Canceled)
	}
	if _, err := r.e.Chat(ctx, engine.ChatRequest{Messages: hello}, func(engine.Delta) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: got %v, want %v", err, context.Canceled)
	}
}

func (r *runner) endsWithTheReader(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	usage, err := r.e.Chat(t.Context(), engine.ChatRequest{Messages: hello, MaxTokens: 100}, func(engine.Delta) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want emit's error", err)
	}
	if n != 2 {
		t.Errorf("emit was called %d times after its error", n-2)
	}
	_ = usage
}

func (r *runner) refusesBadRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		q    engine.ChatRequest
	}{
		{"nothing to answer", engine.ChatRequest{}},
		{"two things to answer", engine.ChatRequest{Prompt: "a", Messages: hello}},
		{"negative length", engine.ChatRequest{Prompt: "a", MaxTokens: -1}},
		{"too many alternatives", engine.ChatRequest{Prompt: "a", TopCount: engine.MaxTop + 1}},
		{"temperature", engine.ChatRequest{Prompt: "a", Sampling: engine.Sampling{Temperature: 3}}},
		{"not a number", engine.ChatRequest{Prompt: "a", Sampling: engine.Sampling{TopP: float32(math.NaN())}}},
		{"unknown role", engine.ChatRequest{Messages: []engine.Message{{Role: "ghost", Content: "boo"}}}},
	} {
		if a := r.ask(t, c.q); !errors.Is(a.err, engine.ErrRequest) {
			t.Errorf("%s: got %v, want ErrRequest", c.name, a.err)
		}
	}
	if m := r.e.Model(); m.Context > 0 {
		a := r.ask(t, engine.ChatRequest{Prompt: strings.Repeat("hello ", 4*m.Context)})
		if !errors.Is(a.err, engine.ErrTooLong) {
			t.Errorf("a long prompt: got %v, want ErrTooLong", a.err)
		}
	}
}

func (r *runner) servesMany(t *testing.T) {
	q := engine.ChatRequest{Messages: hello, MaxTokens: 16}
	alone := r.good(t, q)
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			a := r.ask(t, q)
			if a.err != nil || a.usage.Completion == 0 {
				t.Errorf("one of many: %+v %v", a.usage, a.err)
			}
			if r.Exact && a.text != alone.text {
				t.Errorf("one of many: %q, alone %q", a.text, alone.text)
			}
		})
	}
	wait.Wait()
}

func (r *runner) embeds(t *testing.T) {
	v, err := r.e.Embed(t.Context(), []string{"the network", "a machine", "the network"})
	if errors.Is(err, engine.ErrUnsupported) {
		t.Skip("the back end has no embeddings")
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != 3 || len(v[0]) == 0 || len(v[0]) != len(v[1]) {
		t.Fatalf("vectors of %d", len(v))
	}
	same, other := dot(v[0], v[2]), dot(v[0], v[1])
	if math.Abs(same-1) > 1e-3 || other > 0.9999 || math.Abs(dot(v[1], v[1])-1) > 1e-3 {
		t.Errorf("products: same texts %v, other texts %v, with itself %v", same, other, dot(v[1], v[1]))
	}
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func (r *runner) closes(t *testing.T) {
	if err := r.e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if a := r.ask(t, engine.ChatRequest{Prompt: "a"}); !errors.Is(a.err, engine.ErrClosed) {
		t.Errorf("after close: got %v, want ErrClosed", a.err)
	}
}
