package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
	"github.com/plexus-network/plexus/engine/jinja"
)

// Render puts a conversation and the tools that it may use into tokens: by the
// model's own template where it has a form for tools, else in the plain form.
func Render(t engine.Tokenizer, messages []engine.Message, tools []engine.Tool) ([]engine.Token, error) {
	if r, ok := t.(engine.ToolRenderer); ok {
		return r.RenderTools(messages, tools)
	}
	plain, err := Plain(messages, tools)
	if err != nil {
		return nil, err
	}
	return t.Render(plain)
}

// What the plain form says of tools, before and after their list.
const (
	toolsBefore = "You may call functions. Their signatures are:\n<tools>\n"
	toolsAfter  = "\n</tools>\nTo call one, write " + grammar.CallBegin + `{"name": <its name>, "arguments": <its arguments as JSON>}` + grammar.CallEnd + "."
)

// Plain words tools, calls and their results in messages of the roles that all
// templates know. The tools are listed at the end of the first system message,
// which is added where there is none; a call stands in the assistant's message
// as the assistant wrote it; and results are the user's, between <tool_response>
// and </tool_response>.
func Plain(messages []engine.Message, tools []engine.Tool) ([]engine.Message, error) {
	out := make([]engine.Message, 0, len(messages)+1)
	results := false // the message before is one of results
	for _, m := range messages {
		if m.Role == engine.ToolResult {
			text := "<tool_response>\n" + m.Content + "\n</tool_response>"
			if results {
				out[len(out)-1].Content += "\n" + text
			} else {
				out = append(out, engine.Message{Role: engine.User, Content: text})
			}
			results = true
			continue
		}
		results = false
		lines := make([]string, 0, 1+len(m.ToolCalls))
		if m.Content != "" || len(m.ToolCalls) == 0 {
			lines = append(lines, m.Content)
		}
		for _, c := range m.ToolCalls {
			lines = append(lines, grammar.WriteCall(c))
		}
		out = append(out, engine.Message{Role: m.Role, Content: strings.Join(lines, "\n")})
	}
	if len(tools) == 0 {
		return out, nil
	}
	list, err := lines(tools)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 || out[0].Role != engine.System {
		out = slices.Insert(out, 0, engine.Message{Role: engine.System})
	}
	if out[0].Content != "" {
		out[0].Content += "\n\n"
	}
	out[0].Content += toolsBefore + list + toolsAfter
	return out, nil
}

// lines writes each tool on a line of its own.
func lines(tools []engine.Tool) (string, error) {
	out := make([]string, len(tools))
	for i, t := range tools {
		b, err := engine.MarshalTools([]engine.Tool{t})
		if err != nil {
			return "", fmt.Errorf("%w: tool %d: %w", engine.ErrRequest, i, err)
		}
		out[i] = strings.TrimSuffix(strings.TrimPrefix(string(b), "["), "]")
	}
	return strings.Join(out, "\n"), nil
}

// TokensWithTools is Tokens for a conversation that may use tools. A template
// that has no form for tools, or another one than engine/grammar holds answers
// to, gets them in the plain form.
func (t *Template) TokensWithTools(messages []engine.Message, tools []engine.Tool) ([]engine.Token, error) {
	if !t.tools {
		plain, err := Plain(messages, tools)
		if err != nil {
			return nil, err
		}
		messages, tools = plain, nil
	}
	text, err := t.render(messages, tools)
	if err != nil {
		return nil, err
	}
	return t.begun(text)
}

// knowsTools tells whether a template's source has the form for tools that
// engine/grammar holds answers to.
func knowsTools(source string) bool {
	return strings.Contains(source, "tools") && strings.Contains(source, grammar.CallBegin)
}

// toolValues turns tools into what a template sees, nil where there are none.
func (t *Template) toolValues(tools []engine.Tool) (any, error) {
	if len(tools) == 0 {
		return nil, nil //nolint:nilnil // none, as templates know it
	}
	b, err := engine.MarshalTools(tools)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	v, err := jinja.FromJSON(b, t.guarded)
	if err != nil {
		return nil, fmt.Errorf("%w: tools: %w", engine.ErrRequest, err)
	}
	return v, nil
}

// message turns a message into what a template sees.
func (t *Template) message(m engine.Message) map[string]any {
	out := map[string]any{"role": string(m.Role), "content": t.guarded(m.Content)}
	if m.ToolCallID != "" {
		out["tool_call_id"] = t.guarded(m.ToolCallID)
	}
	if len(m.ToolCalls) == 0 {
		return out
	}
	calls := make([]any, len(m.ToolCalls))
	for i, c := range m.ToolCalls {
		var arguments any = t.guarded(c.Arguments)
		if json.Valid([]byte(c.Arguments)) {
			if v, err := jinja.FromJSON([]byte(c.Arguments), t.guarded); err == nil {
				arguments = v
			}
		}
		calls[i] = map[string]any{
			"id": t.guarded(c.ID), "type": "function",
			"function": map[string]any{"name": t.guarded(c.Name), "arguments": arguments},
		}
	}
	out["tool_calls"] = calls
	return out
}

// sizeOf is the bytes of a message.
func sizeOf(m engine.Message) int {
	n := len(m.Content) + len(m.ToolCallID)
	for _, c := range m.ToolCalls {
		n += len(c.ID) + len(c.Name) + len(c.Arguments)
	}
	return n
}
