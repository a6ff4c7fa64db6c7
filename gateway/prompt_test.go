package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
)

func itoa(i int) string { return strconv.Itoa(i) }

func TestRefusals(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{})
	chat := func(more string) string { return hello + `,` + more + `}` }
	for _, c := range []struct {
		path, body, param, code string
		status                  int
	}{
		{"chat/completions", `{`, "", "", 400},
		{"chat/completions", `[]`, "", "", 400},
		{"chat/completions", `null`, "model", "", 400},
		{"chat/completions", `{"model":"gpt-9","messages":[{"role":"user","content":"x"}]}`, "model", "model_not_found", 404},
		{"chat/completions", `{"model":"toy"}`, "messages", "", 400},
		{"chat/completions", `{"model":"toy","messages":"hi"}`, "messages", "", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"king","content":"x"}]}`, "messages[0].role", "", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"user","content":7}]}`, "messages[0].content", "", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, "messages[0].content[0].type", "unsupported_parameter", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"tool","content":"x"}]}`, "messages[0].tool_call_id", "", 400},
		{"chat/completions", chat(`"tools":[{"type":"function"}]`), "tools[0].function", "", 400},
		{"chat/completions", chat(`"tools":[{"type":"web_search"}]`), "tools[0].type", "unsupported_parameter", 400},
		{"chat/completions", chat(`"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b","parameters":{"type":"object","properties":{"x":{"pattern":"y"}}}}}]`), "tools[1].function.parameters", "invalid_function_parameters", 400},
		{"chat/completions", chat(`"tool_choice":"required"`), "tool_choice", "", 400},
		{"chat/completions", chat(`"tool_choice":"often"`), "tool_choice", "", 400},
		{"chat/completions", chat(`"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}`), "tool_choice", "", 400},
		{"chat/completions", chat(`"tool_choice":{"type":"allowed_tools"}`), "tool_choice", "unsupported_parameter", 400},
		{"chat/completions", chat(`"parallel_tool_calls":1`), "parallel_tool_calls", "", 400},
		{"chat/completions", chat(`"response_format":{"type":"xml"}`), "response_format.type", "", 400},
		{"chat/completions", chat(`"response_format":7`), "response_format", "", 400},
		{"chat/completions", chat(`"response_format":{"type":"json_schema"}`), "response_format.json_schema", "", 400},
		{"chat/completions", chat(`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"not":{}}}}}}`), "response_format.json_schema.schema", "invalid_json_schema", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function"}]}]}`, "messages[0].tool_calls[0]", "", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"user","content":"x","tool_calls":[{"id":"a","function":{"name":"b"}}]}]}`, "messages[0].tool_calls", "", 400},
		{"completions", `{"model":"toy","prompt":"x","tools":[{"type":"function","function":{"name":"a"}}]}`, "tools", "unsupported_parameter", 400},
		{"chat/completions", chat(`"presence_penalty":0.5`), "presence_penalty", "unsupported_parameter", 400},
		{"chat/completions", chat(`"logit_bias":{"5":1}`), "logit_bias", "unsupported_parameter", 400},
		{"chat/completions", chat(`"temperature":3`), "temperature", "", 400},
		{"chat/completions", chat(`"temperature":"hot"`), "temperature", "", 400},
		{"chat/completions", chat(`"top_p":-1`), "top_p", "", 400},
		{"chat/completions", chat(`"top_k":-2`), "top_k", "", 400},
		{"chat/completions", chat(`"max_tokens":0`), "max_tokens", "", 400},
		{"chat/completions", chat(`"n":0`), "n", "", 400},
		{"chat/completions", chat(`"n":9`), "n", "", 400},
		{"chat/completions", chat(`"stop":[""]`), "stop", "", 400},
		{"chat/completions", chat(`"stop":5`), "stop", "", 400},
		{"chat/completions", chat(`"top_logprobs":3`), "top_logprobs", "", 400},
		{"chat/completions", chat(`"logprobs":true,"top_logprobs":21`), "top_logprobs", "", 400},
		{"chat/completions", chat(`"stream_options":{"include_usage":true}`), "stream_options", "", 400},
		{"chat/completions", chat(`"plexus":{"miners":9}`), "plexus.miners", "", 400},
		{"chat/completions", chat(`"plexus":{"strategy":"magic"}`), "plexus.strategy", "", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"user","content":"` + strings.Repeat("x", 5000) + `"}]}`, "messages", "context_length_exceeded", 400},
		{"chat/completions", `{"model":"toy","messages":[{"role":"user","content":"` + strings.Repeat("x", 2<<20) + `"}]}`, "messages", "context_length_exceeded", 400},
		{"completions", `{"model":"toy"}`, "prompt", "", 400},
		{"completions", `{"model":"toy","prompt":""}`, "prompt[0]", "", 400},
		{"completions", `{"model":"toy","prompt":["a","b","c"],"n":8}`, "n", "", 400},
		{"completions", `{"model":"toy","prompt":[-1]}`, "prompt[0]", "", 400},
		{"completions", `{"model":"toy","prompt":[1.5]}`, "prompt[0]", "", 400},
		{"completions", `{"model":"toy","prompt":"a","suffix":"b"}`, "suffix", "unsupported_parameter", 400},
		{"completions", `{"model":"toy","prompt":"a","best_of":3}`, "best_of", "unsupported_parameter", 400},
		{"completions", `{"model":"toy","prompt":["a","b"],"stream":true}`, "prompt", "unsupported_parameter", 400},
		{"completions", `{"model":"toy","prompt":"a","echo":true,"logprobs":1}`, "echo", "unsupported_parameter", 400},
		{"completions", `{"model":"toy","prompt":"` + strings.Repeat("x", 5000) + `"}`, "prompt", "context_length_exceeded", 400},
	} {
		w := post(t.Context(), g, "/v1/"+c.path, c.body)
		a := read(t, w)
		if a.Error == nil || w.Code != c.status || deref(a.Error.Param) != c.param || deref(a.Error.Code) != c.code || a.Error.Type != kindInvalid || a.Error.Message == "" {
			t.Errorf("%s %.120s\n got %d %.300s\nwant %d with param %q and code %q", c.path, c.body, w.Code, w.Body, c.status, c.param, c.code)
		}
		for _, field := range []string{`"message":`, `"type":`, `"param":`, `"code":`} {
			if !strings.Contains(w.Body.String(), field) {
				t.Errorf("%.80s: the error lacks %s", c.body, field)
			}
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestSettingsReachTheMiner(t *testing.T) {
	n := fakes(honest("x"))
	g := open(t, n, Limits{})
	w := post(t.Context(), g, "/v1/chat/completions", `{
		"model": "toy", "plexus": {"miners": 1},
		"messages": [
			{"role": "developer", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}]},
			{"role": "user", "content": "hi", "name": "bob"},
			{"role": "assistant", "content": null},
			{"role": "user", "content": "and?"}
		],
		"max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": -1,
		"stop": "END", "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "presence_penalty": 0.0,
		"logprobs": true, "top_logprobs": 2, "metadata": {"a": "b"}, "user": "u", "no_such_field": [1]
	}`)
	if w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	got := n.asked[0]
	want := []engine.Message{{Role: "system", Content: "be brief"}, {Role: "user", Content: "hi"}, {Role: "assistant"}, {Role: "user", Content: "and?"}}
	if !reflect.DeepEqual(got.Messages, want) {
		t.Errorf("messages %+v", got.Messages)
	}
	if got.MaxTokens != 7 || got.Temperature != 0.5 || got.TopP != 0.9 || got.TopK != 40 || got.MinP != 0.05 || got.TopCount != 2 ||
		string(got.UserSeed) != "\xff\xff\xff\xff\xff\xff\xff\xff" || len(got.Stop) != 1 || got.Stop[0] != "END" {
		t.Errorf("request %+v", got)
	}
	if lp := string(read(t, w).Choices[0].LogProbs); lp != `{"content":[{"token":"x","logprob":-0.5,"bytes":[120],"top_logprobs":[{"token":"x","logprob":-0.5,"bytes":[120]},{"token":"z","logprob":-2,"bytes":[122]}]}],"refusal":null}` {
		t.Errorf("logprobs %s", lp)
	}
}

func TestDefaults(t *testing.T) {
	n := fakes(honest("x"))
	g := open(t, n, Limits{})
	post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"miners":1},"max_tokens":100000,"top_p":0,"top_k":-1}`)
	if r := n.asked[0]; r.MaxTokens != 512 || r.Temperature != 1 || r.TopK != 0 && r.TopK != 1 {
		t.Errorf("request %+v", r)
	}
}

