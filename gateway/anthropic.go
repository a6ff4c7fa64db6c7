package gateway

import (
	"encoding/json"
	"net/http"
)

// anthropicRequest is the body of POST /v1/messages, as Anthropic's API has it.
type anthropicRequest struct {
	Model       string             `json:"model"`
	System      json.RawMessage    `json:"system"`
	Messages    []anthropicMessage `json:"messages"`
	MaxTokens   *int               `json:"max_tokens"`
	Stop        json.RawMessage    `json:"stop_sequences"`
	Temperature *float64           `json:"temperature"`
	TopP        *float64           `json:"top_p"`
	TopK        *int               `json:"top_k"`
	Stream      bool               `json:"stream"`
	Tools       []anthropicTool    `json:"tools"`
	ToolChoice  *anthropicChoice   `json:"tool_choice"`
	Plexus      json.RawMessage    `json:"plexus"`
}

type anthropicMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type anthropicTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"input_schema"`
}

type anthropicChoice struct {
	Type    string `json:"type"` // auto, any, tool or none
	Name    string `json:"name"`
	NotMany bool   `json:"disable_parallel_tool_use"`
}

// anthropicNames says what Anthropic's API calls the fields of a wish.
var anthropicNames = map[string]string{"stop": "stop_sequences"}

// anthropic serves POST /v1/messages.
func (g *Gateway) anthropic(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	q, bad := readAnthropic(body)
	if bad != nil {
		return bad
	}
	if q.MaxTokens == nil {
		return invalid("max_tokens", "max_tokens is missing; say how many tokens the answer may have")
	}
	p, bad := g.grant(q, anthropicNames)
	if bad != nil {
		return bad
	}
	if p.stream {
		return g.stream(w, r, p, anthropicManner{})
	}
	return g.whole(w, r, []prompt{p}, anthropicManner{})
}

// countTokens serves POST /v1/messages/count_tokens.
func (g *Gateway) countTokens(w http.ResponseWriter, _ *http.Request, body []byte) *problem {
	q, bad := readAnthropic(body)
	if bad != nil {
		return bad
	}
	p, bad := g.grant(q, anthropicNames)
	if bad != nil {
		return bad
	}
	if p.tokens == 0 {
		return unsupported("model", "the tokens of %s cannot be counted here, where its tokenizer is not known", p.model.Name)
	}
	writeJSON(w, http.StatusOK, map[string]int{"input_tokens": p.tokens})
	return nil
}

// readAnthropic turns a request's bytes into a wish.
func readAnthropic(body []byte) (wish, *problem) {
	var in anthropicRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return wish{}, notJSON(err)
	}
	q := wish{
		Model: in.Model, MaxTokens: in.MaxTokens, Stop: in.Stop, Temperature: in.Temperature,
		TopP: in.TopP, TopK: in.TopK, Stream: in.Stream, Plexus: in.Plexus,
	}
	system, bad := flattened(in.System, "system", []string{"text"}, func(kind string, _ json.RawMessage, at string) *problem {
		return noPart(kind, at)
	})
	if bad != nil {
		return q, bad
	}
	if system != "" {
		q.Messages = append(q.Messages, wishMessage{Role: "system", Content: system})
	}
	for i, m := range in.Messages {
		if bad := q.anthropicTurn(m, indexed("messages", i, "")); bad != nil {
			return q, bad
		}
	}
	if len(in.Messages) == 0 {
		return q, invalid("messages", "messages is empty; give at least one")
	}
	return q, q.anthropicTools(in.Tools, in.ToolChoice)
}

// anthropicTurn takes in one message. Results of tools become messages of
// their own, before what the user says beside them.
func (q *wish) anthropicTurn(m anthropicMessage, at string) *problem {
	if m.Role != "user" && m.Role != "assistant" && m.Role != "system" {
		return invalid(at+".role", "the role %.40q is not known; user and assistant are", m.Role)
	}
	var calls []wishCall
	said, bad := flattened(m.Content, at+".content", []string{"text"}, func(kind string, part json.RawMessage, at string) *problem {
		switch kind {
		case "thinking", "redacted_thinking":
			return nil // thoughts of another turn; no model here reads them
		case "tool_use":
			call, bad := anthropicCall(part, at)
			calls = append(calls, call)
			return bad
		case "tool_result":
			return q.anthropicResult(part, at)
		}
		return noPart(kind, at)
	})
	if bad != nil {
		return bad
	}
	if said != "" || len(calls) > 0 || len(q.Messages) == 0 || q.Messages[len(q.Messages)-1].Role != "tool" {
		q.Messages = append(q.Messages, wishMessage{Role: m.Role, Content: said, ToolCalls: calls})
	}
	return nil
}

func anthropicCall(part json.RawMessage, at string) (wishCall, *problem) {
	var use struct {
		ID    string          `json:"id"`
		Name  string          `json:"name"`
		Input json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal(part, &use); err != nil || use.ID == "" || use.Name == "" {
		return wishCall{}, invalid(at, "%s is a tool_use that needs an id, a name and an input", at)
	}
	input := string(use.Input)
	if input == "" {
		input = "{}"
	}
	return wishCall{ID: use.ID, Type: "function", Function: wishFunction{use.Name, input}}, nil
}

func (q *wish) anthropicResult(part json.RawMessage, at string) *problem {
	var result struct {
		ID      string          `json:"tool_use_id"`
		Content json.RawMessage `json:"content"`
		Failed  bool            `json:"is_error"`
	}
	if err := json.Unmarshal(part, &result); err != nil || result.ID == "" {
		return invalid(at, "%s is a tool_result that needs a tool_use_id", at)
	}
	said, bad := flattened(result.Content, at+".content", []string{"text"}, func(kind string, _ json.RawMessage, at string) *problem {
		return noPart(kind, at)
	})
	if bad != nil {
		return bad
	}
	if result.Failed {
		said = "error: " + said
	}
	q.Messages = append(q.Messages, wishMessage{Role: "tool", ToolCallID: result.ID, Content: said})
	return nil
}

// anthropicTools takes in which tools there are and whether to call them.
func (q *wish) anthropicTools(tools []anthropicTool, choice *anthropicChoice) *problem {
	for i, t := range tools {
		if t.Type != "" && t.Type != "custom" {
			return unsupported(indexed("tools", i, "type"), "a tool of type %.40q cannot be honoured; only your own, of type custom, can", t.Type)
		}
		q.Tools = append(q.Tools, wishTool{Type: "function", Function: wishDeclaration{Name: t.Name, Description: t.Description, Parameters: t.Schema}})
	}
	if choice == nil {
		return nil
	}
	if choice.NotMany {
		q.ParallelCalls = new(bool)
	}
	switch choice.Type {
	case "auto":
	case "none":
		q.ToolChoice = "none"
	case "any":
		q.ToolChoice = "required"
	case "tool":
		q.ToolChoice = onlyTool(choice.Name)
	default:
		return invalid("tool_choice.type", "tool_choice.type is %.40q; auto, any, tool and none are known", choice.Type)
	}
	return nil
}
