package gateway

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// responsesManner is POST /v1/responses.
type responsesManner struct {
	in *responsesRequest
}

// A response is the answer, or what is there of it yet.
type response struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"` // "response"
	Created      int64           `json:"created_at"`
	Completed    *int64          `json:"completed_at"`
	Status       string          `json:"status"` // in_progress, completed, incomplete or failed
	Background   bool            `json:"background"`
	Error        *responseError  `json:"error"`
	Incomplete   *responseCut    `json:"incomplete_details"`
	Instructions *string         `json:"instructions"`
	MaxTokens    *int            `json:"max_output_tokens"`
	Model        string          `json:"model"`
	Output       []any           `json:"output"`
	OutputText   string          `json:"output_text"`
	Parallel     bool            `json:"parallel_tool_calls"`
	Previous     *string         `json:"previous_response_id"`
	Store        bool            `json:"store"` // false: answers are not kept
	Temperature  float32         `json:"temperature"`
	TopP         float64         `json:"top_p"`
	Text         map[string]any  `json:"text"`
	ToolChoice   json.RawMessage `json:"tool_choice"`
	Tools        []responsesTool `json:"tools"`
	Truncation   string          `json:"truncation"`
	Usage        *responseUsage  `json:"usage"`
	Metadata     json.RawMessage `json:"metadata"`
	Plexus       *report         `json:"plexus,omitempty"`
}

type responseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type responseCut struct {
	Reason string `json:"reason"` // max_output_tokens
}

type responseUsage struct {
	Input   int `json:"input_tokens"`
	Details struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output int `json:"output_tokens"`
	Made   struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

// responseMessage is an item of output.
type responseMessage struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"` // "message"
	Status  string         `json:"status"`
	Role    string         `json:"role"` // "assistant"
	Content []responsePart `json:"content"`
}

type responsePart struct {
	Type        string        `json:"type"` // "output_text"
	Text        string        `json:"text"`
	Annotations []any         `json:"annotations"`
	LogProbs    []chatLogProb `json:"logprobs"`
}

func textPart(p *prompt, a piece) responsePart {
	return responsePart{Type: "output_text", Text: a.text, Annotations: []any{}, LogProbs: responseLogs(p, a)}
}

func responseLogs(p *prompt, a piece) []chatLogProb {
	if !p.logprobs {
		return []chatLogProb{}
	}
	return chatChoiceOf(p, a).LogProbs.Content
}

func responseUsageOf(u usage) *responseUsage {
	out := &responseUsage{Input: u.Prompt, Output: u.Completion, Total: u.Total}
	out.Details.Cached = u.Details.Cached
	return out
}

// response is what is known before the answer.
func (m responsesManner) response(h head, p *prompt) response {
	r := response{
		ID: "resp_" + h.id, Object: "response", Created: h.began.Unix(), Status: "in_progress",
		Instructions: m.in.Instructions, MaxTokens: m.in.MaxTokens, Model: h.model, Output: []any{},
		Parallel: m.in.Parallel == nil || *m.in.Parallel, Temperature: p.ask.Temperature, TopP: 1,
		Text: map[string]any{"format": map[string]string{"type": "text"}}, ToolChoice: json.RawMessage(`"auto"`),
		Tools: m.in.Tools, Truncation: "disabled", Metadata: json.RawMessage("{}"),
	}
	if m.in.Text != nil && m.in.Text.Format != nil {
		r.Text["format"] = m.in.Text.Format
	}
	if m.in.TopP != nil {
		r.TopP = *m.in.TopP
	}
	if r.Tools == nil {
		r.Tools = []responsesTool{}
	}
	if len(m.in.ToolChoice) > 0 {
		r.ToolChoice = m.in.ToolChoice
	}
	if !neutral(orNull(m.in.Metadata), nil) {
		r.Metadata = m.in.Metadata
	}
	return r
}

// finish makes r the response as it is when the answer has ended.
func (r *response) finish(a piece, u usage, told *report) {
	now := time.Now().Unix()
	r.Completed, r.Status, r.Usage, r.Plexus = &now, "completed", responseUsageOf(u), told
	if a.finish == engine.FinishLength {
		r.Completed, r.Status, r.Incomplete = nil, "incomplete", &responseCut{"max_output_tokens"}
	}
}

func (m responsesManner) whole(f full) any {
	a, p := f.pieces[0], &f.prompts[0]
	r := m.response(f.head, p)
	r.finish(a, f.usage, f.report)
	said, calls := p.toolCalls(a.text)
	r.OutputText, a.text = said, said
	if said != "" || len(calls) == 0 {
		r.Output = append(r.Output, messageItem(f.id, r.Status, textPart(p, a)))
	}
	for i, c := range calls {
		r.Output = append(r.Output, callItem(f.id, i, r.Status, c))
	}
	return r
}

func messageItem(id, status string, content ...responsePart) responseMessage {
	return responseMessage{ID: "msg_" + id, Type: "message", Status: status, Role: "assistant", Content: append([]responsePart{}, content...)}
}

