package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// object reads a JSON object for a look at any of its fields.
func object(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("not a JSON object: %v\n%s", err, b)
	}
	return o
}

// at follows a path of keys and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

// named reads a stream of named events.
func named(t testing.TB, body io.Reader) (names []string, events []map[string]any) {
	t.Helper()
	name := ""
	for lines := bufio.NewScanner(body); lines.Scan(); {
		if s, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = s
		}
		if s, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			e := object(t, []byte(s))
			if at(e, "type") != name {
				t.Errorf("the event %s says it is %v", name, e["type"])
			}
			names, events = append(names, name), append(events, e)
		}
	}
	return names, events
}

func TestResponses(t *testing.T) {
	n := fakes(honest("Hél", "lo"))
	g := open(t, n, Limits{})
	w := post(t.Context(), g, "/v1/responses", `{"model":"toy","instructions":"be brief","input":[
		{"role":"user","content":[{"type":"input_text","text":"hi"}]},
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ho"}]},
		{"type":"reasoning","summary":[]},
		{"role":"user","content":"and?"}],"max_output_tokens":9,"metadata":{"a":"b"},"store":true,"truncation":"auto"}`)
	o := object(t, w.Body.Bytes())
	if w.Code != 200 || at(o, "object") != "response" || at(o, "status") != "completed" || at(o, "output", 0, "content", 0, "text") != "Héllo" || at(o, "metadata", "a") != "b" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if at(o, "usage", "input_tokens") != float64(len("system: be brief\nuser: hi\nassistant: ho\nuser: and?\nassistant: ")) || at(o, "usage", "output_tokens") != 6.0 {
		t.Errorf("usage %v", at(o, "usage"))
	}
	if r := n.asked[0]; len(r.Messages) != 4 || r.Messages[2].Content != "ho" || r.MaxTokens != 9 {
		t.Errorf("the miner got %+v", r)
	}
}

func TestResponsesStreamInOrder(t *testing.T) {
	w := post(t.Context(), open(t, fakes(honest("Hél", "lo")), Limits{}), "/v1/responses", `{"model":"toy","input":"hi","stream":true}`)
	names, events := named(t, w.Body)
	want := []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.delta", "response.output_text.done",
		"response.content_part.done", "response.output_item.done", "response.completed",
	}
	if i := slices.Index(names, "response.output_text.delta"); i >= 0 && names[i+1] != names[i] {
		want = slices.Delete(want, 5, 6) // both pieces came at once
	}
	if !slices.Equal(names, want) {
		t.Fatalf("events %v\n  want %v", names, want)
	}
	for i, e := range events {
		if e["sequence_number"] != float64(i) {
			t.Errorf("event %d has the number %v", i, e["sequence_number"])
		}
	}
	if last := events[len(events)-1]; at(last, "response", "usage", "output_tokens") != 6.0 || at(last, "response", "output", 0, "content", 0, "text") != "Héllo" {
		t.Errorf("ended with %v", last)
	}
}

