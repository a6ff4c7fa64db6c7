package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/plexus-network/plexus/engine"
)

// anthropicManner is POST /v1/messages.
type anthropicManner struct{}

type anthropicAnswer struct {
	ID       string           `json:"id"`
	Type     string           `json:"type"` // "message"
	Role     string           `json:"role"` // "assistant"
	Model    string           `json:"model"`
	Content  []anthropicBlock `json:"content"`
	Reason   *string          `json:"stop_reason"`
	Sequence *string          `json:"stop_sequence"`
	Usage    anthropicUsage   `json:"usage"`
	Plexus   *report          `json:"plexus,omitempty"`
}

type anthropicBlock struct {
	Type  string          `json:"type"` // "text" or "tool_use"
	Text  *string         `json:"text,omitempty"`
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
}

// anthropicUsage counts all of the prompt as input: nothing is cached on the
// asker's word, so nothing is charged apart.
type anthropicUsage struct {
	Input      int `json:"input_tokens"`
	CacheMade  int `json:"cache_creation_input_tokens"`
	CacheFound int `json:"cache_read_input_tokens"`
	Output     int `json:"output_tokens"`
}

func (anthropicManner) whole(f full) any {
	a := f.pieces[0]
	out := anthropicStart(f.head, f.usage.Prompt)
	out.Usage.Output, out.Plexus = f.usage.Completion, f.report
	said, calls := f.prompts[0].toolCalls(a.text)
	out.Reason, out.Sequence = anthropicReason(a, len(calls))
	if said != "" {
		out.Content = append(out.Content, anthropicBlock{Type: "text", Text: &said})
	}
	for _, c := range calls {
		out.Content = append(out.Content, anthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Name, Input: asObject(c.Arguments)})
	}
	return out
}

func anthropicStart(h head, prompt int) anthropicAnswer {
	return anthropicAnswer{
		ID: "msg_" + h.id, Type: "message", Role: "assistant", Model: h.model,
		Content: []anthropicBlock{}, Usage: anthropicUsage{Input: prompt},
	}
}

// anthropicReason says why an answer ended, and at which stop text.
func anthropicReason(a piece, calls int) (reason, sequence *string) {
	switch {
	case a.stopped != "":
		return optional("stop_sequence"), &a.stopped
	case a.finish == engine.FinishLength:
		return optional("max_tokens"), nil
	case calls > 0:
		return optional("tool_use"), nil
	}
	return optional("end_turn"), nil
}

func (anthropicManner) script(h head, p *prompt, out *events) script {
	return &anthropicScript{head: h, prompt: p, out: out}
}

// anthropicScript is a stream of named events: message_start, then per block
// of content content_block_start, content_block_delta… and content_block_stop,
// then message_delta and message_stop.
type anthropicScript struct {
	head   head
	prompt *prompt
	out    *events
	begun  bool
	blocks int    // begun so far
	open   string // type of the one that is open, empty when none is
	calls  callReader
	last   piece
	told   *report
}

// An anthropicEvent is one event; what it does not need is left out.
type anthropicEvent struct {
	Type    string           `json:"type"`
	Message *anthropicAnswer `json:"message,omitempty"`
	Index   *int             `json:"index,omitempty"`
	Block   *anthropicBlock  `json:"content_block,omitempty"`
	Delta   any              `json:"delta,omitempty"`
	Usage   *anthropicUsage  `json:"usage,omitempty"`
	Plexus  *report          `json:"plexus,omitempty"`
}

type anthropicText struct {
	Type string `json:"type"` // "text_delta"
	Text string `json:"text"`
}

type anthropicArguments struct {
	Type string `json:"type"` // "input_json_delta"
	JSON string `json:"partial_json"`
}

type anthropicEnd struct {
	Reason   *string `json:"stop_reason"`
	Sequence *string `json:"stop_sequence"`
}

func (s *anthropicScript) emit(e anthropicEvent) { s.out.named(e.Type, e) }

