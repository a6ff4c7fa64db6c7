package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A heard is what a client that keeps the choices of a stream apart has in the
// end.
type heard struct {
	said   map[int]string
	finish map[int]string
	order  []int // of the choices, chunk by chunk
	usage  *usage
	told   *report
	bad    *answer
}

func hearChoices(t testing.TB, raw string) heard {
	t.Helper()
	h := heard{said: map[int]string{}, finish: map[int]string{}}
	chunks, _ := readStream(t, strings.NewReader(raw))
	for i, c := range chunks {
		if c.Usage != nil && len(c.Choices) > 0 || h.usage != nil {
			t.Errorf("chunk %d follows the usage or tells it with choices: %+v", i, c)
		}
		if c.Usage != nil {
			h.usage = c.Usage
		}
		if c.Plexus != nil {
			h.told = c.Plexus
		}
		if c.Error != nil {
			h.bad = &chunks[i]
		}
		for _, o := range c.Choices {
			if _, spoke := h.said[o.Index]; spoke == (o.Delta.Role == "assistant") && c.Object == "chat.completion.chunk" {
				t.Errorf("chunk %d of choice %d has the role %q", i, o.Index, o.Delta.Role)
			}
			if h.finish[o.Index] != "" {
				t.Errorf("chunk %d follows the end of choice %d", i, o.Index)
			}
			h.said[o.Index] += o.Text + deref(o.Delta.Content)
			h.order = append(h.order, o.Index)
			h.finish[o.Index] = deref(o.FinishReason)
		}
	}
	return h
}

const several = hello + `,"stream":true,"stream_options":{"include_usage":true},"n":2`

func TestStreamsSeveralChoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := honest("One ", "two ", "three"), honest("Éin ", "zwei ")
		a.step, b.step, b.wait = 10*time.Millisecond, 10*time.Millisecond, 5*time.Millisecond
		n := fakes(a, b)
		g := open(t, n, Limits{})
		got := hearChoices(t, post(t.Context(), g, "/v1/chat/completions", several+`}`).Body.String())
		if got.said[0] != "One two three" || got.said[1] != "Éin zwei " || len(got.said) != 2 {
			t.Errorf("said %v", got.said)
		}
		if want := []int{0, 1, 0, 1, 1, 0, 0}; !slices.Equal(got.order, want) {
			t.Errorf("chunks of the choices %v, want %v", got.order, want)
		}
		if got.finish[0] != "stop" || got.finish[1] != "stop" {
			t.Errorf("ends %v", got.finish)
		}
		prompt := len("user: hello\nassistant: ")
		if u, made := got.usage, len("One two three")+len("Éin zwei "); u == nil || u.Completion != made || u.Prompt != prompt || u.Total != made+prompt {
			t.Errorf("usage %+v, want %d and %d", u, prompt, made)
		}
		if p := got.told; p == nil || len(p.Miners) != 2 || !p.Miners[0].Chosen || !p.Miners[1].Chosen || p.Why != "the first 2 answers of 2 miners" {
			t.Errorf("told %+v", p)
		}
		g.late.Wait()
		if n.judged != 2 {
			t.Errorf("%d answers were judged afterwards, want 2", n.judged)
		}
		plain := post(t.Context(), g, "/v1/completions", `{"model":"toy","prompt":"hi ","stream":true,"n":2,"echo":true}`)
		if got := hearChoices(t, plain.Body.String()); got.said[0] != "hi One two three" || got.said[1] != "hi Éin zwei " || got.usage != nil {
			t.Errorf("completions said %v, with usage %+v", got.said, got.usage)
		}
	})
	t.Run("of fewer miners", func(t *testing.T) {
		n := fakes(honest("same"))
		got := hearChoices(t, post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"n":3}`).Body.String())
		if len(n.asked) != 3 || fmt.Sprint(got.said) != "map[0:same 1:same 2:same]" || fmt.Sprint(got.finish) != "map[0:stop 1:stop 2:stop]" {
			t.Errorf("asked %d times, said %v, ended %v", len(n.asked), got.said, got.finish)
		}
	})
	t.Run("checked first", func(t *testing.T) {
		a, b, c := honest("A"), honest("B"), honest("C")
		a.score.Value = 0.5
		got := hearChoices(t, post(t.Context(), open(t, fakes(a, b, c), Limits{}), "/v1/chat/completions", several+`,"plexus":{"strategy":"best"}}`).Body.String())
		if len(got.said) != 2 || got.said[0]+got.said[1] == "" || strings.Contains(got.said[0]+got.said[1], "A") || got.usage.Completion != 2 || got.told.Why != "the 2 best of 3 answers" {
			t.Errorf("said %v, %+v, %+v", got.said, got.usage, got.told)
		}
	})
	t.Run("of miners without a name", func(t *testing.T) {
		stranger := honest("strange")
		stranger.stand = Miner{Alive: true}
		got := hearChoices(t, post(t.Context(), open(t, fakes(honest("known"), stranger), Limits{}), "/v1/chat/completions", several+`}`).Body.String())
		if got.said[0] != "known" || got.said[1] == "" || got.finish[1] != "stop" || got.bad != nil {
			t.Errorf("said %v", got.said)
		}
	})
	t.Run("with calls of tools", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := honest(`<tool_call>{"name":"find","argu`, `ments":{"city":"Rome"}}</tool_call>`), honest(`<tool_call>{"name":"fi`, `nd","arguments":{"city":"Oslo"}}</tool_call>`)
			a.step, b.step = time.Millisecond, time.Millisecond
			w := post(t.Context(), open(t, fakes(a, b), Limits{}), "/v1/chat/completions", several+`,"tools":[{"type":"function","function":{"name":"find"}}]}`)
			body := w.Body.String()
			if !strings.Contains(body, `{\"city\":\"Rome\"}`) || !strings.Contains(body, `{\"city\":\"Oslo\"}`) || strings.Count(body, `"finish_reason":"tool_calls"`) != 2 {
				t.Errorf("two calls at a time: %s", body)
			}
		})
	})
}

