package text

import (
	"fmt"
	"math"

	"github.com/plexus-network/plexus/engine"
)

// Class sorts answers by how their tokens were picked; margins are expected
// differently in each.
type Class uint8

// The classes.
const (
	Greedy  Class = iota // temperature 0
	Sampled              // above
	Probed               // the probe of an answer at temperature 0
	classes
)

// String names the class as manifests do.
func (c Class) String() string { return [...]string{"greedy", "sampled", "probed"}[c] }

func classOf(s engine.Sampling) Class {
	if s.Temperature == 0 {
		return Greedy
	}
	return Sampled
}

// Examination is what one pass of a checker's model over an answer showed.
type Examination struct {
	Class   Class
	Margins []float64 // of the tokens that were looked at, in nats, 0 exact to 8
	Probe   []float64 // of the probe's tokens

	// Distance is how far the reported log-probabilities are from the
	// checker's, as a mean of 0 (equal) to 0.5.
	Distance float64
	// Broken says what no honest miner's answer has, and then nothing else of
	// the answer was looked at; empty when its form is right.
	Broken string
	// Early means that it ends its turn where the model was far from it.
	Early bool
	// Surprise is how surprising the tokens were to the checker's model, where
	// miners need not follow the sampler's luck.
	Surprise Surprisal
}

// end looks at the last token's margin: a single token far off is nothing,
// but this one cuts the answer.
func (x *Examination) end(ends bool) {
	last := len(x.Margins) - 1
	x.Early = ends && last >= 0 && Bin(x.Margins[last]) == bins-1
}

// Tokens is how many tokens were looked at.
func (x Examination) Tokens() int { return len(x.Margins) + len(x.Probe) }

// off counts the tokens that are not the sampler's pick.
func (x Examination) off() (missed int, worst float64) {
	for _, margins := range [][]float64{x.Margins, x.Probe} {
		for _, m := range margins {
			worst = max(worst, m)
			if m > 0 {
				missed++
			}
		}
	}
	return missed, worst
}

// Weigh returns what an examination says for cheating: Σ ln(cheat/honest) over
// its tokens, and as much as half a conviction more where its form, its end or
// its log-probabilities are no honest miner's.
func (m Manifest) Weigh(x Examination) float64 {
	evidence := m.calibration(x.Class).sum(x.Margins) + m.calibration(Probed).sum(x.Probe)
	if x.Broken != "" || x.Early || m.distant(x) {
		evidence = max(evidence, 0) + violation
	}
	return evidence
}

// distant tells whether log-probabilities alone show that another model spoke.
func (m Manifest) distant(x Examination) bool {
	return len(x.Margins) >= minDistance && x.Distance > m.Distance
}

func (m Manifest) calibration(c Class) Calibration {
	switch c {
	case Greedy:
		return m.Greedy
	case Probed:
		return m.Probed
	default:
		return m.Sampled
	}
}

// sum is the evidence of margins.
func (c Calibration) sum(margins []float64) float64 {
	sum := 0.0
	for _, m := range margins {
		sum += c.weigh(m)
	}
	return sum
}

// Bin is the index of a margin in a histogram of a [Calibration].
func Bin(margin float64) int {
	i := 0
	for i < len(edges) && margin > edges[i] {
		i++
	}
	return i
}

// weigh returns what a margin says for cheating, as ln(cheat/honest).
func (c Calibration) weigh(margin float64) float64 {
	i := Bin(margin)
	return math.Log(c.Cheat[i] / c.Honest[i])
}

// note tells people how far off an answer was that is good.
func (x Examination) note() string {
	if x.Early {
		return "it ends its turn where the model does not"
	}
	missed, worst := x.off()
	if missed == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d tokens differ from the model's, by up to %.2g nats", missed, x.Tokens(), worst)
}
