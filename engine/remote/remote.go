// Package remote runs models on servers that speak the OpenAI API: vLLM,
// llama.cpp's server, Ollama, and whatever else does.
//
// That is how owners of large machines serve. What such a server says is
// checked like anything from outside: sizes are bounded, an answer that breaks
// off is an error, and a silent server is given up after a while. A plain
// server tells no token ids and cannot score; vLLM does both.
//
// Start at [Open].
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// Dialect is what a server understands beyond the plain OpenAI API.
type Dialect uint8

// The dialects. The zero Dialect is the plain API.
const (
	OpenAI   Dialect = iota
	VLLM             // token ids, top-k, min-p, prompts of tokens, scores
	LlamaCpp         // token ids, top-k, min-p, prompts of tokens
	Ollama           // as plain, with more lenient limits
)

// Options says which server and model to use. URL and Model are needed.
type Options struct {
	URL     string // of the API, such as "http://127.0.0.1:8000/v1"
	Model   string // as the server names it
	Key     string // sent as a bearer token; "" means none
	Dialect Dialect

	Context   int           // tokens that fit the model; 0 means what the server says, if it does
	FirstByte time.Duration // wait for an answer's first byte; 0 means 2 minutes
	Idle      time.Duration // wait for each further byte; 0 means 1 minute
	Client    *http.Client  // nil means one of its own, without redirects
}

// Limits on what a server may send.
const (
	maxBody  = 256 << 20
	maxError = 64 << 10
	maxLine  = 4 << 20
)

// defaultTokens is MaxTokens of a prompt without messages where the request
// names none: servers then take 16, which nobody wants.
const defaultTokens = 1024

// An Engine is a model on a server. It is an engine.Text.
type Engine struct {
	opts  Options
	info  engine.Model
	close context.CancelCauseFunc
	open  context.Context // ends with Close
	wait  sync.WaitGroup
	mu    sync.Mutex // orders Close after the start of calls
}

// Open asks the server for its models and returns an engine for one of them.
func Open(ctx context.Context, o Options) (*Engine, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: %q is no URL of a server, such as http://127.0.0.1:8000/v1", engine.ErrRequest, o.URL)
	}
	o.URL = strings.TrimRight(o.URL, "/")
	if o.FirstByte <= 0 {
		o.FirstByte = 2 * time.Minute
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	e := &Engine{opts: o, info: engine.Model{Name: o.Model, Context: o.Context}}
	e.open, e.close = context.WithCancelCause(context.Background())
	if err := e.find(ctx); err != nil {
		e.close(nil)
		return nil, err
	}
	return e, nil
}

// find looks the model up in the server's list.
func (e *Engine) find(ctx context.Context) error {
	var list struct {
		Data []struct {
			ID     string
			Length int `json:"max_model_len"`
			Meta   struct {
				Context    int   `json:"n_ctx_train"`
				Vocabulary int   `json:"n_vocab"`
				Parameters int64 `json:"n_params"`
			}
		}
	}
	if err := e.get(ctx, "/models", &list); err != nil {
		return err
	}
	names := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID == e.opts.Model || m.ID == e.opts.Model+":latest" {
			if e.info.Context == 0 {
				e.info.Context = max(m.Length, m.Meta.Context, 0)
			}
			e.info.Vocabulary, e.info.Parameters = max(m.Meta.Vocabulary, 0), max(m.Meta.Parameters, 0)
			return nil
		}
		names = append(names, m.ID)
	}
	return fmt.Errorf("%w: the server at %s has no model %q; it has %.500q", engine.ErrRequest, e.opts.URL, e.opts.Model, names)
}

// Model describes the model, as far as the server tells.
func (e *Engine) Model() engine.Model { return e.info }

// Close ends the running calls and waits for them.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.close(engine.ErrClosed)
	e.mu.Unlock()
	e.wait.Wait()
	return nil
}