func TestAnthropic(t *testing.T) {
	n := fakes(honest("Hél", "lo"))
	g := open(t, n, Limits{})
	w := post(t.Context(), g, "/v1/messages", `{"model":"toy","max_tokens":50,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],
		"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"stop_sequences":["END"],"top_k":5,"thinking":{"type":"disabled"}}`)
	o := object(t, w.Body.Bytes())
	if w.Code != 200 || at(o, "type") != "message" || at(o, "content", 0, "text") != "Héllo" || at(o, "stop_reason") != "end_turn" || w.Header().Get("Request-Id") == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if at(o, "usage", "input_tokens") != float64(len("system: be brief\nuser: hi\nassistant: ")) || at(o, "usage", "output_tokens") != 6.0 {
		t.Errorf("usage %v", at(o, "usage"))
	}
	if r := n.asked[0]; r.Stop[0] != "END" || r.TopK != 5 || r.Messages[0].Role != engine.System {
		t.Errorf("the miner got %+v", r)
	}
	w = post(t.Context(), g, "/v1/messages", `{"model":"toy","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	names, events := named(t, w.Body)
	names = slices.Compact(names)
	if want := []string{"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}; !slices.Equal(names, want) {
		t.Errorf("events %v, want %v", names, want)
	}
	if end := events[len(events)-2]; at(end, "delta", "stop_reason") != "end_turn" || at(end, "usage", "output_tokens") != 6.0 {
		t.Errorf("ended with %v", end)
	}
	w = post(t.Context(), g, "/v1/messages/count_tokens", `{"model":"toy","messages":[{"role":"user","content":"hi"}]}`)
	if o := object(t, w.Body.Bytes()); at(o, "input_tokens") != float64(len("user: hi\nassistant: ")) {
		t.Errorf("counted %s", w.Body)
	}
}

// stopper is a miner whose tokens run on into a stop text.
func TestAnthropicNamesTheStopSequence(t *testing.T) {
	p := prompt{model: &Model{Tokenizer: bytewise{}}}
	p.ask.Stop = []string{"###", "END"}
	l := &leg{finish: engine.FinishStop, tokens: scores("so END")}
	l.text.WriteString("so ")
	if got := l.stopped(&p); got != "END" {
		t.Errorf("stopped at %q, want END", got)
	}
	l.tokens = scores("so ")
	if got := l.stopped(&p); got != "" {
		t.Errorf("stopped at %q, want the model's own end", got)
	}
}

func TestOllama(t *testing.T) {
	n := fakes(honest("Hél", "lo"))
	g := open(t, n, Limits{})
	for path, said := range map[string][]any{"/api/chat": {"message", "content"}, "/api/generate": {"response"}} {
		ask := `"model":"toy:latest","messages":[{"role":"user","content":"hi"}]`
		if path == "/api/generate" {
			ask = `"model":"toy","prompt":"hi"`
		}
		w := post(t.Context(), g, path, `{`+ask+`,"stream":false,"options":{"num_predict":7,"temperature":0,"num_ctx":9999,"stop":["END"]},"keep_alive":"5m"}`)
		o := object(t, w.Body.Bytes())
		if w.Code != 200 || at(o, said...) != "Héllo" || at(o, "done") != true || at(o, "done_reason") != "stop" || at(o, "eval_count") != 6.0 ||
			at(o, "prompt_eval_count") != float64(len("user: hi\nassistant: ")) || at(o, "total_duration").(float64) <= 0 {
			t.Fatalf("%s: got %d %s", path, w.Code, w.Body)
		}
		if r := n.asked[len(n.asked)-1]; r.MaxTokens != 7 || r.Temperature != 0 || r.Stop[0] != "END" {
			t.Errorf("the miner got %+v", r)
		}
		w = post(t.Context(), g, path, `{`+ask+`}`)
		text, last := "", map[string]any{}
		for lines := bufio.NewScanner(w.Body); lines.Scan(); {
			if last["done"] == true {
				t.Errorf("%s: a line after the last: %s", path, lines.Text())
			}
			last = object(t, lines.Bytes())
			text += at(last, said...).(string)
		}
		if text != "Héllo" || last["done"] != true || last["eval_count"] != 6.0 || w.Header().Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s: streamed %q, ended with %v", path, text, last)
		}
	}
	w := post(t.Context(), g, "/api/generate", `{"model":"toy","prompt":"once","raw":true,"stream":false}`)
	if r := n.asked[len(n.asked)-1]; w.Code != 200 || r.Prompt != "once" || len(r.Messages) != 0 {
		t.Errorf("raw: the miner got %+v", r)
	}
	if w := post(t.Context(), g, "/api/chat", `{"model":"toy"}`); at(object(t, w.Body.Bytes()), "done_reason") != "load" {
		t.Errorf("loading: %s", w.Body)
	}
	for _, path := range []string{"/api/tags", "/api/ps"} {
		if o := object(t, get(g, path).Body.Bytes()); at(o, "models", 0, "name") != "toy" {
			t.Errorf("%s: %v", path, o)
		}
	}
	if o := object(t, get(g, "/api/version").Body.Bytes()); at(o, "version") == nil {
		t.Errorf("version: %v", o)
	}
	if w := post(t.Context(), g, "/api/show", `{"name":"toy"}`); at(object(t, w.Body.Bytes()), "capabilities", 0) != "completion" {
		t.Errorf("show: %s", w.Body)
	}
}

// wordy embeds a text as its length and its first byte.
type wordy struct{ err error }

func (e wordy) Embed(_ context.Context, texts []string) (out [][]float32, tokens int, err error) {
	for _, s := range texts {
		out, tokens = append(out, []float32{float32(len(s)), float32(s[0])}), tokens+len(s)
	}
	return out, tokens, e.err
}

func TestEmbeddings(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{})
	ask := func(path, body string) (map[string]any, *httptest.ResponseRecorder) {
		w := post(t.Context(), g, path, body)
		return object(t, w.Body.Bytes()), w
	}
	if o, w := ask("/v1/embeddings", `{"model":"toy","input":"hi"}`); w.Code != 400 || at(o, "error", "param") != "model" {
		t.Errorf("without an embedder: %d %s", w.Code, w.Body)
	}
	g.models[0].Embedder = wordy{}
	if o, w := ask("/v1/embeddings", `{"model":"toy","input":["hi","you"]}`); at(o, "data", 1, "embedding", 0) != 3.0 || at(o, "usage", "prompt_tokens") != 5.0 {
		t.Errorf("two texts: %s", w.Body)
	}
	if o, w := ask("/v1/embeddings", `{"model":"toy","input":[104,105],"dimensions":2}`); at(o, "data", 0, "embedding", 1) != 104.0 {
		t.Errorf("tokens: %s", w.Body)
	}
	o, w := ask("/v1/embeddings", `{"model":"toy","input":[[104,105],[106]],"encoding_format":"base64"}`)
	b, err := base64.StdEncoding.DecodeString(at(o, "data", 0, "embedding").(string))
	if err != nil || len(b) != 8 || math.Float32frombits(binary.LittleEndian.Uint32(b[4:])) != 104 {
		t.Errorf("base64: %s", w.Body)
	}
	if o, w := ask("/api/embed", `{"model":"toy","input":"hi"}`); at(o, "embeddings", 0, 0) != 2.0 || at(o, "prompt_eval_count") != 2.0 {
		t.Errorf("/api/embed: %s", w.Body)
	}
	if o, w := ask("/api/embeddings", `{"model":"toy","prompt":"hi"}`); at(o, "embedding", 0) != 2.0 {
		t.Errorf("/api/embeddings: %s", w.Body)
	}
	for body, param := range map[string]string{
		`{"input":"x"}`:                                                    "model",
		`{"model":"toy"}`:                                                  "input",
		`{"model":"toy","input":[]}`:                                       "input",
		`{"model":"toy","input":[""]}`:                                     "input[0]",
		`{"model":"toy","input":"x","dimensions":3}`:                       "dimensions",
		`{"model":"toy","input":"x","encoding_format":"hex"}`:              "encoding_format",
		`{"model":"toy","input":[` + strings.Repeat(`"x",`, 256) + `"x"]}`: "input",
	} {
		if o, w := ask("/v1/embeddings", body); w.Code != 400 || at(o, "error", "param") != param {
			t.Errorf("%.60s: got %d %s, want param %s", body, w.Code, w.Body, param)
		}
	}
	g.models[0].Embedder = wordy{engine.ErrTooLong}
	if o, w := ask("/v1/embeddings", `{"model":"toy","input":"x"}`); w.Code != 400 || at(o, "error", "code") != "context_length_exceeded" {
		t.Errorf("too long: %d %s", w.Code, w.Body)
	}
	g.models[0].Embedder = wordy{errors.New("broken")}
	if _, w := ask("/v1/embeddings", `{"model":"toy","input":"x"}`); w.Code != 500 {
		t.Errorf("broken: %d %s", w.Code, w.Body)
	}
}

func TestErrorsInEachDialect(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{})
	for _, c := range []struct {
		path, body string
		status     int
		where      []any
		says       string
	}{
		{"/v1/responses", `{"model":"no","input":"x"}`, 404, []any{"error", "code"}, "model_not_found"},
		{"/v1/responses", `{"model":"toy","input":"x","previous_response_id":"resp_1"}`, 400, []any{"error", "param"}, "previous_response_id"},
		{"/v1/responses", `{"model":"toy","input":"x","background":true}`, 400, []any{"error", "param"}, "background"},
		{"/v1/responses", `{"model":"toy","input":7}`, 400, []any{"error", "param"}, "input"},
		{"/v1/responses", `{"model":"toy","input":[{"type":"item_reference","id":"x"}]}`, 400, []any{"error", "param"}, "input[0]"},
		{"/v1/responses", `{"model":"toy","input":"x","max_output_tokens":0}`, 400, []any{"error", "param"}, "max_output_tokens"},
		{"/v1/responses", `{"model":"toy","input":"x","tools":[{"type":"web_search"}]}`, 400, []any{"error", "param"}, "tools[0].type"},
		{"/v1/responses", `{"model":"toy","input":[{"role":"user","content":[{"type":"input_image"}]}]}`, 400, []any{"error", "param"}, "input[0].content[0].type"},
		{"/v1/messages", `{"model":"no","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`, 404, []any{"error", "type"}, "not_found_error"},
		{"/v1/messages", `{"model":"toy","messages":[{"role":"user","content":"x"}]}`, 400, []any{"error", "type"}, "invalid_request_error"},
		{"/v1/messages", `{"model":"toy","max_tokens":5}`, 400, []any{"type"}, "error"},
		{"/v1/messages", `{"model":"toy","max_tokens":5,"messages":[{"role":"king","content":"x"}]}`, 400, []any{"type"}, "error"},
		{"/v1/messages", `{`, 400, []any{"type"}, "error"},
		{"/api/chat", `{"model":"no","messages":[{"role":"user","content":"x"}]}`, 404, []any{"error"}, `model: the model "no" is not offered here; "toy" is, and GET /v1/models lists all`},
		{"/api/chat", `{"model":"toy","messages":[{"role":"user","content":"x"}],"options":{"temperature":9}}`, 400, []any{"error"}, "options.temperature: options.temperature is 9; 0 to 2 is allowed"},
		{"/api/generate", `{"model":"toy","prompt":"x","options":{"repeat_penalty":1.1}}`, 400, []any{"error"}, "options.repeat_penalty: options.repeat_penalty cannot be honoured; use 1: the verified sampler has no penalties"},
		{"/api/generate", `{"model":"toy","prompt":"x","think":true}`, 400, []any{"error"}, `think: "toy" does not support thinking`},
		{"/api/generate", `{"model":"toy","prompt":"x","format":"xml"}`, 400, []any{"error"}, `format: format is "xml"; "json" or a JSON Schema is wanted`},
	} {
		w := post(t.Context(), g, c.path, c.body)
		if o := object(t, w.Body.Bytes()); w.Code != c.status || at(o, c.where...) != c.says {
			t.Errorf("%s %s\n got %d %s\nwant %d with %v = %s", c.path, c.body, w.Code, w.Body, c.status, c.where, c.says)
		}
		if w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", c.path)
		}
	}
	if w := get(g, "/v1/responses/resp_1"); w.Code != 404 {
		t.Errorf("a stored response: %d %s", w.Code, w.Body)
	}
}

