package coin

import (
	"math/bits"
	"time"
)

// Era is the time between two halvings: four years of 365.25 days.
const Era = 4 * 8766 * time.Hour

// Scheduled returns how much has been minted once the network has emitted for
// the time elapsed. It never falls as time goes on and never exceeds [Cap].
//
// Every era mints half of what its predecessors left of the cap, evenly over
// its time: 10.5 million PLX in the first, which is 1 PLX per 12 seconds within
// 0.2 %. With R(k) = ⌊Cap/2ᵏ⌋ left at the start of era k, counted from 0,
//
//	Scheduled(k·Era + t) = Cap − R(k) + ⌊(R(k) − R(k+1))·t/Era⌋
//
// so the whole cap is out after 55 eras. A negative time counts as 0.
func Scheduled(elapsed time.Duration) Amount {
	if elapsed <= 0 {
		return 0
	}
	era, t := elapsed/Era, elapsed%Era
	left := Cap >> era
	hi, lo := bits.Mul64(uint64(left-left/2), uint64(t))
	minted, _ := bits.Div64(hi, lo, uint64(Era))
	return Cap - left + Amount(minted)
}

// NextHalving returns how much longer the network emits at its present rate.
func NextHalving(elapsed time.Duration) time.Duration {
	return Era - max(elapsed, 0)%Era
}
