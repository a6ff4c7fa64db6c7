package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/remote"
)

var dialects = map[string]remote.Dialect{"OpenAI": remote.OpenAI, "VLLM": remote.VLLM, "LlamaCpp": remote.LlamaCpp, "Ollama": remote.Ollama}

func open(t *testing.T, url string, d remote.Dialect) *remote.Engine {
	t.Helper()
	e, err := remote.Open(t.Context(), remote.Options{URL: url, Model: "random", Dialect: d})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConforms(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, enginetest.Kit{Open: func(t *testing.T) engine.Text {
				url, _ := newServer(t, d)
				return open(t, url, d)
			}})
		})
	}
}

// TestTellsTokens checks that token ids come from the servers that tell them,
// and are those that the model made.
func TestTellsTokens(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			url, s := newServer(t, d)
			e := open(t, url, d)
			defer e.Close()
			q := engine.ChatRequest{Messages: []engine.Message{{Role: engine.User, Content: "hello"}}, MaxTokens: 8, TopCount: 3}
			var want, got []engine.TokenScore
			if _, err := s.Chat(t.Context(), q, func(d engine.Delta) error { want = append(want, d.Tokens...); return nil }); err != nil {
				t.Fatal(err)
			}
			usage, err := e.Chat(t.Context(), q, func(d engine.Delta) error { got = append(got, d.Tokens...); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if usage.Completion != 8 {
				t.Errorf("usage is %+v", usage)
			}
			if d == remote.OpenAI || d == remote.Ollama {
				if len(got) != 0 {
					t.Errorf("%d tokens out of nothing", len(got))
				}
				return
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

func TestScores(t *testing.T) {
	url, s := newServer(t, remote.VLLM)
	e := open(t, url, remote.VLLM)
	defer e.Close()
	prompt, continuation := []engine.Token{1, 2, 3}, []engine.Token{4, 5, 6, 7}
	want, err := s.Score(t.Context(), prompt, continuation)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Score(t.Context(), prompt, continuation)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if _, err := e.Score(t.Context(), prompt, make([]engine.Token, 1100)); !errors.Is(err, engine.ErrTooLong) {
		t.Errorf("too long: got %v", err)
	}
	plain := open(t, url, remote.OpenAI)
	defer plain.Close()
	if _, err := plain.Score(t.Context(), prompt, continuation); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("a plain server: got %v, want ErrUnsupported", err)
	}
	if _, err := plain.Chat(t.Context(), engine.ChatRequest{Tokens: prompt}, nil); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("tokens to a plain server: got %v, want ErrUnsupported", err)
	}
}

// canned is a server that gives one answer to everything but the list of models.
func canned(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/v1/models" {
			fmt.Fprint(w, `{"data":[{"id":"random"}]}`)
			return
		}
		// Only a server that has read the request sees its client leave.
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			t.Error(err)
		}
		answer(w, q)
	}))
	t.Cleanup(h.Close)
	return h.URL + "/v1"
}

func TestMapsErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"too many requests", 429, `{"error":{"message":"rate limit"}}`, engine.ErrBusy},
		{"loading", 503, `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`, engine.ErrBusy},
		{"context of OpenAI", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}`, engine.ErrTooLong},
		{"context of vLLM", 400, `{"object":"error","message":"The decoder prompt (length 9000) is longer than the maximum model length of 4096.","code":400}`, engine.ErrTooLong},
		{"context of llama.cpp", 400, `{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}`, engine.ErrTooLong},
		{"bad request", 400, `{"error":"no"}`, engine.ErrRequest},
		{"validation", 422, `{"detail":[{"msg":"field required"}]}`, engine.ErrRequest},
		{"no such path", 404, `404 page not found`, engine.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t, canned(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}), remote.OpenAI)
			defer e.Close()
			if _, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a"}, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestRefusesBrokenStreams(t *testing.T) {
	piece := `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n"
	for _, c := range []struct{ name, stream, want string }{
		{"nothing", "", "broke off"},
		{"no end", piece, "broke off"},
		{"no JSON", "data: {\n\n", "JSON"},
		{"an error in the middle", piece + `data: {"error":{"message":"out of memory"}}` + "\n\n", "out of memory"},
		{"an endless line", "data: " + strings.Repeat("x", 5<<20), "broke off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t, canned(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.stream) }), remote.OpenAI)
			defer e.Close()
			_, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a"}, func(engine.Delta) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

// TestGivesUpOnSilence waits for real: it is the network that is silent.
func TestGivesUpOnSilence(t *testing.T) {
	e, err := remote.Open(t.Context(), remote.Options{Model: "random", FirstByte: 2 * time.Second, URL: canned(t, func(_ http.ResponseWriter, q *http.Request) {
		<-q.Context().Done()
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	url := canned(t, nil)
	for _, c := range []struct{ name, url, model, want string }{
		{"no URL", "127.0.0.1", "random", "no URL of a server"},
		{"another scheme", "file:///etc/passwd", "random", "no URL of a server"},
		{"no server", "http://127.0.0.1:1/v1", "random", "refused"},
		{"no such model", url, "ghost", `has no model "ghost"`},
	} {
		if _, err := remote.Open(t.Context(), remote.Options{URL: c.url, Model: c.model}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something with %q", c.name, err, c.want)
		}
	}
}

func TestSendsItsKey(t *testing.T) {
	key := ""
	e, err := remote.Open(t.Context(), remote.Options{Model: "random", Key: "k", URL: canned(t, func(w http.ResponseWriter, q *http.Request) {
		key = q.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a"}, nil); err == nil || key != "Bearer k" {
		t.Errorf("got %v, the server saw %q", err, key)
	}
}
