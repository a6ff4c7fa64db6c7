package sim

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
)

var (
	seed     = flag.Uint64("seed", 1, "what a storm's chances follow from")
	blocks   = flag.Int("blocks", 0, "how long a storm lasts; 0 means as long as every test run has time for")
	exports  = flag.Int("exports", 0, "blocks between two exports of a storm; 0 means as many as usual")
	messages = flag.Int("messages", 0, "a block of a storm tries fewer transactions than this; 0 means as many as usual")
)

// briefly is how many blocks a storm lasts in every test run.
const briefly = 400

// TestStormKeepsInvariants runs a storm: `make sim` runs a long one.
func TestStormKeepsInvariants(t *testing.T) {
	n := *blocks
	if n == 0 {
		n = briefly
	}
	r, err := Run(Options{Seed: *seed, Blocks: n, Messages: *messages, Exports: *exports, Log: t.Logf})
	if r != nil {
		tell(t, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	// What a storm must have seen is for the one that every test run makes, and for
	// long ones: a short one of other chances may miss the rarest.
	usual := n == briefly && *seed == 1 && *messages == 0 && *exports == 0
	if !usual && n < 10*briefly {
		return
	}
	for _, url := range slices.Sorted(maps.Keys(r.Refused)) {
		if r.Done[url] == 0 {
			t.Errorf("no %s succeeded, of %d: the storm is too mild", url, r.Refused[url])
		}
	}
	if total(r.Ended) == 0 || r.Missed == 0 {
		t.Errorf("cases ended as %v, and %d audits were missed: the storm is too mild", r.Ended, r.Missed)
	}
	if len(r.Done) < 62 || r.Dry == 0 || r.Epochs < n/10 || r.Jailed == 0 || r.Passed == 0 || r.Exports == 0 || r.Kills == 0 || r.Subnets == 0 {
		t.Errorf("only %d kinds of messages, or too little of something: the storm is too mild", len(r.Done))
	}
}

// tell logs what became of a storm.
func tell(t *testing.T, r *Report) {
	t.Helper()
	kinds := maps.Clone(r.Done)
	maps.Copy(kinds, r.Refused)
	for _, url := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%-60s %6d done %6d refused", url, r.Done[url], r.Refused[url])
	}
	t.Logf("%d epochs, %d subnets came, %d proposals passed, %d times jailed, %d exports, %d kills, cases ended as %v, %d audits missed, %d deployments dry, %d providers slashed, hash %x",
		r.Epochs, r.Subnets, r.Passed, r.Jailed, r.Exports, r.Kills, r.Ended, r.Missed, r.Dry, r.Slashed, r.Hash)
}

// A seed gives the same chain every time, and another seed another.
func TestStormIsReproducible(t *testing.T) {
	hash := func(seed uint64) []byte {
		r, err := Run(Options{Seed: seed, Blocks: 60})
		if err != nil {
			t.Fatal(err)
		}
		return r.Hash
	}
	first, again, other := hash(5), hash(5), hash(6)
	if !bytes.Equal(first, again) {
		t.Errorf("seed 5 led to the state %x, and then to %x", first, again)
	}
	if bytes.Equal(first, other) {
		t.Errorf("seeds 5 and 6 both led to the state %x", first)
	}
}

// This storm is exported when validators and their keys have just changed, of
// which consensus hears two blocks late.
func TestStormIsExportedWhileValidatorsChange(t *testing.T) {
	r, err := Run(Options{Seed: 2, Messages: 24, Exports: 5, Blocks: 120})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exports < 20 {
		t.Errorf("only %d exports", r.Exports)
	}
}

func TestFailureTellsHowToSeeItAgain(t *testing.T) {
	s, err := newStorm(3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.safely(func() error { panic("a bug") }); err == nil || !strings.Contains(err.Error(), "panic: a bug") {
		t.Errorf("a panic became %v", err)
	}
	s.Follow = func(b *abci.RequestFinalizeBlock, done *abci.ResponseFinalizeBlock) error {
		late := *b
		late.Time = b.Time.Add(time.Second)
		return s.follow(&late, done)
	}
	failed := s.safely(func() error { _, err := s.Block(); return err })
	failure := &Failure{Seed: 3, Height: 2, Err: failed}
	if failed == nil || !errors.Is(failure, failed) || !strings.Contains(failure.Error(), "make sim ARGS='-seed 3 -blocks 2'") {
		t.Errorf("state machines with different clocks agree: %v", failure)
	}
	failure.Messages, failure.Exports = 26, 5
	if !strings.Contains(failure.Error(), "make sim ARGS='-seed 3 -blocks 2 -messages 26 -exports 5'") {
		t.Errorf("of other options it says %v", failure)
	}
}
