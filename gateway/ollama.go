package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// ollamaPaths are the paths below /api/ whose errors are worded as Ollama's.
var ollamaPaths = []string{
	"chat", "generate", "tags", "show", "embed", "embeddings", "ps", "version",
	"pull", "push", "create", "copy", "delete",
}

// ollamaRequest is the body of POST /api/chat and /api/generate, as Ollama has
// it. Fields that say how a model is kept in memory are ignored.
type ollamaRequest struct {
	Model    string          `json:"model"`
	Messages []ollamaMessage `json:"messages"`
	Tools    []wishTool      `json:"tools"`
	Format   json.RawMessage `json:"format"`
	Stream   *bool           `json:"stream"` // null means true
	Think    json.RawMessage `json:"think"`
	Options  ollamaOptions   `json:"options"`
	LogProbs bool            `json:"logprobs"`
	Top      *int            `json:"top_logprobs"`
	Plexus   json.RawMessage `json:"plexus"`

	// Of /api/generate alone.
	Prompt   string            `json:"prompt"`
	System   string            `json:"system"`
	Suffix   string            `json:"suffix"`
	Template string            `json:"template"`
	Raw      bool              `json:"raw"`
	Context  []int             `json:"context"`
	Images   []json.RawMessage `json:"images"`
}

type ollamaMessage struct {
	Role    string            `json:"role"`
	Content string            `json:"content"`
	Images  []json.RawMessage `json:"images"`
	Calls   []ollamaCall      `json:"tool_calls"`
	CallID  string            `json:"tool_call_id"`
}

