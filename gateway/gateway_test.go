package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const hello = `{"model":"toy","messages":[{"role":"user","content":"hello"}]`

func TestBestAnswerWins(t *testing.T) {
	worse, better, liar := honest("wor", "se"), honest("bet", "ter"), cheat("canned")
	worse.score.Value, better.score.Value = 0.6, 0.95
	n := fakes(worse, better, liar)
	w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`}`)
	a := read(t, w)
	if w.Code != 200 || a.Choices[0].Message.Content != "better" || a.Choices[0].Message.Role != "assistant" {
		t.Fatalf("got %d %s, want the answer with the highest score", w.Code, w.Body)
	}
	if a.Usage.Prompt != len("user: hello\nassistant: ") || a.Usage.Completion != len("better") || a.Usage.Total != a.Usage.Prompt+a.Usage.Completion {
		t.Errorf("usage %+v", a.Usage)
	}
	p := a.Plexus
	if p.Strategy != Best || p.Subnet != 1 || p.Height != 77 || p.Validator.UID != 40 || len(p.Miners) != 3 || p.RequestID == "" || p.Why == "" {
		t.Fatalf("report %+v", p)
	}
	for _, m := range p.Miners {
		want := map[string]string{"plx1a": "accepted", "plx1b": "accepted", "plx1c": "rejected"}[m.Account]
		if m.Verdict != want || m.Chosen != (m.UID == 1) || m.Score == nil || m.Total == nil {
			t.Errorf("miner %d: %+v, want verdict %s", m.UID, m, want)
		}
	}
	if h := w.Header(); h.Get("X-Plexus-Miner") != "1" || h.Get("X-Plexus-Score") != "0.95" || h.Get("X-Request-Id") != p.RequestID {
		t.Errorf("headers %v", h)
	}
}

func TestNothingUncheckedOfTheUnproven(t *testing.T) {
	for _, strategy := range []string{"first", "best"} {
		t.Run(strategy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := honest("tru", "th")
				slow.wait = 300 * time.Millisecond
				n := fakes(cheat("lie"), cheat("lie"), slow)
				w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"plexus":{"strategy":"`+strategy+`"}}`)
				if _, said := readStream(t, w.Body); said != "truth" {
					t.Errorf("streamed %q, want the proven miner's %q", said, "truth")
				}
			})
		})
	}
	t.Run("nobody has a name", func(t *testing.T) {
		newcomer := honest("truth")
		newcomer.stand.Score, newcomer.stand.Incentive = 0, 0
		n := fakes(cheat("lie"), cheat("lie"), newcomer)
		w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true}`)
		if _, said := readStream(t, w.Body); said != "truth" {
			t.Errorf("streamed %q, want what passed the check", said)
		}
	})
	t.Run("all lie", func(t *testing.T) {
		n := fakes(cheat("lie"), cheat("lie"))
		w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true}`)
		if a := read(t, w); w.Code != 502 || *a.Error.Code != "no_answer" || !strings.Contains(a.Error.Message, "margins of another model") {
			t.Errorf("got %d %s, want 502 with the reason", w.Code, w.Body)
		}
	})
}

func TestStream(t *testing.T) {
	n := fakes(honest("Hél", "lo", " you"))
	w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"stream_options":{"include_usage":true}}`)
	raw := w.Body.String()
	chunks, said := readStream(t, w.Body)
	if said != "Héllo you" || w.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("streamed %q with %v", said, w.Header())
	}
	first, last := chunks[0], chunks[len(chunks)-1]
	if first.Choices[0].Delta.Role != "assistant" || first.Object != "chat.completion.chunk" || !strings.HasPrefix(first.ID, "chatcmpl-") {
		t.Errorf("first chunk %+v", first)
	}
	if len(last.Choices) != 0 || last.Usage == nil || last.Usage.Completion != len("Héllo you") {
		t.Errorf("last chunk %+v, want the usage alone", last)
	}
	if got := strings.Count(raw, `"usage":null`); got != len(chunks)-1 {
		t.Errorf("%d chunks have a null usage, want all %d before the last", got, len(chunks)-1)
	}
	finish := chunks[len(chunks)-2]
	if r := finish.Choices[0].FinishReason; r == nil || *r != "stop" || finish.Plexus == nil || !finish.Plexus.Miners[0].Chosen {
		t.Errorf("finish chunk %+v", finish)
	}
	if h := w.Header(); h.Get("X-Plexus-Miner") != "0" || h.Get("X-Plexus-Standing") != "0.9" {
		t.Errorf("headers %v", h)
	}
}

func TestStreamTellsVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := honest("slow")
		slow.wait = 400 * time.Millisecond
		n := fakes(honest("fast"), slow)
		w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"plexus":{"verdict":true,"answers":true}}`)
		chunks, said := readStream(t, w.Body)
		last := chunks[len(chunks)-1]
		if said != "fast" || last.Plexus == nil || len(last.Choices) != 0 {
			t.Fatalf("streamed %q, last chunk %+v", said, last)
		}
		for _, m := range last.Plexus.Miners {
			if m.Verdict != "accepted" || m.Content == nil || *m.Content != n.miners[m.UID].says[0] {
				t.Errorf("miner %+v, want its verdict and text", m)
			}
		}
	})
}

func TestStreamIsJudgedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := honest("slow")
		slow.wait = 400 * time.Millisecond
		n := fakes(honest("fast"), slow)
		began := time.Now()
		post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true}`)
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("the stream took %v; it waits for nobody", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n.judged != 2 {
			t.Errorf("%d answers judged, want both", n.judged)
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := honest("slow")
		slow.wait, slow.score.Value = time.Minute, 1
		n := fakes(honest("fast"), slow)
		began := time.Now()
		w := post(t.Context(), open(t, n, Limits{Patience: 700 * time.Millisecond}), "/v1/chat/completions", hello+`}`)
		if took := time.Since(began); took != 700*time.Millisecond {
			t.Errorf("answered after %v, want 700ms", took)
		}
		a := read(t, w)
		if a.Choices[0].Message.Content != "fast" || a.Plexus.Miners[0].Verdict == a.Plexus.Miners[1].Verdict {
			t.Errorf("got %s", w.Body)
		}
		synctest.Wait()
		if n.stopped != 1 {
			t.Errorf("%d miners were stopped, want the slow one", n.stopped)
		}
	})
}

func TestFastCheatsCostNobodyTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := honest("truth")
		slow.wait = 20 * time.Second
		n := fakes(cheat("lie"), cheat("lie"), slow)
		for _, proven := range []bool{true, false} {
			if !proven {
				slow.stand.Score, slow.stand.Incentive = 0, 0
			}
			w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`}`)
			if a := read(t, w); w.Code != 200 || a.Choices[0].Message.Content != "truth" {
				t.Errorf("proven %v: got %d %s, want the slow but honest answer", proven, w.Code, w.Body)
			}
		}
	})
}

