package gateway

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
)

// dialectTools are requests with one tool and a conversation that has used it.
var dialectTools = map[string]string{
	"/v1/responses": `{"model":"toy","tools":[{"type":"function","name":"find","description":"d","parameters":{"type":"object"},"strict":true}],
		"tool_choice":{"type":"function","name":"find"},"parallel_tool_calls":false,
		"input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c1","name":"find","arguments":"{}"},
		{"type":"function_call_output","call_id":"c1","output":"7"}]`,
	"/v1/messages": `{"model":"toy","max_tokens":200,"tools":[{"name":"find","description":"d","input_schema":{"type":"object"}}],
		"tool_choice":{"type":"tool","name":"find","disable_parallel_tool_use":true},
		"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"find","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"7"}]}]}]`,
	"/api/chat": `{"model":"toy","tools":[{"type":"function","function":{"name":"find","description":"d","parameters":{"type":"object"}}}],
		"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"find","arguments":{}}}]},
		{"role":"tool","content":"7","tool_name":"find"}]`,
}

const findParis = `<tool_call>{"name": "find", "arguments": {"city": "Paris"}}</tool_call>`

func TestToolsInEachDialect(t *testing.T) {
	for path, ask := range dialectTools {
		n := fakes(honest(findParis))
		w := post(t.Context(), open(t, n, Limits{}), path, ask+`,"stream":false}`)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		r := n.asked[0]
		if c := r.Constraint; len(c.Tools) != 1 || c.Tools[0].Name != "find" || path != "/api/chat" && (c.Only != "find" || !c.Single) {
			t.Errorf("%s: the miner is bound by %+v", path, c)
		}
		if m := r.Messages; len(m) != 3 || len(m[1].ToolCalls) != 1 || m[2].Role != engine.ToolResult || m[2].ToolCallID != m[1].ToolCalls[0].ID || m[2].Content != "7" {
			t.Errorf("%s: the miner got %+v", path, r.Messages)
		}
		o := object(t, w.Body.Bytes())
		switch path {
		case "/v1/responses":
			if at(o, "output", 0, "type") != "function_call" || at(o, "output", 0, "name") != "find" || at(o, "output", 0, "arguments") != `{"city": "Paris"}` || at(o, "output", 1) != nil {
				t.Errorf("%s: %s", path, w.Body)
			}
		case "/v1/messages":
			if at(o, "content", 0, "type") != "tool_use" || at(o, "content", 0, "input", "city") != "Paris" || at(o, "stop_reason") != "tool_use" {
				t.Errorf("%s: %s", path, w.Body)
			}
		default:
			if at(o, "message", "tool_calls", 0, "function", "arguments", "city") != "Paris" || at(o, "message", "content") != "" {
				t.Errorf("%s: %s", path, w.Body)
			}
		}
	}
}

func TestToolsInEachStream(t *testing.T) {
	says := []string{"Let me see. <tool", `_call>{"name": "find", "arguments": {"ci`, `ty": "Paris"}}</tool_call>`}
	run := func(path string) *bufio.Scanner {
		w := post(t.Context(), open(t, fakes(honest(says...)), Limits{}), path, dialectTools[path]+`,"stream":true}`)
		return bufio.NewScanner(w.Body)
	}
	read := func(path string) (names []string, events []map[string]any) {
		for lines := run(path); lines.Scan(); {
			if s, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				e := object(t, []byte(s))
				names, events = append(names, e["type"].(string)), append(events, e)
			}
		}
		return slices.Compact(names), events
	}

	names, events := read("/v1/responses")
	if want := []string{
		"response.created", "response.in_progress",
		"response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.done",
		"response.content_part.done", "response.output_item.done",
		"response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
		"response.output_item.done", "response.completed",
	}; !slices.Equal(names, want) {
		t.Errorf("events %v\n  want %v", names, want)
	}
	for _, e := range events {
		switch e["type"] {
		case "response.function_call_arguments.done":
			if e["arguments"] != `{"city": "Paris"}` || e["output_index"] != 1.0 || e["name"] != "find" {
				t.Errorf("arguments %v", e)
			}
		case "response.completed":
			if at(e, "response", "output", 0, "content", 0, "text") != "Let me see. " || at(e, "response", "output", 1, "call_id") == nil {
				t.Errorf("ended with %v", e)
			}
		}
	}

	names, events = read("/v1/messages")
	if want := []string{
		"message_start", "content_block_start", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
	}; !slices.Equal(names, want) {
		t.Errorf("events %v\n  want %v", names, want)
	}
	arguments := ""
	for _, e := range events {
		if s, ok := at(e, "delta", "partial_json").(string); ok {
			arguments += s
		}
	}
	if end := events[len(events)-2]; arguments != `{"city": "Paris"}` || at(end, "delta", "stop_reason") != "tool_use" {
		t.Errorf("arguments %s, end %v", arguments, end)
	}

	var called any
	last := map[string]any{}
	for lines := run("/api/chat"); lines.Scan(); {
		last = object(t, lines.Bytes())
		if c := at(last, "message", "tool_calls", 0, "function", "arguments", "city"); c != nil {
			called = c
		}
	}
	if called != "Paris" || last["done"] != true {
		t.Errorf("called %v, ended with %v", called, last)
	}
}

func TestSchemasInEachDialect(t *testing.T) {
	const schema = `{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}`
	for path, ask := range map[string]string{
		"/v1/responses": `{"model":"toy","input":"hi","text":{"format":{"type":"json_schema","name":"x","schema":` + schema + `}}}`,
		"/api/chat":     `{"model":"toy","messages":[{"role":"user","content":"hi"}],"stream":false,"format":` + schema + `}`,
		"/api/generate": `{"model":"toy","prompt":"hi","stream":false,"format":` + schema + `}`,
	} {
		n := fakes(honest(`{"a":1}`))
		w := post(t.Context(), open(t, n, Limits{}), path, ask)
		if c := n.asked; w.Code != 200 || c[0].Constraint.Form != engine.JSONSchema || string(c[0].Constraint.Schema) != schema {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	n := fakes(honest(`{}`))
	post(t.Context(), open(t, n, Limits{}), "/api/generate", `{"model":"toy","prompt":"hi","stream":false,"format":"json"}`)
	if n.asked[0].Constraint.Form != engine.JSONObject {
		t.Errorf("the miner got %+v", n.asked[0])
	}
	w := post(t.Context(), open(t, n, Limits{}), "/v1/responses", `{"model":"toy","input":"hi","text":{"format":{"type":"xml"}}}`)
	if o := object(t, w.Body.Bytes()); w.Code != 400 || at(o, "error", "param") != "text.format.type" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestOllamaResultsAnswerCallsInOrder(t *testing.T) {
	q := wish{Messages: []wishMessage{
		{Role: "assistant", ToolCalls: []wishCall{{}, {}}}, {Role: "tool"}, {Role: "tool"},
	}}
	q.tie()
	m := q.Messages
	if m[1].ToolCallID == "" || m[1].ToolCallID != m[0].ToolCalls[0].ID || m[2].ToolCallID != m[0].ToolCalls[1].ID {
		t.Errorf("tied %+v", m)
	}
}
