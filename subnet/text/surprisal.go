package text

import (
	"math"

	"github.com/plexus-network/plexus/engine"
)

// Surprisal sums up how surprising tokens were to a model, beyond what it
// expects of tokens of its own: Σ(−ln q(y) − H(q)) and Σ Var. It needs no seed,
// so it judges miners whose server has a sampler of its own; it finds other
// models, and not mild quantisation. The zero Surprisal has seen nothing.
type Surprisal struct {
	Excess   float64 `json:"excess"`   // nats
	Variance float64 `json:"variance"` // nats²
	Tokens   int     `json:"tokens"`
}

// Beyond these an answerer's tokens are not the model's own, and its answers at
// temperature 0 are looked at closely.
const (
	alarmZ      = 4
	alarmTokens = 1000
)

// Add counts a token drawn at a temperature above 0 from all candidates. Where
// it is not among the listed ones, the list says nothing of it.
func (s *Surprisal) Add(reference engine.TokenScore, temperature float32) {
	total, first := 0.0, 0.0
	scaled := func(c engine.Candidate) float64 {
		return (float64(c.LogProb) - first) / float64(temperature)
	}
	own := math.NaN()
	for i, c := range reference.Top {
		if i == 0 {
			first = float64(c.LogProb)
		}
		total += math.Exp(scaled(c))
		if c.Token == reference.Token {
			own = scaled(c)
		}
	}
	if math.IsNaN(own) || total == 0 {
		return
	}
	norm := math.Log(total)
	entropy, square := 0.0, 0.0
	for _, c := range reference.Top {
		surprise := norm - scaled(c)
		p := math.Exp(-surprise)
		entropy += p * surprise
		square += p * surprise * surprise
	}
	s.Excess += norm - own - entropy
	s.Variance += max(square-entropy*entropy, 0)
	s.Tokens++
}

// Join counts what another has seen.
func (s *Surprisal) Join(o Surprisal) {
	s.Excess += o.Excess
	s.Variance += o.Variance
	s.Tokens += o.Tokens
}

// Z is the surprise in standard deviations: of the model's own tokens normal
// around 0 with deviation 1, and 0 where nothing was seen.
func (s Surprisal) Z() float64 {
	if s.Variance == 0 {
		return 0
	}
	return s.Excess / math.Sqrt(s.Variance)
}

// alarming tells whether the tokens are too surprising, or too little.
func (s Surprisal) alarming() bool {
	return s.Tokens >= alarmTokens && math.Abs(s.Z()) > alarmZ
}

// surprise examines an answer whose luck is the answerer's own. Samplings that
// leave candidates out say nothing, since servers do not agree on how.
func (f form) surprise(scores []engine.TokenScore, s engine.Sampling) (sum Surprisal) {
	if s.TopK > 0 || s.MinP > 0 || s.TopP > 0 && s.TopP < 1 {
		return sum
	}
	for _, reference := range scores {
		sum.Add(reference, s.Temperature)
	}
	return sum
}