type ollamaCall struct {
	ID       string `json:"id,omitempty"`
	Function struct {
		Index     int             `json:"index"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // an object, not its text
	} `json:"function"`
}

// ollamaOptions are the options that bear on an answer. Others, such as
// num_ctx or num_gpu, are for whoever runs the model and are ignored.
type ollamaOptions struct {
	MaxTokens   *int            `json:"num_predict"` // negative means as many as allowed
	Temperature *float64        `json:"temperature"`
	TopP        *float64        `json:"top_p"`
	TopK        *int            `json:"top_k"`
	MinP        *float64        `json:"min_p"`
	Seed        *int64          `json:"seed"`
	Stop        json.RawMessage `json:"stop"`
	Presence    json.RawMessage `json:"presence_penalty"`
	Frequency   json.RawMessage `json:"frequency_penalty"`
	Repeat      json.RawMessage `json:"repeat_penalty"`
	Mirostat    int             `json:"mirostat"`
}

// ollamaNames says what Ollama calls the fields of a wish.
var ollamaNames = map[string]string{
	"max_tokens": "options.num_predict", "temperature": "options.temperature", "top_p": "options.top_p",
	"top_k": "options.top_k", "min_p": "options.min_p", "stop": "options.stop", "response_format": "format",
	"presence_penalty": "options.presence_penalty", "frequency_penalty": "options.frequency_penalty",
	"repetition_penalty": "options.repeat_penalty",
}

// ollamaChat serves POST /api/chat.
func (g *Gateway) ollamaChat(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	in, q, bad := g.readOllama(body)
	if bad != nil {
		return bad
	}
	m := ollamaManner{chat: true}
	if len(in.Messages) == 0 {
		return g.ollamaLoaded(w, q, m)
	}
	for i, one := range in.Messages {
		if len(one.Images) > 0 {
			return unsupported(indexed("messages", i, "images"), "images cannot be honoured; only text can")
		}
		turn := wishMessage{Role: one.Role, Content: one.Content, ToolCallID: one.CallID}
		for _, c := range one.Calls {
			arguments := string(orNull(c.Function.Arguments))
			turn.ToolCalls = append(turn.ToolCalls, wishCall{ID: c.ID, Type: "function", Function: wishFunction{c.Function.Name, arguments}})
		}
		q.Messages = append(q.Messages, turn)
	}
	q.tie()
	p, bad := g.grant(q, ollamaNames)
	if bad != nil {
		return bad
	}
	return g.ollamaAnswer(w, r, p, m)
}

// tie gives calls ids, and results the id of the call that they answer: in
// Ollama's API the order alone ties them.
func (q *wish) tie() {
	var open []string
	for i := range q.Messages {
		m := &q.Messages[i]
		for j := range m.ToolCalls {
			c := &m.ToolCalls[j]
			if c.ID == "" {
				c.ID = "call_" + newID()
			}
			open = append(open, c.ID)
		}
		if m.Role != "tool" || len(open) == 0 {
			continue
		}
		if m.ToolCallID == "" {
			m.ToolCallID = open[0]
		}
		open = open[1:]
	}
}

// ollamaGenerate serves POST /api/generate.
func (g *Gateway) ollamaGenerate(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	in, q, bad := g.readOllama(body)
	if bad != nil {
		return bad
	}
	switch {
	case in.Suffix != "":
		return unsupported("suffix", "suffix cannot be honoured; leave it out")
	case in.Template != "":
		return unsupported("template", "template cannot be honoured: the model's own is part of what is verified; send raw with a prompt of your own")
	case len(in.Context) > 0:
		return unsupported("context", "context cannot be honoured; send the conversation to /api/chat")
	case len(in.Images) > 0:
		return unsupported("images", "images cannot be honoured; only text can")
	}
	m := ollamaManner{}
	if in.Prompt == "" {
		return g.ollamaLoaded(w, q, m)
	}
	if in.System != "" {
		q.Messages = append(q.Messages, wishMessage{Role: "system", Content: in.System})
	}
	q.Messages = append(q.Messages, wishMessage{Role: "user", Content: in.Prompt})
	p, bad := g.grant(q, ollamaNames)
	if bad != nil {
		return bad
	}
	if in.Raw {
		limit := p.ask.MaxTokens
		p.ask.Messages, p.ask.Prompt = nil, in.Prompt
		if bad := p.fit(); bad != nil {
			return bad
		}
		p.ask.MaxTokens = min(limit, p.ask.MaxTokens)
	}
	return g.ollamaAnswer(w, r, p, m)
}

func (g *Gateway) ollamaAnswer(w http.ResponseWriter, r *http.Request, p prompt, m ollamaManner) *problem {
	if p.stream {
		return g.stream(w, r, p, m)
	}
	return g.whole(w, r, []prompt{p}, m)
}

// readOllama reads what both requests share.
func (g *Gateway) readOllama(body []byte) (ollamaRequest, wish, *problem) {
	var in ollamaRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return in, wish{}, notJSON(err)
	}
	o := in.Options
	q := wish{
		Model: g.ollamaName(in.Model), Stream: in.Stream == nil || *in.Stream,
		Temperature: o.Temperature, TopP: o.TopP, TopK: o.TopK, MinP: o.MinP, Seed: o.Seed, Stop: o.Stop,
		Presence: o.Presence, Frequency: o.Frequency, Repetition: o.Repeat,
		LogProbs: in.LogProbs, TopLogProbs: in.Top, Tools: in.Tools, Plexus: in.Plexus,
	}
	if o.MaxTokens != nil && *o.MaxTokens >= 0 {
		q.MaxTokens = o.MaxTokens
	}
	switch {
	case o.Mirostat != 0:
		return in, q, unsupported("options.mirostat", "mirostat cannot be honoured; use 0: the verified sampler has none")
	case !neutral(orNull(in.Think), []string{"false"}):
		return in, q, unsupported("think", "%q does not support thinking", in.Model)
	}
	var bad *problem
	q.ResponseFormat, bad = ollamaFormat(in.Format)
	return in, q, bad
}

// ollamaFormat reads format: nothing, "json", or a JSON Schema.
func ollamaFormat(raw json.RawMessage) (any, *problem) {
	raw = bytes.TrimSpace(orNull(raw))
	switch {
	case neutral(raw, []string{`""`}):
		return nil, nil
	case string(raw) == `"json"`:
		return map[string]string{"type": "json_object"}, nil
	case raw[0] == '{':
		return map[string]any{
			"type":        "json_schema",
			"json_schema": map[string]any{"name": "format", "schema": raw, "strict": true},
		}, nil
	}
	return nil, invalid("format", `format is %.40s; "json" or a JSON Schema is wanted`, raw)
}

// ollamaName is the model's name without the tag that Ollama puts to names
// that have none.
func (g *Gateway) ollamaName(name string) string {
	if g.model(name) == nil {
		return strings.TrimSuffix(name, ":latest")
	}
	return name
}

// ollamaLoaded answers a request without words, which to Ollama means to load
// the model: here it is always loaded.
func (g *Gateway) ollamaLoaded(w http.ResponseWriter, q wish, m ollamaManner) *problem {
	if q.Model == "" {
		return invalid("model", "model is missing; GET /api/tags lists what is offered")
	}
	if g.model(q.Model) == nil {
		return noModel(q.Model, g.models)
	}
	part := m.part(head{model: q.Model}, "")
	part.Done, part.Reason = true, "load"
	writeJSON(w, http.StatusOK, part)
	return nil
}
