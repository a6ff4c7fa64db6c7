package coin

import (
	"math/bits"

	"github.com/plexus-network/plexus/fixed"
)

// Divide shares out total in proportion to parts, each share rounded down, and
// returns what is left over. Nothing is shared out when parts add up to 0, or
// to 2⁶⁴ and more.
func Divide[T ~uint16 | ~uint32 | ~uint64](total Amount, parts []T) (shares []Amount, rest Amount) {
	shares = make([]Amount, len(parts))
	var sum fixed.Sum
	for _, p := range parts {
		sum.Add(uint64(p))
	}
	whole, fits := sum.Uint64()
	if whole == 0 || !fits {
		return shares, total
	}
	rest = total
	for i, p := range parts {
		hi, lo := bits.Mul64(uint64(total), uint64(p))
		share, _ := bits.Div64(hi, lo, whole)
		shares[i] = Amount(share)
		rest -= shares[i]
	}
	return shares, rest
}

// Split divides total by proportions of 65535, each part rounded down; what is
// left over goes to the first. Where proportions add up to more than 65535, the
// last parts are cut short.
//
// Rule and vectors: opentensor/subtensor, the split over mechanisms.
func Split(total Amount, proportions []uint16) []Amount {
	parts := make([]Amount, len(proportions))
	left := total
	for i, p := range proportions {
		parts[i] = min(total.Mul(fixed.FromU16(p)), left)
		left -= parts[i]
	}
	if len(parts) > 0 {
		parts[0] += left
	}
	return parts
}

// SplitEvenly divides total into n parts of one size, rounded down; what is
// left over goes to the first. It returns nil when n is 0 or less.
func SplitEvenly(total Amount, n int) []Amount {
	if n <= 0 {
		return nil
	}
	parts := make([]Amount, n)
	for i := range parts {
		parts[i] = total / Amount(n)
	}
	parts[0] += total % Amount(n)
	return parts
}