func TestChoicesFailApart(t *testing.T) {
	story := []string{"Once ", "upon ", "a ", "time."}
	t.Run("one goes on elsewhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dying, other := honest(story...), honest(story...)
			dying.dieAt, dying.step, other.step = 2, time.Millisecond, time.Millisecond
			got := hearChoices(t, post(t.Context(), open(t, fakes(dying, other), Limits{}), "/v1/chat/completions", several+`}`).Body.String())
			whole := strings.Join(story, "")
			if got.said[0] != whole || got.said[1] != whole || got.bad != nil || got.usage.Completion != 2*len(whole) {
				t.Errorf("said %v with usage %+v", got.said, got.usage)
			}
			if len(got.told.Resumed) != 1 || len(got.told.Miners) != 3 {
				t.Errorf("told %+v", got.told)
			}
		})
	})
	t.Run("one breaks off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dying, other := honest(story...), honest(story...)
			dying.dieAt, dying.step, dying.bare, other.step = 2, time.Millisecond, true, time.Second
			got := hearChoices(t, post(t.Context(), open(t, fakes(dying, other), Limits{}), "/v1/chat/completions", several+`}`).Body.String())
			if got.said[0]+"|"+got.said[1] != "Once upon |Once upon a time." && got.said[1]+"|"+got.said[0] != "Once upon |Once upon a time." {
				t.Fatalf("said %v, want the other to go on to its end", got.said)
			}
			if got.finish[0]+got.finish[1] != "stop" || got.bad == nil || *got.bad.Error.Code != "answer_broken" {
				t.Errorf("ends %v and %+v, want one end and an error", got.finish, got.bad)
			}
			if want := len("Once upon ") + len("Once upon a time."); got.usage == nil || got.usage.Completion != want {
				t.Errorf("usage %+v, want %d", got.usage, want)
			}
		})
	})
	t.Run("one never speaks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mute, other := honest(story...), honest(story...)
			mute.hangAt = -1
			n := fakes(mute, other)
			began := time.Now()
			got := hearChoices(t, post(t.Context(), open(t, n, Limits{Stall: 5 * time.Second}), "/v1/chat/completions", several+`}`).Body.String())
			if whole := strings.Join(story, ""); got.said[0] != whole || got.said[1] != whole || time.Since(began) > 10*time.Second {
				t.Errorf("after %v said %v; the one that speaks is to be asked again", time.Since(began), got.said)
			}
		})
	})
	t.Run("all die before a word", func(t *testing.T) {
		dead := honest("x")
		dead.dieAt = -1
		w := post(t.Context(), open(t, fakes(dead), Limits{}), "/v1/chat/completions", several+`}`)
		if a := read(t, w); w.Code != 502 || deref(a.Error.Code) != "no_answer" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestLeavingStopsEveryChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := honest("word ")
		m.endless, m.step, m.wait = true, time.Second, time.Second
		n := fakes(m, m, m)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		post(ctx, open(t, n, Limits{}), "/v1/chat/completions", hello+`,"stream":true,"n":3}`)
		synctest.Wait()
		if n.stopped != 3 {
			t.Errorf("%d of 3 miners stopped", n.stopped)
		}
	})
}

