package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// TestOpenAIClient runs the client library that programs use.
func TestOpenAIClient(t *testing.T) {
	n := fakes(honest("Hél", "lo"), honest("Hél", "lo"), cheat("canned"))
	g := open(t, n, Limits{})
	g.models[0].Embedder = wordy{}
	srv := httptest.NewServer(g.Handler())
	defer srv.Close()
	client := openai.NewClient(option.WithBaseURL(srv.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	ask := openai.ChatCompletionNewParams{
		Model:    "toy",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("be brief"), openai.UserMessage("hello")},
	}

	t.Run("chat", func(t *testing.T) {
		res, err := client.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if c := res.Choices[0]; c.Message.Content != "Héllo" || c.FinishReason != "stop" || res.Usage.CompletionTokens != 6 {
			t.Errorf("got %s", res.RawJSON())
		}
		if extra := res.JSON.ExtraFields["plexus"].Raw(); !strings.Contains(extra, `"strategy":"best"`) || !strings.Contains(extra, `"chosen":true`) {
			t.Errorf("the extra field plexus is %q", extra)
		}
	})
	t.Run("stream", func(t *testing.T) {
		ask := ask
		ask.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Fatalf("chunk does not fit: %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if c := all.Choices[0]; c.Message.Content != "Héllo" || c.FinishReason != "stop" || all.Usage.CompletionTokens != 6 {
			t.Errorf("got %+v", all.ChatCompletion)
		}
	})
	t.Run("stream of several", func(t *testing.T) {
		ask := ask
		ask.N = openai.Int(3)
		ask.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Fatalf("chunk does not fit: %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil || len(all.Choices) != 3 || all.Usage.CompletionTokens != 18 {
			t.Fatalf("got %+v, %v", all.ChatCompletion, err)
		}
		for _, c := range all.Choices {
			if c.Message.Content != "Héllo" || c.FinishReason != "stop" {
				t.Errorf("got %+v", c)
			}
		}
	})
	t.Run("completion", func(t *testing.T) {
		res, err := client.Completions.New(t.Context(), openai.CompletionNewParams{
			Model: "toy", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("say")}, Echo: openai.Bool(true),
		})
		if err != nil || res.Choices[0].Text != "sayHéllo" {
			t.Errorf("got %+v, %v", res, err)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := client.Models.List(t.Context())
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != "toy" {
			t.Errorf("got %+v, %v", page, err)
		}
	})
	t.Run("model", func(t *testing.T) {
		m, err := client.Models.Get(t.Context(), "toy")
		if err != nil || m.ID != "toy" || !strings.Contains(m.JSON.ExtraFields["plexus"].Raw(), `"by_miner":[{`) {
			t.Errorf("got %+v, %v", m, err)
		}
	})
	t.Run("responses", func(t *testing.T) {
		ask := responses.ResponseNewParams{Model: "toy", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")}}
		res, err := client.Responses.New(t.Context(), ask)
		if err != nil || res.OutputText() != "Héllo" || res.Usage.OutputTokens != 6 {
			t.Errorf("got %+v, %v", res, err)
		}
		stream := client.Responses.NewStreaming(t.Context(), ask)
		said, last := "", ""
		for stream.Next() {
			e := stream.Current()
			if last = e.Type; last == "response.output_text.delta" {
				said += e.Delta
			}
		}
		if stream.Err() != nil || said != "Héllo" || last != "response.completed" {
			t.Errorf("streamed %q up to %s, %v", said, last, stream.Err())
		}
	})
	t.Run("embeddings", func(t *testing.T) {
		res, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
			Model: "toy", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"hi", "you"}},
		})
		if err != nil || len(res.Data) != 2 || res.Data[1].Embedding[0] != 3 || res.Usage.PromptTokens != 5 {
			t.Errorf("got %+v, %v", res, err)
		}
	})
	t.Run("retries", func(t *testing.T) {
		for range cap(g.inside) {
			g.inside <- struct{}{}
		}
		var seen []int
		patient := openai.NewClient(option.WithBaseURL(srv.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(2),
			option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
				res, err := next(r)
				if err == nil {
					seen = append(seen, res.StatusCode)
				}
				for len(g.inside) > 0 { // room again before it comes back
					<-g.inside
				}
				return res, err
			}))
		if _, err := patient.Chat.Completions.New(t.Context(), ask); err != nil || len(seen) != 2 || seen[0] != 429 || seen[1] != 200 {
			t.Errorf("saw %v, %v", seen, err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		ask := ask
		ask.Model = "gpt-9"
		_, err := client.Chat.Completions.New(t.Context(), ask)
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "model_not_found" || e.Param != "model" || e.Type != "invalid_request_error" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("broken stream", func(t *testing.T) {
		n.miners[0].dieAt, n.miners[1].dieAt, n.miners[2].dieAt = -1, -1, -1
		stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
		for stream.Next() {
			t.Errorf("a chunk out of nothing: %s", stream.Current().RawJSON())
		}
		var e *openai.Error
		if !errors.As(stream.Err(), &e) || e.StatusCode != 502 {
			t.Errorf("got %v, want 502", stream.Err())
		}
	})
}
