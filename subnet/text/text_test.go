package text

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text/toy"
	"github.com/plexus-network/plexus/yuma"
)

// epoch0 is when tests take place.
var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// declared is the model of the tests' subnet.
var declared = toy.Options{Model: 1}

// bench is a validator with a clock of its own.
type bench struct {
	t         testing.TB
	validator *Mechanism
	now       time.Time
}

func newBench(t *testing.T, o Options) *bench {
	return benchOn(t, toy.New(declared), o)
}

// benchOn is a bench whose validator scores by e. It draws the same challenges,
// audits and ids in every run.
func benchOn(t *testing.T, e engine.Checker, o Options) *bench {
	cryptotest.SetGlobalRandom(t, 1)
	return &bench{t: t, validator: New(e, ManifestOf(e.Model()), o), now: epoch0}
}

func miner(o toy.Options) *Mechanism {
	return New(toy.New(o), ManifestOf(toy.New(declared).Model()), Options{Flush: -1})
}

func task(uid yuma.UID, body []byte) subnet.Task {
	t := subnet.Task{
		Netuid:    1,
		Validator: subnet.Peer{UID: 100, Account: "plx1validator", PeerID: "validator"},
		Miner:     subnet.Peer{UID: uid, Account: fmt.Sprintf("plx1miner%d", uid), PeerID: fmt.Sprintf("miner-%d", uid)},
		Height:    7,
		BlockHash: [32]byte{7},
		Body:      body,
		Timeout:   10 * time.Second,
	}
	rand.Read(t.ID[:])
	return t
}

// ask lets a miner work on a challenge; the answer takes 10 ms per token.
func (b *bench) ask(m subnet.Mechanism, uid yuma.UID) subnet.Trial {
	b.t.Helper()
	body, err := b.validator.Challenge(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.askFor(m, uid, body)
}

func (b *bench) askFor(m subnet.Mechanism, uid yuma.UID, body []byte) subnet.Trial {
	trial := subnet.Trial{Task: task(uid, body)}
	trial.Answer.Err = m.Work(b.t.Context(), trial.Task, func(chunk []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, chunk...)
		return nil
	})
	r, _ := newReply(trial.Answer.Body)
	b.now = b.now.Add(time.Second)
	trial.Answer.First = 10 * time.Millisecond
	trial.Answer.Total = time.Duration(len(r.tokens)) * 10 * time.Millisecond
	trial.Answer.Received = b.now
	return trial
}

func (b *bench) score(trials ...subnet.Trial) []subnet.Score {
	b.t.Helper()
	scores, err := b.validator.Score(b.t.Context(), trials)
	if err != nil {
		b.t.Fatal(err)
	}
	return scores
}

