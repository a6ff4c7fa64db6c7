package coin

import "math/bits"

// Era is the time between two halvings, four years of 365.25 days, in
// nanoseconds. Like the functions below it goes with a time.Duration, which a
// law does not name: package time is a clock.
const Era = 4 * 8766 * 3600 * 1_000_000_000

// Scheduled returns how much has been minted once the network has emitted for
// elapsed nanoseconds. It never falls as time goes on and never exceeds [Cap].
//
// Every era mints half of what its predecessors left of the cap, evenly over
// its time: 10.5 million PLX in the first, which is 1 PLX per 12 seconds within
// 0.2 %. With R(k) = ⌊Cap/2ᵏ⌋ left at the start of era k, counted from 0,
//
//	Scheduled(k·Era + t) = Cap − R(k) + ⌊(R(k) − R(k+1))·t/Era⌋
//
// so the whole cap is out after 55 eras. A negative time counts as 0.
func Scheduled[D ~int64](elapsed D) Amount {
	if elapsed <= 0 {
		return 0
	}
	era, t := elapsed/Era, elapsed%Era
	left := Cap >> era
	hi, lo := bits.Mul64(uint64(left-left/2), uint64(t))
	minted, _ := bits.Div64(hi, lo, Era)
	return Cap - left + Amount(minted)
}

// NextHalving returns for how many more nanoseconds the network emits at its
// present rate.
func NextHalving[D ~int64](elapsed D) D { return Era - max(elapsed, 0)%Era }
