package text

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// state is where the sequential test of a miner stands. The zero state is
// invalid.
type state uint8

// A miner starts fresh, is trusted from the first test that it passes, and
// rejected from the first that it fails until it passes one after its penalty.
const (
	fresh state = iota + 1
	trusted
	rejected
)

// next lists every legal move; what is absent is forbidden.
var next = map[state][]state{
	fresh:    {trusted, rejected},
	trusted:  {trusted, rejected},
	rejected: {trusted, rejected},
}

// Bounds of Wald's sequential test on the evidence of a miner, ln((1−β)/α) and
// ln(β/(1−α)) for α = 10⁻⁴ and β = 10⁻³ (A. Wald, Sequential Tests of
// Statistical Hypotheses, 1945).
const (
	RejectAt = 9.21
	AcceptAt = -6.91
)

// violation is the evidence of an answer that breaks the form that every
// honest miner's has. Two of them outweigh what a good answer says.
const violation = RejectAt / 2

// probation is the number of tokens of a new miner that are all checked.
const probation = 2000

// maxDoubling bounds how often a penalty doubles.
const maxDoubling = 10

// record is what a validator remembers of one miner.
type record struct {
	State    state     `json:"state"`
	Evidence float64   `json:"evidence"` // Λ: Σ ln f1/f0 since the last decision
	Tokens   int       `json:"tokens"`   // checked since the last rejection
	Rejects  int       `json:"rejects"`
	Surprise Surprisal `json:"surprise,omitzero"` // of answers that nothing else is learned from
	Until    time.Time `json:"until,omitzero"`    // end of the penalty

	Volume   float64   `json:"volume"`    // tokens delivered, halved every volumeHalf
	VolumeAt time.Time `json:"volume_at"` // when it was last counted
	Rate     float64   `json:"rate"`      // tokens per second, moving average; 0 unknown
}

func (r *record) move(to state) {
	if !slices.Contains(next[r.State], to) {
		panic(fmt.Sprintf("text: no move from state %d to %d", r.State, to))
	}
	r.State = to
}

// learn adds evidence from tokens checked at now, and tells whether that
// proves the miner a cheat. Every proof after an end of the penalty doubles
// it; one before only begins it anew, so that a mistake that a miner makes all
// the time and then mends does not shut it out for good.
func (r *record) learn(evidence float64, tokens int, now time.Time, penalty time.Duration) (proven bool) {
	r.Evidence += evidence
	r.Tokens += tokens
	serving := r.State == rejected && now.Before(r.Until)
	switch {
	case r.Evidence >= RejectAt:
		if !serving {
			r.Rejects++
		}
		r.Until = now.Add(penalty << min(r.Rejects-1, maxDoubling))
		r.Evidence, r.Tokens = 0, 0
		r.move(rejected)
		return true
	case r.Evidence > AcceptAt:
	case serving:
		r.Evidence = AcceptAt // passed, but must wait out its penalty
	default:
		r.Evidence = 0
		r.move(trusted)
	}
	return false
}

// quality is the probability-like factor q of a miner's score: 0 when
// rejected, σ(−Λ) while there is no decision, 1 after a passed test, and less
// again as evidence against a trusted miner mounts.
func (r *record) quality() float64 {
	sigmoid := 1 / (1 + math.Exp(r.Evidence))
	switch r.State {
	case rejected:
		return 0
	case trusted:
		return min(1, 2*sigmoid)
	default:
		return sigmoid
	}
}

// reputation is 0 for the unknown and nears 1 with tokens that were checked.
func (r *record) reputation() float64 {
	return float64(r.Tokens) / float64(r.Tokens+probation)
}

// volumeHalf is the time in which delivered tokens lose half their weight.
const volumeHalf = 10 * time.Minute

// deliver counts tokens that arrived at now at a rate of tokens per second.
func (r *record) deliver(tokens int, rate float64, now time.Time) {
	r.Volume = r.volume(now) + float64(tokens)
	r.VolumeAt = now
	if r.Rate == 0 {
		r.Rate = rate
	}
	r.Rate += 0.2 * (rate - r.Rate)
}

// volume is the weight of the delivered tokens at now.
func (r *record) volume(now time.Time) float64 {
	age := max(now.Sub(r.VolumeAt), 0)
	return r.Volume * math.Exp2(-age.Seconds()/volumeHalf.Seconds())
}

// valid tells whether a record can have come out of this file.
func (r *record) valid() bool {
	for _, v := range []float64{r.Evidence, r.Volume, r.Rate, r.Surprise.Excess, r.Surprise.Variance} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	_, known := next[r.State]
	return known && r.Evidence < RejectAt && r.Tokens >= 0 && r.Rejects >= 0 && (r.State != rejected || r.Rejects > 0) && r.Volume >= 0 && r.Rate >= 0 &&
		r.Surprise.Variance >= 0 && r.Surprise.Tokens >= 0
}
