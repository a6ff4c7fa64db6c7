package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// body is a request for a completion, with or without messages.
type body struct {
	Model         string           `json:"model"`
	Messages      []engine.Message `json:"messages,omitempty"`
	Prompt        any              `json:"prompt,omitempty"` // a text or tokens
	MaxTokens     int              `json:"max_tokens,omitempty"`
	Stop          []string         `json:"stop,omitempty"`
	Temperature   float32          `json:"temperature"`
	TopP          *float32         `json:"top_p,omitempty"`
	TopK          int              `json:"top_k,omitempty"`
	MinP          float32          `json:"min_p,omitempty"`
	Seed          uint64           `json:"seed"`
	Stream        bool             `json:"stream,omitempty"`
	StreamOptions *streamOptions   `json:"stream_options,omitempty"`
	Logprobs      any              `json:"logprobs,omitempty"` // true with messages, a number without
	TopLogprobs   int              `json:"top_logprobs,omitempty"`

	ResponseFormat any             `json:"response_format,omitempty"`
	Tools          json.RawMessage `json:"tools,omitempty"`
	ToolChoice     any             `json:"tool_choice,omitempty"`
	ParallelCalls  *bool           `json:"parallel_tool_calls,omitempty"`

	TokensAsIDs    bool `json:"return_tokens_as_token_ids,omitempty"` // vLLM
	TokenIDs       bool `json:"return_token_ids,omitempty"`           // vLLM
	PromptLogprobs int  `json:"prompt_logprobs,omitempty"`            // vLLM
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// telling tells whether the server gives token ids.
func (e *Engine) telling() bool { return e.opts.Dialect == VLLM || e.opts.Dialect == LlamaCpp }

// request checks r and writes it as the server wants it.
func (e *Engine) request(r engine.ChatRequest) (path string, b body, err error) {
	if err := e.check(r); err != nil {
		return "", b, err
	}
	s := r.Sampling
	b = body{
		Model: e.opts.Model, MaxTokens: r.MaxTokens, Stop: r.Stop, Temperature: s.Temperature,
		TopK: s.TopK, MinP: s.MinP, Stream: true, StreamOptions: &streamOptions{true},
		// 31 bits: some servers read the seed as a small integer.
		Seed: binary.LittleEndian.Uint64(s.Seed[:8]) >> 33,
	}
	if s.TopP > 0 {
		b.TopP = &s.TopP
	}
	wanted := r.TopCount > 0 || e.telling()
	if len(r.Messages) > 0 {
		b.Messages = r.Messages
		if wanted {
			b.Logprobs, b.TopLogprobs = true, r.TopCount
		}
		path = "/chat/completions"
	} else {
		b.Prompt = r.Prompt
		if len(r.Tokens) > 0 {
			b.Prompt = r.Tokens
		}
		if wanted {
			b.Logprobs = max(r.TopCount, 1)
		}
		if b.MaxTokens == 0 {
			b.MaxTokens = defaultTokens
		}
		path = "/completions"
	}
	b.TokensAsIDs = e.opts.Dialect == VLLM
	return path, b, e.bind(&b, r)
}

// check turns away what the server would misunderstand.
func (e *Engine) check(r engine.ChatRequest) error {
	if err := r.Check(); err != nil {
		return err
	}
	for i, m := range r.Messages {
		switch m.Role {
		case engine.System, engine.User, engine.Assistant, engine.ToolResult:
		default:
			return fmt.Errorf("%w: message %d has the role %.40q, want system, user, assistant or tool", engine.ErrRequest, i, m.Role)
		}
	}
	if !e.telling() {
		switch {
		case len(r.Tokens) > 0:
			return fmt.Errorf("%w: the server takes no tokens", engine.ErrUnsupported)
		case r.Sampling.TopK > 0 || r.Sampling.MinP > 0:
			return fmt.Errorf("%w: the server knows no top-k and min-p", engine.ErrUnsupported)
		}
	}
	// A token has at least one byte, and servers differ in what they do with
	// a prompt that cannot fit: some cut it off in silence.
	if n := len(r.Prompt); e.info.Context > 0 && n > maxTokenBytes*e.info.Context {
		return fmt.Errorf("%w: the prompt has %d bytes, the context %d tokens", engine.ErrTooLong, n, e.info.Context)
	}
	return nil
}

// maxTokenBytes is more than the bytes of a usual token: what is longer than
// this many per token of the context is not sent at all.
const maxTokenBytes = 16

// Chat answers r. The server picks tokens by its own means: Sampling's seed is
// passed on, but S1 holds at temperature 0 only. A constraint is passed on in
// the API's own words and the server keeps it in its own way; the calls that it
// tells come as text, in the form of engine/grammar.
func (e *Engine) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	if err := ctx.Err(); err != nil {
		return engine.Usage{}, err
	}
	ctx, alive, end, err := e.begin(ctx)
	if err != nil {
		return engine.Usage{}, err
	}
	defer end()
	path, b, err := e.request(r)
	if err != nil {
		return engine.Usage{}, err
	}
	in, err := e.do(ctx, path, b)
	if err != nil {
		return engine.Usage{}, err
	}
	defer in.Close()
	s := &stream{telling: e.telling(), top: r.TopCount, vocabulary: e.info.Vocabulary, emit: func(d engine.Delta) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return emit(d)
	}}
	err = s.read(&touching{io.LimitReader(in, maxBody), alive})
	if errors.Is(err, errBroken) {
		err = cause(ctx, err)
	}
	return s.usage, err
}

