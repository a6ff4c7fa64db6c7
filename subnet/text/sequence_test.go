package text

import (
	"math/rand/v2"
	"testing"
	"time"
)

// draw returns a margin out of a histogram.
func draw(r *rand.Rand, histogram [bins]float64) float64 {
	u := r.Float64()
	for i, p := range histogram {
		if u -= p; u < 0 {
			return [bins]float64{0, 0.01, 0.05, 0.3, 1, 8}[i]
		}
	}
	return 0
}

// decide runs one sequential test and returns its decision and length.
func decide(r *rand.Rand, c Calibration, histogram [bins]float64) (rejected bool, tokens int) {
	for m := (&record{State: fresh}); m.State == fresh; tokens++ {
		rejected = m.learn(c.weigh(draw(r, histogram)), 1, epoch0, time.Minute)
	}
	return rejected, tokens
}

// The error rates are those that the bounds promise, α = 10⁻⁴ and β = 10⁻³,
// and decisions take as many tokens as documentation says.
func TestSequentialTestErrorRates(t *testing.T) {
	const runs = 20_000
	for name, c := range map[string]Calibration{"greedy": defaultGreedy, "sampled": defaultSampled} {
		r := rand.New(rand.NewPCG(1, 2))
		var wrong, missed, honestTokens, cheatTokens int
		for range runs {
			rejected, n := decide(r, c, c.Honest)
			if rejected {
				wrong++
			}
			honestTokens += n
			rejected, n = decide(r, c, c.Cheat)
			if !rejected {
				missed++
			}
			cheatTokens += n
		}
		t.Logf("%s: honest rejected %d of %d, accepted after %d tokens; cheat missed %d, caught after %d",
			name, wrong, runs, honestTokens/runs, missed, cheatTokens/runs)
		if wrong > runs/2000 || missed > runs/500 {
			t.Errorf("%s: %d honest rejected and %d cheats missed in %d", name, wrong, missed, runs)
		}
		if honestTokens/runs > 150 || cheatTokens/runs > 60 {
			t.Errorf("%s: decisions take %d and %d tokens", name, honestTokens/runs, cheatTokens/runs)
		}
	}
}

func TestForbiddenMovePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a record moved from no state")
		}
	}()
	new(record).move(trusted)
}
