package gateway

import (
	"encoding/json"
	"slices"
	"strings"
)

// A wish is a request of another dialect in the words of
// /v1/chat/completions, so that all dialects are read by one reader and know
// the same bounds. Empty fields are left out.
type wish struct {
	Model          string          `json:"model"`
	Messages       []wishMessage   `json:"messages"`
	MaxTokens      *int            `json:"max_tokens,omitempty"`
	Temperature    *float64        `json:"temperature,omitempty"`
	TopP           *float64        `json:"top_p,omitempty"`
	TopK           *int            `json:"top_k,omitempty"`
	MinP           *float64        `json:"min_p,omitempty"`
	Seed           *int64          `json:"seed,omitempty"`
	Stop           json.RawMessage `json:"stop,omitempty"`
	Stream         bool            `json:"stream,omitempty"`
	LogProbs       bool            `json:"logprobs,omitempty"`
	TopLogProbs    *int            `json:"top_logprobs,omitempty"`
	Tools          []wishTool      `json:"tools,omitempty"`
	ToolChoice     any             `json:"tool_choice,omitempty"`
	ParallelCalls  *bool           `json:"parallel_tool_calls,omitempty"`
	ResponseFormat any             `json:"response_format,omitempty"`
	Plexus         json.RawMessage `json:"plexus,omitempty"`

	Presence   json.RawMessage `json:"presence_penalty,omitempty"`
	Frequency  json.RawMessage `json:"frequency_penalty,omitempty"`
	Repetition json.RawMessage `json:"repetition_penalty,omitempty"`
}

type wishMessage struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []wishCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type wishCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // "function"
	Function wishFunction `json:"function"`
}

type wishFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object
}

type wishTool struct {
	Type     string          `json:"type"` // "function"
	Function wishDeclaration `json:"function"`
}

type wishDeclaration struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// onlyTool is the tool_choice that demands one function.
func onlyTool(name string) any {
	return map[string]any{"type": "function", "function": map[string]string{"name": name}}
}

// call adds a call to the assistant's turn that ends the conversation, or to a
// turn of its own.
func (q *wish) call(id, name, arguments string) {
	n := len(q.Messages)
	if n == 0 || q.Messages[n-1].Role != "assistant" {
		q.Messages = append(q.Messages, wishMessage{Role: "assistant"})
		n++
	}
	m := &q.Messages[n-1]
	m.ToolCalls = append(m.ToolCalls, wishCall{ID: id, Type: "function", Function: wishFunction{name, arguments}})
}

// grant makes a prompt of the wish. names says what the dialect calls the
// fields that it spells otherwise; an error names the dialect's own.
func (g *Gateway) grant(q wish, names map[string]string) (prompt, *problem) {
	body, err := json.Marshal(q)
	if err != nil {
		return prompt{}, invalid("", "the request cannot be read: %v", err)
	}
	p, bad := g.readChat(body)
	if bad == nil {
		return p, nil
	}
	own := *bad
	field, rest := own.param, ""
	if i := strings.IndexAny(field, ".["); i >= 0 {
		field, rest = field[:i], field[i:]
	}
	if name, ok := names[field]; ok {
		own.param = name + rest
		own.message = strings.ReplaceAll(own.message, field, name)
	}
	return p, &own
}

// flattened reads the parts of a content that is a text or a list of typed
// parts. other gets each part that is no text of one of the types named.
func flattened(raw json.RawMessage, at string, types []string, other func(kind string, part json.RawMessage, at string) *problem) (string, *problem) {
	raw = orNull(raw)
	switch raw[0] {
	case 'n':
		return "", nil
	case '"':
		return content(raw, at)
	}
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return "", invalid(at, "%s is neither a text nor a list of parts", at)
	}
	var all strings.Builder
	for i, part := range parts {
		var p struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		at := indexed(at, i, "")
		if err := json.Unmarshal(part, &p); err != nil {
			return "", invalid(at, "%s is no part with a type: %v", at, err)
		}
		if !slices.Contains(types, p.Type) {
			if bad := other(p.Type, part, at); bad != nil {
				return "", bad
			}
			continue
		}
		all.WriteString(p.Text)
	}
	return all.String(), nil
}

// noPart refuses a part of a message that is not text.
func noPart(kind, at string) *problem {
	return unsupported(at+".type", "a part of type %.40q cannot be honoured; only text can", kind)
}
