package enginetest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// person is the schema that the kit binds answers to. Its shortest answer takes
// few tokens, so that it is whole within the limits that the kit sets.
const person = `{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer"},"kind":{"enum":["cat","dog"]}},"required":["name","age","kind"],"additionalProperties":false}`

// boundTokens is in how many tokens the kit wants bound answers whole.
const boundTokens = 120

var tools = []engine.Tool{
	{Name: "find", Description: "finds one", Parameters: json.RawMessage(person)},
	{Name: "stop"},
}

// constraints are those that every engine must hold answers to.
var constraints = map[string]engine.Constraint{
	"object":     {Form: engine.JSONObject, Within: boundTokens},
	"schema":     {Form: engine.JSONSchema, Schema: []byte(person), Within: boundTokens},
	"a call":     {Tools: tools, Choice: engine.ToolsRequired, Single: true, Within: boundTokens},
	"named call": {Tools: tools, Only: "find", Single: true, Within: boundTokens},
	"auto":       {Tools: tools, Within: boundTokens},
}

// samplings are how the kit picks: greedy and warm.
var samplings = map[string]engine.Sampling{
	"greedy":  {},
	"sampled": {Temperature: 1, TopP: 0.95, Seed: engine.Seed{9}},
}

// boundAsk is a request under a constraint. The constraint's own limit is what
// makes the answer whole.
func boundAsk(c engine.Constraint, s engine.Sampling) engine.ChatRequest {
	return engine.ChatRequest{Messages: hello, MaxTokens: boundTokens, Constraint: c, Sampling: s, TopCount: 3}
}

func (r *runner) holdsToSchemas(t *testing.T) {
	for _, name := range []string{"object", "schema"} {
		for how, s := range samplings {
			a := r.good(t, boundAsk(constraints[name], s))
			var value map[string]any
			if err := json.Unmarshal([]byte(a.text), &value); err != nil || a.usage.Finish != engine.FinishStop {
				t.Errorf("%s, %s: %q, finish %q: %v", name, how, a.text, a.usage.Finish, err)
			}
			if kind := value["kind"]; name == "schema" && kind != "cat" && kind != "dog" {
				t.Errorf("%s, %s: %q is not of the schema", name, how, a.text)
			}
		}
	}
	for name, c := range map[string]engine.Constraint{
		"a pattern": {Form: engine.JSONSchema, Schema: []byte(`{"type":"string","pattern":"x"}`)},
		"no schema": {Form: engine.JSONSchema}, "no JSON": {Form: engine.JSONSchema, Schema: []byte("{")},
	} {
		if a := r.ask(t, boundAsk(c, engine.Sampling{})); !errors.Is(a.err, engine.ErrRequest) {
			t.Errorf("%s: got %v, want ErrRequest", name, a.err)
		}
	}
}

func (r *runner) callsTools(t *testing.T) {
	for _, name := range []string{"a call", "named call"} {
		for how, s := range samplings {
			a := r.good(t, boundAsk(constraints[name], s))
			tool, arguments, ok := grammar.CallHead(strings.TrimPrefix(a.text, grammar.CallBegin))
			arguments = strings.TrimSpace(strings.TrimSuffix(arguments, grammar.CallEnd))
			if !ok || !json.Valid([]byte(strings.TrimSuffix(arguments, "}"))) || tool != "find" && name == "named call" {
				t.Errorf("%s, %s: %q is no call", name, how, a.text)
			}
		}
	}
	talk := slices.Concat(hello, []engine.Message{
		{Role: engine.Assistant, ToolCalls: []engine.ToolCall{{ID: "call_1", Name: "stop", Arguments: "{}"}}},
		{Role: engine.ToolResult, Content: "stopped", ToolCallID: "call_1"},
	})
	r.good(t, engine.ChatRequest{Messages: talk, MaxTokens: 4, Constraint: constraints["auto"]})
}

