package text

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// person is a schema of the tests' answers.
const person = `{"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer"},"tags":{"type":"array","items":{"enum":["a","bc"]},"maxItems":3}},"required":["name","age","tags"],"additionalProperties":false}`

var (
	asJSON  = engine.Constraint{Form: engine.JSONSchema, Schema: []byte(person)}
	asCalls = engine.Constraint{Tools: []engine.Tool{
		{Name: "find", Description: "finds a person", Parameters: json.RawMessage(person)}, {Name: "stop"},
	}, Choice: engine.ToolsRequired}
)

func TestConstraintRoundTrip(t *testing.T) {
	ask := []engine.Message{
		{Role: engine.User, Content: "who?"},
		{Role: engine.Assistant, ToolCalls: []engine.ToolCall{{ID: "call_1", Name: "find", Arguments: `{"name":"x"}`}}},
		{Role: engine.ToolResult, Content: "nobody", ToolCallID: "call_1"},
	}
	single := asCalls
	single.Choice, single.Only, single.Single = engine.ToolsAuto, "stop", true
	for _, want := range []Request{
		{Messages: ask, Constraint: asJSON},
		{Messages: ask, Constraint: asCalls},
		{Messages: ask, Constraint: single},
		{Tokens: []engine.Token{1, 2, 3}, Made: 2, Constraint: engine.Constraint{Form: engine.JSONObject}},
	} {
		got, err := DecodeRequest(must(want.Encode()))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("request = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestConstraintBounds(t *testing.T) {
	for name, r := range map[string]Request{
		"no schema":           {Prompt: "a", Constraint: engine.Constraint{Form: engine.JSONSchema}},
		"a schema too many":   {Prompt: "a", Constraint: engine.Constraint{Form: engine.JSONObject, Schema: []byte("{}")}},
		"unknown form":        {Prompt: "a", Constraint: engine.Constraint{Form: "xml"}},
		"choice of nothing":   {Prompt: "a", Constraint: engine.Constraint{Choice: engine.ToolsRequired}},
		"unknown only":        {Prompt: "a", Constraint: engine.Constraint{Tools: asCalls.Tools, Only: "x"}},
		"two of a name":       {Prompt: "a", Constraint: engine.Constraint{Tools: []engine.Tool{{Name: "a"}, {Name: "a"}}}},
		"a bad name":          {Prompt: "a", Constraint: engine.Constraint{Tools: []engine.Tool{{Name: "a b"}}}},
		"a limit of its own":  {Prompt: "a", Constraint: engine.Constraint{Form: engine.JSONObject, Within: 5}},
		"a call of a user":    {Messages: []engine.Message{{Role: engine.User, ToolCalls: []engine.ToolCall{{Name: "x"}}}}},
		"a call without name": {Messages: []engine.Message{{Role: engine.Assistant, ToolCalls: []engine.ToolCall{{}}}}},
		"all made":            {Tokens: []engine.Token{1}, Made: 1},
		"made of a prompt":    {Prompt: "a", Made: 1},
	} {
		if _, err := r.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error = %v, want ErrMalformed", name, err)
		}
	}
}

// bound asks for answers under a constraint, greedy and sampled.
func boundRequests(c engine.Constraint) map[string]Request {
	ask := Request{Messages: []engine.Message{{Role: engine.User, Content: "who is it?"}}, MaxTokens: 160, Constraint: c}
	warm := ask
	warm.Temperature, warm.TopP, warm.TopCount = 1, 0.95, 3
	return map[string]Request{"greedy": ask, "sampled": warm}
}

func TestBoundAnswersReplayExactly(t *testing.T) {
	for form, c := range map[string]engine.Constraint{"JSON": asJSON, "calls": asCalls, "object": {Form: engine.JSONObject}} {
		for name, r := range boundRequests(c) {
			t.Run(form+" "+name, func(t *testing.T) {
				b := newBench(t, Options{AuditMin: 1})
				trial := b.askFor(miner(declared), 1, must(r.Encode()))
				answer := whole(t, trial.Answer.Body)
				if answer.Finish != engine.FinishStop {
					t.Fatalf("the answer is not whole: %q", answer.Text)
				}
				said := answer.Text
				if form == "calls" {
					said = strings.TrimSuffix(strings.TrimPrefix(said, "<tool_call>"), "</tool_call>")
					said, _, _ = strings.Cut(said, "</tool_call>")
				}
				if !json.Valid([]byte(said)) {
					t.Errorf("%q is not JSON", said)
				}
				s := b.score(trial)[0]
				if s.Value == 0 || s.Reason != "" {
					t.Errorf("score = %+v of %q, want no difference at all", s, answer.Text)
				}
			})
		}
	}
}

// TestBoundAnswerGoesOn hands an answer over in the middle: the rest fits, and
// is held to the constraint from the answer's start.
func TestBoundAnswerGoesOn(t *testing.T) {
	for name, r := range boundRequests(asJSON) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{AuditMin: 1})
			first := whole(t, b.askFor(miner(declared), 1, must(r.Encode())).Answer.Body)
			made := reply{tokens: first.Tokens[:9]}.ids()
			rest := r
			rest.Messages, rest.Tokens = nil, append(must(b.validator.prompt(r)), made...)
			rest.Made, rest.MaxTokens = len(made), r.MaxTokens-len(made)
			trial := b.askFor(miner(declared), 2, must(rest.Encode()))
			all := b.validator.engine.Decode(made) + whole(t, trial.Answer.Body).Text
			if !json.Valid([]byte(all)) {
				t.Errorf("both parts are %q", all)
			}
			if s := b.score(trial)[0]; s.Value == 0 || s.Reason != "" {
				t.Errorf("score = %+v, want no difference at all", s)
			}
		})
	}
}

// TestUnboundAnswerIsBroken gives a miner that ignores the request's schema
// what it deserves.
func TestUnboundAnswerIsBroken(t *testing.T) {
	b := newBench(t, Options{})
	free := boundRequests(engine.Constraint{})["sampled"]
	trial := b.askFor(miner(declared), 1, must(free.Encode()))
	free.Constraint = asJSON
	trial.Task.Body = must(free.Encode())
	if s := b.score(trial)[0]; s.Value != 0 || !strings.Contains(s.Reason, "schema") {
		t.Errorf("score = %+v, want 0 for the schema", s)
	}
}

func TestBadSchemaIsTheAskersFault(t *testing.T) {
	r := Request{Prompt: "a", Constraint: engine.Constraint{Form: engine.JSONSchema, Schema: []byte(`{"pattern":"x"}`)}}
	err := miner(declared).Work(t.Context(), task(1, must(r.Encode())), func([]byte) error { return nil })
	if !errors.Is(err, subnet.ErrBadTask) || !strings.Contains(err.Error(), "/pattern") {
		t.Errorf("Work = %v, want ErrBadTask at /pattern", err)
	}
}
