package rating

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// likelihood is the log-likelihood of a game's order, straight from the paper's
// definition of the Plackett–Luce model, in spread c.
func likelihood(players []Rating, ranks []int, c float64) float64 {
	sum := 0.0
	for q := range players {
		pool, tied := 0.0, 0.0
		for s := range players {
			if ranks[s] >= ranks[q] {
				pool += math.Exp(players[s].Mu / c)
			}
			if ranks[s] == ranks[q] {
				tied++
			}
		}
		sum += (players[q].Mu/c - math.Log(pool)) / tied
	}
	return sum
}

// slow is Update by numeric derivatives of the likelihood.
func slow(players []Rating, ranks []int) []Rating {
	c := 0.0
	wide := make([]Rating, len(players))
	for i, p := range players {
		wide[i] = Rating{p.Mu, math.Sqrt(p.Sigma*p.Sigma + tau*tau)}
		c += wide[i].Sigma*wide[i].Sigma + beta*beta
	}
	c = math.Sqrt(c)
	out := make([]Rating, len(players))
	for i, p := range wide {
		const h = 1e-2
		at := func(d float64) float64 {
			moved := append([]Rating(nil), wide...)
			moved[i].Mu += d
			return likelihood(moved, ranks, c)
		}
		first := (at(h) - at(-h)) / (2 * h)
		second := (at(h) - 2*at(0) + at(-h)) / (h * h)
		v := p.Sigma * p.Sigma
		out[i] = Rating{p.Mu + v*first, math.Sqrt(v * math.Max(1+p.Sigma/c*v*second, kappa))}
	}
	return out
}

func drawGame(t *rapid.T) ([]Rating, []int) {
	n := rapid.IntRange(2, 6).Draw(t, "players")
	players, ranks := make([]Rating, n), make([]int, n)
	for i := range players {
		players[i] = Rating{rapid.Float64Range(-20, 70).Draw(t, "mu"), rapid.Float64Range(0.5, 12).Draw(t, "sigma")}
		ranks[i] = rapid.IntRange(0, 3).Draw(t, "rank")
	}
	return players, ranks
}

func TestUpdateEqualsSlowReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		players, ranks := drawGame(t)
		got, want := Update(players, ranks), slow(players, ranks)
		for i := range got {
			if math.Abs(got[i].Mu-want[i].Mu) > 1e-3 || math.Abs(got[i].Sigma-want[i].Sigma) > 1e-3 {
				t.Fatalf("player %d of %v, %v: %v, the reference has %v", i, players, ranks, got[i], want[i])
			}
		}
	})
}

func TestUpdateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		players, ranks := drawGame(t)
		after := Update(players, ranks)
		first, last := ranks[0], ranks[0]
		for _, r := range ranks {
			first, last = min(first, r), max(last, r)
		}
		for i, p := range after {
			if !p.Valid() || p.Sigma > math.Hypot(players[i].Sigma, tau) {
				t.Fatalf("player %d: %v after %v", i, p, players[i])
			}
			alone := 0
			for _, r := range ranks {
				if r == ranks[i] {
					alone++
				}
			}
			if ranks[i] == first && first != last && alone == 1 && p.Mu < players[i].Mu {
				t.Fatalf("the winner falls from %v to %v", players[i], p)
			}
		}
		// The order in which players are listed does not matter.
		order := rapid.Permutation(rangeOf(len(players))).Draw(t, "order")
		mixed, mixedRanks := make([]Rating, len(players)), make([]int, len(players))
		for i, j := range order {
			mixed[i], mixedRanks[i] = players[j], ranks[j]
		}
		for i, p := range Update(mixed, mixedRanks) {
			if math.Abs(p.Mu-after[order[i]].Mu) > 1e-9 || math.Abs(p.Sigma-after[order[i]].Sigma) > 1e-9 {
				t.Fatalf("listed in another order, %v becomes %v and not %v", mixed[i], p, after[order[i]])
			}
		}
	})
}

func rangeOf(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestEqualPlayersShareWhatOneLoses(t *testing.T) {
	after := Update([]Rating{New(), New(), New()}, []int{0, 1, 2})
	sum := 0.0
	for _, p := range after {
		sum += p.Mu - mu
	}
	if math.Abs(sum) > 1e-9 || !(after[0].Mu > after[1].Mu && after[1].Mu > after[2].Mu) {
		t.Errorf("after a game of equals: %v", after)
	}
	for _, p := range Update([]Rating{New(), New()}, []int{1, 1}) {
		if math.Abs(p.Mu-mu) > 1e-9 {
			t.Errorf("a tie of equals moves to %v", p)
		}
	}
}

func TestRatingsFindTheTrueOrder(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	skill := []float64{10, 18, 25, 32, 40}
	players := make([]Rating, len(skill))
	for i := range players {
		players[i] = New()
	}
	for range 300 {
		played := dice.Perm(len(skill))[:3]
		play := make([]float64, len(played))
		for i, j := range played {
			play[i] = skill[j] + beta*dice.NormFloat64()
		}
		game, ranks := make([]Rating, len(played)), make([]int, len(played))
		for i, j := range played {
			game[i] = players[j]
			for k := range play {
				if play[k] > play[i] {
					ranks[i]++
				}
			}
		}
		for i, p := range Update(game, ranks) {
			players[played[i]] = p
		}
	}
	if !sort.SliceIsSorted(players, func(i, j int) bool { return players[i].Mu < players[j].Mu }) {
		t.Errorf("ratings %v of skills %v", players, skill)
	}
	if w := Win(players[4], players[0]); w < 0.9 {
		t.Errorf("the best beats the worst with probability %v", w)
	}
}