func TestBusyInEachDialect(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{Running: 1, Waiting: 1})
	for range cap(g.inside) {
		g.inside <- struct{}{}
	}
	for path, where := range map[string][]any{
		"/v1/chat/completions": {"error", "type"}, "/v1/messages": {"error", "type"}, "/api/chat": {"error"},
	} {
		w := post(t.Context(), g, path, `{}`)
		h := w.Header()
		if w.Code != 429 || h.Get("Retry-After") != "1" || h.Get("Retry-After-Ms") != "1000" || h.Get("X-Should-Retry") != "true" ||
			h.Get("X-Ratelimit-Limit-Requests") != "4" || h.Get("X-Ratelimit-Remaining-Requests") != "0" || h.Get("X-Ratelimit-Reset-Requests") != "1s" {
			t.Errorf("%s: got %d with %v", path, w.Code, h)
		}
		if says, _ := at(object(t, w.Body.Bytes()), where...).(string); says != "rate_limit_error" && !strings.Contains(says, "try again") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func TestBrokenStreamInEachDialect(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": hello + `,"stream":true,"stream_options":{"include_usage":true}}`,
		"/v1/completions":      `{"model":"toy","prompt":"hi","stream":true,"stream_options":{"include_usage":true}}`,
		"/v1/responses":        `{"model":"toy","input":"hi","stream":true}`,
		"/v1/messages":         `{"model":"toy","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		"/api/chat":            `{"model":"toy","messages":[{"role":"user","content":"hi"}]}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			m := honest("Hél", "lo", "!")
			m.dieAt, m.step = 2, time.Second
			w := post(t.Context(), open(t, fakes(m), Limits{}), path, body)
			lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
			last := object(t, []byte(strings.TrimPrefix(lines[len(lines)-1], "data: ")))
			for _, where := range [][]any{
				{"usage", "completion_tokens"}, {"response", "usage", "output_tokens"}, {"usage", "output_tokens"}, {"eval_count"},
			} {
				if made := at(last, where...); made != nil && made != 6.0 {
					t.Errorf("%s: %v tokens counted, want the 6 that went out: %v", path, made, last)
				} else if made != nil {
					return
				}
			}
			t.Errorf("%s: a broken stream ended with %v, want its usage", path, last)
		})
	}
}

