package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
)

// responsesRequest is the body of POST /v1/responses.
type responsesRequest struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions *string         `json:"instructions"`
	MaxTokens    *int            `json:"max_output_tokens"`
	Temperature  *float64        `json:"temperature"`
	TopP         *float64        `json:"top_p"`
	TopLogProbs  *int            `json:"top_logprobs"`
	Stream       bool            `json:"stream"`
	Text         *responsesText  `json:"text"`
	Tools        []responsesTool `json:"tools"`
	ToolChoice   json.RawMessage `json:"tool_choice"`
	Parallel     *bool           `json:"parallel_tool_calls"`
	Include      []string        `json:"include"`
	Metadata     json.RawMessage `json:"metadata"`
	Plexus       json.RawMessage `json:"plexus"`

	// What needs a memory of earlier answers, which this gateway has not.
	Previous     json.RawMessage `json:"previous_response_id"`
	Conversation json.RawMessage `json:"conversation"`
	Background   json.RawMessage `json:"background"`
	Prompt       json.RawMessage `json:"prompt"`
}

type responsesText struct {
	Format *responsesFormat `json:"format"`
}

type responsesFormat struct {
	Type        string          `json:"type"` // text, json_object or json_schema
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
	Strict      *bool           `json:"strict,omitempty"`
}

type responsesTool struct {
	Type string `json:"type"`
	wishDeclaration
}

// A responsesItem is an element of input.
type responsesItem struct {
	Type      string          `json:"type"` // empty means message
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
}

// responsesNames says what the API calls the fields of a wish.
var responsesNames = map[string]string{
	"messages": "input", "max_tokens": "max_output_tokens", "response_format": "text.format",
}

// responses serves POST /v1/responses. It remembers nothing: the conversation
// comes with each request.
func (g *Gateway) responses(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	var in responsesRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	q, bad := in.wish()
	if bad != nil {
		return bad
	}
	p, bad := g.grant(q, responsesNames)
	if bad != nil {
		return bad
	}
	m := responsesManner{in: &in}
	if p.stream {
		return g.stream(w, r, p, m)
	}
	return g.whole(w, r, []prompt{p}, m)
}

// wish says the request in the words of chat.
func (in *responsesRequest) wish() (wish, *problem) {
	q := wish{
		Model: in.Model, MaxTokens: in.MaxTokens, Temperature: in.Temperature, TopP: in.TopP,
		Stream: in.Stream, ParallelCalls: in.Parallel, Plexus: in.Plexus,
	}
	if bad := in.stateless(); bad != nil {
		return q, bad
	}
	if slices.Contains(in.Include, "message.output_text.logprobs") {
		q.LogProbs, q.TopLogProbs = true, in.TopLogProbs
	}
	if in.Instructions != nil && *in.Instructions != "" {
		q.Messages = append(q.Messages, wishMessage{Role: "system", Content: *in.Instructions})
	}
	if bad := q.responsesInput(in.Input); bad != nil {
		return q, bad
	}
	if in.Text != nil && in.Text.Format != nil {
		if f := in.Text.Format; f.Type == "json_schema" {
			q.ResponseFormat = map[string]any{"type": f.Type, "json_schema": f}
		} else {
			q.ResponseFormat = map[string]string{"type": f.Type}
		}
	}
	for i, t := range in.Tools {
		if t.Type != "function" {
			return q, unsupported(indexed("tools", i, "type"), "a tool of type %.40q cannot be honoured; only functions of your own can", t.Type)
		}
		q.Tools = append(q.Tools, wishTool{Type: "function", Function: t.wishDeclaration})
	}
	return q, q.responsesChoice(in.ToolChoice)
}

// stateless refuses what would need a memory.
func (in *responsesRequest) stateless() *problem {
	for _, f := range []struct {
		name    string
		raw     json.RawMessage
		neutral []string
		instead string
	}{
		{"previous_response_id", in.Previous, nil, "answers are not kept here: send the whole conversation as input"},
		{"conversation", in.Conversation, nil, "conversations are not kept here: send the whole one as input"},
		{"background", in.Background, []string{"false"}, "an answer is made while you wait: leave it out, and stream"},
		{"prompt", in.Prompt, nil, "no prompts are kept here: send its text as instructions"},
	} {
		if !neutral(orNull(f.raw), f.neutral) {
			return unsupported(f.name, "%s cannot be honoured; %s", f.name, f.instead)
		}
	}
	return nil
}

// responsesInput takes in the conversation: a text, or items.
func (q *wish) responsesInput(raw json.RawMessage) *problem {
	raw = orNull(raw)
	if raw[0] == '"' {
		said, bad := content(raw, "input")
		q.Messages = append(q.Messages, wishMessage{Role: "user", Content: said})
		return bad
	}
	var items []responsesItem
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		return invalid("input", "input is missing or empty; give a text or a list of items")
	}
	for i, item := range items {
		if bad := q.responsesItem(item, indexed("input", i, "")); bad != nil {
			return bad
		}
	}
	return nil
}

func (q *wish) responsesItem(item responsesItem, at string) *problem {
	texts := []string{"input_text", "output_text", "text"}
	refuse := func(kind string, _ json.RawMessage, at string) *problem {
		if kind == "refusal" {
			return nil
		}
		return noPart(kind, at)
	}
	switch item.Type {
	case "", "message":
		said, bad := flattened(item.Content, at+".content", texts, refuse)
		q.Messages = append(q.Messages, wishMessage{Role: item.Role, Content: said})
		return bad
	case "function_call":
		if item.CallID == "" || item.Name == "" {
			return invalid(at, "%s is a function_call that needs a call_id, a name and arguments", at)
		}
		q.call(item.CallID, item.Name, item.Arguments)
		return nil
	case "function_call_output":
		if item.CallID == "" {
			return invalid(at, "%s is a function_call_output that needs a call_id", at)
		}
		said, bad := flattened(item.Output, at+".output", texts, refuse)
		q.Messages = append(q.Messages, wishMessage{Role: "tool", ToolCallID: item.CallID, Content: said})
		return bad
	case "reasoning":
		return nil // thoughts of another turn; no model here reads them
	case "item_reference":
		return unsupported(at, "%s refers to an item that is not kept here; send the item itself", at)
	}
	return unsupported(at+".type", "an item of type %.40q cannot be honoured; messages and calls of functions can", item.Type)
}

// responsesChoice takes in whether tools are to be called.
func (q *wish) responsesChoice(raw json.RawMessage) *problem {
	raw = orNull(raw)
	if raw[0] != '{' {
		if raw[0] == '"' {
			q.ToolChoice = raw
		}
		return nil
	}
	var choice struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &choice) != nil || choice.Type != "function" {
		return unsupported("tool_choice", "tool_choice is of type %.40q; auto, none, required and a function can be honoured", choice.Type)
	}
	q.ToolChoice = onlyTool(choice.Name)
	return nil
}

// noStoredResponse answers requests for a response that was given before.
func noStoredResponse(w http.ResponseWriter, r *http.Request) {
	(&problem{
		status: http.StatusNotFound, kind: kindInvalid, code: "not_found",
		message: "there is nothing at " + r.Method + " " + r.URL.Path + ": answers are not kept here, POST /v1/responses gives them once",
	}).write(w)
}
