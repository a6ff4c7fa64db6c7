package gateway

import (
	"strings"
	"testing"

	"github.com/plexus-network/plexus/yuma"
)

func TestVote(t *testing.T) {
	say := func(value float64, s string) *fakeMiner {
		m := honest(s)
		m.score.Value = value
		return m
	}
	for name, c := range map[string]struct {
		miners  []*fakeMiner
		options string
		want    string
		votes   string
		first   []yuma.UID
	}{
		"plurality by weight": {
			[]*fakeMiner{say(0.9, "It is 7."), say(0.6, "So 4"), say(0.5, "The answer: 4.0")}, `"extract":"number"`, "So 4", "4 7", []yuma.UID{1, 2},
		},
		"a weighty one wins": {
			[]*fakeMiner{say(0.9, "seven"), say(0.3, "Four"), say(0.3, "four.")}, `"extract":"exact"`, "seven", "seven four", []yuma.UID{0},
		},
		"ties go to more votes": {
			[]*fakeMiner{say(0.5, "a"), say(0.3, "b"), say(0.2, "B")}, `"extract":"last-line"`, "b", "b a", []yuma.UID{1, 2},
		},
		"json": {
			[]*fakeMiner{say(0.9, `{"x":1}`), say(0.55, "Here:\n```json\n{\"x\": 2, \"y\": [1]}\n```"), say(0.5, `{"y":[1],"x":2}`)},
			`"extract":"json"`,
			"Here:\n```json\n{\"x\": 2, \"y\": [1]}\n```", `{"x":2,"y":[1]} {"x":1}`,
			[]yuma.UID{1, 2},
		},
		"a field": {
			[]*fakeMiner{say(0.9, `{"a":{"b":"Red"}}`), say(0.55, `{"a":{"b":"blue"},"z":1}`), say(0.5, `{"a":{"b":"Blue."}}`)},
			`"extract":"json","field":"a.b"`,
			`{"a":{"b":"blue"},"z":1}`, "blue red",
			[]yuma.UID{1, 2},
		},
		"liars have no vote": {
			[]*fakeMiner{say(0.9, "1"), cheat("2"), cheat("2")}, `"extract":"auto"`, "1", "1", []yuma.UID{0},
		},
		"nothing to count": {
			[]*fakeMiner{say(0.5, "a"), say(0.9, "b")}, `"extract":"number"`, "b", "", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range []string{"", `,"stream":true`} {
				w := post(t.Context(), open(t, fakes(c.miners...), Limits{}), "/v1/chat/completions", hello+stream+`,"plexus":{"strategy":"vote",`+c.options+`,"candidates":true}}`)
				var p *report
				var said string
				if stream == "" {
					a := read(t, w)
					p, said = a.Plexus, a.Choices[0].Message.Content
				} else {
					var chunks []answer
					chunks, said = readStream(t, w.Body)
					p = chunks[len(chunks)-1].Plexus
				}
				var votes []string
				for _, v := range p.Votes {
					votes = append(votes, v.Answer)
				}
				if said != c.want || strings.Join(votes, " ") != c.votes {
					t.Fatalf("said %q after votes %q, want %q after %q: %s", said, votes, c.want, c.votes, p.Why)
				}
				if len(c.first) > 0 && len(p.Votes[0].Miners) != len(c.first) {
					t.Errorf("the winner's votes are %v, want %v", p.Votes[0].Miners, c.first)
				}
				for _, m := range p.Miners {
					if m.Text == nil || m.Content != nil {
						t.Errorf("miner %d tells text %v, content %v", m.UID, m.Text, m.Content)
					}
				}
			}
		})
	}
	// One miner votes as often as is asked for, each time under a new seed.
	n := fakes(honest("5"))
	w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+`,"plexus":{"strategy":"vote","miners":4}}`)
	if a := read(t, w); len(n.asked) != 4 || len(a.Plexus.Votes) != 1 || len(a.Plexus.Votes[0].Miners) != 4 {
		t.Errorf("asked %d times: %s", len(n.asked), w.Body)
	}
}

