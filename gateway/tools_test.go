package gateway

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/toy"
	"github.com/plexus-network/plexus/yuma"
	"pgregory.net/rapid"
)

const (
	find = `<tool_call>{"name":"find","arguments":{"city":"a </tool_call> \" }","n":[1,{}]}}</tool_call>`
	stop = "<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>"
)

func offering(names ...string) *prompt {
	p := &prompt{}
	for _, n := range names {
		p.ask.Constraint.Tools = append(p.ask.Constraint.Tools, engine.Tool{Name: n})
	}
	return p
}

func TestToolCallsAreReadOutOfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		answer, content string
		want            []toolCall
	}{
		{"hello", "hello", nil},
		{"a <tool", "a <tool", nil},
		{find, "", []toolCall{{Name: "find", Arguments: `{"city":"a </tool_call> \" }","n":[1,{}]}`}}},
		{"Let me see.\n" + find + "\n" + stop, "Let me see.\n", []toolCall{{Name: "find", Arguments: `{"city":"a </tool_call> \" }","n":[1,{}]}`}, {Name: "stop", Arguments: "{}"}}},
		{find[:50], "", []toolCall{{Name: "find", Arguments: find[strings.Index(find, `{"city`):50]}}},
		{`<tool_call>{"name":"fi`, "", nil},
	} {
		content, calls := offering("find").toolCalls(c.answer)
		for i := range calls {
			if !strings.HasPrefix(calls[i].ID, "call_") {
				t.Errorf("%q: id %q", c.answer, calls[i].ID)
			}
			calls[i].ID = ""
		}
		if content != c.content || !reflect.DeepEqual(calls, c.want) {
			t.Errorf("%q: got %q %+v, want %q %+v", c.answer, content, calls, c.content, c.want)
		}
	}
	if content, calls := offering().toolCalls(find); content != find || calls != nil {
		t.Errorf("without tools: %q %+v", content, calls)
	}
}

// TestCallsReadTheSameInPieces cuts an answer anywhere: the fragments together
// are what the whole is.
func TestCallsReadTheSameInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answer := rapid.SampledFrom([]string{find, "text <tool" + find + stop, "plain <tool_cal", stop + "\n" + find, find[:40], "é"}).Draw(t, "answer")
		want, wantCalls := offering("find").toolCalls(answer)
		var r callReader
		content, calls := "", []toolCall(nil)
		take := func(piece string, last bool) {
			said, fragments := r.add(piece, last)
			content += said
			for _, f := range fragments {
				if f.ID != "" {
					calls = append(calls, toolCall{Name: f.Name})
				}
				calls[f.Index].Arguments += f.Arguments
			}
		}
		rest := answer
		for rest != "" {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			take(rest[:n], false)
			rest = rest[n:]
		}
		take("", true)
		for i := range wantCalls {
			wantCalls[i].ID = ""
		}
		if content != want || !reflect.DeepEqual(calls, wantCalls) {
			t.Fatalf("in pieces %q %+v, whole %q %+v", content, calls, want, wantCalls)
		}
	})
}