func (s *anthropicScript) start() {
	if s.begun {
		return
	}
	s.begun = true
	m := anthropicStart(s.head, s.prompt.tokens)
	s.emit(anthropicEvent{Type: "message_start", Message: &m})
}

func (s *anthropicScript) say(a piece, _ bool) {
	s.start()
	said, calls := s.prompt.split(&s.calls, a)
	if said != "" {
		if s.open != "text" {
			s.begin(anthropicBlock{Type: "text", Text: new(string)})
		}
		s.add(anthropicText{"text_delta", said})
	}
	for _, c := range calls {
		if c.ID != "" {
			s.begin(anthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Name, Input: json.RawMessage("{}")})
		}
		if c.Arguments != "" {
			s.add(anthropicArguments{"input_json_delta", c.Arguments})
		}
	}
}

// add puts more into the open block.
func (s *anthropicScript) add(delta any) {
	i := s.blocks - 1
	s.emit(anthropicEvent{Type: "content_block_delta", Index: &i, Delta: delta})
}

// stop closes the open block, if one is.
func (s *anthropicScript) stop() {
	if s.open == "" {
		return
	}
	i := s.blocks - 1
	s.open = ""
	s.emit(anthropicEvent{Type: "content_block_stop", Index: &i})
}

// begin opens a block of content, after closing the one before.
func (s *anthropicScript) begin(b anthropicBlock) {
	s.stop()
	i := s.blocks
	s.blocks++
	s.open = b.Type
	s.emit(anthropicEvent{Type: "content_block_start", Index: &i, Block: &b})
}

func (s *anthropicScript) end(a piece, opening bool, told *report) {
	s.say(a, opening)
	s.last, s.told = a, told
	s.stop()
}

func (s *anthropicScript) tell(told *report) { s.told = told }

func (s *anthropicScript) close(u usage) {
	reason, sequence := anthropicReason(s.last, s.calls.calls)
	s.emit(anthropicEvent{
		Type: "message_delta", Delta: anthropicEnd{reason, sequence},
		Usage: &anthropicUsage{Input: u.Prompt, Output: u.Completion}, Plexus: s.told,
	})
	s.emit(anthropicEvent{Type: "message_stop"})
}

func (s *anthropicScript) fail(bad *problem, u usage) {
	e := anthropicErrorOf(bad, requestID(s.out.w))
	e.Usage = &anthropicUsage{Input: u.Prompt, Output: u.Completion}
	s.out.named("error", e)
}

func (s *anthropicScript) ping() {
	s.start()
	s.emit(anthropicEvent{Type: "ping"})
}

// anthropicFailure is an error as Anthropic's API shows it.
type anthropicFailure struct {
	Type  string `json:"type"` // "error"
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string          `json:"request_id"`
	Usage     *anthropicUsage `json:"usage,omitempty"`
}

func anthropicError(bad *problem, requestID string) any { return anthropicErrorOf(bad, requestID) }

func anthropicErrorOf(bad *problem, requestID string) anthropicFailure {
	e := anthropicFailure{Type: "error", RequestID: requestID}
	e.Error.Message = bad.message
	if bad.param != "" {
		e.Error.Message = bad.param + ": " + bad.message
	}
	switch bad.status {
	case http.StatusUnauthorized:
		e.Error.Type = "authentication_error"
	case http.StatusPaymentRequired:
		e.Error.Type = "billing_error"
	case http.StatusForbidden:
		e.Error.Type = "permission_error"
	case http.StatusNotFound:
		e.Error.Type = "not_found_error"
	case http.StatusRequestEntityTooLarge:
		e.Error.Type = "request_too_large"
	case http.StatusTooManyRequests:
		e.Error.Type = "rate_limit_error"
	case http.StatusServiceUnavailable:
		e.Error.Type = "overloaded_error"
	case http.StatusGatewayTimeout:
		e.Error.Type = "timeout_error"
	case http.StatusInternalServerError, http.StatusBadGateway:
		e.Error.Type = "api_error"
	default:
		e.Error.Type = "invalid_request_error"
	}
	return e
}
