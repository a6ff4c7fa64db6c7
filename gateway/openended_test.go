package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet"
	openkind "github.com/plexus-network/plexus/subnet/open"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// unboundNet is a subnet of the kind open: its miners run engines of their own,
// and the validator marks what they say.
type unboundNet struct {
	miners []Miner
	works  []*openkind.Mechanism
	judge  *openkind.Mechanism

	mu      sync.Mutex
	prompts []string
	asked   []yuma.UID
}

func (n *unboundNet) Miners() []Miner { return n.miners }

func (n *unboundNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	r, err := openkind.DecodeRequest(body)
	if err != nil {
		return subnet.Trial{}, err
	}
	n.mu.Lock()
	n.prompts, n.asked = append(n.prompts, r.Prompt), append(n.asked, uid)
	n.mu.Unlock()
	trial := subnet.Trial{Task: subnet.Task{
		Netuid: 3, Validator: subnet.Peer{UID: 40, PeerID: "12D3v"}, Miner: n.miners[uid].Peer, Height: 7, Body: body, Timeout: timeout,
	}}
	_, _ = rand.Read(trial.Task.ID[:])
	began := time.Now()
	a := &trial.Answer
	a.Err = n.works[uid].Work(ctx, trial.Task, func(chunk []byte) error {
		a.Body = append(a.Body, chunk...)
		return onChunk(chunk)
	})
	a.Received, a.Total, a.Organic = time.Now(), time.Since(began), true
	return trial, a.Err
}

func (n *unboundNet) Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	return n.judge.Score(ctx, trials)
}