func TestClientGoesAwayInEachDialect(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/responses": `{"model":"toy","input":"hi","stream":true}`,
		"/v1/messages":  `{"model":"toy","max_tokens":500,"stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		"/api/generate": `{"model":"toy","prompt":"hi"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			m := honest("word ")
			m.endless, m.step = true, time.Second
			n := fakes(m)
			g := open(t, n, Limits{})
			ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
			defer cancel()
			post(ctx, g, path, body)
			synctest.Wait()
			if n.stopped != 1 {
				t.Errorf("%s: the miner was not stopped", path)
			}
			if made := counter(t, g, "plexus_gateway_generation_tokens_total"); made != 6*5 {
				t.Errorf("%s: %v tokens counted, want the 30 that went out", path, made)
			}
		})
	}
}

// counter reads one of the gateway's figures.
func counter(t testing.TB, g *Gateway, name string) float64 {
	t.Helper()
	for line := range strings.Lines(get(g, "/metrics").Body.String()) {
		if s, ok := strings.CutPrefix(line, name+" "); ok {
			var x float64
			if err := json.Unmarshal([]byte(s), &x); err != nil {
				t.Fatal(err)
			}
			return x
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func TestModelsTellLiveFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, away := honest("twelve", " bytes"), honest("x")
		m.wait, m.step, away.stand.Alive = 200*time.Millisecond, 100*time.Millisecond, false
		g := open(t, fakes(m, away), Limits{})
		g.models[0].About = engine.Model{Precision: "q8_0"}
		stop := g.look()
		defer stop()
		post(t.Context(), g, "/v1/chat/completions", hello+`}`)
		o := object(t, get(g, "/v1/models/toy").Body.Bytes())
		one := at(o, "plexus", "by_miner", 0)
		if at(one, "score") != 0.9 || at(one, "tokens_per_second", "p50") != 120.0 || at(one, "ttft_ms", "p95") != 200.0 ||
			at(one, "precision") != "q8_0" || at(one, "uptime") != 1.0 {
			t.Errorf("figures %v", one)
		}
		if two := at(o, "plexus", "by_miner", 1); at(two, "uptime") != 0.0 || at(two, "ttft_ms") != nil {
			t.Errorf("figures %v", two)
		}
		if at(o, "plexus", "miners") != 1.0 || at(o, "plexus", "tokens_per_second", "p95") != 120.0 || at(o, "plexus", "embeddings") != false {
			t.Errorf("figures %v", at(o, "plexus"))
		}
	})
}

