package remote_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/grammar"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/remote"
)

// server speaks the OpenAI API on top of the reference engine, with the habits
// of one dialect.
type server struct {
	*batch.Engine
	dialect remote.Dialect
}

// newServer starts a server and returns its URL.
func newServer(t *testing.T, d remote.Dialect) (string, *server) {
	t.Helper()
	e, err := ref.Open(enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16, Context: 1024}), ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{e, d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	mux.HandleFunc("POST /v1/completions", s.complete)
	mux.HandleFunc("POST /v1/embeddings", s.embeddings)
	h := httptest.NewServer(mux)
	t.Cleanup(func() {
		h.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return h.URL + "/v1", s
}

func (s *server) models(w http.ResponseWriter, _ *http.Request) {
	switch s.dialect {
	case remote.VLLM:
		fmt.Fprintf(w, `{"object":"list","data":[{"id":"random","object":"model","max_model_len":%d}]}`, s.Model().Context)
	case remote.LlamaCpp:
		fmt.Fprintf(w, `{"object":"list","data":[{"id":"random","meta":{"n_ctx_train":%d,"n_vocab":%d,"n_params":1000}}]}`, s.Model().Context, s.Model().Vocabulary)
	case remote.Ollama:
		fmt.Fprint(w, `{"object":"list","data":[{"id":"random:latest","object":"model","owned_by":"library"}]}`)
	default:
		fmt.Fprint(w, `{"object":"list","data":[{"id":"other"},{"id":"random"}]}`)
	}
}

// asked is what the server understands of a request.
type asked struct {
	Messages       []engine.Message
	Prompt         json.RawMessage
	MaxTokens      int `json:"max_tokens"`
	Stop           []string
	Temperature    float32
	TopP           float32 `json:"top_p"`
	TopK           int     `json:"top_k"`
	MinP           float32 `json:"min_p"`
	Seed           uint64
	Stream         bool
	Logprobs       any
	TopLogprobs    int  `json:"top_logprobs"`
	AsIDs          bool `json:"return_tokens_as_token_ids"`
	PromptLogprobs int  `json:"prompt_logprobs"`

	ResponseFormat struct {
		Type   string
		Schema struct{ Schema json.RawMessage } `json:"json_schema"`
	} `json:"response_format"`
	Tools []struct {
		Function engine.Tool
	}
	ToolChoice any   `json:"tool_choice"`
	Parallel   *bool `json:"parallel_tool_calls"`
}

// constraint reads what binds the answer.
func (a asked) constraint() engine.Constraint {
	c := engine.Constraint{Form: engine.AnswerForm(a.ResponseFormat.Type), Schema: a.ResponseFormat.Schema.Schema}
	for _, t := range a.Tools {
		c.Tools = append(c.Tools, t.Function)
	}
	if a.ToolChoice == "required" {
		c.Choice = engine.ToolsRequired
	}
	if named, ok := a.ToolChoice.(map[string]any); ok {
		c.Only, _ = named["function"].(map[string]any)["name"].(string)
	}
	c.Single = a.Parallel != nil && !*a.Parallel
	if !c.IsZero() {
		c.Within = a.MaxTokens
	}
	return c
}

func (s *server) refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	message := err.Error()
	switch {
	case errors.Is(err, engine.ErrTooLong):
		message = "This model's maximum context length is 1024 tokens. However, you requested more."
		if s.dialect == remote.LlamaCpp {
			message = "the request exceeds the available context size, try increasing it"
		}
	case errors.Is(err, engine.ErrBusy):
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	switch s.dialect {
	case remote.VLLM:
		fmt.Fprintf(w, `{"object":"error","message":%q,"type":"BadRequestError","code":%d}`, message, status)
	case remote.Ollama:
		fmt.Fprintf(w, `{"error":%q}`, message)
	default:
		fmt.Fprintf(w, `{"error":{"message":%q,"type":"invalid_request_error","code":null}}`, message)
	}
}

func (s *server) complete(w http.ResponseWriter, h *http.Request) {
	var a asked
	if err := json.NewDecoder(h.Body).Decode(&a); err != nil {
		s.refuse(w, err)
		return
	}
	q := engine.ChatRequest{
		Messages: a.Messages, MaxTokens: a.MaxTokens, Stop: a.Stop, TopCount: a.TopLogprobs, Constraint: a.constraint(),
		Sampling: engine.Sampling{Temperature: a.Temperature, TopP: a.TopP, TopK: a.TopK, MinP: a.MinP, Seed: engine.Seed{byte(a.Seed), byte(a.Seed >> 8)}},
	}
	if a.Prompt != nil && json.Unmarshal(a.Prompt, &q.Prompt) != nil {
		if err := json.Unmarshal(a.Prompt, &q.Tokens); err != nil {
			s.refuse(w, err)
			return
		}
	}
	if n, ok := a.Logprobs.(float64); ok {
		q.TopCount = int(n) // without messages, the one number says it
	}
	if a.PromptLogprobs > 0 {
		s.score(w, h, q.Tokens)
		return
	}
	if !a.Stream {
		s.refuse(w, errors.New("only streams"))
		return
	}
	s.stream(w, h, a, q)
}

// stream sends events as the dialect does: blank lines, comments, a last event
// with the counts alone.
func (s *server) stream(w http.ResponseWriter, h *http.Request, a asked, q engine.ChatRequest) {
	chat := len(q.Messages) > 0
	send := func(format string, args ...any) {
		fmt.Fprintf(w, "data: "+format+"\n\n", args...)
		w.(http.Flusher).Flush()
	}
	first, call := true, ""
	usage, err := s.Chat(h.Context(), q, func(d engine.Delta) error {
		if first {
			fmt.Fprint(w, ": a comment\r\n\r\n")
			first = false
			if chat {
				send(`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`)
			}
		}
		if chat && (call != "" || strings.HasPrefix(d.Text, "<") && len(q.Constraint.Tools) > 0) {
			call += d.Text // calls go out at the end, in pieces
			d.Text = ""
		}
		text, _ := json.Marshal(d.Text)
		logprobs := "null"
		if a.Logprobs != nil && a.Logprobs != false {
			logprobs = s.logprobs(chat, d.Tokens)
		}
		if chat {
			send(`{"choices":[{"index":0,"delta":{"content":%s},"logprobs":%s,"finish_reason":null}]}`, text, logprobs)
		} else {
			send(`{"choices":[{"index":0,"text":%s,"logprobs":%s,"finish_reason":null}]}`, text, logprobs)
		}
		return h.Context().Err()
	})
	if err != nil {
		if first {
			s.refuse(w, err)
		}
		return
	}
	sendCall(call, send)
	send(`{"choices":[{"index":0,"delta":{},"text":"","finish_reason":%q}]}`, usage.Finish)
	send(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`, usage.Prompt, usage.Completion, usage.Cached)
	send("[DONE]")
}

// sendCall sends one call in two pieces.
func sendCall(text string, send func(string, ...any)) {
	name, arguments, ok := grammar.CallHead(strings.TrimPrefix(text, grammar.CallBegin))
	if !ok {
		return
	}
	arguments = strings.TrimSuffix(strings.TrimSpace(strings.TrimSuffix(arguments, grammar.CallEnd)), "}")
	send(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":%q,"arguments":""}}]},"finish_reason":null}]}`, name)
	for _, part := range []string{arguments[:len(arguments)/2], arguments[len(arguments)/2:]} {
		b, _ := json.Marshal(part)
		send(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":%s}}]},"finish_reason":null}]}`, b)
	}
}

// logprobs writes tokens as the dialect does.
func (s *server) logprobs(chat bool, tokens []engine.TokenScore) string {
	name := func(t engine.Token) string {
		if s.dialect == remote.VLLM {
			return fmt.Sprintf("token_id:%d", t)
		}
		return s.Piece(t)
	}
	if !chat && s.dialect == remote.VLLM {
		out := struct {
			Tokens []string             `json:"tokens"`
			Log    []float32            `json:"token_logprobs"`
			Top    []map[string]float32 `json:"top_logprobs"`
		}{}
		for _, t := range tokens {
			out.Tokens, out.Log = append(out.Tokens, name(t.Token)), append(out.Log, t.LogProb)
			top := map[string]float32{name(t.Token): t.LogProb}
			for _, c := range t.Top {
				top[name(c.Token)] = c.LogProb
			}
			out.Top = append(out.Top, top)
		}
		b, _ := json.Marshal(out)
		return string(b)
	}
	var parts []string
	one := func(t engine.Token, p float32) string {
		text, _ := json.Marshal(name(t))
		id := ""
		if s.dialect == remote.LlamaCpp {
			id = fmt.Sprintf(`"id":%d,`, t)
		}
		return fmt.Sprintf(`{%s"token":%s,"logprob":%g`, id, text, p)
	}
	for _, t := range tokens {
		var top []string
		for _, c := range t.Top {
			top = append(top, one(c.Token, c.LogProb)+"}")
		}
		parts = append(parts, one(t.Token, t.LogProb)+`,"top_logprobs":[`+strings.Join(top, ",")+"]}")
	}
	return `{"content":[` + strings.Join(parts, ",") + "]}"
}

// score answers prompt_logprobs.
func (s *server) score(w http.ResponseWriter, h *http.Request, tokens []engine.Token) {
	scores, err := s.Score(h.Context(), tokens[:1], tokens[1:])
	if err != nil || s.dialect != remote.VLLM {
		s.refuse(w, fmt.Errorf("no scores: %w", err))
		return
	}
	list := []map[string]any{nil}
	for _, x := range scores {
		one := map[string]any{fmt.Sprint(x.Token): map[string]any{"logprob": x.LogProb, "rank": 1}}
		for i, c := range x.Top {
			one[fmt.Sprint(c.Token)] = map[string]any{"logprob": c.LogProb, "rank": i + 1, "decoded_token": "x"}
		}
		list = append(list, one)
	}
	b, _ := json.Marshal(list)
	fmt.Fprintf(w, `{"choices":[{"index":0,"text":"x","prompt_logprobs":%s}]}`, b)
}

func (s *server) embeddings(w http.ResponseWriter, h *http.Request) {
	var a struct{ Input []string }
	if err := json.NewDecoder(h.Body).Decode(&a); err != nil {
		s.refuse(w, err)
		return
	}
	vectors, err := s.Embed(h.Context(), a.Input)
	if err != nil {
		s.refuse(w, err)
		return
	}
	var parts []string
	for i, v := range vectors {
		for k := range v {
			v[k] *= 3 // servers need not normalize
		}
		b, _ := json.Marshal(v)
		parts = append([]string{fmt.Sprintf(`{"index":%d,"embedding":%s}`, i, b)}, parts...)
	}
	fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(parts, ","))
}
