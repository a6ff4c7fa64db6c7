// Package rating estimates skill from the order in which players finish.
//
// It is the Plackett–Luce update of R. C. Weng and C.-J. Lin, "A Bayesian
// Approximation Method for Online Ranking", Journal of Machine Learning Research
// 12 (2011), algorithm 4, with teams of one: after a game each player's normal
// belief moves up the gradient of the likelihood of what was seen, and narrows by
// its curvature. It is pure. Start at [Update].
package rating

import "math"

// Rating is a normal belief about a player's skill.
type Rating struct {
	Mu    float64 `json:"mu"`
	Sigma float64 `json:"sigma"` // above 0
}

// The usual scale: a new player is somewhere between 0 and 50.
const (
	mu    = 25.0
	sigma = mu / 3
	beta  = sigma / 2   // deviation of a player's play from its skill
	tau   = sigma / 100 // what skill may change between two games
	kappa = 1e-4        // least share of the variance that a game leaves
)

// New is the belief about a player that has not played.
func New() Rating { return Rating{Mu: mu, Sigma: sigma} }

// Valid tells whether r can be a belief.
func (r Rating) Valid() bool {
	return r.Sigma > 0 && r.Sigma <= math.MaxFloat32 && math.Abs(r.Mu) <= math.MaxFloat32
}

// Update returns the ratings after one game: ranks[i] is the place of players[i],
// lower is better, and equal ranks are a tie. Both have one length. A game of
// fewer than two changes nothing.
func Update(players []Rating, ranks []int) []Rating {
	out := make([]Rating, len(players))
	copy(out, players)
	if len(players) < 2 {
		return out
	}
	for i := range out {
		out[i].Sigma = math.Hypot(out[i].Sigma, tau)
	}
	g := newGame(out, ranks)
	for i, p := range out {
		gradient, curvature := g.slope(i)
		v := p.Sigma * p.Sigma
		out[i].Mu += v * gradient
		out[i].Sigma = p.Sigma * math.Sqrt(max(1-p.Sigma/g.c*v*curvature, kappa))
	}
	return out
}

// game is what all players' updates have in common.
type game struct {
	ranks []int
	c     float64   // spread of the whole game
	worth []float64 // e^(μ/c), over the largest of them
	pool  []float64 // by player q: sum of worth over those that finished no better than q
	tied  []float64 // by player: how many share its rank
}

func newGame(players []Rating, ranks []int) *game {
	n := len(players)
	g := &game{ranks: ranks, worth: make([]float64, n), pool: make([]float64, n), tied: make([]float64, n)}
	best := math.Inf(-1)
	for _, p := range players {
		g.c += p.Sigma*p.Sigma + beta*beta
		best = max(best, p.Mu)
	}
	g.c = math.Sqrt(g.c)
	for i, p := range players {
		g.worth[i] = math.Exp((p.Mu - best) / g.c)
	}
	for q := range players {
		for s := range players {
			if ranks[s] >= ranks[q] {
				g.pool[q] += g.worth[s]
			}
			if ranks[s] == ranks[q] {
				g.tied[q]++
			}
		}
	}
	return g
}

// slope returns the first derivative of the log-likelihood by μ of player i,
// and the second one's negative.
func (g *game) slope(i int) (gradient, curvature float64) {
	for q := range g.ranks {
		if g.ranks[q] > g.ranks[i] {
			continue
		}
		p := g.worth[i] / g.pool[q]
		if q == i {
			gradient += 1 / g.tied[q]
		}
		gradient -= p / g.tied[q]
		curvature += p * (1 - p) / g.tied[q]
	}
	return gradient / g.c, curvature / (g.c * g.c)
}

// Win is the probability that a beats b in a game of the two.
func Win(a, b Rating) float64 {
	c := math.Sqrt(a.Sigma*a.Sigma + b.Sigma*b.Sigma + 2*beta*beta)
	return 1 / (1 + math.Exp((b.Mu-a.Mu)/c))
}