// knowing scores every token alike.
type knowing struct{}

func (knowing) Score(_ context.Context, _, continuation []engine.Token) ([]engine.TokenScore, error) {
	return scores(bytewise{}.Decode(continuation)), nil
}

func TestEchoWithLogProbs(t *testing.T) {
	n := fakes(honest("!"))
	g := open(t, n, Limits{})
	ask := func(more string) (answer, *httptest.ResponseRecorder) {
		w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"hi","echo":true,"logprobs":1`+more+`}`)
		return read(t, w), w
	}
	if a, w := ask(""); w.Code != 400 || deref(a.Error.Param) != "echo" {
		t.Errorf("nobody can score: %d %s", w.Code, w.Body)
	}
	g.models[0].Scorer = knowing{}
	const known = `{"tokens":["h","i"%s],"token_logprobs":[null,-0.5%s],"top_logprobs":[null,{"i":-0.5}%s],"text_offset":[0,1%s]}`
	if a, w := ask(""); string(a.Choices[0].LogProbs) != strings.NewReplacer(
		`"i"%s`, `"i","!"`, `-0.5%s`, `-0.5,-0.5`, `}%s`, `},{"!":-0.5}`, `1%s`, `1,2`).Replace(known) {
		t.Errorf("with an answer: %s", w.Body)
	}
	asked := len(n.asked)
	a, w := ask(`,"max_tokens":0`)
	if string(a.Choices[0].LogProbs) != strings.ReplaceAll(known, "%s", "") || a.Choices[0].Text != "hi" || *a.Choices[0].FinishReason != "length" {
		t.Errorf("pure: %s", w.Body)
	}
	if len(n.asked) != asked || a.Usage.Prompt != 2 || a.Usage.Completion != 0 {
		t.Errorf("pure scoring asked %d miners and counted %+v", len(n.asked)-asked, a.Usage)
	}
	if a, _ := ask(`,"max_tokens":0,"stream":true`); deref(a.Error.Param) != "stream" {
		t.Errorf("pure stream: %+v", a)
	}
}

func TestPromptLogProbs(t *testing.T) {
	n := fakes(honest("!"))
	g := open(t, n, Limits{})
	chat := `{"model":"toy","messages":[{"role":"user","content":"hi"}],"max_tokens":4,"prompt_logprobs":`
	if w := post(t.Context(), g, "/v1/chat/completions", chat+`1}`); w.Code != 400 || deref(read(t, w).Error.Param) != "prompt_logprobs" {
		t.Errorf("nobody can score: %d %s", w.Code, w.Body)
	}
	g.models[0].Scorer = knowing{}
	const i, z = `"105":{"logprob":-0.5,"rank":1,"decoded_token":"i"}`, `"122":{"logprob":-2,"rank":2,"decoded_token":"z"}`
	for ask, want := range map[string]string{
		`0`: `"prompt_logprobs":[null,{` + i + `}]`,
		`1`: `"prompt_logprobs":[null,{` + i + `}]`,
		`2`: `"prompt_logprobs":[null,{` + i + `,` + z + `}]`,
	} {
		w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"hi","logprobs":1,"prompt_logprobs":`+ask+`}`)
		if a := read(t, w); w.Code != 200 || !strings.Contains(w.Body.String(), want) || a.Choices[0].Text != "!" || !strings.Contains(string(a.Choices[0].LogProbs), `"tokens":["!"]`) {
			t.Errorf("%s: %s, want %s", ask, w.Body, want)
		}
	}
	w := post(t.Context(), g, "/v1/chat/completions", chat+`1}`)
	var got struct {
		Logs []map[string]knownToken `json:"prompt_logprobs"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Logs) != len("user: hi\nassistant: ") || got.Logs[0] != nil || got.Logs[1]["115"].Decoded != "s" {
		t.Errorf("a chat's prompt: %s", w.Body)
	}
	for _, none := range []string{`null`, `false`} {
		if w := post(t.Context(), g, "/v1/chat/completions", chat+none+`}`); w.Code != 200 || strings.Contains(w.Body.String(), "prompt_logprobs") {
			t.Errorf("%s: %d %s", none, w.Code, w.Body)
		}
	}
	asked := len(n.asked)
	for _, bad := range []string{`-1`, `21`, `"1"`, `1.5`, `true`, `1,"stream":true`} {
		if w := post(t.Context(), g, "/v1/chat/completions", chat+bad+`}`); w.Code != 400 || deref(read(t, w).Error.Param) != "prompt_logprobs" {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
	if len(n.asked) != asked {
		t.Error("a request that is refused asked a miner")
	}
}

func TestAnthropicListsModels(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{})
	r := httptest.NewRequest(http.MethodGet, "/v1/models/no", nil)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	if o := object(t, w.Body.Bytes()); w.Code != 404 || at(o, "error", "type") != "not_found_error" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if o := object(t, get(g, "/v1/models").Body.Bytes()); at(o, "data", 0, "type") != "model" || at(o, "data", 0, "display_name") != "toy" || at(o, "has_more") != false {
		t.Errorf("got %v", o)
	}
}

// FuzzDialects checks that no bytes make a dialect's reader panic, or answer
// with anything but an answer or an error of its own.
func FuzzDialects(f *testing.F) {
	for path, body := range dialectTools {
		f.Add(path, body+`}`)
	}
	f.Add("/v1/responses", `{"model":"toy","input":[{"type":"message","content":[{"type":"input_text"}]}],"stream":true}`)
	f.Add("/v1/messages", `{"model":"toy","max_tokens":1,"system":[],"messages":[{"role":"user","content":null}],"stream":true}`)
	f.Add("/api/generate", `{"model":"toy","prompt":"x","raw":true,"format":{"type":"object"},"options":{"stop":["x"]}}`)
	f.Add("/v1/embeddings", `{"model":"toy","input":[[1,2],"x"],"encoding_format":"base64","dimensions":2}`)
	f.Add("/api/embed", `{"model":"toy","input":"x"}`)
	f.Add("/api/show", `{"model":"toy"}`)
	f.Add("/v1/messages/count_tokens", `{"model":"toy","messages":[{"role":"user","content":"x"}]}`)
	g := open(f, fakes(honest(findParis)), Limits{})
	g.models[0].Embedder = wordy{}
	f.Fuzz(func(t *testing.T, path, body string) {
		if !slices.Contains([]string{
			"/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings",
			"/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show",
		}, path) {
			return
		}
		w := post(t.Context(), g, path, body)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 && w.Code != 502 {
			t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
		}
		if w.Code != 200 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: %s", path, body, w.Body)
		}
	})
}
