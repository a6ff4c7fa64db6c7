package text

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/subnet"
)

// relay lets honest work on the same body as another caller's task.
func relay(change func(*subnet.Task), honest *Mechanism) Relay {
	return func(ctx context.Context, body []byte, emit func([]byte) error) error {
		t := task(2, body)
		t.Validator = subnet.Peer{UID: 1, PeerID: "miner-1"}
		change(&t)
		return honest.Work(ctx, t, emit)
	}
}

// timed asks a miner and measures as a dendrite does.
func timed(t *testing.T, m subnet.Mechanism, task subnet.Task) subnet.Trial {
	t.Helper()
	trial := subnet.Trial{Task: task}
	start := time.Now()
	a := &trial.Answer
	a.Err = m.Work(t.Context(), task, func(b []byte) error {
		if a.First == 0 {
			a.First = max(time.Since(start), 1)
		}
		a.Body = append(a.Body, b...)
		return nil
	})
	a.Received = time.Now()
	a.Total = max(a.Received.Sub(start), 1)
	return trial
}

func sealedBody(prompt string) []byte {
	return must(Request{Prompt: prompt, MaxTokens: 40, Temperature: 1, Reveal: 2 * time.Second}.Encode())
}

func TestSealedAnswerIsCommittedThenRevealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		trial := timed(t, miner(declared), task(1, sealedBody("sealed")))
		a := trial.Answer
		if a.Err != nil || a.First >= 2*time.Second || a.Total < 2*time.Second {
			t.Fatalf("first after %v, all after %v, error %v; want a commitment before 2s and the answer after", a.First, a.Total, a.Err)
		}
		chunks := must(DecodeChunks(a.Body))
		if c := chunks[0]; c.Commitment == (Mark{}) || len(c.Tokens) > 0 || c.Text != "" {
			t.Errorf("the first chunk is %+v, want a commitment alone", c)
		}
		if x, err := b.validator.Examine(t.Context(), trial); err != nil || x.Broken != "" {
			t.Errorf("examination %+v, %v", x, err)
		}
		if s := b.score(trial)[0]; s.Value == 0 {
			t.Errorf("score %+v of an honest sealed answer", s)
		}
	})
}

// TestPeekerFails waits for another's answer to be told and tells it as its own.
func TestPeekerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{AuditMin: 1})
		body := sealedBody("who says what")
		honest := timed(t, miner(declared), task(2, body))
		told := whole(t, honest.Answer.Body)

		late := subnet.Trial{Task: task(1, body)}
		late.Answer = honest.Answer // commits when it knows, after the other told
		late.Answer.First = 2*time.Second + time.Millisecond
		if s := b.score(late)[0]; s.Value != 0 || s.Reject || !strings.Contains(s.Reason, "too late") {
			t.Errorf("late commitment: score %+v", s)
		}

		blind := subnet.Trial{Task: task(1, body)}
		blind.Answer = honest.Answer // commits to something before, tells another's answer
		seed := Seed(blind.Task, nil)
		first := Chunk{Commitment: Mark{1}}
		told.Marks = marksOf(seed, idsOf(told.Tokens))
		blind.Answer.Body = append(must(first.Encode()), must(told.Encode())...)
		x, err := b.validator.Examine(t.Context(), blind)
		if err != nil || !strings.Contains(x.Broken, "committed") {
			t.Errorf("blind commitment: %+v, %v", x, err)
		}

		open := subnet.Trial{Task: task(1, body), Answer: honest.Answer}
		told.Salt = Salt{}
		open.Answer.Body = must(told.Encode()) // commits to nothing
		if x, err := b.validator.Examine(t.Context(), open); err != nil || !strings.Contains(x.Broken, "no commitment") {
			t.Errorf("no commitment: %+v, %v", x, err)
		}
	})
}

// TestCrowdCommitsBeforeAnyTells asks two miners the same a while apart: the
// second's commitment, in time by its own clock, came after the first told.
func TestCrowdCommitsBeforeAnyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		body := sealedBody("the same")
		first := timed(t, miner(declared), task(1, body))
		time.Sleep(time.Second) // asked 3 s after the first
		second := timed(t, miner(declared), task(2, body))
		scores := b.score(first, second)
		if scores[0].Value == 0 || scores[1].Value != 0 || scores[1].Reject {
			t.Errorf("scores %+v, want one for the first and none for the second", scores)
		}
	})
}

func TestSealHeedsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := miner(declared).Work(ctx, task(1, sealedBody("x")), func([]byte) error { return nil })
		if err == nil || time.Since(epochOf(t)) > 2*time.Second {
			t.Errorf("Work = %v, want the context's error", err)
		}
	})
}

// epochOf is when a bubble's time begins.
func epochOf(*testing.T) time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }
