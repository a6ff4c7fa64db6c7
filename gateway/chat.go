package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	settings
	bindings
	Messages            []chatMessage `json:"messages"`
	MaxCompletionTokens *int          `json:"max_completion_tokens"`
	LogProbs            *bool         `json:"logprobs"`
	TopLogProbs         *int          `json:"top_logprobs"`
}

type chatMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  json.RawMessage `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
}

// chat serves POST /v1/chat/completions.
func (g *Gateway) chat(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	p, bad := g.readChat(body)
	if bad != nil {
		return bad
	}
	if p.stream {
		return g.stream(w, r, p, openAI{chatVoice{calls: make([]callReader, p.n)}})
	}
	prompts := []prompt{p}
	if p.scored {
		if bad := enter(w, r, prompts...); bad != nil { // scoring costs, too
			return bad
		}
		if bad := g.scoreAll(r.Context(), prompts); bad != nil {
			return bad
		}
	}
	return g.whole(w, r, prompts, openAI{chatVoice{}})
}

// readChat turns a request's bytes into a prompt.
func (g *Gateway) readChat(body []byte) (prompt, *problem) {
	var in chatRequest
	if bad := parse(body, &in); bad != nil {
		return prompt{}, bad
	}
	if in.MaxCompletionTokens != nil {
		in.MaxTokens = in.MaxCompletionTokens
	}
	p, bad := g.prompt(in.settings)
	if bad != nil {
		return p, bad
	}
	if p.ask.Messages, bad = messages(in.Messages); bad != nil {
		return p, bad
	}
	if bad := p.bind(in.bindings); bad != nil {
		return p, bad
	}
	p.logprobs = in.LogProbs != nil && *in.LogProbs
	if in.TopLogProbs != nil {
		p.top = *in.TopLogProbs
	}
	if bad := p.wantLogProbs("top_logprobs"); bad != nil {
		return p, bad
	}
	return p, p.fit()
}

// wantLogProbs checks p.top, which the request calls field, and passes it on.
func (p *prompt) wantLogProbs(field string) *problem {
	const most = 20
	switch {
	case p.top < 0 || p.top > most:
		return invalid(field, "%s is %d; 0 to %d is allowed", field, p.top, most)
	case p.top > 0 && !p.logprobs:
		return invalid(field, "%s needs logprobs to be true", field)
	case p.logprobs && p.model.Tokenizer == nil:
		return unsupported("logprobs", "logprobs cannot be given for %s, whose tokenizer is not known here", p.model.Name)
	}
	p.ask.TopCount = p.top
	return nil
}

// messages reads the conversation.
func messages(in []chatMessage) ([]engine.Message, *problem) {
	if len(in) == 0 {
		return nil, invalid("messages", "messages is empty; give at least one")
	}
	out := make([]engine.Message, len(in))
	for i, m := range in {
		at := func(field string) string { return indexed("messages", i, field) }
		switch m.Role {
		case "system", "developer":
			out[i].Role = engine.System
		case "user", "assistant":
			out[i].Role = engine.Role(m.Role)
		case "tool":
			if !answersCall(out[:i], m.ToolCallID) {
				return nil, invalid(at("tool_call_id"), "%s is %.80q; no assistant's message before it has a call of that id", at("tool_call_id"), m.ToolCallID)
			}
			out[i].Role, out[i].ToolCallID = engine.ToolResult, m.ToolCallID
		case "function":
			return nil, unsupported(at("role"), "messages of a function cannot be honoured; use tools and messages of a tool")
		default:
			return nil, invalid(at("role"), "the role %.40q is not known; system, developer, user, assistant and tool are", m.Role)
		}
		var bad *problem
		if out[i].ToolCalls, bad = messageCalls(orNull(m.ToolCalls), at("tool_calls")); bad != nil {
			return nil, bad
		}
		if len(out[i].ToolCalls) > 0 && m.Role != "assistant" {
			return nil, invalid(at("tool_calls"), "a message of the role %s calls no tools; only an assistant's does", m.Role)
		}
		if out[i].Content, bad = content(orNull(m.Content), at("content")); bad != nil {
			return nil, bad
		}
	}
	return out, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// content reads a message's content: a text, a list of text parts, or null.
func content(raw json.RawMessage, at string) (string, *problem) {
	switch raw[0] {
	case 'n':
		return "", nil
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", invalid(at, "%s is not a text: %v", at, err)
		}
		return s, nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", invalid(at, "%s is neither a text nor a list of parts", at)
	}
	var all strings.Builder
	for i, part := range parts {
		if part.Type != "text" {
			return "", unsupported(indexed(at, i, "type"), "a part of type %.40q cannot be honoured; only text can", part.Type)
		}
		all.WriteString(part.Text)
	}
	return all.String(), nil
}
