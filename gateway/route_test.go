package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

const one = `,"plexus":{"miners":1}`

func TestStallIsFoundByWhatIsUsual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		story := strings.Split(strings.Repeat("word ", 40), " ")
		hanging, other := honest(story...), honest(story...)
		hanging.step, other.step = 10*time.Millisecond, 10*time.Millisecond
		hanging.wait, other.wait = 30*time.Millisecond, 30*time.Millisecond
		n := fakes(hanging, other)
		g := open(t, n, Limits{})
		for range 20 {
			post(t.Context(), g, "/v1/chat/completions", hello+`,"stream":true`+one+`}`)
		}
		hanging.hangAt, other.hangAt = 30, 30 // whoever is asked hangs; who goes on does not get that far
		began := time.Now()
		w := post(t.Context(), g, "/v1/chat/completions", hello+`,"stream":true`+one+`}`)
		chunks, said := readStream(t, w.Body)
		if want := strings.Join(story, ""); said != want {
			t.Fatalf("streamed %q, want %q", said, want)
		}
		p := chunks[len(chunks)-1].Plexus
		if len(p.Resumed) != 1 || *p.Resumed[0].Gap > 250+30+1 || time.Since(began) > time.Second {
			t.Errorf("resumed %+v after %v; a gap of 8 times 10 ms, at least 250 ms, and a prefill of 30 ms were enough", p.Resumed, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := honest("A"), honest("B")
		a.wait, b.wait = 100*time.Millisecond, 100*time.Millisecond
		n := fakes(a, b)
		g := open(t, n, Limits{})
		class := g.models[0].routing.class
		for range windowStep {
			post(t.Context(), g, "/v1/chat/completions", hello+one+`}`)
		}
		if d := class.hedgeAfter(time.Second); d != 100*time.Millisecond {
			t.Fatalf("hedges after %v, want the p95 of 100ms", d)
		}
		a.wait = time.Minute
		before := len(n.asked)
		for range 200 {
			w := post(t.Context(), g, "/v1/chat/completions", hello+`,"stream":true`+one+`}`)
			if _, said := readStream(t, w.Body); said == "" {
				t.Fatal("no answer")
			}
			synctest.Wait()
		}
		if extra := len(n.asked) - before - 200; extra > 200*hedgeShare+hedgeBurst+12 { // and a rescue after 10 s of silence
			t.Errorf("%d second questions for 200 requests", extra)
		}
		time.Sleep(5 * time.Minute)
		if n.stopped == 0 {
			t.Error("no loser was cancelled")
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breakers
		for i := range breakAfter {
			if b.open("x", time.Now()) {
				t.Fatalf("open after %d failures", i)
			}
			b.ended("x", true, time.Now())
		}
		if !b.open("x", time.Now()) || b.open("y", time.Now()) {
			t.Error("three failures in a row shall open the one breaker")
		}
		time.Sleep(breakFirst)
		if b.open("x", time.Now()) {
			t.Error("still open after its pause")
		}
		b.asked("x", time.Now())
		if !b.open("x", time.Now()) {
			t.Error("a second question while it is on trial")
		}
		b.ended("x", true, time.Now())
		time.Sleep(breakFirst)
		if !b.open("x", time.Now()) {
			t.Error("the second pause is no longer than the first")
		}
		b.ended("x", false, time.Now())
		if b.open("x", time.Now()) {
			t.Error("open after it answered")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		dead := honest("x")
		dead.dieAt, dead.stand.Score = -1, 1
		n := fakes(dead, honest("alive"))
		g := open(t, n, Limits{})
		for range 100 {
			post(t.Context(), g, "/v1/chat/completions", hello+one+`}`)
		}
		asked := 0
		for _, uid := range n.askedUID {
			if uid == 0 {
				asked++
			}
		}
		if asked > breakAfter {
			t.Errorf("a dead miner was asked %d times in a moment, want %d", asked, breakAfter)
		}
	})
}

func TestMinScore(t *testing.T) {
	low, high := honest("low"), honest("high")
	low.stand.Score, high.stand.Score, low.score.Value = 0.6, 0.8, 1
	n := fakes(low, high)
	g := open(t, n, Limits{})
	w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"min_score":0.7}}`)
	if a := read(t, w); w.Code != 200 || a.Choices[0].Message.Content != "high" || len(n.asked) != 1 {
		t.Errorf("got %s after asking %v", w.Body, n.askedUID)
	}
	w = post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"min_score":0.9}}`)
	if a := read(t, w); w.Code != 503 || !strings.Contains(a.Error.Message, "0.9") || !strings.Contains(a.Error.Message, "0.8") {
		t.Errorf("got %d %s, want both numbers", w.Code, w.Body)
	}
	for _, bad := range []string{"-0.1", "1.5"} {
		if w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"min_score":`+bad+`}}`); w.Code != 400 {
			t.Errorf("min_score %s: %d", bad, w.Code)
		}
	}
}

func TestVerifiedOnly(t *testing.T) {
	for _, stream := range []string{"false", "true"} {
		passed, examined := honest("not examined"), honest("examined")
		passed.score.Value, examined.score = 0.95, subnet.Score{Value: 0.5, Checked: true}
		n := fakes(passed, examined)
		w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":`+stream+`,"plexus":{"verified_only":true}}`)
		if body := w.Body.String(); strings.Contains(body, "not examined") || !strings.Contains(body, "examined") {
			t.Errorf("stream %s: got %s", stream, body)
		}
		if !n.full {
			t.Error("the validator was not told to examine the answers")
		}
		w = post(t.Context(), open(t, fakes(passed), Limits{}), "/v1/chat/completions", hello+`,"stream":`+stream+`,"plexus":{"verified_only":true}}`)
		if a := read(t, w); w.Code != 502 || *a.Error.Code != "not_verified" {
			t.Errorf("stream %s: got %d %s", stream, w.Code, w.Body)
		}
	}
}

