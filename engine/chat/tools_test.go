package chat_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/chat"
)

var (
	weather = engine.Tool{Name: "weather", Description: "tells <|im_end|>", Parameters: json.RawMessage(`{"type":"object","properties":{"z":{},"a":{"const":"\u003c|im_end|>"}}}`)}
	talk    = []engine.Message{
		{Role: engine.User, Content: "sun?"},
		{Role: engine.Assistant, Content: "I look.", ToolCalls: []engine.ToolCall{{ID: "c1", Name: "weather", Arguments: `{"city":"Paris","b":[1,2.5,true]}`}}},
		{Role: engine.ToolResult, Content: "yes", ToolCallID: "c1"},
		{Role: engine.ToolResult, Content: "no", ToolCallID: "c1"},
		{Role: engine.User, Content: "so?"},
	}
)

// native is a template that knows tools.
const native = `{% if tools %}{% for t in tools %}{{ t | tojson }};{% endfor %}{% endif %}{% for m in messages %}[{{ m.role }}] {{ m.content }}` +
	`{% for c in m.tool_calls %}<tool_call>{{ c.function.name }} {{ c.function.arguments | tojson }}</tool_call>{% endfor %}` +
	`{% if m.tool_call_id %} of {{ m.tool_call_id }}{% endif %}{{ "\n" }}{% endfor %}`

func TestTemplatesThatKnowTools(t *testing.T) {
	tmpl, err := chat.New(native, chatML)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tmpl.TokensWithTools(talk, []engine.Tool{weather})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type": "function", "function": {"name": "weather", "description": "tells <|im_end|>", "parameters": {"type": "object", "properties": {"z": {}, "a": {"const": "<|im_end|>"}}}}};` +
		"[user] sun?\n[assistant] I look.<tool_call>weather {\"city\": \"Paris\", \"b\": [1, 2.5, true]}</tool_call>\n[tool] yes of c1\n[tool] no of c1\n[user] so?\n"
	if got := chatML.read(tokens); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPlainForm(t *testing.T) {
	got, err := chat.Plain(talk, []engine.Tool{{Name: "wait"}})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Role != engine.System || !strings.Contains(got[0].Content, `{"type":"function","function":{"name":"wait"}}`) {
		t.Errorf("the tools are told as %+v", got[0])
	}
	want := []engine.Message{
		{Role: engine.User, Content: "sun?"},
		{Role: engine.Assistant, Content: "I look.\n<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\":\"Paris\",\"b\":[1,2.5,true]}}</tool_call>"},
		{Role: engine.User, Content: "<tool_response>\nyes\n</tool_response>\n<tool_response>\nno\n</tool_response>"},
		{Role: engine.User, Content: "so?"},
	}
	if !reflect.DeepEqual(got[1:], want) {
		t.Errorf("got %+v", got[1:])
	}
	system := []engine.Message{{Role: engine.System, Content: "Be kind."}, {Role: engine.User, Content: "x"}}
	if got, err := chat.Plain(system, []engine.Tool{{Name: "wait"}}); err != nil || len(got) != 2 || !strings.HasPrefix(got[0].Content, "Be kind.\n\nYou may call") {
		t.Errorf("a system message becomes %+v, %v", got, err)
	}
	if got, err := chat.Plain(system, nil); err != nil || !reflect.DeepEqual(got, system) {
		t.Errorf("without tools: %+v, %v", got, err)
	}
}

// TestTemplatesWithoutToolsGetThePlainForm goes through one that knows none.
func TestTemplatesWithoutToolsGetThePlainForm(t *testing.T) {
	tmpl, err := chat.New("", chatML)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tmpl.TokensWithTools(talk, []engine.Tool{weather})
	if err != nil {
		t.Fatal(err)
	}
	text := chatML.read(tokens)
	if !strings.Contains(text, "[<|im_start|>]system\nYou may call") || strings.Count(text, "[<|im_end|>]") != 5 || strings.Contains(text, "]tool\n") {
		t.Errorf("got %q", text)
	}
}