func TestMergeStreamsAsItIsMade(t *testing.T) {
	run := func(t *testing.T, change func(miners []*fakeMiner), options string) (got heard, at []time.Duration, n *fakeNet) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			a, b, c := honest("part one"), honest("part two"), honest("part three")
			miners := []*fakeMiner{a, b, c}
			for _, m := range miners {
				m.merges, m.step = []string{"the ", "whole ", "of it"}, time.Second
			}
			if change != nil {
				change(miners)
			}
			n = fakes(miners...)
			began := time.Now()
			g := open(t, n, Limits{})
			w := &timed{}
			g.Handler().ServeHTTP(w, request(t.Context(), hello+`,"stream":true,"stream_options":{"include_usage":true},"plexus":{"strategy":"merge"`+options+`}}`))
			for _, x := range w.at {
				at = append(at, x.Sub(began).Round(time.Second))
			}
			got = hearChoices(t, w.body.String())
			g.late.Wait()
		})
		return got, at, n
	}
	t.Run("piece by piece", func(t *testing.T) {
		got, at, n := run(t, nil, "")
		if got.said[0] != "the whole of it" || got.usage.Completion != len("the whole of it") || !strings.Contains(got.told.Why, "merged by miner") {
			t.Errorf("said %v, why %q", got.said, got.told.Why)
		}
		if len(at) < 3 || at[0] != 0 || at[1] != time.Second || at[2] != 2*time.Second {
			t.Errorf("pieces came after %v, want one a second", at)
		}
		if last := got.told.Miners[3]; last.Role != roleJudge || !last.Chosen || n.judged != 4 {
			t.Errorf("told %+v; %d answers were judged, the merged one too", last, n.judged)
		}
	})
	t.Run("and goes on when its miner dies", func(t *testing.T) {
		first := true
		got, _, _ := run(t, func(miners []*fakeMiner) {
			for _, m := range miners {
				m.mergeDies = &first
			}
		}, "")
		if got.said[0] != "the whole of it" || len(got.told.Resumed) != 1 || got.bad != nil {
			t.Errorf("said %v, told %+v", got.said, got.told)
		}
	})
	t.Run("but not unchecked", func(t *testing.T) {
		got, at, _ := run(t, func(miners []*fakeMiner) {
			for _, m := range miners {
				m.score.Checked = true
			}
		}, `,"verified_only":true`)
		if got.said[0] != "the whole of it" || at[0] < 2*time.Second {
			t.Errorf("said %v after %v", got.said, at)
		}
	})
	t.Run("or gives the best", func(t *testing.T) {
		got, _, _ := run(t, func(miners []*fakeMiner) {
			for _, m := range miners {
				m.merges = []string{""}
			}
			miners[1].score.Value = 0.95
		}, "")
		if got.said[0] != "part two" || !strings.Contains(got.told.Why, "no miner could merge") {
			t.Errorf("said %v: %s", got.said, got.told.Why)
		}
	})
}
