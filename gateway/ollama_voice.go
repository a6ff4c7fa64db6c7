package gateway

import (
	"time"
)

// ollamaManner is POST /api/chat and /api/generate.
type ollamaManner struct {
	chat bool
}

// ollamaPart is a whole answer, or a line of a stream.
type ollamaPart struct {
	Model    string         `json:"model"`
	Created  string         `json:"created_at"`
	Message  *ollamaSaid    `json:"message,omitempty"`  // of a chat
	Response *string        `json:"response,omitempty"` // of all else
	LogProbs []ollamaLogged `json:"logprobs,omitempty"`
	Done     bool           `json:"done"`
	Reason   string         `json:"done_reason,omitempty"`
	*ollamaCounts
	Plexus *report `json:"plexus,omitempty"`
}

type ollamaSaid struct {
	Role    string       `json:"role"`
	Content string       `json:"content"`
	Calls   []ollamaCall `json:"tool_calls,omitempty"`
}

type ollamaLogged struct {
	tokenLogProb
	Top []tokenLogProb `json:"top_logprobs,omitempty"`
}

// ollamaCounts are tokens, and durations in nanoseconds.
type ollamaCounts struct {
	Total      time.Duration `json:"total_duration"`
	Load       time.Duration `json:"load_duration"`
	Prompt     int           `json:"prompt_eval_count"`
	PromptTime time.Duration `json:"prompt_eval_duration"`
	Made       int           `json:"eval_count"`
	MadeTime   time.Duration `json:"eval_duration"`
}

// part words a piece of text.
func (m ollamaManner) part(h head, said string) ollamaPart {
	out := ollamaPart{Model: h.model, Created: time.Now().UTC().Format(time.RFC3339Nano)}
	if m.chat {
		out.Message = &ollamaSaid{Role: "assistant", Content: said}
	} else {
		out.Response = &said
	}
	return out
}

func (m ollamaManner) whole(f full) any {
	a := f.pieces[0]
	said, calls := f.prompts[0].toolCalls(a.text)
	out := m.part(f.head, said)
	out.call(calls)
	out.LogProbs = ollamaLogs(&f.prompts[0], a)
	out.last(f.head, a, f.usage, a.first)
	out.Plexus = f.report
	return out
}

// call puts calls of tools into the part, which is of a chat.
func (o *ollamaPart) call(calls []toolCall) {
	for i, c := range calls {
		one := ollamaCall{ID: c.ID}
		one.Function.Index, one.Function.Name, one.Function.Arguments = i, c.Name, asObject(c.Arguments)
		o.Message.Calls = append(o.Message.Calls, one)
	}
}

// last makes the part the one that ends an answer.
func (o *ollamaPart) last(h head, a piece, u usage, first time.Duration) {
	took := time.Since(h.began)
	o.Done, o.Reason = true, string(a.finish)
	o.ollamaCounts = &ollamaCounts{
		Total: took, Prompt: u.Prompt, PromptTime: first, Made: u.Completion, MadeTime: max(took-first, 0),
	}
}

func ollamaLogs(p *prompt, a piece) []ollamaLogged {
	if !p.logprobs {
		return nil
	}
	out := make([]ollamaLogged, 0, len(a.tokens))
	for _, one := range chatChoiceOf(p, a).LogProbs.Content {
		out = append(out, ollamaLogged(one))
	}
	return out
}

func (m ollamaManner) script(h head, p *prompt, out *events) script {
	out.lines = true
	return &ollamaScript{manner: m, head: h, prompt: p, out: out}
}

// ollamaScript is a stream of JSON lines, of which the last is done.
type ollamaScript struct {
	manner ollamaManner
	head   head
	prompt *prompt
	out    *events
	first  time.Duration // until something was said
	reader callReader
	calls  []toolCall // told when they are whole
	last   piece
	told   *report
}

func (s *ollamaScript) say(a piece, opening bool) {
	if opening {
		s.first = time.Since(s.head.began)
	}
	said, fragments := s.prompt.split(&s.reader, a)
	s.calls = joined(s.calls, fragments)
	if said == "" && len(a.tokens) == 0 {
		return
	}
	part := s.manner.part(s.head, said)
	part.LogProbs = ollamaLogs(s.prompt, a)
	s.out.add(part)
}

func (s *ollamaScript) end(a piece, opening bool, told *report) {
	s.say(a, opening)
	s.last, s.told = a, told
	if len(s.calls) > 0 {
		part := s.manner.part(s.head, "")
		part.call(s.calls)
		s.out.add(part)
	}
}

func (s *ollamaScript) tell(told *report) { s.told = told }

func (s *ollamaScript) close(u usage) {
	part := s.manner.part(s.head, "")
	part.last(s.head, s.last, u, s.first)
	part.Plexus = s.told
	s.out.add(part)
}

func (s *ollamaScript) fail(bad *problem, u usage) {
	s.out.add(struct {
		Error  string `json:"error"`
		Prompt int    `json:"prompt_eval_count"`
		Made   int    `json:"eval_count"`
	}{bad.message, u.Prompt, u.Completion})
}

// ping says nothing: lines of JSON have no comments.
func (s *ollamaScript) ping() {}

// ollamaError shows an error as Ollama does.
func ollamaError(bad *problem, _ string) any {
	message := bad.message
	if bad.param != "" {
		message = bad.param + ": " + message
	}
	return map[string]string{"error": message}
}
