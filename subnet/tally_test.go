package subnet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/yuma"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(after time.Duration, took time.Duration) Answer {
	return Answer{Received: start.Add(after), Total: took, First: took / 2}
}

func TestTallySecondWrongAnswerIsProof(t *testing.T) {
	var y Tally
	if y.Wrong(1, start) {
		t.Error("one wrong answer proves a cheat")
	}
	if !y.Wrong(1, start) {
		t.Error("two wrong answers prove nothing")
	}
	if _, rejected := y.Rejected(2, start); rejected {
		t.Error("another miner is rejected")
	}
}

func TestTallyForgivesAccidents(t *testing.T) {
	var y Tally
	for n := range 50 {
		if y.Wrong(1, start) {
			t.Fatalf("accident %d is a proof, though 20 right answers stand between two", n)
		}
		for range 20 {
			y.Right(1)
		}
	}
}

func TestTallyPenaltyDoubles(t *testing.T) {
	y := Tally{Penalty: time.Minute}
	now := start
	y.Wrong(1, now)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if !y.Wrong(1, now) {
			t.Fatal("no proof")
		}
		if y.Wrong(1, now); y.miners[1].Rejects > 4 {
			t.Error("a proof during the penalty doubles it")
		}
		until, _ := y.Rejected(1, now)
		if until.Sub(now) != want {
			t.Errorf("penalty of %v, want %v", until.Sub(now), want)
		}
		if w := y.Worth(1, Answer{Received: until.Add(-1)}); w != 0 {
			t.Errorf("worth %v during the penalty", w)
		}
		now = until
	}
}

func TestTallyWorthFollowsVolumeAndSpeed(t *testing.T) {
	var y Tally
	for i := range 200 {
		when := time.Duration(i) * time.Second
		y.Deliver(1, 100, at(when, time.Second))
		y.Deliver(2, 100, at(when, 4*time.Second))
		if i%10 == 0 {
			y.Deliver(3, 100, at(when, time.Second))
		}
	}
	now := at(200*time.Second, time.Second)
	all, slow, idle := y.Worth(1, now), y.Worth(2, now), y.Worth(3, now)
	if !(all > slow && all > idle && all <= 1 && slow > 0 && idle > 0) {
		t.Errorf("worth %v of all, %v when slow, %v when idle", all, slow, idle)
	}
	late := now
	late.First = time.Minute
	if w := y.Worth(1, late); w >= all || w < 0.5 {
		t.Errorf("worth %v when it begins late, %v else", w, all)
	}
	if then := y.Worth(3, at(time.Hour, time.Second)); then <= idle {
		t.Errorf("worth %v after an hour in which nobody delivered, %v before", then, idle)
	}
}

func TestTallyCountsNothingDuringAPenalty(t *testing.T) {
	var y Tally
	y.Wrong(1, start)
	y.Wrong(1, start)
	y.Deliver(1, 1000, at(time.Second, time.Second))
	if y.miners[1].Volume != 0 {
		t.Errorf("volume %v", y.miners[1].Volume)
	}
}

func TestTallyAsJSON(t *testing.T) {
	var y, again Tally
	y.Right(1)
	y.Deliver(1, 10, at(0, time.Second))
	y.Wrong(2, start)
	y.Wrong(2, start)
	b, err := json.Marshal(&y)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if back, _ := json.Marshal(&again); string(back) != string(b) {
		t.Errorf("%s comes back as %s", b, back)
	}
	for _, bad := range []string{
		`[]`, `{"x":{}}`, `{"1":null}`, `{"1":{"volume":-1}}`, `{"1":{"strikes":9}}`, `{"1":{"until":"2026-01-01T00:00:00Z"}}`, `{"1":{"rate":1e999}}`,
	} {
		if err := json.Unmarshal([]byte(bad), &again); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if again.Checked(1) != 1 {
		t.Error("a bad tally replaced a good one")
	}
	for _, uid := range []yuma.UID{1, 2} {
		again.Forget(uid)
	}
	if left, _ := json.Marshal(&again); strings.TrimSpace(string(left)) != "{}" {
		t.Errorf("after Forget: %s", left)
	}
}