// errBroken means that the connection ended before the answer did.
var errBroken = errors.New("remote: the answer broke off")

// stream is an answer on its way.
type stream struct {
	telling    bool
	top        int
	vocabulary int
	emit       func(engine.Delta) error
	usage      engine.Usage
	counted    bool // usage is the server's own count
	calls      calls
}

// chunk is one event of a stream, of either path.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string
			Calls   []callDelta `json:"tool_calls"`
		}
		Text     string
		Finish   string `json:"finish_reason"`
		Logprobs *logprobs
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	Error json.RawMessage
}

// logprobs is both of the shapes that the API has: a list for chats, parallel
// lists for completions.
type logprobs struct {
	Content []struct {
		logprob
		Top []logprob `json:"top_logprobs"`
	}
	Tokens   []string              `json:"tokens"`
	LogProbs []*float32            `json:"token_logprobs"`
	Top      []map[string]*float32 `json:"top_logprobs"`
}

type logprob struct {
	Token   string
	ID      *int32 // llama.cpp
	LogProb float32
}

// read goes through the events of a stream.
func (s *stream) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue // comments, event names and blank lines
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			break
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return fmt.Errorf("read an event: not the JSON that the API has: %w", err)
		}
		if len(c.Error) > 0 && string(c.Error) != "null" {
			return statusError(0, data)
		}
		if err := s.take(c); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	if s.usage.Finish == "" {
		return errBroken
	}
	return nil
}

func (s *stream) take(c chunk) error {
	if u := c.Usage; u != nil && u.Prompt >= 0 && u.Completion >= 0 {
		s.usage.Prompt, s.usage.Cached, s.usage.Completion = u.Prompt, max(0, u.Details.Cached), u.Completion
		s.counted = u.Completion > 0 || s.counted
	}
	if len(c.Choices) == 0 {
		return nil
	}
	x := c.Choices[0]
	switch x.Finish {
	case "":
	case "length":
		s.usage.Finish = engine.FinishLength
	default:
		s.usage.Finish = engine.FinishStop
	}
	said := x.Delta.Content + x.Text + s.calls.add(x.Delta.Calls)
	if x.Finish != "" {
		said += s.calls.end()
	}
	d := engine.Delta{Text: strings.ToValidUTF8(said, "\uFFFD")}
	if s.telling && x.Logprobs != nil {
		d.Tokens = s.tokens(x.Logprobs)
	}
	if d.Text == "" && len(d.Tokens) == 0 {
		return nil
	}
	if !s.counted {
		// Until the server counts: tokens it told, or one per event.
		s.usage.Completion += max(1, len(d.Tokens))
	}
	return s.emit(d)
}

// tokens reads what a server tells of the tokens of an event. It returns nil
// where an id is missing: half of the tokens would be worse than none.
func (s *stream) tokens(l *logprobs) []engine.TokenScore {
	var out []engine.TokenScore
	for _, c := range l.Content {
		t, ok := s.candidate(c.logprob)
		if !ok {
			return nil
		}
		score := engine.TokenScore{Token: t.Token, LogProb: t.LogProb}
		for _, a := range c.Top {
			if t, ok := s.candidate(a); ok {
				score.Top = append(score.Top, t)
			}
		}
		out = append(out, s.sorted(score))
	}
	for i, text := range l.Tokens {
		if i >= len(l.LogProbs) || l.LogProbs[i] == nil {
			return nil
		}
		t, ok := s.candidate(logprob{Token: text, LogProb: *l.LogProbs[i]})
		if !ok {
			return nil
		}
		score := engine.TokenScore{Token: t.Token, LogProb: t.LogProb}
		if i < len(l.Top) {
			for text, p := range l.Top[i] {
				if p == nil {
					continue
				}
				if t, ok := s.candidate(logprob{Token: text, LogProb: *p}); ok {
					score.Top = append(score.Top, t)
				}
			}
		}
		out = append(out, s.sorted(score))
	}
	return out
}

// sorted puts the alternatives in order and keeps as many as were asked for.
func (s *stream) sorted(t engine.TokenScore) engine.TokenScore {
	slices.SortFunc(t.Top, likelier)
	t.Top = t.Top[:min(len(t.Top), s.top)]
	return t
}

// candidate reads a token's id: a number of its own (llama.cpp), or
// "token_id:123" in place of its text (vLLM).
func (s *stream) candidate(l logprob) (engine.Candidate, bool) {
	id := int64(-1)
	if text, ok := strings.CutPrefix(l.Token, "token_id:"); ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err == nil {
			id = n
		}
	} else if l.ID != nil {
		id = int64(*l.ID)
	}
	if id < 0 || s.vocabulary > 0 && id >= int64(s.vocabulary) || l.LogProb != l.LogProb {
		return engine.Candidate{}, false
	}
	return engine.Candidate{Token: engine.Token(id), LogProb: min(l.LogProb, 0)}, true
}