// begin starts a call: its context ends with ctx, with Close, or when nothing
// comes for too long. The functions push that back and end the call.
func (e *Engine) begin(ctx context.Context) (called context.Context, alive func(), end func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open.Err() != nil {
		return nil, nil, nil, engine.ErrClosed
	}
	e.wait.Add(1)
	called, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(e.opts.FirstByte, func() {
		cancel(fmt.Errorf("the server at %s is silent for too long: %w", e.opts.URL, context.DeadlineExceeded))
	})
	stop := context.AfterFunc(e.open, func() { cancel(engine.ErrClosed) })
	return called, func() { silent.Reset(e.opts.Idle) }, func() {
		stop()
		silent.Stop()
		cancel(nil)
		e.wait.Done()
	}, nil
}

// do sends a request, nil body for GET, and returns the answer's body. A
// status other than 200 is an error.
func (e *Engine) do(ctx context.Context, path string, body any) (io.ReadCloser, error) {
	method, b := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		if b, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, e.opts.URL+path, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	q.Header.Set("Content-Type", "application/json")
	if e.opts.Key != "" {
		q.Header.Set("Authorization", "Bearer "+e.opts.Key)
	}
	a, err := e.opts.Client.Do(q)
	if err != nil {
		return nil, cause(ctx, fmt.Errorf("ask %s: %w", e.opts.URL, err))
	}
	if a.StatusCode != http.StatusOK {
		defer a.Body.Close()
		text, err := io.ReadAll(io.LimitReader(a.Body, maxError))
		if err != nil && len(text) == 0 {
			return nil, cause(ctx, fmt.Errorf("ask %s: %w", e.opts.URL, err))
		}
		return nil, statusError(a.StatusCode, text)
	}
	return a.Body, nil
}

// cause is why ctx ended where it did, else err.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// get fetches a small answer.
func (e *Engine) get(ctx context.Context, path string, into any) error {
	return e.exchange(ctx, path, nil, into)
}

// exchange sends body and reads one JSON value.
func (e *Engine) exchange(ctx context.Context, path string, body, into any) error {
	ctx, alive, end, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := e.do(ctx, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(&touching{io.LimitReader(r, maxBody+1), alive})
	if err != nil {
		return cause(ctx, fmt.Errorf("read from %s: %w", e.opts.URL, err))
	}
	if len(text) > maxBody {
		return fmt.Errorf("read from %s: over %d bytes", e.opts.URL, maxBody)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read from %s: not the JSON that the API has: %w", e.opts.URL, err)
	}
	return nil
}

// touching calls alive for every piece that comes.
type touching struct {
	io.Reader
	alive func()
}

func (t *touching) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	if n > 0 {
		t.alive()
	}
	return n, err
}

// statusError turns a server's refusal into the error that callers test for.
func statusError(status int, body []byte) error {
	message := refusal(body)
	lower := strings.ToLower(message)
	tooLong := strings.Contains(lower, "context length") || strings.Contains(lower, "context_length") ||
		strings.Contains(lower, "context size") || strings.Contains(lower, "maximum model length") ||
		strings.Contains(lower, "exceeds the limit") || strings.Contains(lower, "too many tokens")
	err := errors.New("the server refuses")
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		err = engine.ErrBusy
	case tooLong:
		err = engine.ErrTooLong
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented:
		err = engine.ErrUnsupported
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge:
		err = engine.ErrRequest
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		err = errors.New("the server refuses the key")
	}
	return fmt.Errorf("%w: status %d: %.500q", err, status, message)
}

// refusal finds the message in one of the shapes that servers give errors.
func refusal(body []byte) string {
	var shape struct {
		Error   json.RawMessage
		Message string
		Detail  json.RawMessage
	}
	if json.Unmarshal(body, &shape) == nil {
		var inner struct{ Message, Type, Code any }
		var text string
		switch {
		case len(shape.Error) > 0 && json.Unmarshal(shape.Error, &text) == nil:
			return text
		case len(shape.Error) > 0 && json.Unmarshal(shape.Error, &inner) == nil && inner.Message != nil:
			return fmt.Sprintf("%v (%v %v)", inner.Message, inner.Type, inner.Code)
		case shape.Message != "":
			return shape.Message
		case len(shape.Detail) > 0:
			return string(shape.Detail)
		}
	}
	return strings.ToValidUTF8(string(body[:min(len(body), 500)]), "?")
}
