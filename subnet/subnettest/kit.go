// Package subnettest is the kit by which a kind of subnet proves that it keeps
// the contract of [subnet.Mechanism]. A kind's own test calls [Run].
package subnettest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// maxBody bounds the bytes of a challenge.
const maxBody = 1 << 20

// Run checks a kind. fresh returns a new mechanism that knows no miner; all that
// it returns serve the same subnet, and so agree on what a right answer is. In
// this process chance is the same in every run.
func Run(t *testing.T, fresh func(t *testing.T) subnet.Mechanism) {
	for name, check := range map[string]func(k kit){
		"Kind":                  kit.kind,
		"ChallengesDiffer":      kit.challengesDiffer,
		"HonestWorkEarns":       kit.honestWorkEarns,
		"WorkHeedsContext":      kit.workHeedsContext,
		"WorkHeedsEmit":         kit.workHeedsEmit,
		"WorkRefusesGarbage":    kit.workRefusesGarbage,
		"ScoreOfNothing":        kit.scoreOfNothing,
		"ScoreOfNoAnswer":       kit.scoreOfNoAnswer,
		"ScoreOfGarbage":        kit.scoreOfGarbage,
		"ScoreOfBrokenOff":      kit.scoreOfBrokenOff,
		"ScoreOfForeignAnswer":  kit.scoreOfForeignAnswer,
		"SnapshotRoundTrip":     kit.snapshotRoundTrip,
		"RestoreRefusesGarbage": kit.restoreRefusesGarbage,
		"Forget":                kit.forget,
		"ManyAtOnce":            kit.manyAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			check(kit{t: t, fresh: fresh})
		})
	}
}

type kit struct {
	t     *testing.T
	fresh func(t *testing.T) subnet.Mechanism
}

// trial lets worker answer a challenge of validator's as the miner at uid.
func (k kit) trial(validator, worker subnet.Mechanism, uid yuma.UID) subnet.Trial {
	k.t.Helper()
	trial := subnet.Trial{Task: k.task(validator, uid)}
	k.answer(&trial, worker)
	return trial
}

func (k kit) answer(trial *subnet.Trial, worker subnet.Mechanism) {
	k.t.Helper()
	start := time.Now()
	err := worker.Work(k.t.Context(), trial.Task, func(chunk []byte) error {
		if trial.Answer.First == 0 {
			trial.Answer.First = max(time.Since(start), 1)
		}
		trial.Answer.Body = append(trial.Answer.Body, chunk...)
		return nil
	})
	if err != nil {
		k.t.Fatalf("Work on a challenge: %v", err)
	}
	if len(trial.Answer.Body) == 0 {
		k.t.Fatal("Work emitted nothing")
	}
	trial.Answer.Received = time.Now()
	trial.Answer.Total = max(time.Since(start), 1)
}

func (k kit) task(validator subnet.Mechanism, uid yuma.UID) subnet.Task {
	k.t.Helper()
	body, err := validator.Challenge(k.t.Context())
	if err != nil {
		k.t.Fatalf("Challenge: %v", err)
	}
	task := subnet.Task{
		Netuid:    1,
		Validator: subnet.Peer{UID: 1000, Account: "plx1validator", PeerID: "validator"},
		Miner:     subnet.Peer{UID: uid, Account: fmt.Sprint("plx1miner", uid), PeerID: fmt.Sprint("miner", uid)},
		Height:    42, BlockHash: [32]byte{42},
		Body: body, Timeout: time.Minute,
	}
	rand.Read(task.ID[:])
	return task
}

func (k kit) score(m subnet.Mechanism, trials ...subnet.Trial) []subnet.Score {
	k.t.Helper()
	scores, err := m.Score(k.t.Context(), trials)
	if err != nil {
		k.t.Fatalf("Score: %v", err)
	}
	if len(scores) != len(trials) {
		k.t.Fatalf("%d scores of %d trials", len(scores), len(trials))
	}
	for i, s := range scores {
		if !(s.Value >= 0 && s.Value <= 1) || s.Reject && s.Value != 0 || s.Units < 0 {
			k.t.Fatalf("score %d is %+v", i, s)
		}
	}
	return scores
}