func TestToolsReachTheMiner(t *testing.T) {
	n := fakes(honest(find))
	w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", `{"model":"toy","messages":[
		{"role":"user","content":"where?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"nowhere"}],
		"tools":[{"type":"function","function":{"name":"find","description":"finds","parameters":{"type":"object","properties":{}},"strict":true}},{"type":"function","function":{"name":"stop"}}],
		"tool_choice":"required","parallel_tool_calls":false,"plexus":{"miners":1}}`)
	if w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	got := n.asked[0]
	want := []engine.Message{
		{Role: "user", Content: "where?"},
		{Role: "assistant", ToolCalls: []engine.ToolCall{{ID: "c1", Name: "find", Arguments: "{}"}}},
		{Role: "tool", ToolCallID: "c1", Content: "nowhere"},
	}
	if !reflect.DeepEqual(got.Messages, want) {
		t.Errorf("messages %+v", got.Messages)
	}
	if c := got.Constraint; len(c.Tools) != 2 || c.Tools[0].Description != "finds" || c.Choice != engine.ToolsRequired || !c.Single {
		t.Errorf("constraint %+v", c)
	}
	if s := w.Body.String(); !strings.Contains(s, `"content":null`) || !strings.Contains(s, `"finish_reason":"tool_calls"`) {
		t.Errorf("answer %s", s)
	}
}

// toyNet is a subnet whose miners run a toy model and whose validator checks
// them with the same.
type toyNet struct {
	miner, validator *text.Mechanism
}

func newToyNet() *toyNet {
	e := toy.New(toy.Options{Model: 1})
	m := text.ManifestOf(e.Model())
	return &toyNet{text.New(e, m, text.Options{Flush: -1}), text.New(e, m, text.Options{AuditMin: 1})}
}

func (n *toyNet) Miners() []Miner {
	one := Miner{Peer: subnet.Peer{UID: 1, PeerID: "m"}, Alive: true, Score: 1}
	two := one
	two.Peer = subnet.Peer{UID: 2, PeerID: "n"}
	return []Miner{one, two}
}

func (n *toyNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	trial := subnet.Trial{Task: subnet.Task{Miner: subnet.Peer{UID: uid, PeerID: "m"}, Validator: subnet.Peer{PeerID: "v"}, Body: body, Timeout: timeout}}
	began := time.Now()
	err := n.miner.Work(ctx, trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return onChunk(b)
	})
	trial.Answer.Err, trial.Answer.Total, trial.Answer.Received = err, time.Since(began), time.Now()
	return trial, err
}

func (n *toyNet) Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	return n.validator.Score(ctx, trials)
}

// TestOpenAIClientBindsAnswers runs the client library on models that know
// nothing: what fits, fits by force of grammar, and passes the check.
func TestOpenAIClientBindsAnswers(t *testing.T) {
	g := open(t, newToyNet(), Limits{})
	g.models[0].Tokenizer = toy.New(toy.Options{})
	srv := httptest.NewServer(g.Handler())
	defer srv.Close()
	client := openai.NewClient(option.WithBaseURL(srv.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	city := map[string]any{
		"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}},
		"required": []string{"city", "days"}, "additionalProperties": false,
	}
	ask := openai.ChatCompletionNewParams{
		Model: "toy", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}, MaxCompletionTokens: openai.Int(200),
	}
	calling := ask
	calling.Tools = []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather", Parameters: city, Strict: openai.Bool(true)}),
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "stop"}),
	}
	calling.ToolChoice.OfAuto = openai.String("required")

	t.Run("tools", func(t *testing.T) {
		res, err := client.Chat.Completions.New(t.Context(), calling)
		if err != nil {
			t.Fatal(err)
		}
		checkCalls(t, res.Choices[0])
		if !strings.Contains(res.JSON.ExtraFields["plexus"].Raw(), `"score":1`) {
			t.Logf("report: %s", res.JSON.ExtraFields["plexus"].Raw())
		}
		// The result goes back as clients send it.
		back := calling
		back.Messages = append(back.Messages, res.Choices[0].Message.ToParam())
		for _, c := range res.Choices[0].Message.ToolCalls {
			back.Messages = append(back.Messages, openai.ToolMessage("sunny", c.ID))
		}
		back.ToolChoice.OfAuto = openai.String("auto")
		if _, err := client.Chat.Completions.New(t.Context(), back); err != nil {
			t.Error(err)
		}
	})
	t.Run("stream of tools", func(t *testing.T) {
		stream := client.Chat.Completions.NewStreaming(t.Context(), calling)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Fatalf("chunk does not fit: %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		checkCalls(t, all.Choices[0])
	})
	t.Run("json schema", func(t *testing.T) {
		ask := ask
		ask.ResponseFormat.OfJSONSchema = &openai.ResponseFormatJSONSchemaParam{
			JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{Name: "trip", Schema: city, Strict: openai.Bool(true)},
		}
		res, err := client.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		var trip struct {
			City string
			Days *int
		}
		if err := json.Unmarshal([]byte(res.Choices[0].Message.Content), &trip); err != nil || trip.Days == nil || res.Choices[0].FinishReason != "stop" {
			t.Errorf("%s: %v", res.RawJSON(), err)
		}
	})
	t.Run("json object", func(t *testing.T) {
		ask := ask
		ask.ResponseFormat.OfJSONObject = &openai.ResponseFormatJSONObjectParam{}
		res, err := client.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		var any map[string]json.RawMessage
		if err := json.Unmarshal([]byte(res.Choices[0].Message.Content), &any); err != nil {
			t.Errorf("%s: %v", res.RawJSON(), err)
		}
	})
	t.Run("named", func(t *testing.T) {
		ask := calling
		ask.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "stop"})
		res, err := client.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if c := res.Choices[0].Message.ToolCalls; len(c) != 1 || c[0].Function.Name != "stop" || c[0].Function.Arguments != "{}" {
			t.Errorf("got %s", res.RawJSON())
		}
	})
}

// checkCalls checks what every answer of the test's tools must be.
func checkCalls(t *testing.T, c openai.ChatCompletionChoice) {
	t.Helper()
	if len(c.Message.ToolCalls) == 0 || c.FinishReason != "tool_calls" || c.Message.Content != "" {
		t.Fatalf("got %+v", c)
	}
	for _, call := range c.Message.ToolCalls {
		arguments := map[string]any{}
		err := json.Unmarshal([]byte(call.Function.Arguments), &arguments)
		if err != nil || call.ID == "" || call.Function.Name == "weather" && len(arguments) != 2 {
			t.Errorf("call %+v: %v", call, err)
		}
	}
}