// run asks and scores until the miner is rejected or n answers passed, and
// returns how many tokens were checked by then.
func (b *bench) run(m subnet.Mechanism, uid yuma.UID, n int) (rejected bool, tokens int) {
	b.t.Helper()
	for range n {
		trial := b.ask(m, uid)
		r, err := newReply(trial.Answer.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		tokens += len(r.tokens)
		if b.score(trial)[0].Reject {
			return true, tokens
		}
	}
	return false, tokens
}

func TestHonestMinerIsNeverRejected(t *testing.T) {
	// 0.06 nats is the most that rounding moves a log-probability in q8_0.
	for _, noise := range []float64{0, 0.01, 0.03, 0.06} {
		t.Run(fmt.Sprintf("noise %v", noise), func(t *testing.T) {
			b := newBench(t, Options{AuditMin: 1})
			o := declared
			o.Noise = noise
			rejected, tokens := b.run(miner(o), 1, 100)
			r := b.validator.records[1]
			if rejected || r.State != trusted || r.Rejects != 0 {
				t.Fatalf("after %d tokens: rejected %v, record %+v; want trusted", tokens, rejected, r)
			}
			if trial := b.ask(miner(o), 1); b.score(trial)[0].Value < 0.7 {
				t.Errorf("score of a trusted lone miner = %+v, want at least 0.7", b.score(trial)[0])
			}
		})
	}
}

func TestSmallerModelIsRejected(t *testing.T) {
	for _, drift := range []float64{0.3, 0.5, 1, 3} {
		t.Run(fmt.Sprintf("drift %v", drift), func(t *testing.T) {
			b := newBench(t, Options{})
			o := declared
			o.Drift = drift
			rejected, tokens := b.run(miner(o), 1, 60)
			if !rejected {
				t.Fatalf("not rejected within %d tokens: %+v", tokens, b.validator.records[1])
			}
			t.Logf("rejected after %d tokens", tokens)
		})
	}
}

func TestCannedAnswerIsRejected(t *testing.T) {
	b := newBench(t, Options{})
	cheat, err := Behave(Canned, miner(declared), nil) // with the true model's log-probabilities
	if err != nil {
		t.Fatal(err)
	}
	if rejected, tokens := b.run(cheat, 1, 2); !rejected {
		t.Fatalf("not rejected within %d tokens: %+v", tokens, b.validator.records[1])
	}
}

func TestCopycatIsRejected(t *testing.T) {
	b := newBench(t, Options{})
	honest := miner(declared)
	cheat, err := Behave(Copycat, miner(declared), func(ctx context.Context, body []byte, emit func([]byte) error) error {
		t := task(2, body)
		t.Validator = subnet.Peer{UID: 1, PeerID: "miner-1"}
		return honest.Work(ctx, t, emit)
	})
	if err != nil {
		t.Fatal(err)
	}
	rejected, tokens := b.run(cheat, 1, 10)
	if !rejected {
		t.Fatalf("not rejected within %d tokens: %+v", tokens, b.validator.records[1])
	}
	t.Logf("rejected after %d tokens", tokens)
}

func TestSilentMinerEarnsNothing(t *testing.T) {
	b := newBench(t, Options{})
	cheat, err := Behave(Silent, miner(declared), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	trial := subnet.Trial{Task: task(1, must(Request{Prompt: "a"}.Encode()))}
	trial.Answer.Err = cheat.Work(ctx, trial.Task, func([]byte) error { t.Error("it spoke"); return nil })
	if !errors.Is(trial.Answer.Err, context.DeadlineExceeded) {
		t.Fatalf("Work = %v, want the deadline", trial.Answer.Err)
	}
	if s := b.score(trial)[0]; s.Value != 0 || s.Reject || !strings.Contains(s.Reason, "deadline") {
		t.Errorf("score = %+v, want 0 without rejection", s)
	}
}

func TestUnknownBehaviour(t *testing.T) {
	if _, err := Behave("clever", miner(declared), nil); err == nil {
		t.Error("no error for an unknown behaviour")
	}
	if _, err := Behave(Copycat, miner(declared), nil); err == nil {
		t.Error("no error for a copycat with nobody to copy")
	}
}

// A text that is right for one pair of neurons, one task, one block or one
// user's seed is wrong for any other.
func TestSeedBindsAnswer(t *testing.T) {
	base := task(1, nil)
	seeds := map[engine.Seed]string{Seed(base, nil): "base"}
	for name, change := range map[string]func(*subnet.Task) []byte{
		"netuid":    func(t *subnet.Task) []byte { t.Netuid++; return nil },
		"validator": func(t *subnet.Task) []byte { t.Validator.PeerID += "x"; return nil },
		"miner":     func(t *subnet.Task) []byte { t.Miner.PeerID += "x"; return nil },
		"id":        func(t *subnet.Task) []byte { t.ID[0]++; return nil },
		"height":    func(t *subnet.Task) []byte { t.Height++; return nil },
		"hash":      func(t *subnet.Task) []byte { t.BlockHash[31]++; return nil },
		"user":      func(*subnet.Task) []byte { return []byte{0} },
		"border": func(t *subnet.Task) []byte {
			t.Validator.PeerID, t.Miner.PeerID = t.Validator.PeerID+t.Miner.PeerID[:1], t.Miner.PeerID[1:]
			return nil
		},
	} {
		changed := base
		user := change(&changed)
		seed := Seed(changed, user)
		if same, dup := seeds[seed]; dup {
			t.Errorf("another %s has the seed of %s", name, same)
		}
		seeds[seed] = name
	}
	same := base
	same.Body, same.Timeout, same.Miner.Account = []byte("x"), time.Hour, "y"
	if Seed(same, nil) != Seed(base, []byte{}) {
		t.Error("the seed depends on what it must not")
	}
}

func TestBrokenFormEarnsNothing(t *testing.T) {
	body := must(Request{Prompt: "Once upon a time", MaxTokens: 12, Temperature: 1}.Encode())
	for name, change := range map[string]func(*Chunk){
		"another text":       func(c *Chunk) { c.Text += "!" },
		"a text too short":   func(c *Chunk) { c.Text = c.Text[:1] },
		"too many tokens":    func(c *Chunk) { c.Tokens = append(c.Tokens, make([]engine.TokenScore, 12)...) },
		"no tokens":          func(c *Chunk) { c.Tokens = nil },
		"tokens overcharged": func(c *Chunk) { c.Usage.Completion++ },
		"prompt overcharged": func(c *Chunk) { c.Usage.Prompt += 100 },
		"broken off":         func(c *Chunk) { c.Tokens, c.Text = c.Tokens[:2], c.Text[:2]; c.Usage.Completion = 2 },
		"ended without end": func(c *Chunk) {
			c.Finish = map[engine.Finish]engine.Finish{"stop": "length", "length": "stop"}[c.Finish]
		},
		"unknown token":       func(c *Chunk) { c.Tokens[0].Token = 5000 },
		"cut within a block":  func(c *Chunk) { c.Marks = c.Marks[:0] },
		"no log-probability":  func(c *Chunk) { c.Tokens[1].Top = nil },
		"more after the turn": func(c *Chunk) { c.Tokens[0].Token = endToken(); c.Text = c.Text[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{})
			trial := b.askFor(miner(declared), 1, body)
			c := whole(t, trial.Answer.Body)
			change(&c)
			trial.Answer.Body = must(c.Encode())
			for i := range 2 {
				s := b.score(trial)[0]
				if s.Value != 0 || s.Reason == "" {
					t.Fatalf("score %d = %+v, want 0 and a reason", i, s)
				}
				if s.Reject != (i == 1) {
					t.Errorf("score %d rejects: %v, want it the second time (%s)", i, s.Reject, s.Reason)
				}
			}
		})
	}
}

func endToken() engine.Token {
	end, _ := canned{miner(declared)}.end()
	return end
}

// whole joins an answer's chunks into one.
func whole(t *testing.T, body []byte) Chunk {
	t.Helper()
	chunks, err := DecodeChunks(body)
	if err != nil {
		t.Fatal(err)
	}
	all := chunks[len(chunks)-1]
	all.Text, all.Tokens, all.Marks = "", nil, nil
	for _, c := range chunks {
		all.Text += c.Text
		all.Tokens = append(all.Tokens, c.Tokens...)
		all.Marks = append(all.Marks, c.Marks...)
	}
	return all
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFakeLogProbabilitiesAreRejected(t *testing.T) {
	b := newBench(t, Options{})
	rejected := false
	for range 12 {
		trial := b.ask(miner(declared), 1)
		c := whole(t, trial.Answer.Body)
		for _, score := range c.Tokens {
			for i := range score.Top {
				score.Top[i].LogProb = -float32(i + 1)
			}
		}
		trial.Answer.Body = must(c.Encode())
		s := b.score(trial)[0]
		if len(c.Tokens) >= minDistance && s.Value != 0 {
			t.Errorf("score = %+v, want 0", s)
		}
		rejected = rejected || s.Reject
	}
	if !rejected {
		t.Errorf("not rejected: %+v", b.validator.records[1])
	}
}

func TestLateAnswerEarnsNothing(t *testing.T) {
	b := newBench(t, Options{})
	trial := b.ask(miner(declared), 1)
	trial.Answer.Total = trial.Task.Timeout + 1
	if s := b.score(trial)[0]; s.Value != 0 || s.Reject {
		t.Errorf("score = %+v, want 0 without rejection", s)
	}
}

func TestStopTextEndsAnswer(t *testing.T) {
	b := newBench(t, Options{})
	for i := range 20 {
		body := must(Request{Prompt: fmt.Sprint("go on ", i), MaxTokens: 60, Temperature: 1.2, Stop: []string{"e", "at", "a long one"}}.Encode())
		trial := b.askFor(miner(declared), 1, body)
		c := whole(t, trial.Answer.Body)
		if strings.Contains(c.Text, "e") || strings.Contains(c.Text, "at") {
			t.Fatalf("the text %q goes on after a stop text", c.Text)
		}
		if s := b.score(trial)[0]; s.Value == 0 {
			t.Fatalf("score = %+v of an honest answer that ends by a stop text, want more", s)
		}
	}
}

func TestRejectedMinerReturns(t *testing.T) {
	b := newBench(t, Options{})
	o := declared
	o.Drift = 3
	if rejected, _ := b.run(miner(o), 1, 20); !rejected {
		t.Fatal("the cheat is not rejected")
	}
	until := b.validator.records[1].Until
	if got, want := until.Sub(b.now), 10*time.Minute; got != want {
		t.Errorf("penalty = %v, want %v", got, want)
	}
	if again, _ := b.run(miner(o), 1, 20); !again || b.validator.records[1].Until.Sub(b.now) != 10*time.Minute {
		t.Errorf("a cheat that goes on has the record %+v, want the same penalty anew", b.validator.records[1])
	}
	until = b.validator.records[1].Until
	for b.now.Before(until) {
		trial := b.ask(miner(declared), 1)
		if !trial.Answer.Received.Before(until) {
			break
		}
		if s := b.score(trial)[0]; s.Value != 0 || s.Reject {
			t.Fatalf("score within the penalty = %+v, want 0", s)
		}
		b.now = b.now.Add(10 * time.Second)
	}
	trial := b.ask(miner(declared), 1)
	if s := b.score(trial)[0]; s.Value == 0 {
		t.Fatalf("score after the penalty = %+v, want more: %+v", s, b.validator.records[1])
	}
	if rejected, _ := b.run(miner(o), 1, 40); !rejected {
		t.Fatal("the cheat is not rejected again")
	}
	if got, want := b.validator.records[1].Until.Sub(b.now), 20*time.Minute; got != want {
		t.Errorf("second penalty = %v, want %v", got, want)
	}
}

func TestKnownMinerIsCheckedLess(t *testing.T) {
	e := toy.New(declared)
	b := benchOn(t, e, Options{Challenge: 64})
	delivered := 0
	count := func(n int) float64 {
		before, got := e.Scored(), 0
		for range n {
			trial := b.ask(miner(declared), 1)
			c := whole(t, trial.Answer.Body)
			got += len(c.Tokens) + len(c.Probe)
			b.score(trial)
		}
		delivered += got
		return float64(e.Scored()-before) / float64(got)
	}
	for delivered < probation-200 {
		if share := count(1); share != 1 {
			t.Fatalf("after %d tokens a share of %v is checked, want all", delivered, share)
		}
	}
	count(10)
	if share := count(150); share < 0.2 || share > 0.7 {
		t.Errorf("after %d tokens a share of %.2f is checked, want about half", delivered, share)
	}
}

func TestFasterMinerEarnsMore(t *testing.T) {
	b := newBench(t, Options{AuditMin: 1})
	for range 20 {
		for uid := range yuma.UID(3) {
			trial := b.ask(miner(declared), uid)
			trial.Answer.Total *= time.Duration(uid + 1)
			b.score(trial)
		}
	}
	value := func(uid yuma.UID, first time.Duration) float64 {
		trial := b.ask(miner(declared), uid)
		trial.Answer.Total *= time.Duration(uid + 1)
		trial.Answer.First = first
		return b.score(trial)[0].Value
	}
	fast, middle, slow := value(0, 1), value(1, 1), value(2, 1)
	if !(fast > middle && middle > slow && slow > 0.5) {
		t.Errorf("values of fast, middle, slow = %v, %v, %v", fast, middle, slow)
	}
	if late := value(0, time.Minute); late > fast-0.3 {
		t.Errorf("value of a first chunk after the gate = %v, in time = %v", late, fast)
	}
}

func TestSnapshotSurvivesRestart(t *testing.T) {
	b := newBench(t, Options{})
	b.run(miner(declared), 1, 5)
	o := declared
	o.Drift = 3
	b.run(miner(o), 2, 20)
	state := must(b.validator.Snapshot())

	again := newBench(t, Options{})
	again.now = b.now
	if err := again.validator.Restore(state); err != nil {
		t.Fatal(err)
	}
	if got := must(again.validator.Snapshot()); string(got) != string(state) {
		t.Errorf("restored snapshot = %s, want %s", got, state)
	}
	if s := again.score(again.ask(miner(declared), 2))[0]; s.Value != 0 {
		t.Errorf("score of a cheat after the restart = %+v, want 0", s)
	}

	other := New(toy.New(toy.Options{Model: 9}), ManifestOf(toy.New(toy.Options{Model: 9}).Model()), Options{})
	if err := other.Restore(state); err != nil || len(other.records) != 0 {
		t.Errorf("records of another model: %v, error %v; want none", other.records, err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	b := newBench(t, Options{})
	b.run(miner(declared), 1, 2)
	before := string(must(b.validator.Snapshot()))
	for _, state := range []string{
		"", "null", "{}", "[]", "x", `{"version":2,"model":"","records":{}}`,
		`{"version":1,"model":"","records":{"1":null}}`,
		`{"version":1,"model":"","records":{"1":{"state":0}}}`,
		`{"version":1,"model":"","records":{"1":{"state":1,"evidence":100}}}`,
		`{"version":1,"model":"","records":{"70000":{"state":1}}}`,
	} {
		if err := b.validator.Restore([]byte(state)); err == nil {
			t.Errorf("Restore(%q) has no error", state)
		}
	}
	if got := string(must(b.validator.Snapshot())); got != before {
		t.Errorf("after failed restores the state is %s, want %s", got, before)
	}
}

func TestChallengesVary(t *testing.T) {
	b := newBench(t, Options{Challenge: 40})
	bodies := map[string]bool{}
	var warm, chats, texts int
	for range 500 {
		body := must(b.validator.Challenge(t.Context()))
		if bodies[string(body)] {
			t.Fatal("a challenge is repeated")
		}
		bodies[string(body)] = true
		r, err := DecodeRequest(body)
		if err != nil {
			t.Fatal(err)
		}
		if r.MaxTokens < 1 || r.MaxTokens > 40 {
			t.Fatalf("max tokens = %d, want 1 to 40", r.MaxTokens)
		}
		if r.Temperature > 0 {
			warm++
		}
		if r.Prompt != "" {
			texts++
		} else {
			chats++
		}
	}
	if warm < 350 || chats < 350 || texts < 20 {
		t.Errorf("of 500 challenges %d are warm, %d chats, %d texts", warm, chats, texts)
	}
}

func TestEngineFailureJudgesNobody(t *testing.T) {
	b := newBench(t, Options{})
	trial := b.ask(miner(declared), 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.validator.Score(ctx, []subnet.Trial{trial}); !errors.Is(err, context.Canceled) {
		t.Errorf("Score = %v, want the context's error", err)
	}
	if len(b.validator.records) != 0 {
		t.Errorf("records = %v, want none", b.validator.records)
	}
}