func (k kit) kind() {
	a, b := k.fresh(k.t).Kind(), k.fresh(k.t).Kind()
	if a != b || !regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`).MatchString(a) {
		k.t.Errorf("kinds %q and %q, want one name in lower case", a, b)
	}
}

func (k kit) challengesDiffer() {
	m := k.fresh(k.t)
	seen := map[string]bool{}
	for range 64 {
		body := string(k.task(m, 0).Body)
		if seen[body] {
			k.t.Fatal("a challenge came twice")
		}
		if len(body) == 0 || len(body) > maxBody {
			k.t.Fatalf("a challenge of %d bytes", len(body))
		}
		seen[body] = true
	}
}

func (k kit) honestWorkEarns() {
	m, worker := k.fresh(k.t), k.fresh(k.t)
	for i := range 20 {
		s := k.score(m, k.trial(m, worker, 1))[0]
		if s.Value == 0 || s.Reject {
			k.t.Fatalf("honest answer %d scores %+v", i, s)
		}
	}
}

func (k kit) workHeedsContext() {
	m := k.fresh(k.t)
	ctx, cancel := context.WithCancel(k.t.Context())
	cancel()
	if err := m.Work(ctx, k.task(m, 1), func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		k.t.Errorf("Work after the end of its context = %v", err)
	}
}

func (k kit) workHeedsEmit() {
	m := k.fresh(k.t)
	enough := errors.New("enough")
	calls := 0
	err := m.Work(k.t.Context(), k.task(m, 1), func([]byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		k.t.Errorf("Work = %v after %d calls of a failing emit, want its error after 1", err, calls)
	}
}

func (k kit) workRefusesGarbage() {
	m := k.fresh(k.t)
	for _, body := range [][]byte{nil, {0xFF}, bytes.Repeat([]byte{0xFF}, 1000)} {
		task := k.task(m, 1)
		task.Body = body
		if err := m.Work(k.t.Context(), task, func([]byte) error { return nil }); !errors.Is(err, subnet.ErrBadTask) {
			k.t.Errorf("Work on %d bytes of garbage = %v, want ErrBadTask", len(body), err)
		}
	}
}

func (k kit) scoreOfNothing() { k.score(k.fresh(k.t)) }

// worthless checks that trials of uid 1 score 0 and leave uid 2 in peace.
func (k kit) worthless(m subnet.Mechanism, t subnet.Trial) {
	k.t.Helper()
	honest := k.trial(m, k.fresh(k.t), 2)
	scores := k.score(m, t, honest)
	if scores[0].Value != 0 || scores[0].Reason == "" {
		k.t.Errorf("score = %+v, want 0 and a reason", scores[0])
	}
	if scores[1].Value == 0 || scores[1].Reject {
		k.t.Errorf("an honest answer beside it scores %+v", scores[1])
	}
}

func (k kit) scoreOfNoAnswer() {
	m := k.fresh(k.t)
	t := k.trial(m, k.fresh(k.t), 1)
	t.Answer.Body, t.Answer.Err = nil, errors.New("unreachable")
	k.worthless(m, t)
	if s := k.score(m, t)[0]; s.Reject {
		k.t.Error("silence is taken for proof of cheating")
	}
}

func (k kit) scoreOfGarbage() {
	m := k.fresh(k.t)
	for _, body := range [][]byte{nil, {0xFF}, bytes.Repeat([]byte{7}, 100_000)} {
		t := k.trial(m, k.fresh(k.t), 1)
		t.Answer.Body = body
		k.worthless(m, t)
	}
}

func (k kit) scoreOfBrokenOff() {
	m := k.fresh(k.t)
	t := k.trial(m, k.fresh(k.t), 1)
	t.Answer.Body = t.Answer.Body[:len(t.Answer.Body)-1]
	k.worthless(m, t)
}

// scoreOfForeignAnswer passes off answers made for another miner. One may be
// right by luck; not all of many.
func (k kit) scoreOfForeignAnswer() {
	m, worker := k.fresh(k.t), k.fresh(k.t)
	for range 40 {
		t := k.trial(m, worker, 2)
		t.Task.Miner.UID, t.Task.Miner.Account, t.Task.Miner.PeerID = 1, "plx1miner1", "miner1"
		if s := k.score(m, t)[0]; s.Reject {
			return
		}
	}
	k.t.Error("40 answers that were made for another miner are no proof of cheating")
}

func (k kit) snapshotRoundTrip() {
	m, worker := k.fresh(k.t), k.fresh(k.t)
	for range 3 {
		k.score(m, k.trial(m, worker, 1), k.trial(m, worker, 2))
	}
	state, err := m.Snapshot()
	if err != nil {
		k.t.Fatalf("Snapshot: %v", err)
	}
	other := k.fresh(k.t)
	if err := other.Restore(bytes.Clone(state)); err != nil {
		k.t.Fatalf("Restore: %v", err)
	}
	again, err := other.Snapshot()
	if err != nil || !bytes.Equal(again, state) {
		k.t.Errorf("snapshot of what was restored = %q, %v; want %q", again, err, state)
	}
	empty, err := k.fresh(k.t).Snapshot()
	if err != nil {
		k.t.Fatalf("Snapshot: %v", err)
	}
	if err := other.Restore(nil); err != nil {
		k.t.Errorf("Restore(nil): %v", err)
	}
	if got, err := other.Snapshot(); err != nil || !bytes.Equal(got, empty) {
		k.t.Errorf("snapshot after Restore(nil) = %q, %v; want %q", got, err, empty)
	}
}

func (k kit) restoreRefusesGarbage() {
	m := k.fresh(k.t)
	k.score(m, k.trial(m, k.fresh(k.t), 1))
	before, err := m.Snapshot()
	if err != nil {
		k.t.Fatalf("Snapshot: %v", err)
	}
	for _, state := range [][]byte{{}, {0xFF}, []byte("garbage"), before[:len(before)/2]} {
		if err := m.Restore(state); err == nil {
			k.t.Errorf("Restore(%q) has no error", state)
		}
	}
	if after, err := m.Snapshot(); err != nil || !bytes.Equal(after, before) {
		k.t.Errorf("failed restores changed the state from %q to %q, %v", before, after, err)
	}
}

func (k kit) forget() {
	m := k.fresh(k.t)
	empty, err := m.Snapshot()
	if err != nil {
		k.t.Fatalf("Snapshot: %v", err)
	}
	m.Forget(9)
	k.score(m, k.trial(m, k.fresh(k.t), 1))
	m.Forget(1)
	if got, err := m.Snapshot(); err != nil || !bytes.Equal(got, empty) {
		k.t.Errorf("snapshot after Forget = %q, %v; want %q", got, err, empty)
	}
}

func (k kit) manyAtOnce() {
	m := k.fresh(k.t)
	var wg sync.WaitGroup
	for uid := range yuma.UID(8) {
		wg.Go(func() {
			task := k.task(m, uid)
			trial := subnet.Trial{Task: task}
			trial.Answer.Err = m.Work(k.t.Context(), task, func(b []byte) error {
				trial.Answer.Body = append(trial.Answer.Body, b...)
				return nil
			})
			trial.Answer.Received, trial.Answer.Total = time.Now(), time.Second
			if s, err := m.Score(k.t.Context(), []subnet.Trial{trial}); err != nil || s[0].Value == 0 {
				k.t.Errorf("uid %d scores %+v, %v", uid, s, err)
			}
			if _, err := m.Snapshot(); err != nil {
				k.t.Errorf("Snapshot: %v", err)
			}
			m.Forget(uid)
		})
	}
	wg.Wait()
}