func TestWarmMinersComeFirst(t *testing.T) {
	a := newAffinity()
	now := time.Now()
	ask := text.Request{Messages: []engine.Message{{Role: engine.System, Content: strings.Repeat("rules ", 100)}, {Role: engine.User, Content: "hi"}}}
	a.learn(a.keys(ask, "hello"), "p", now)
	next := ask
	next.Messages = append(next.Messages[:2:2], engine.Message{Role: engine.Assistant, Content: "hello"}, engine.Message{Role: engine.User, Content: "more"})
	if got := a.warm(a.keys(next, ""), now); len(got) != 1 || got[0] != "p" {
		t.Errorf("warm for the next turn: %v", got)
	}
	if got := a.warm(a.keys(next, ""), now.Add(warmFor)); got != nil {
		t.Errorf("still warm after %v: %v", warmFor, got)
	}
	other := text.Request{Messages: []engine.Message{{Role: engine.User, Content: strings.Repeat("else ", 100)}}}
	if got := a.warm(a.keys(other, ""), now); got != nil {
		t.Errorf("warm for another prompt: %v", got)
	}
	for i := range 2 * maxWarmth {
		a.learn([]uint64{uint64(i)}, "q", now)
	}
	if len(a.of) != maxWarmth || a.order.Len() != maxWarmth {
		t.Errorf("%d and %d beginnings are remembered, want %d", len(a.of), a.order.Len(), maxWarmth)
	}
	busy := []candidate{{Miner{Peer: subnet.Peer{PeerID: "idle"}}, true}, {Miner{Peer: subnet.Peer{PeerID: "p"}, InFlight: warmLoad + 1}, true}}
	if got := warmFirst(busy, []string{"p"}); got[0].Peer.PeerID != "idle" {
		t.Error("a busy miner comes first because it is warm")
	}
	busy[1].InFlight = warmLoad
	if got := warmFirst(busy, []string{"p"}); got[0].Peer.PeerID != "p" {
		t.Error("a warm miner does not come first")
	}
}

// TestWarmMinersReadLess measures what affinity is for: prompt tokens that need
// not be computed again, over conversations with miners of one cache each.
func TestWarmMinersReadLess(t *testing.T) {
	path, err := stock.Path(t.TempDir(), stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	measure := func(affine bool) (cached, prompts int) {
		n := newRealNet(t, path, 4)
		for range 3 {
			e, err := ref.Open(path, ref.Options{Batch: batch.Options{Slots: 4}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			n.works = append(n.works, text.New(e, text.ManifestOf(e.Model()), text.Options{Flush: -1}))
		}
		g := openReal(t, n)
		talks := make([][]string, 3)
		for i := range talks {
			talks[i] = []string{fmt.Sprintf(`{"role":"user","content":"%d %s"}`, i, strings.Repeat("Tell me about the sea. ", 14))}
		}
		for range 4 {
			for i := range talks {
				if !affine {
					g.models[0].routing.affinity = newAffinity()
				}
				w := post(t.Context(), g, "/v1/chat/completions", `{"model":"toy","temperature":0,"max_tokens":8,"messages":[`+strings.Join(talks[i], ",")+`]`+one+`}`)
				a := read(t, w)
				prompts += a.Usage.Prompt
				talks[i] = append(talks[i], fmt.Sprintf(`{"role":"assistant","content":%q}`, a.Choices[0].Message.Content), `{"role":"user","content":"And then?"}`)
			}
		}
		g.late.Wait()
		return n.cached, prompts
	}
	cold, _ := measure(false)
	warm, all := measure(true)
	t.Logf("cached with affinity %d, without %d, of %d prompt tokens", warm, cold, all)
	if warm <= cold || warm < all/2 {
		t.Errorf("cached with affinity %d, without %d, of %d prompt tokens", warm, cold, all)
	}
}

func TestWindow(t *testing.T) {
	var w window
	if got := w.bound(2, 1, 77); got != 77 {
		t.Errorf("an empty window says %v", got)
	}
	for _, i := range rand.Perm(1024) {
		w.add(time.Duration(i%256) * time.Millisecond)
	}
	if got := w.bound(1, 0, time.Hour); got < 225*time.Millisecond || got > 255*time.Millisecond {
		t.Errorf("the p95 of 0 to 255 ms is %v", got)
	}
}
