package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// realNet is a subnet of miners of the kind text on one real engine, with a
// validator that checks everything. In virtual time the clock stands still while
// the engine computes, so that a slow machine's miner is not taken for one that
// hangs.
type realNet struct {
	engine *batch.Engine
	works  []subnet.Mechanism // of the miners, in turn
	judges *text.Mechanism
	miners int

	mu     sync.Mutex
	die    []int // chunks after which the first, the second … asked breaks off; beyond the list none does
	asked  []yuma.UID
	cached int
	scores []subnet.Score
}

func newRealNet(t testing.TB, path string, miners int) *realNet {
	t.Helper()
	e, err := ref.Open(path, ref.Options{Batch: batch.Options{Slots: 4}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m := text.ManifestOf(e.Model())
	return &realNet{
		engine: e, miners: miners,
		works: []subnet.Mechanism{text.New(e, m, text.Options{Flush: -1})}, judges: text.New(e, m, text.Options{AuditMin: 1}),
	}
}

func (n *realNet) Miners() []Miner {
	out := make([]Miner, n.miners)
	for i := range out {
		out[i] = Miner{Peer: n.peer(yuma.UID(i)), Score: 0.9, Alive: true}
	}
	return out
}

func (n *realNet) peer(uid yuma.UID) subnet.Peer {
	return subnet.Peer{UID: uid, Account: fmt.Sprint("plx1", uid), PeerID: fmt.Sprint("12D3", uid)}
}

func (n *realNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	n.mu.Lock()
	left := -1
	if i := len(n.asked); i < len(n.die) {
		left = n.die[i]
	}
	n.asked = append(n.asked, uid)
	n.mu.Unlock()
	trial := subnet.Trial{Task: subnet.Task{
		Netuid: 1, Validator: subnet.Peer{UID: 40, PeerID: "12D3v"}, Miner: n.peer(uid), Height: 7, Body: body, Timeout: timeout,
	}}
	_, _ = rand.Read(trial.Task.ID[:])
	began := time.Now()
	a := &trial.Answer
	a.Err = n.works[int(uid)%len(n.works)].Work(ctx, trial.Task, func(chunk []byte) error {
		if left == 0 {
			return errDied
		}
		left--
		if a.First == 0 {
			a.First = time.Since(began)
		}
		a.Body = append(a.Body, chunk...)
		if chunks, err := text.DecodeChunks(chunk); err == nil && chunks[0].Finish != "" {
			n.mu.Lock()
			n.cached += chunks[0].Usage.Cached
			n.mu.Unlock()
		}
		return onChunk(chunk)
	})
	a.Received, a.Total, a.Organic = time.Now(), time.Since(began), true
	return trial, a.Err
}

func (n *realNet) Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	scores, err := n.judges.Score(ctx, trials)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.scores = append(n.scores, scores...)
	return scores, err
}

func (n *realNet) reset(die ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.die, n.asked, n.scores = die, nil, nil
}

func openReal(t testing.TB, n *realNet) *Gateway {
	t.Helper()
	g, err := New(Config{
		Models: []Model{{Name: "toy", Backend: n, Tokenizer: n.engine, Context: n.engine.Model().Context, Netuid: 1}},
		Limits: Limits{Explore: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTakeOverIsSeamless(t *testing.T) {
	path, err := stock.Path(t.TempDir(), stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a model that speaks":     path,
		"a model of random bytes": enginetest.RandomModel(t, enginetest.Shape{Seed: 3}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newRealNet(t, path, 4)
				g := openReal(t, n)
				ask := `{"model":"toy","messages":[{"role":"user","content":"What is the capital of France?"}],"temperature":0,"max_tokens":20,` +
					`"stream":true,"stream_options":{"include_usage":true},"plexus":{"miners":1}`
				run := func(more string, die ...int) (string, *usage, string, *report) {
					t.Helper()
					n.reset(die...)
					chunks, said := readStream(t, post(t.Context(), g, "/v1/chat/completions", ask+more+`}`).Body)
					g.late.Wait()
					var u *usage
					var finish string
					var p *report
					records := 0
					for _, c := range chunks {
						if c.Error != nil {
							t.Fatalf("dying after %v: %s", die, c.Error.Message)
						}
						if c.Usage != nil {
							u, records = c.Usage, records+1
						}
						if len(c.Choices) > 0 && c.Choices[0].FinishReason != nil {
							finish = *c.Choices[0].FinishReason
						}
						if c.Plexus != nil {
							p = c.Plexus
						}
					}
					if records != 1 {
						t.Fatalf("%d usage records", records)
					}
					for _, s := range n.scores {
						if s.Reject || !s.Checked || strings.Contains(s.Reason, "differ") || strings.Contains(s.Reason, "not what") {
							t.Fatalf("dying after %v: an honest part scores %+v", die, s)
						}
					}
					g.models[0].routing.breakers = breakers{}
					return said, u, finish, p
				}
				whole, u, finish, _ := run("")
				if len(n.scores) != 1 {
					t.Fatalf("%d answers were checked", len(n.scores))
				}
				stop := strings.Trim(whole[len(whole)/2:], "\uFFFD")
				for _, more := range []string{"", `,"stop":` + string(must(jsonText(stop[:min(len(stop), 5)])))} {
					if more != "" {
						whole, u, finish, _ = run(more)
					}
					for k := 1; k <= u.Completion; k++ {
						said, v, f, p := run(more, k)
						if said != whole || v.Total != u.Total || f != finish {
							t.Fatalf("%s: dying after %d tokens: %q (%s) %+v, want %q (%s) %+v", more, k, said, f, v, whole, finish, u)
						}
						if said != "" && k < u.Completion && len(p.Resumed) == 1 && p.Resumed[0].Token != k {
							t.Fatalf("resumed %+v, want at token %d", p.Resumed, k)
						}
						if said, v, _, p := run(more, k, 1, 0); said != whole || v.Total != u.Total {
							t.Fatalf("%s: three die, the first after %d tokens: %q %+v, want %q %+v\n%+v", more, k, said, v, whole, u, p.Resumed)
						}
					}
				}
			})
		})
	}
}

// jsonText is s as JSON.
func jsonText(s string) ([]byte, error) { return []byte(fmt.Sprintf("%q", s)), nil }

// Above temperature 0 the text is another, but the usage is exact, and both
// parts pass the check.
func TestTakeOverAboveZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, err := stock.Path(t.TempDir(), stock.Weak)
		if err != nil {
			t.Fatal(err)
		}
		n := newRealNet(t, path, 3)
		g := openReal(t, n)
		for k := 1; k < 12; k++ {
			n.reset(k)
			w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"Once upon a time there was","temperature":1,"max_tokens":24,`+
				`"stream":true,"stream_options":{"include_usage":true},"return_token_ids":true,"plexus":{"miners":1}}`)
			chunks, said := readStream(t, w.Body)
			g.late.Wait()
			var ids []engine.Token
			for _, c := range chunks {
				for _, choice := range c.Choices {
					for _, id := range choice.TokenIDs {
						ids = append(ids, engine.Token(id))
					}
				}
			}
			last := chunks[len(chunks)-1]
			if last.Usage == nil || last.Usage.Completion != len(ids) || n.engine.Decode(ids) != said {
				t.Errorf("after %d tokens: usage %+v, %d ids that read %q, streamed %q", k, last.Usage, len(ids), n.engine.Decode(ids), said)
			}
			for _, s := range n.scores {
				if s.Reject || !s.Checked || strings.Contains(s.Reason, "differ") || strings.Contains(s.Reason, "not what") {
					t.Errorf("after %d tokens: a part scores %+v", k, s)
				}
			}
		}
	})
}

func TestTakeOverEndsWhenAllDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, err := stock.Path(t.TempDir(), stock.Weak)
		if err != nil {
			t.Fatal(err)
		}
		n := newRealNet(t, path, 3)
		g := openReal(t, n)
		n.reset(4, 2, 3)
		w := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"Once upon a time there was","temperature":0,"max_tokens":40,`+
			`"stream":true,"stream_options":{"include_usage":true},"plexus":{"miners":1}}`)
		chunks, said := readStream(t, w.Body)
		end, told := chunks[len(chunks)-1], chunks[len(chunks)-2].Plexus
		bad := end.Error
		if bad == nil || *bad.Code != "answer_broken" || !strings.Contains(bad.Message, errDied.Error()) {
			t.Fatalf("the stream ends in %+v", bad)
		}
		if end.Usage == nil || end.Usage.Completion != 9 || told == nil || len(told.Resumed) != 2 {
			t.Errorf("with it %+v, before it %+v, want 9 tokens of three miners; streamed %q", end.Usage, told, said)
		}
		g.late.Wait()
		if len(n.scores) != 3 {
			t.Errorf("%d parts were checked, want 3", len(n.scores))
		}
	})
}