func TestBestOfK(t *testing.T) {
	a, b, c := honest("aa"), honest("bb"), honest("cc")
	a.score.Value, b.score.Value, c.score.Value = 0.9, 0.8, 0.7
	b.logprob = -0.1
	n := fakes(a, b, c)
	g := open(t, n, Limits{})
	for by, want := range map[string]string{"score": "aa", "logprob": "bb"} {
		w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"strategy":"best-of-k","by":"`+by+`"}}`)
		if got := read(t, w); got.Choices[0].Message.Content != want || got.Plexus.Strategy != BestOfK {
			t.Errorf("by %s: %s, want %s", by, w.Body, want)
		}
	}
	for verdict, want := range map[string]string{"3": "cc", "Answer 2 is best": "bb", "none": "aa", "9": "aa"} {
		for _, m := range n.miners {
			m.judges = verdict
		}
		w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"strategy":"best-of-k","by":"judge"}}`)
		got := read(t, w)
		if got.Choices[0].Message.Content != want || len(got.Plexus.Miners) != 4 || got.Plexus.Miners[3].Role != "judge" {
			t.Errorf("the judge says %q: %s, want %s", verdict, w.Body, want)
		}
	}
	last := n.asked[len(n.asked)-1]
	if q := last.Messages[0].Content; !strings.Contains(q, "hello") || !strings.Contains(q, "Answer 3:\ncc") || last.Temperature != 0 {
		t.Errorf("the judge was asked %q", q)
	}
}

func TestMerge(t *testing.T) {
	a, b := honest("part one"), honest("part two")
	a.judges, b.judges = "the whole", "the whole"
	n := fakes(a, b)
	for _, stream := range []string{"", `,"stream":true`} {
		w := post(t.Context(), open(t, n, Limits{}), "/v1/chat/completions", hello+stream+`,"plexus":{"strategy":"merge"}}`)
		if body := w.Body.String(); !strings.Contains(body, "the whole") || !strings.Contains(body, `"role":"judge"`) || !strings.Contains(body, "merged by miner") {
			t.Errorf("got %s", body)
		}
	}
	long := strings.Repeat("word ", 100)
	g := open(t, fakes(honest(long), honest(long)), Limits{})
	g.models[0].Context = 1200
	w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{"strategy":"merge"}}`)
	if a := read(t, w); w.Code != 200 || !strings.Contains(a.Plexus.Why, "do not fit") {
		t.Errorf("answers too long to merge: %s", w.Body)
	}
	dumb := honest("x")
	dumb.judges = "\x00"
	w = post(t.Context(), open(t, fakes(dumb, honest("y")), Limits{}), "/v1/chat/completions", hello+`,"n":2,"plexus":{"strategy":"merge"}}`)
	if w.Code != 400 {
		t.Errorf("n of 2 with merge: %d", w.Code)
	}
}

func TestExtract(t *testing.T) {
	for _, c := range []struct{ answer, extract, field, want string }{
		{"  Forty Two! ", extractExact, "", "forty two"},
		{"1 then 1,234.50.", extractNum, "", "1234.5"},
		{"-3e2", extractNum, "", "-300"},
		{"none", extractNum, "", ""},
		{"9" + strings.Repeat("9", 100), extractNum, "", ""},
		{"I think\n\nFinal answer: **Blue**.\n", extractLine, "", "blue"},
		{"", extractLine, "", ""},
		{`"Yes"`, extractJSON, "", "yes"},
		{`a {"a":1} b [2, 3] c {`, extractJSON, "", "[2,3]"},
		{`{"a":{"b":1.50}}`, extractJSON, "a.b", "1.5"},
		{`{"a":1}`, extractJSON, "b", ""},
		{`{"a":1}`, extractJSON, "a.b", ""},
		{"no json", extractJSON, "", ""},
		{"The sum is 12.", extractAuto, "", "12"},
		{"Paris", extractAuto, "", "paris"},
		{"{\"x\":1}", extractAuto, "", `{"x":1}`},
	} {
		if got := vote(c.answer, c.extract, c.field); got != c.want {
			t.Errorf("vote(%q, %s, %q) = %q, want %q", c.answer, c.extract, c.field, got, c.want)
		}
	}
}

func FuzzVote(f *testing.F) {
	f.Add(`{"a":[1,2]} 3`, "a")
	f.Fuzz(func(t *testing.T, s, field string) {
		for _, e := range extracts {
			if v := vote(s, e, field); v != vote(s, e, field) {
				t.Errorf("%s of %q is not always the same", e, s)
			}
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	g := open(t, fakes(honest("x")), Limits{})
	for _, o := range []string{
		`"strategy":"luck"`, `"strategy":"best-of-k","by":"looks"`, `"extract":"soul"`, `"field":"x"`, `"miners":0`, `"miners":99`,
	} {
		w := post(t.Context(), g, "/v1/chat/completions", hello+`,"plexus":{`+o+`}}`)
		if a := read(t, w); w.Code != 400 || a.Error.Param == nil || !strings.HasPrefix(*a.Error.Param, "plexus.") {
			t.Errorf("%s: %d %s", o, w.Code, w.Body)
		}
	}
}
