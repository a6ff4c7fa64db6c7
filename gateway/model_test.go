package gateway

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// modelNet is a subnet whose two miners run a real model.
type modelNet struct {
	kind    *text.Mechanism
	dies    atomic.Int32 // chunks after which the first miner asked dies; 0 never
	stopped atomic.Int32 // answers that ended because the asker went away
}

func (n *modelNet) Miners() []Miner {
	out := make([]Miner, 2)
	for i := range out {
		out[i] = Miner{Peer: subnet.Peer{UID: yuma.UID(i), Account: fmt.Sprint("plx1", i)}, Score: 0.9, Alive: true}
	}
	return out
}

func (n *modelNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	trial := subnet.Trial{Task: subnet.Task{Miner: subnet.Peer{UID: uid}, Body: body, Timeout: timeout}}
	left := n.dies.Swap(0)
	trial.Answer.Err = n.kind.Work(ctx, trial.Task, func(b []byte) error {
		if left--; left == 0 {
			return errDied
		}
		return onChunk(b)
	})
	if ctx.Err() != nil {
		n.stopped.Add(1)
	}
	return trial, trial.Answer.Err
}

func (n *modelNet) Judge(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	out := make([]subnet.Score, len(trials))
	for i := range out {
		out[i].Value = 1
	}
	return out, nil
}

// ownEmbedder gives an engine's embeddings.
type ownEmbedder struct{ engine.Checker }

func (e ownEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, int, error) {
	n := 0
	for _, s := range texts {
		n += len(must(e.Encode(s)))
	}
	vectors, err := e.Checker.Embed(ctx, texts)
	return vectors, n, err
}

// openModel makes a gateway over the smallest model that ships.
func openModel(t *testing.T) (*Gateway, *modelNet, engine.Checker) {
	t.Helper()
	path, err := stock.Path(t.TempDir(), "plexus-1m")
	if err != nil {
		t.Fatal(err)
	}
	e, err := ref.Open(path, ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	n := &modelNet{kind: text.New(e, text.ManifestOf(e.Model()), text.Options{Flush: -1})}
	g, err := New(Config{Models: []Model{{
		Name: "toy", Backend: n, Tokenizer: e, Context: e.Model().Context, About: e.Model(), Embedder: ownEmbedder{e}, Scorer: e,
	}}, Limits: Limits{Miners: 1, Explore: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return g, n, e
}

// TestUsageIsTheTokenizersCount compares what is counted with the tokens that
// went out, for a real model: whole, in a stream, with another miner taking
// over, and cut off by the client.
func TestUsageIsTheTokenizersCount(t *testing.T) {
	g, n, e := openModel(t)
	const ask = `{"model":"toy","messages":[{"role":"user","content":"Tell me a story."}],"max_tokens":24,"return_token_ids":true,"seed":3`
	prompt := len(must(e.Render([]engine.Message{{Role: engine.User, Content: "Tell me a story."}})))

	check := func(t *testing.T, said string, ids []int, u *usage) {
		t.Helper()
		tokens := make([]engine.Token, len(ids))
		for i, id := range ids {
			tokens[i] = engine.Token(id)
		}
		if got := e.Decode(tokens); got != said || said == "" {
			t.Errorf("the tokens say %q, the answer %q", got, said)
		}
		if u.Prompt != prompt || u.Completion != len(ids) || u.Total != prompt+len(ids) {
			t.Errorf("usage %+v, want %d and %d", u, prompt, len(ids))
		}
	}
	t.Run("whole", func(t *testing.T) {
		a := read(t, post(t.Context(), g, "/v1/chat/completions", ask+`}`))
		check(t, a.Choices[0].Message.Content, a.Choices[0].TokenIDs, a.Usage)
	})
	for name, dies := range map[string]int32{"stream": 0, "takeover": 9} {
		t.Run(name, func(t *testing.T) {
			n.dies.Store(dies)
			w := post(t.Context(), g, "/v1/chat/completions", ask+`,"stream":true,"stream_options":{"include_usage":true}}`)
			chunks, said := readStream(t, w.Body)
			var ids []int
			for _, c := range chunks {
				for _, choice := range c.Choices {
					ids = append(ids, choice.TokenIDs...)
				}
			}
			check(t, said, ids, chunks[len(chunks)-1].Usage)
		})
	}
	t.Run("the client goes away", func(t *testing.T) {
		srv := httptest.NewServer(g.Handler())
		defer srv.Close()
		before, stopped := counter(t, g, "plexus_gateway_generation_tokens_total"), n.stopped.Load()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		long := strings.Replace(ask, `"max_tokens":24`, `"max_tokens":400`, 1)
		r := must(http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/v1/chat/completions", strings.NewReader(long+`,"stream":true}`)))
		res := must(http.DefaultClient.Do(r)) //nolint:bodyclose // it is, below
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		cancel()
		g.late.Wait()
		made := counter(t, g, "plexus_gateway_generation_tokens_total") - before
		if made <= 0 || made >= 400 || n.stopped.Load() == stopped {
			t.Errorf("%v tokens counted of a stream that was cut off; %d miners stopped", made, n.stopped.Load()-stopped)
		}
	})
}

func TestModelScoresAndEmbeds(t *testing.T) {
	g, _, e := openModel(t)
	w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"Once upon a time","max_tokens":0,"echo":true,"logprobs":2}`)
	o := object(t, w.Body.Bytes())
	tokens := must(e.Encode("Once upon a time"))
	if logs, _ := at(o, "choices", 0, "logprobs", "token_logprobs").([]any); len(logs) != len(tokens) || logs[0] != nil || logs[1].(float64) >= 0 {
		t.Errorf("scored %s", w.Body)
	}
	w = post(t.Context(), g, "/v1/embeddings", `{"model":"toy","input":["a lighthouse","the sea"]}`)
	o = object(t, w.Body.Bytes())
	v, _ := at(o, "data", 1, "embedding").([]any)
	square := 0.0
	for _, x := range v {
		square += x.(float64) * x.(float64)
	}
	if want := len(must(e.Encode("a lighthouse"))) + len(must(e.Encode("the sea"))); math.Abs(square-1) > 1e-3 || at(o, "usage", "prompt_tokens") != float64(want) {
		t.Errorf("a vector of norm² %v, usage %v, want %d tokens", square, at(o, "usage"), want)
	}
}