func TestFailover(t *testing.T) {
	dead := func() *fakeMiner { m := honest("x"); m.dieAt = -1; return m }
	for _, stream := range []string{"false", "true"} {
		t.Run("refusal, stream "+stream, func(t *testing.T) {
			n := fakes(dead(), dead(), honest("alive"))
			g := open(t, n, Limits{})
			w := post(t.Context(), g, "/v1/chat/completions", hello+`,"stream":`+stream+`,"plexus":{"miners":1}}`)
			if !strings.Contains(w.Body.String(), "alive") {
				t.Errorf("got %s, want the living miner's answer", w.Body)
			}
			g.late.Wait()
			if n.blamed != 0 {
				t.Errorf("%d refusals were judged", n.blamed)
			}
		})
		t.Run("all dead, stream "+stream, func(t *testing.T) {
			w := post(t.Context(), open(t, fakes(dead(), dead()), Limits{}), "/v1/chat/completions", hello+`,"stream":`+stream+`}`)
			if a := read(t, w); w.Code != 502 || a.Error.Type != kindServer || !strings.Contains(a.Error.Message, errDied.Error()) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
		t.Run("panic, stream "+stream, func(t *testing.T) {
			bad := honest("x")
			bad.panics = true
			w := post(t.Context(), open(t, fakes(bad, honest("alive")), Limits{}), "/v1/chat/completions", hello+`,"stream":`+stream+`}`)
			if !strings.Contains(w.Body.String(), "alive") {
				t.Errorf("got %s, want the living miner's answer", w.Body)
			}
		})
		t.Run("endless, stream "+stream, func(t *testing.T) {
			bad := honest("words ")
			bad.endless, bad.dieAt = true, 0
			w := post(t.Context(), open(t, fakes(bad), Limits{}), "/v1/chat/completions", hello+`,"max_tokens":16,"stream":`+stream+`}`)
			if body := w.Body.String(); !strings.Contains(body, errTooMuch.Error()) || len(body) > 4000 {
				t.Errorf("got %d bytes: %.500s", len(body), body)
			}
		})
	}
	t.Run("silence is hedged", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mute := honest("x")
			mute.hangAt = -1
			mute.stand.Score = 1
			other := honest("alive")
			n := fakes(mute, other)
			began := time.Now()
			for range 5 { // who is asked first is drawn
				w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"plexus":{"miners":1}}`)
				if _, said := readStream(t, w.Body); said != "alive" {
					t.Fatalf("streamed %q", said)
				}
			}
			if took := time.Since(began); took > 5*3*time.Second {
				t.Errorf("took %v", took)
			}
			time.Sleep(5 * time.Minute)
		})
	})
}

func TestTakesOverMidStream(t *testing.T) {
	story := []string{"Once ", "upon ", "a ", "tíme", "."}
	t.Run("token-exactly", func(t *testing.T) {
		dying, other := honest(story...), honest(story...)
		dying.dieAt, dying.step, other.wait = 3, time.Millisecond, time.Second
		dying.stand.Score, other.stand.Score = 0.9, 0.9
		synctest.Test(t, func(t *testing.T) {
			n := fakes(dying, other)
			w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"stream_options":{"include_usage":true},"plexus":{"miners":2}}`)
			chunks, said := readStream(t, w.Body)
			if want := strings.Join(story, ""); said != want {
				t.Fatalf("streamed %q, want %q\n%s", said, want, w.Body)
			}
			if u := chunks[len(chunks)-1].Usage; u == nil || u.Completion != len(said) {
				t.Errorf("usage %+v, want %d tokens in one record", u, len(said))
			}
			last := n.asked[len(n.asked)-1]
			if got, want := (bytewise{}).Decode(last.Tokens), "user: hello\nassistant: Once upon a "; got != want {
				t.Errorf("the second miner was asked to go on from %q, want %q", got, want)
			}
			if last.MaxTokens != 512-len("Once upon a ") {
				t.Errorf("and for %d tokens", last.MaxTokens)
			}
			time.Sleep(time.Minute)
		})
	})
	t.Run("the heir dies too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dying, late, mute := honest(story...), honest(story...), honest(story...)
			dying.dieAt, dying.step, late.wait = 3, time.Millisecond, time.Second
			mute.wait, mute.dieAt = time.Second, -1
			n := fakes(dying, mute, late)
			w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true}`)
			if _, said := readStream(t, w.Body); said != strings.Join(story, "") {
				t.Errorf("streamed %q", said)
			}
			time.Sleep(time.Minute)
		})
	})
	t.Run("stalled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dying, other := honest(story...), honest(story...)
			dying.hangAt, dying.step, other.wait = 3, time.Millisecond, time.Second
			n := fakes(dying, other)
			w := post(t.Context(), open(t, n, Limits{Stall: 5 * time.Second}), "/v1/chat/completions", hello+`,"stream":true}`)
			if _, said := readStream(t, w.Body); said != strings.Join(story, "") {
				t.Errorf("streamed %q", said)
			}
			time.Sleep(time.Minute)
		})
	})
	t.Run("cannot", func(t *testing.T) {
		dying := honest(story...)
		dying.dieAt, dying.step, dying.bare = 3, 10*time.Millisecond, true
		w := post(t.Context(), open(t, fakes(dying), Limits{}), "/v1/chat/completions", hello+`,"stream":true}`)
		chunks, said := readStream(t, w.Body)
		if len(chunks) == 0 {
			t.Fatal("no chunks")
		}
		if e := chunks[len(chunks)-1].Error; said != "Once upon a " || e == nil || *e.Code != "answer_broken" {
			t.Errorf("streamed %q and ended with %+v, want an error event", said, e)
		}
	})
}

func TestClientGoesAway(t *testing.T) {
	for _, stream := range []string{"false", "true"} {
		t.Run("stream "+stream, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := honest("word ")
				m.endless, m.step, m.wait = true, time.Second, time.Second
				n := fakes(m, m, m)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				post(ctx, open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":`+stream+`}`)
				synctest.Wait()
				if took := time.Since(began); took != 5*time.Second || n.stopped != 3 {
					t.Errorf("after %v, %d of 3 miners stopped", took, n.stopped)
				}
				if n.judged != 0 {
					t.Errorf("%d unfinished answers were judged", n.judged)
				}
			})
		})
	}
}

