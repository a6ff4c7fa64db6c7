package yuma

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/coin"
)

func TestTally(t *testing.T) {
	for _, c := range []struct {
		tally             Tally
		convicts, acquits bool
	}{
		{Tally{}, false, false},
		{Tally{Guilty: 2, All: 3}, true, false},
		{Tally{Guilty: 1, All: 3}, false, false},
		{Tally{Guilty: 200, All: 300}, true, false},
		{Tally{Guilty: 199, All: 300}, false, false},
		{Tally{Guilty: 200, All: 301}, false, false},
		{Tally{Innocent: 100, All: 300}, false, false},
		{Tally{Innocent: 101, All: 300}, false, true},
		{Tally{Guilty: math.MaxUint64, All: math.MaxUint64}, true, false},
		{Tally{Guilty: math.MaxUint64 / 3 * 2, All: math.MaxUint64}, true, false},
		{Tally{Guilty: math.MaxUint64/3*2 - 1, All: math.MaxUint64}, false, false},
	} {
		if got := c.tally.Convicts(); got != c.convicts {
			t.Errorf("%+v convicts: %v, want %v", c.tally, got, c.convicts)
		}
		if got := c.tally.Acquits(); got != c.acquits {
			t.Errorf("%+v acquits: %v, want %v", c.tally, got, c.acquits)
		}
	}
}

func TestTallyNeverDoesBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.Uint64().Draw(t, "all")
		guilty := rapid.Uint64Range(0, all).Draw(t, "guilty")
		innocent := rapid.Uint64Range(0, all-guilty).Draw(t, "innocent")
		tally := Tally{coin.Amount(guilty), coin.Amount(innocent), coin.Amount(all)}
		if tally.Convicts() && tally.Acquits() {
			t.Fatalf("%+v convicts and acquits", tally)
		}
	})
}