// newUnbound is a subnet of miners with the weak model, of which the first has
// proved to be the best.
func newUnbound(t *testing.T) *unboundNet {
	t.Helper()
	path, err := stock.Path(t.TempDir(), stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ref.Open(path, ref.Options{Batch: batch.Options{Slots: 4}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	n := &unboundNet{judge: openkind.New(nil, openkind.Manifest{}, openkind.Options{})}
	for uid, score := range []float64{0.8, 0.1, 0.05} {
		peer := subnet.Peer{UID: yuma.UID(uid), Account: "plx1" + string(rune('a'+uid)), PeerID: "12D3" + string(rune('a'+uid))}
		n.miners = append(n.miners, Miner{Peer: peer, Score: score, Alive: true})
		n.works = append(n.works, openkind.New(e, openkind.Manifest{MaxTokens: 24}, openkind.Options{}))
	}
	return n
}

func unbound(n Backend) Model {
	return Model{Name: "open-3", Kind: receipt.Open, Backend: n, MaxTokens: 64, Netuid: 3, Validator: subnet.Peer{UID: 40, Account: "plx1v", PeerID: "12D3v"}}
}

func TestOpenSubnet(t *testing.T) {
	n := newUnbound(t)
	g := guard(t, n, access.Options{Anonymous: 1 << 20})
	if err := g.offer([]Model{unbound(n)}); err != nil {
		t.Fatal(err)
	}
	ask := `{"model":"open-3","messages":[{"role":"user","content":"What is the capital of France?"}],"temperature":0.2,"seed":7`
	for _, more := range []string{`}`, `,"stream":true,"stream_options":{"include_usage":true}}`, `,"stream":true,"stream_options":{"include_usage":true},"plexus":{"miners":1}}`} {
		w := g.call(t, "POST", "/v1/chat/completions", "", ask+more)
		var said string
		var p *report
		var u *usage
		if strings.Contains(more, "stream") {
			chunks, all := readStream(t, w.Body)
			said, p, u = all, chunks[len(chunks)-2].Plexus, chunks[len(chunks)-1].Usage
		} else {
			a := read(t, w)
			said, p, u = a.Choices[0].Message.Content, a.Plexus, a.Usage
		}
		if said == "" || p == nil || p.Kind != "open" || strings.Join(p.Ignored, " ") != "temperature seed" || p.Subnet != 3 {
			t.Fatalf("%s: said %q, told %+v", more, said, p)
		}
		if u.Completion != (len(said)+3)/4 || u.Prompt != (len("What is the capital of France?")+3)/4 {
			t.Errorf("%s: usage %+v of %q, want a token for four bytes begun", more, u, said)
		}
		g.late.Wait()
		w = g.call(t, "GET", "/v1/receipts/"+p.Receipt, "", "")
		rec, err := receipt.Decode(w.Body.Bytes())
		if err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		r, _, _ := rec.Envelope.Open()
		f := receipt.Verify(rec, receipt.Known{Text: &said})
		if !f.Valid || r.Kind != receipt.Open || !strings.Contains(strings.Join(f.Open, "\n"), "subnet 3 declares none") {
			t.Errorf("%s: receipt %+v", more, f)
		}
		for _, m := range r.Miners {
			if m.Verdict != "accepted" && m.Verdict != "cancelled" {
				t.Errorf("%s: an honest miner's answer is %s: %s", more, m.Verdict, m.Reason)
			}
		}
	}
	if n.prompts[0] != "What is the capital of France?" || n.asked[len(n.asked)-1] != 0 {
		t.Errorf("asked %v for %q; the best miner is to be asked first", n.asked, n.prompts[0])
	}
	g.call(t, "POST", "/v1/chat/completions", "", `{"model":"open-3","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},{"role":"user","content":"Why?"}]}`)
	if got := n.prompts[len(n.prompts)-1]; got != "System: Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant:" {
		t.Errorf("a conversation is asked as %q", got)
	}
	for path, body := range map[string]string{
		"/v1/completions": `{"model":"open-3","prompt":"Once upon","n":2}`,
		"/v1/messages":    `{"model":"open-3","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}`,
		"/v1/responses":   `{"model":"open-3","input":"hi"}`,
		"/api/chat":       `{"model":"open-3","messages":[{"role":"user","content":"hi"}]}`,
		"/api/show":       `{"model":"open-3"}`,
	} {
		if w := g.call(t, "POST", path, "", body); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	var models struct{ Plexus modelMiners }
	if err := json.Unmarshal(g.call(t, "GET", "/v1/models/open-3", "", "").Body.Bytes(), &models); err != nil || models.Plexus.Kind != "open" || models.Plexus.Proven != 1 {
		t.Errorf("models: %+v, %v", models, err)
	}
	for field, body := range map[string]string{
		"tools":                `"tools":[{"type":"function","function":{"name":"f"}}]`,
		"response_format":      `"response_format":{"type":"json_object"}`,
		"logprobs":             `"logprobs":true`,
		"return_token_ids":     `"return_token_ids":true`,
		"plexus.verified_only": `"plexus":{"verified_only":true}`,
		"plexus.by":            `"plexus":{"strategy":"best-of-k","by":"logprob"}`,
		"messages":             `"messages":[{"role":"user","content":"` + strings.Repeat("x", 300<<10) + `"}]`,
	} {
		w := g.call(t, "POST", "/v1/chat/completions", "", `{"model":"open-3","messages":[{"role":"user","content":"hi"}],`+body+`}`)
		if a := read(t, w); w.Code != 400 || deref(a.Error.Param) != field {
			t.Errorf("%s: %d %.300s", field, w.Code, w.Body)
		}
	}
	if w := g.call(t, "POST", "/v1/completions", "", `{"model":"open-3","prompt":[1,2]}`); deref(read(t, w).Error.Param) != "prompt" {
		t.Errorf("tokens: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "POST", "/v1/embeddings", "", `{"model":"open-3","input":"x"}`); w.Code != 400 {
		t.Errorf("embeddings: %d %s", w.Code, w.Body)
	}
}

func TestSpeechEndsAtStopTexts(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		stops  []string
		want   string
	}{
		{[]string{"one ", "two"}, nil, "one two"},
		{[]string{"one EN", "D two", " three"}, []string{"END"}, "one "},
		{[]string{"one E", "N", "d"}, []string{"END", "Nx"}, "one ENd"},
		{[]string{"a", "b", "c"}, []string{"c", "bc"}, "a"},
		{[]string{""}, []string{"x"}, ""},
	} {
		var said strings.Builder
		var last engine.Finish
		ends := 0
		s := speech{stops: c.stops, most: 100, emit: func(b []byte) error {
			chunks, err := text.DecodeChunks(b)
			for _, c := range chunks {
				said.WriteString(c.Text)
				if last = c.Finish; last != "" {
					ends++
				}
			}
			return err
		}}
		for _, p := range c.pieces {
			if err := s.hear(openChunk(p)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.end(); err != nil || said.String() != c.want || last != engine.FinishStop || ends != 1 {
			t.Errorf("%q with %q: said %q (%s), %v, want %q", c.pieces, c.stops, said.String(), last, err, c.want)
		}
	}
	s := speech{most: 3, emit: func([]byte) error { return nil }}
	if err := s.hear(openChunk("four")); err == nil {
		t.Error("more than was asked for is taken")
	}
	if err := s.hear([]byte{9}); err == nil {
		t.Error("a piece that is cut off is taken")
	}
}

// openChunk is a piece of text as a miner of the kind open sends it: its length,
// then field 1 of a message.
func openChunk(s string) []byte {
	if s == "" {
		return []byte{0}
	}
	return append([]byte{byte(len(s) + 2), 1<<3 | 2, byte(len(s))}, s...)
}
