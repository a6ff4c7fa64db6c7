package coin

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScheduled(t *testing.T) {
	for _, c := range []struct {
		elapsed time.Duration
		want    Amount
	}{
		{-time.Hour, 0},
		{0, 0},
		{12 * time.Second, 998_174_766}, // 1 PLX within 0.2 %
		{Era, Cap / 2},
		{2 * Era, Cap / 4 * 3},
		{3 * Era, Cap / 8 * 7},
		{Era / 2, Cap / 4},
		{54 * Era, Cap - 1},
		{55 * Era, Cap},
		{math.MaxInt64, Cap},
	} {
		if got := Scheduled(c.elapsed); got != c.want {
			t.Errorf("Scheduled(%v) = %d, want %d", c.elapsed, got, c.want)
		}
	}
	if years := 126_230_400 * time.Second; Era != years {
		t.Errorf("an era is %v ns, want 4 years of 365.25 days, %v", Era, years)
	}
}

func TestScheduledNeverFallsNorExceedsTheCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "at"))
		if rapid.Bool().Draw(t, "near a halving") {
			at = at/Era*Era + time.Duration(rapid.Int64Range(-100, 100).Draw(t, "off"))
		}
		step := time.Duration(rapid.Int64Range(0, math.MaxInt64-int64(max(at, 0))).Draw(t, "step"))
		before, after := Scheduled(at), Scheduled(at+step)
		if before > after || after > Cap {
			t.Fatalf("%d at %d ns, %d at %d ns", before, at, after, at+step)
		}
	})
}

// Blocks mint Scheduled(now) − minted, so rounding never adds up.
func TestScheduledBlockByBlock(t *testing.T) {
	var minted Amount
	elapsed := time.Duration(Era) - 100*time.Second
	minted = Scheduled(elapsed)
	for range 200 {
		elapsed += 1013 * time.Millisecond
		minted += Scheduled(elapsed) - minted
		if minted != Scheduled(elapsed) {
			t.Fatalf("minted %d by %v, want %d", minted, elapsed, Scheduled(elapsed))
		}
	}
}

func TestNextHalving(t *testing.T) {
	for _, c := range []struct{ at, want time.Duration }{
		{0, Era}, {1, Era - 1}, {Era - 1, 1}, {Era, Era}, {-5, Era},
	} {
		if got := NextHalving(c.at); got != c.want {
			t.Errorf("NextHalving(%d) = %d, want %d", c.at, got, c.want)
		}
	}
}