func TestSeveralAnswers(t *testing.T) {
	a, b, c := honest("A"), honest("B"), honest("C")
	a.score.Value, b.score.Value, c.score.Value = 0.5, 0.7, 0.9
	w := post(t.Context(), open(t, fakes(a, b, c), Limits{}), "/v1/chat/completions", hello+`,"n":2}`)
	got := read(t, w)
	if len(got.Choices) != 2 || got.Choices[0].Message.Content != "C" || got.Choices[1].Message.Content != "B" || got.Choices[1].Index != 1 {
		t.Errorf("got %s, want the two best in order", w.Body)
	}
	w = post(t.Context(), open(t, fakes(honest("A")), Limits{}), "/v1/chat/completions", hello+`,"n":4}`)
	if got := read(t, w); len(got.Choices) != 4 {
		t.Errorf("%d choices of one miner, want 4: %s", len(got.Choices), w.Body)
	}
}

func TestUnjudgedAnswersStillServe(t *testing.T) {
	n := fakes(honest("A"))
	n.judgeErr = errors.New("no engine")
	w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`}`)
	if a := read(t, w); w.Code != 200 || a.Plexus.Miners[0].Verdict != "unchecked" || a.Plexus.Miners[0].Score != nil {
		t.Errorf("got %s, want the answer, called unchecked", w.Body)
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := honest("x")
		m.wait = time.Minute
		g := open(t, fakes(m), Limits{Running: 1, Waiting: 1})
		for range 2 { // one is answered, and one waits
			go post(t.Context(), g, "/v1/chat/completions", hello+`}`)
			synctest.Wait()
		}
		w := post(t.Context(), g, "/v1/chat/completions", hello+`}`)
		if a := read(t, w); w.Code != 429 || *a.Error.Code != "rate_limit_exceeded" || w.Header().Get("Retry-After") != "1" {
			t.Errorf("got %d %s, want 429 with retry-after", w.Code, w.Body)
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestNoMiners(t *testing.T) {
	gone := honest("x")
	gone.stand.Alive = false
	g := open(t, fakes(gone), Limits{})
	w := post(t.Context(), g, "/v1/chat/completions", hello+`}`)
	if a := read(t, w); w.Code != 503 || *a.Error.Code != "no_miners" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := get(g, "/ready"); w.Code != 503 {
		t.Errorf("/ready is %d", w.Code)
	}
	if w := get(g, "/health"); w.Code != 200 {
		t.Errorf("/health is %d", w.Code)
	}
}

func get(g *Gateway, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestCrossOrigin(t *testing.T) {
	g := open(t, fakes(honest("A")), Limits{})
	g2, err := New(Config{Models: []Model{{Name: "toy", Backend: fakes(honest("A"))}}, Origins: []string{"https://app.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		g            *Gateway
		origin, host string
		want         int
	}{
		{g, "http://localhost:5173", "127.0.0.1:8080", 204},
		{g, "https://evil.example", "127.0.0.1:8080", 403},
		{g, "null", "127.0.0.1:8080", 403},
		{g, "http://box.lan:8080", "box.lan:8080", 204},
		{g2, "https://app.example", "127.0.0.1:8080", 204},
		{g2, "http://localhost:5173", "127.0.0.1:8080", 403},
	} {
		r := httptest.NewRequest(http.MethodOptions, "/v1/chat/completions", nil)
		r.Host = c.host
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		w := httptest.NewRecorder()
		c.g.Handler().ServeHTTP(w, r)
		if w.Code != c.want || c.want == 204 && (w.Header().Get("Access-Control-Allow-Origin") != c.origin || w.Header().Get("Access-Control-Allow-Headers") == "") {
			t.Errorf("%s at %s: got %d %v, want %d", c.origin, c.host, w.Code, w.Header(), c.want)
		}
	}
}

func TestModelsAndNetwork(t *testing.T) {
	n := fakes(honest("A"), cheat("B"))
	g := open(t, n, Limits{})
	if body := get(g, "/v1/models").Body.String(); !strings.Contains(body, `"id":"toy"`) || !strings.Contains(body, `"miners":2,"proven":1`) {
		t.Errorf("models: %s", body)
	}
	if w := get(g, "/v1/models/toy"); w.Code != 200 {
		t.Errorf("model: %d", w.Code)
	}
	if w := get(g, "/v1/models/org/none"); w.Code != 404 || *read(t, w).Error.Code != "model_not_found" {
		t.Errorf("unknown model: %d %s", w.Code, w.Body)
	}
	if body := get(g, "/api/network").Body.String(); !strings.Contains(body, `"height":123`) || !strings.Contains(body, `"score":0.9`) || !strings.Contains(body, `"peer":"12D3b"`) {
		t.Errorf("network: %s", body)
	}
	for path, code := range map[string]int{"/v1/none": 404, "/": 404, "/v1/chat/completions": 405} {
		if w := get(g, path); w.Code != code || read(t, w).Error == nil {
			t.Errorf("GET %s: %d %s, want %d", path, w.Code, w.Body, code)
		}
	}
	post(t.Context(), g, "/v1/chat/completions", hello+`}`)
	metrics := get(g, "/metrics").Body.String()
	for _, want := range []string{
		`plexus_gateway_requests_total{code="200",route="chat"} 1`, "plexus_gateway_time_to_first_token_seconds",
		"plexus_gateway_generation_tokens_total 1", `plexus_gateway_verdicts_total{verdict="accepted"} 1`, "plexus_gateway_requests_running 0",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func TestRequestPanic(t *testing.T) {
	var log bytes.Buffer
	g, err := New(Config{
		Models: []Model{{Name: "toy", Backend: panicky{}}}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := post(t.Context(), g, "/v1/chat/completions", `{"model":"toy","messages":[{"role":"user","content":"secret"}],"stream":true}`)
	if a := read(t, w); w.Code != 500 || *a.Error.Code != "internal_error" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), w.Header().Get("X-Request-Id")) || strings.Contains(log.String(), "secret") {
		t.Errorf("the log should have the request's id and not the prompt: %s", &log)
	}
}

type panicky struct{ Backend }

func (panicky) Miners() []Miner { panic("boom") }

func TestRun(t *testing.T) {
	m := honest("word ")
	m.endless, m.step = true, 10*time.Millisecond
	n := fakes(m)
	g := open(t, n, Limits{})
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(l.Addr().String()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second listener: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, l) }()

	// A client that hangs up stops its miner.
	res, err := http.Post("http://"+l.Addr().String()+"/v1/chat/completions", "application/json",
		strings.NewReader(hello+`,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	deadline := time.Now().Add(time.Minute)
	stopped := func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.stopped }
	for stopped() == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if stopped() != 1 {
		t.Error("the miner still works for a client that hung up")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestSlowClientIsDropped(t *testing.T) {
	m := honest(strings.Repeat("x", 4000))
	m.endless, m.bare = true, true
	n := fakes(m)
	g := open(t, n, Limits{Client: 100 * time.Millisecond})
	g.models[0].MaxTokens = 1 << 15
	g.models[0].Context = 0
	srv := httptest.NewServer(g.Handler())
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	body := hello + `,"stream":true}`
	if _, err := io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	var waited atomic.Int32
	for g.running() == 0 && waited.Add(1) < 1000 {
		time.Sleep(time.Millisecond)
	}
	for g.running() > 0 && waited.Add(1) < 8000 {
		time.Sleep(time.Millisecond)
	}
	if g.running() > 0 {
		t.Error("a client that reads nothing still holds its slot")
	}
}

func TestSlowRequestIsDropped(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{Client: 50 * time.Millisecond})
	srv := httptest.NewServer(g.Handler())
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 400" {
		t.Errorf("got %q, %v; want 400", head, err)
	}
}

func TestTooBig(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{Body: 100})
	if w := post(t.Context(), g, "/v1/chat/completions", hello+strings.Repeat(" ", 200)+`}`); w.Code != 413 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestNewRefuses(t *testing.T) {
	b := fakes()
	for name, c := range map[string]Config{
		"no models":  {},
		"no backend": {Models: []Model{{Name: "a"}}},
		"no name":    {Models: []Model{{Backend: b}}},
		"twins":      {Models: []Model{{Name: "a", Backend: b}, {Name: "a", Backend: b}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

var _ Backend = (*fakeNet)(nil)