func TestCompletions(t *testing.T) {
	n := fakes(honest("fox"))
	g := open(t, n, Limits{})
	one := func(body string) (answer, *httptest.ResponseRecorder) {
		w := post(t.Context(), g, "/v1/completions", `{"model":"toy","plexus":{"miners":1},`+body+`}`)
		return read(t, w), w
	}
	if a, w := one(`"prompt":"the quick ","echo":true`); a.Object != "text_completion" || a.Choices[0].Text != "the quick fox" || a.Usage.Prompt != 10 {
		t.Errorf("echo: %s", w.Body)
	}
	if a, w := one(`"prompt":[104,105],"echo":true,"return_token_ids":true`); a.Choices[0].Text != "hifox" || len(a.Choices[0].TokenIDs) != 3 {
		t.Errorf("tokens: %s", w.Body)
	}
	if r := n.asked[1]; len(r.Tokens) != 2 || r.Tokens[0] != 104 {
		t.Errorf("the miner got %+v", r)
	}
	if a, w := one(`"prompt":["a","b"],"n":2`); len(a.Choices) != 4 || a.Choices[3].Index != 3 || a.Usage.Completion != 12 {
		t.Errorf("two prompts: %s", w.Body)
	}
	if a, w := one(`"prompt":[[1],[2,3]]`); len(a.Choices) != 2 {
		t.Errorf("two token prompts: %s", w.Body)
	}
	if a, _ := one(`"prompt":"a","logprobs":1`); string(a.Choices[0].LogProbs) !=
		`{"tokens":["f","o","x"],"token_logprobs":[-0.5,-0.5,-0.5],"top_logprobs":[{"f":-0.5},{"o":-0.5},{"x":-0.5}],"text_offset":[0,1,2]}` {
		t.Errorf("logprobs: %s", a.Choices[0].LogProbs)
	}
	w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"hey ","echo":true,"stream":true}`)
	if chunks, said := readStream(t, w.Body); said != "hey fox" || chunks[0].Object != "text_completion" {
		t.Errorf("stream: %q %+v", said, chunks)
	}
}

// FuzzRequest checks that no bytes make the reader panic or let through what a
// miner could not be sent.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		hello + `}`, hello + `,"stop":["a"],"n":2,"seed":5,"plexus":{"miners":2}}`,
		`{"model":"toy","prompt":[1,2]}`, `{"model":"toy","prompt":["a","b"],"echo":true}`, `{"model":"toy","prompt":[[1],"x"]}`,
		`{"model":"toy","messages":[{"role":"user","content":[{"type":"text","text":"\ud800"}]}],"top_k":99}`,
	} {
		f.Add([]byte(s))
	}
	g := open(f, fakes(honest("x")), Limits{})
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(p prompt) {
			if _, err := p.ask.Encode(); err != nil {
				t.Errorf("accepted what cannot be sent: %v", err)
			}
			if p.n < 1 || p.miners < 1 || p.miners > 8 || p.ask.MaxTokens < 1 && p.echo == "" || p.tokens >= 4096 {
				t.Errorf("accepted %+v", p)
			}
		}
		if p, bad := g.readChat(body); bad == nil {
			check(p)
		} else if _, err := json.Marshal(bad); err != nil {
			t.Error(err)
		}
		prompts, bad := g.readCompletions(body)
		if bad == nil && len(prompts) == 0 {
			t.Error("no prompt and no problem")
		}
		for _, p := range prompts {
			check(p)
		}
	})
}
