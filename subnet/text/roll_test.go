package text

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// TestMarksDoNotDependOnChunks cuts an answer anywhere and finds the same marks.
func TestMarksDoNotDependOnChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := engine.Seed{rapid.Byte().Draw(t, "seed")}
		ids := rapid.SliceOfN(rapid.Map(rapid.Int32Range(0, 1000), func(i int32) engine.Token { return engine.Token(i) }), 1, 150).Draw(t, "ids")
		var got []Mark
		s := stream{roll: NewRoll(seed), every: -1, emit: func(b []byte) error {
			chunks, err := DecodeChunks(b)
			if err != nil {
				return err
			}
			for _, c := range chunks {
				got = append(got, c.Marks...)
			}
			return nil
		}}
		for rest := ids; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			var d engine.Delta
			for _, id := range rest[:n] {
				d.Tokens = append(d.Tokens, engine.TokenScore{Token: id})
			}
			if err := s.write(d); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := s.end(Chunk{Finish: engine.FinishStop}); err != nil {
			t.Fatal(err)
		}
		want := marksOf(seed, ids)
		if len(got) != len(want) || len(want) != (len(ids)+MarkEvery-1)/MarkEvery {
			t.Fatalf("%d marks of %d tokens, want %d", len(got), len(ids), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("mark %d differs", i)
			}
		}
		if want[len(want)-1] != TokenHash(seed, ids) {
			t.Fatal("the last mark is not the token hash")
		}
	})
}

// TestBrokenStreamIsProven finds the marks of what came of an answer that broke
// off: each binds all tokens before it.
func TestBrokenStreamIsProven(t *testing.T) {
	b := newBench(t, Options{})
	var trial subnet.Trial
	var ids []engine.Token
	var marks []Mark
	for i := 0; len(ids) < MarkEvery; i++ { // the model may end early
		trial = b.askFor(miner(declared), 1, must(Request{Prompt: fmt.Sprint("On and on ", i), MaxTokens: 90, Temperature: 1.3}.Encode()))
		chunks := must(DecodeChunks(trial.Answer.Body))
		ids, marks = nil, nil
		for _, c := range chunks[:len(chunks)-len(chunks)/4] {
			ids, marks = append(ids, idsOf(c.Tokens)...), append(marks, c.Marks...)
		}
	}
	if len(marks) != len(ids)/MarkEvery || len(marks) == 0 {
		t.Fatalf("%d marks of %d tokens", len(marks), len(ids))
	}
	seed := Seed(trial.Task, nil)
	if want := TokenHash(seed, ids[:MarkEvery]); marks[0] != want {
		t.Errorf("first mark %x, want %x", marks[0], want)
	}
	ids[3]++
	if TokenHash(seed, ids[:MarkEvery]) == marks[0] {
		t.Error("another token has the same mark")
	}
}

func TestWrongMarksAreACheat(t *testing.T) {
	b := newBench(t, Options{})
	for name, change := range map[string]func(*Chunk){
		"none":    func(c *Chunk) { c.Marks = nil },
		"another": func(c *Chunk) { c.Marks[0][5] ^= 1 },
		"more":    func(c *Chunk) { c.Marks = append(c.Marks, Mark{1}) },
	} {
		trial := b.askFor(miner(declared), 1, must(Request{Prompt: "marks " + name, MaxTokens: 40, Temperature: 1}.Encode()))
		c := whole(t, trial.Answer.Body)
		change(&c)
		trial.Answer.Body = must(c.Encode())
		x, err := b.validator.Examine(t.Context(), trial)
		if err != nil || x.Broken == "" {
			t.Errorf("%s: examination %+v, %v; want broken", name, x, err)
		}
	}
}

// greedyBody is a request at temperature 0.
func greedyBody(prompt string) []byte {
	return must(Request{Prompt: prompt, MaxTokens: 40}.Encode())
}

// TestCopyAtTemperatureZeroIsRejected has the same tokens as the original, and
// its marks; only the probe tells it.
func TestCopyAtTemperatureZeroIsRejected(t *testing.T) {
	b := newBench(t, Options{AuditMin: 1})
	honest := miner(declared)
	cheat, err := Behave(Copycat, miner(declared), relayTo(honest))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		trial := b.askFor(cheat, 1, greedyBody(string(rune('a'+i))))
		x, err := b.validator.Examine(t.Context(), trial)
		if err != nil || x.Broken != "" || len(x.Probe) == 0 {
			t.Fatalf("examination %+v, %v", x, err)
		}
		for _, m := range x.Margins {
			if m != 0 {
				t.Fatalf("the copy's tokens are off by %v", m)
			}
		}
		if b.score(trial)[0].Reject {
			t.Logf("rejected after %d answers", i+1)
			return
		}
		if s := b.score(b.askFor(honest, 2, greedyBody(string(rune('a'+i)))))[0]; s.Reject {
			t.Fatal("the original is rejected")
		}
	}
	t.Errorf("the copy is not rejected: %+v", b.validator.records[1])
}

// relayTo asks an honest miner as any caller may.
func relayTo(honest *Mechanism) Relay {
	return relay(func(t *subnet.Task) {}, honest)
}

func TestProbeIsNeeded(t *testing.T) {
	b := newBench(t, Options{})
	for name, change := range map[string]func(*Chunk){
		"none":     func(c *Chunk) { c.Probe = nil },
		"short":    func(c *Chunk) { c.Probe = c.Probe[:2]; c.Probe[1].Token = 'x' },
		"long":     func(c *Chunk) { c.Probe = append(c.Probe, make([]engine.TokenScore, 20)...) },
		"nonsense": func(c *Chunk) { c.Probe[0].Token = 5000 },
	} {
		trial := b.askFor(miner(declared), 1, greedyBody("probe "+name))
		c := whole(t, trial.Answer.Body)
		change(&c)
		trial.Answer.Body = must(c.Encode())
		if x, err := b.validator.Examine(t.Context(), trial); err != nil || x.Broken == "" {
			t.Errorf("%s: examination %+v, %v; want broken", name, x, err)
		}
	}
	warm := b.askFor(miner(declared), 1, must(Request{Prompt: "warm", MaxTokens: 10, Temperature: 1}.Encode()))
	if c := whole(t, warm.Answer.Body); len(c.Probe) != 0 {
		t.Errorf("an answer at temperature 1 has a probe of %d tokens", len(c.Probe))
	}
}
