package text

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

var errTorn = errors.New("the stream was reset")

// realBench is a validator and a miner on one real model.
func realBench(t *testing.T, path string) (*bench, *Mechanism) {
	t.Helper()
	e, err := ref.Open(path, ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m := ManifestOf(e.Model())
	return benchOn(t, e, Options{}), New(e, m, Options{Flush: -1})
}

// models are the paths of a model that speaks, and of one that says random
// bytes, few of which are whole characters.
func models(t *testing.T) map[string]string {
	t.Helper()
	path, err := stock.Path(t.TempDir(), stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"stock": path, "random bytes": enginetest.RandomModel(t, enginetest.Shape{Seed: 3})}
}

// part lets a miner answer and breaks off after n chunks, or never when n < 0.
func (b *bench) part(m *Mechanism, uid yuma.UID, q Request, n int) (subnet.Trial, reply) {
	b.t.Helper()
	trial := subnet.Trial{Task: task(uid, must(q.Encode()))}
	trial.Answer.Full = true
	trial.Answer.Err = m.Work(b.t.Context(), trial.Task, func(chunk []byte) error {
		if n == 0 {
			return errTorn
		}
		n--
		trial.Answer.Body = append(trial.Answer.Body, chunk...)
		return nil
	})
	r, err := newReply(trial.Answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return trial, r
}

// rest is the request for what q's answer lacks after made.
func (b *bench) rest(m *Mechanism, q Request, made []engine.Token) Request {
	b.t.Helper()
	prompt, err := m.prompt(q)
	if err != nil {
		b.t.Fatal(err)
	}
	q.Messages, q.Prompt = nil, ""
	q.Tokens, q.Made, q.MaxTokens = append(prompt[:len(prompt):len(prompt)], made...), len(made), q.MaxTokens-len(made)
	return q
}

func TestContinuedAnswerIsOneAnswer(t *testing.T) {
	for name, path := range models(t) {
		b, m := realBench(t, path)
		q := Request{Messages: []engine.Message{{Role: engine.User, Content: "What is the capital of France?"}}, MaxTokens: 24}
		_, whole := b.part(m, 1, q, -1)
		stop := whole.text[len(whole.text)/2:]
		for _, stops := range [][]string{nil, {stop[:min(len(stop), 9)]}} {
			if len(stops) > 0 && !strings.Contains(whole.text, stops[0]) || strings.Contains(strings.Join(stops, ""), "\uFFFD") {
				continue
			}
			q.Stop = stops
			_, whole := b.part(m, 1, q, -1)
			for k := 1; k < len(whole.tokens); k++ {
				first, a := b.part(m, 1, q, k)
				second, z := b.part(m, 2, b.rest(m, q, a.ids()), -1)
				if second.Answer.Err != nil || a.text+z.text != whole.text || z.finish != whole.finish {
					t.Fatalf("%s, stops %q, broken off after %d tokens: %q and %q (%s, %v), want %q (%s)",
						name, stops, k, a.text, z.text, z.finish, second.Answer.Err, whole.text, whole.finish)
				}
				if z.usage.Completion != len(whole.tokens)-k {
					t.Fatalf("%s: %d tokens after %d of %d", name, z.usage.Completion, k, len(whole.tokens))
				}
				s := b.score(first, second)
				if s[0].Value != 0 || s[0].Reject || s[0].Units != k || !s[0].Checked || !strings.Contains(s[0].Reason, "broke off") {
					t.Fatalf("%s: the first part scores %+v, want %d tokens checked and nothing for being there", name, s[0], k)
				}
				if s[1].Value == 0 || s[1].Reason != "" || s[1].Units != len(whole.tokens)-k || !s[1].Checked {
					t.Fatalf("%s, stops %q: the second part after %d tokens scores %+v", name, stops, k, s[1])
				}
			}
		}
		if r := b.validator.records[1]; r.Volume == 0 || r.Evidence > 0 {
			t.Errorf("%s: the first miner's record is %+v, want its tokens counted and nothing against it", name, r)
		}
	}
}

// Above temperature 0 each part is bound to its own miner's luck.
func TestContinuedAnswerIsCheckedUnderBothSeeds(t *testing.T) {
	for name, path := range models(t) {
		b, m := realBench(t, path)
		for k := 3; k < 20; k += 4 {
			q := Request{Messages: []engine.Message{{Role: engine.User, Content: fmt.Sprint("Tell me a story about ", k)}}, MaxTokens: 40, Temperature: 1}
			first, a := b.part(m, 1, q, k)
			if ids := a.ids(); first.Answer.Err == nil || m.engine.Ends(ids[len(ids)-1]) {
				continue // the answer was not longer
			}
			second, _ := b.part(m, 2, b.rest(m, q, a.ids()), -1)
			for i, s := range b.score(first, second) {
				if s.Reject || strings.Contains(s.Reason, "differ") || !s.Checked || s.Units == 0 {
					t.Errorf("%s: part %d after %d tokens scores %+v", name, i, k, s)
				}
			}
		}
	}
}

func TestContinuedAnswerOfACheatIsFound(t *testing.T) {
	b, _ := realBench(t, models(t)["stock"])
	_, other := realBench(t, enginetest.RandomModel(t, enginetest.Shape{Seed: 4}))
	q := Request{Prompt: "Once upon a time", MaxTokens: 48, Temperature: 1}
	rejected := false
	for range 8 {
		trial, _ := b.part(other, 1, q, 30)
		rejected = rejected || b.score(trial)[0].Reject
	}
	if !rejected {
		t.Errorf("another model's answers that break off are never rejected: %+v", b.validator.records[1])
	}
	for name, change := range map[string]func(*Chunk){
		"text":     func(c *Chunk) { c.Text += "!" },
		"evidence": func(c *Chunk) { c.Tokens[0].Top = nil },
	} {
		b, m := realBench(t, models(t)["stock"])
		trial, _ := b.part(m, 1, q, 6)
		chunks, err := DecodeChunks(trial.Answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		trial.Answer.Body = nil
		for _, c := range chunks {
			change(&c)
			trial.Answer.Body = append(trial.Answer.Body, must(c.Encode())...)
		}
		if s := b.score(trial)[0]; s.Value != 0 || s.Units != 0 || b.validator.records[1].Evidence < violation {
			t.Errorf("%s: a part out of form scores %+v", name, s)
		}
	}
}

func TestShown(t *testing.T) {
	for _, c := range []struct {
		decoded string
		stops   []string
		want    string
	}{
		{"abc", nil, "abc"},
		{"ab\uFFFD", nil, "ab"},
		{"one END", []string{"END OF"}, "one "},
		{"one E\uFFFD", []string{"Eé"}, "one "},
		{"aab", []string{"abc", "bcd", "x"}, "a"},
		{"", []string{"a"}, ""},
	} {
		if got := shown(c.decoded, c.stops); got != c.want {
			t.Errorf("shown(%q, %q) = %q, want %q", c.decoded, c.stops, got, c.want)
		}
	}
}

func TestMadeIsBounded(t *testing.T) {
	for _, r := range []Request{
		{Prompt: "a", Made: 1},
		{Tokens: []engine.Token{1, 2}, Made: 2},
		{Tokens: []engine.Token{1, 2}, Made: -1},
	} {
		if _, err := r.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v encodes: %v", r, err)
		}
	}
	r := Request{Tokens: []engine.Token{1, 2, 3}, Made: 2, MaxTokens: 5}
	if got, err := DecodeRequest(must(r.Encode())); err != nil || got.Made != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}