// responseCall is an item of output that calls a tool.
type responseCall struct {
	ID        string `json:"id"`
	Type      string `json:"type"` // "function_call"
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// callItem is the item of the i-th call of an answer.
func callItem(id string, i int, status string, c toolCall) responseCall {
	return responseCall{"fc_" + id + strconv.Itoa(i), "function_call", status, c.ID, c.Name, c.Arguments}
}

func (m responsesManner) script(h head, p *prompt, out *events) script {
	return &responsesScript{manner: m, head: h, prompt: p, out: out}
}

// responsesScript is a stream of named, numbered events.
type responsesScript struct {
	manner responsesManner
	head   head
	prompt *prompt
	out    *events

	sequence int
	begun    bool
	reader   callReader
	speaking bool     // the message with the text is open
	text     piece    // all that was said
	call     toolCall // the call that is open; without an ID when none is
	calls    int      // begun so far
	output   []any    // items that are done
	last     piece
	told     *report
}

// A responseEvent is one event; what it does not need is left out.
type responseEvent struct {
	Type     string         `json:"type"`
	Sequence int            `json:"sequence_number"`
	Response *response      `json:"response,omitempty"`
	Output   *int           `json:"output_index,omitempty"`
	ItemID   string         `json:"item_id,omitempty"`
	Item     any            `json:"item,omitempty"`
	Content  *int           `json:"content_index,omitempty"`
	Part     *responsePart  `json:"part,omitempty"`
	Delta    *string        `json:"delta,omitempty"`
	Text     *string        `json:"text,omitempty"`
	Name     string         `json:"name,omitempty"`
	Argument *string        `json:"arguments,omitempty"`
	LogProbs *[]chatLogProb `json:"logprobs,omitempty"`
}

func (s *responsesScript) emit(e responseEvent) {
	e.Sequence = s.sequence
	s.sequence++
	s.out.named(e.Type, e)
}

// start opens the response.
func (s *responsesScript) start() {
	if s.begun {
		return
	}
	s.begun = true
	for _, kind := range []string{"response.created", "response.in_progress"} {
		r := s.manner.response(s.head, s.prompt)
		s.emit(responseEvent{Type: kind, Response: &r})
	}
}

// of is an event about the item that is open.
func (s *responsesScript) of(kind string) responseEvent {
	i := len(s.output)
	e := responseEvent{Type: kind, Output: &i}
	if s.speaking {
		e.ItemID, e.Content = "msg_"+s.head.id, new(int)
	} else {
		e.ItemID = callItem(s.head.id, s.calls-1, "", s.call).ID
	}
	return e
}

func (s *responsesScript) say(a piece, opening bool) {
	s.start()
	said, fragments := s.prompt.split(&s.reader, a)
	s.text.tokens = append(s.text.tokens, a.tokens...)
	if said != "" || opening && len(s.prompt.ask.Constraint.Tools) == 0 {
		s.speak()
	}
	if said != "" {
		s.text.text += said
		logs := responseLogs(s.prompt, a)
		e := s.of("response.output_text.delta")
		e.Delta, e.LogProbs = &said, &logs
		s.emit(e)
	}
	for _, f := range fragments {
		s.fragment(f)
	}
}

// speak opens the message that holds the text.
func (s *responsesScript) speak() {
	if s.speaking {
		return
	}
	s.speaking = true
	e := s.of("response.output_item.added")
	e.ItemID, e.Content, e.Item = "", nil, messageItem(s.head.id, "in_progress")
	s.emit(e)
	part := textPart(s.prompt, piece{})
	e = s.of("response.content_part.added")
	e.Part = &part
	s.emit(e)
}

// fragment takes in a part of a call.
func (s *responsesScript) fragment(f callFragment) {
	if f.ID != "" {
		s.done("completed")
		s.call = toolCall{ID: f.ID, Name: f.Name}
		s.calls++
		e := s.of("response.output_item.added")
		e.ItemID, e.Item = "", callItem(s.head.id, s.calls-1, "in_progress", s.call)
		s.emit(e)
	}
	if f.Arguments != "" {
		s.call.Arguments += f.Arguments
		e := s.of("response.function_call_arguments.delta")
		e.Delta = &f.Arguments
		s.emit(e)
	}
}

// done closes the item that is open, if one is.
func (s *responsesScript) done(status string) {
	var item any
	switch {
	case s.speaking:
		part := textPart(s.prompt, s.text)
		e := s.of("response.output_text.done")
		e.Text, e.LogProbs = &part.Text, &part.LogProbs
		s.emit(e)
		e = s.of("response.content_part.done")
		e.Part = &part
		s.emit(e)
		item = messageItem(s.head.id, status, part)
	case s.call.ID != "":
		e := s.of("response.function_call_arguments.done")
		e.Name, e.Argument = s.call.Name, &s.call.Arguments
		s.emit(e)
		item = callItem(s.head.id, s.calls-1, status, s.call)
	default:
		return
	}
	e := s.of("response.output_item.done")
	e.ItemID, e.Content, e.Item = "", nil, item
	s.emit(e)
	s.output = append(s.output, item)
	s.speaking, s.call = false, toolCall{}
}

func (s *responsesScript) end(a piece, opening bool, told *report) {
	s.say(a, opening)
	if len(s.output) == 0 && s.call.ID == "" {
		s.speak() // an answer without a word is still a message
	}
	s.last, s.told = a, told
	status := "completed"
	if a.finish == engine.FinishLength {
		status = "incomplete"
	}
	s.done(status)
}

func (s *responsesScript) tell(told *report) { s.told = told }

func (s *responsesScript) close(u usage) {
	r := s.manner.response(s.head, s.prompt)
	r.finish(s.last, u, s.told)
	r.Output, r.OutputText = append(r.Output, s.output...), s.text.text
	s.emit(responseEvent{Type: "response." + r.Status, Response: &r})
}

func (s *responsesScript) fail(bad *problem, u usage) {
	s.start()
	r := s.manner.response(s.head, s.prompt)
	r.Status, r.Usage, r.OutputText = "failed", responseUsageOf(u), s.text.text
	r.Error = &responseError{"server_error", bad.message}
	s.emit(responseEvent{Type: "response.failed", Response: &r})
}

func (s *responsesScript) ping() { s.out.comment("ping") }
