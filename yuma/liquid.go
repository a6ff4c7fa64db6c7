package yuma

import (
	"slices"

	"github.com/plexus-network/plexus/fixed"
)

// liquid is the law of liquid alpha: how fast a bond moves depends on how far
// its weight is ahead of consensus, or how far the bond must fall.
type liquid struct {
	low, spread fixed.Frac
	steepness   int16
}

// liquid returns the law, or nil where bonds move at one rate: when it is
// switched off, and while there is consensus on nobody.
func (e *epoch) liquid() *liquid {
	p := e.Params
	if !p.LiquidAlpha || !slices.ContainsFunc(e.vote.consensus, positive) {
		return nil
	}
	low := fixed.FromU16(p.AlphaLow)
	return &liquid{low: low, spread: fixed.FromU16(p.AlphaHigh) - low, steepness: p.AlphaSteepness}
}

// alpha returns the rate at which bond b moves towards weight w, given the
// consensus c on the miner: low + (high−low)/(1+exp(−steepness·(d−½))), where d
// is how far a weight w ≥ b exceeds c, or else how far b exceeds w.
//
// It holds for every pair with a bond or a weight, sent or not, which is the
// dense rule of opentensor/subtensor.
func (l *liquid) alpha(w, b, c fixed.Frac) fixed.Frac {
	ahead := w.Sub(c)
	if w < b {
		ahead = b - w
	}
	return l.low + fixed.Logistic(ahead, fixed.One/2, l.steepness).Mul(l.spread)
}