// scoresBoundAnswers checks that an answer under a constraint replays under it:
// exactly, on engines that are exact.
func (r *runner) scoresBoundAnswers(t *testing.T, c engine.Checker) {
	prompt, err := c.Render(hello)
	if err != nil {
		t.Fatal(err)
	}
	for name, bound := range constraints {
		for how, s := range samplings {
			q := boundAsk(bound, s)
			q.Messages, q.Tokens = nil, prompt
			a := r.good(t, q)
			scores, err := engine.Score(t.Context(), c, prompt, a.ids(), bound, 0)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, how, err)
			}
			far := 0
			for i, x := range scores {
				m := s.Margin(x.Top, len(prompt)+i, x.Token)
				if r.Exact && (m != 0 || x.LogProb != a.tokens[i].LogProb) {
					t.Fatalf("%s, %s: token %d of %q is %v from the pick", name, how, i, a.text, m)
				}
				if m > 0.5 {
					far++
				}
			}
			if far > len(scores)/8 {
				t.Errorf("%s, %s: %d of %d margins are far", name, how, far, len(scores))
			}
		}
	}
	r.scoresForbiddenTokens(t, c, prompt)
}

// scoresForbiddenTokens scores a text that breaks the constraint: from there on
// nothing is picked, so every margin is the largest.
func (r *runner) scoresForbiddenTokens(t *testing.T, c engine.Checker, prompt []engine.Token) {
	said, err := c.Encode("{x}")
	if err != nil {
		t.Fatal(err)
	}
	scores, err := engine.Score(t.Context(), c, prompt, said, constraints["schema"], 0)
	if err != nil {
		t.Fatal(err)
	}
	last := scores[len(scores)-1]
	if len(last.Top) != 0 || (engine.Sampling{}).Margin(last.Top, 0, last.Token) != 8 {
		t.Errorf("after a token that the schema forbids there are still %d alternatives", len(last.Top))
	}
}

// goesOnWithBoundAnswers hands an answer over in the middle.
func (r *runner) goesOnWithBoundAnswers(t *testing.T, c engine.Checker) {
	prompt, err := c.Render(hello)
	if err != nil {
		t.Fatal(err)
	}
	for how, s := range samplings {
		q := boundAsk(constraints["schema"], s)
		q.Messages, q.Tokens = nil, prompt
		whole := r.good(t, q)
		const made = 5
		q.Tokens = slices.Concat(prompt, whole.ids()[:made])
		q.Made, q.MaxTokens = made, boundTokens-made
		rest := r.good(t, q)
		if r.Exact && !slices.Equal(rest.ids(), whole.ids()[made:]) {
			t.Errorf("%s: the rest is %q of %q", how, rest.text, whole.text)
		}
		text := c.Decode(slices.Concat(whole.ids()[:made], rest.ids()))
		if !json.Valid([]byte(text)) {
			t.Errorf("%s: both parts are %q", how, text)
		}
		if _, err := engine.Score(t.Context(), c, q.Tokens, rest.ids(), q.Constraint, made); err != nil {
			t.Errorf("%s: score the rest: %v", how, err)
		}
	}
	q := boundAsk(constraints["schema"], engine.Sampling{})
	q.Messages, q.Tokens, q.Made = nil, prompt, 2
	if a := r.ask(t, q); !errors.Is(a.err, engine.ErrRequest) {
		t.Errorf("a beginning that the schema forbids: got %v, want ErrRequest", a.err)
	}
}

func (r *runner) rendersTools(t *testing.T, c engine.Checker) {
	renderer, ok := c.(engine.ToolRenderer)
	if !ok {
		t.Fatal("the engine renders no tools")
	}
	with, err := renderer.RenderTools(hello, tools)
	if err != nil {
		t.Fatal(err)
	}
	without, err := c.Render(hello)
	if err != nil {
		t.Fatal(err)
	}
	if text := c.Decode(with); !strings.Contains(text, "finds one") || len(with) <= len(without) {
		t.Errorf("the prompt does not tell of the tools: %q", text)
	}
}
