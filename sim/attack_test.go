package sim

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// tables makes the attacks run with all settings, as bench/attacks.md shows
// them, and not just with one of each kind.
var tables = flag.Bool("tables", false, "run the attacks with all settings")

// some returns all settings, or only the first n.
func some[T any](n int, all ...T) []T {
	if *tables {
		return all
	}
	return all[:n]
}

// copied runs honest validators and one that copies the median of all weights
// that it can read, and returns what the copier earned for one that an honest
// one of equal stake did. Every miner's quality changes with chance drift in
// an epoch.
func copied(t *testing.T, hidden, liquid bool, drift float64) float64 {
	const honest, miners, epochs = 8, 12, 30
	a := newArena(t, honest+1, miners, func(h *subnetv1.Hyperparameters) { h.CommitReveal, h.LiquidAlpha = hidden, liquid })
	quality := make([]float64, miners)
	for j := range quality {
		quality[j] = a.rng.Float64()
	}
	a.settle() // permits
	for epoch := range epochs {
		for j := range quality {
			if a.rng.Float64() < drift {
				quality[j] = a.rng.Float64()
			}
		}
		opinions := map[int][]float64{}
		for i := range honest {
			opinions[i] = a.noisy(quality, 0.1)
		}
		if hidden {
			a.reveal()
			if stolen := a.median(honest); stolen != nil {
				opinions[honest] = stolen
			}
			a.speak(opinions)
		} else {
			a.speak(opinions)
			a.speak(map[int][]float64{honest: a.median(honest)})
		}
		a.settle()
		if epoch == 5 { // bonds have grown
			a.forget()
		}
	}
	return sum(a.validated, honest, honest+1) / (sum(a.validated, 0, honest) / honest)
}

// median returns the median weight on each miner of the first n validators, or
// nil if none can be read.
func (a *arena) median(n int) []float64 {
	var rows [][]float64
	for _, row := range a.rows()[:n] {
		if row != nil {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	opinion := make([]float64, a.miners)
	for j := range opinion {
		var column []float64
		for _, row := range rows {
			column = append(column, row[j])
		}
		slices.Sort(column)
		opinion[j] = column[len(column)/2]
	}
	return opinion
}

// A weight copier earns less than who measures, if weights are hidden and
// miners change; in the open it earns as much.
func TestAttackWeightCopier(t *testing.T) {
	t.Log("miners that change in an epoch | open weights | commit–reveal | commit–reveal and liquid alpha")
	for _, drift := range some(1, 0.1, 0, 0.05, 0.3) {
		open, hidden, liquid := copied(t, false, false, drift), copied(t, true, false, drift), copied(t, true, true, drift)
		t.Logf("%3.0f %% | %.3f | %.3f | %.3f", 100*drift, open, hidden, liquid)
		if open < 0.99 {
			t.Errorf("drift %v: in the open the copier earns only %.3f of an honest validator: the attack is too weak to tell anything", drift, open)
		}
		if drift >= 0.05 && (hidden >= 1 || hidden >= open) {
			t.Errorf("drift %v: the copier earns %.3f of an honest validator with hidden weights, %.3f without", drift, hidden, open)
		}
	}
}

// A heist is what a cabal took, as parts of all that was paid.
type heist struct{ miners, validators float64 }

// cabal runs ten validators of equal stake, of which a number are a cabal, and
// returns what the cabal took of the miners' and the validators' halves. It
// weighs only its own five miners, which work as well as ten honest ones do, or
// not at all.
func cabal(t *testing.T, members int, idle bool, change func(*subnetv1.Hyperparameters)) heist {
	const validators, honestMiners, theirs, epochs = 10, 10, 5, 12
	a := newArena(t, validators, honestMiners+theirs, change)
	quality, greed := make([]float64, honestMiners+theirs), make([]float64, honestMiners+theirs)
	for j := range quality {
		quality[j] = 1
		if j >= honestMiners {
			greed[j] = 1
			if idle {
				quality[j] = 0
			}
		}
	}
	a.settle()
	for epoch := range epochs {
		opinions := map[int][]float64{}
		for i := range validators {
			opinions[i] = a.noisy(quality, 0.3)
			if i < members {
				opinions[i] = greed
			}
		}
		a.speak(opinions)
		a.settle()
		if epoch == 3 {
			a.forget()
		}
	}
	all := len(a.mined)
	return heist{
		miners:     sum(a.mined, all-theirs, all) / sum(a.mined, validators, all),
		validators: sum(a.validated, 0, members) / sum(a.validated, 0, validators),
	}
}

// A cabal with less than kappa of the stake takes nothing for miners that do
// not work, and its validators lose their dividends.
func TestAttackCabal(t *testing.T) {
	t.Log("stake | bonds | penalty | idle miners take | their validators | working miners take (a third is fair) | their validators")
	for _, members := range some(2, 5, 4, 3) {
		for _, rule := range some(1, subnetv1.BondRule_BOND_RULE_YUMA3, subnetv1.BondRule_BOND_RULE_YUMA2) {
			for _, penalty := range some(1, uint32(65535), 32768, 0) {
				change := func(h *subnetv1.Hyperparameters) { h.BondRule, h.BondsPenalty = rule, penalty }
				idle, work := cabal(t, members, true, change), cabal(t, members, false, change)
				t.Logf("%d0 %% | %s | %.1f | %.1f %% | %.1f %% | %.1f %% | %.1f %%", members, fmt.Sprint("Yuma", int(rule)), float64(penalty)/65535,
					100*idle.miners, 100*idle.validators, 100*work.miners, 100*work.validators)
				if members < 5 && (idle.miners > 0 || idle.validators > 0.01) {
					t.Errorf("a cabal with %d0 %% of stake took %+v for miners that do nothing", members, idle)
				}
			}
		}
	}
}
