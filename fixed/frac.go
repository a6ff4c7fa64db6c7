// Package fixed is arithmetic on fractions that gives every node the same bits.
//
// A [Frac] is a number from 0 to 1 inclusive, held in 64 bits: k stands for
// k/(2⁶⁴−1). Counting in 2⁶⁴−1 parts instead of 2⁶⁴ makes 1 exact, and since
// 65535 divides 2⁶⁴−1, every proportion of 65535 is exact as well: what a
// chain stores in 16 bits is read back without error.
//
// Every operation rounds down and none overflows: a result that would leave
// [0, 1] stays at the nearer end. Start at [Frac].
package fixed

import (
	"math"
	"math/bits"
)

// Frac is a number in [0, 1]; k means k/(2⁶⁴−1). The zero value is 0.
type Frac uint64

// One is the fraction 1, the greatest [Frac].
const One Frac = math.MaxUint64

// sixteenth is the value of 1/65535, which is exact.
const sixteenth = One / math.MaxUint16

// FromU16 returns k/65535, exactly.
func FromU16(k uint16) Frac { return Frac(k) * sixteenth }

// U16 returns f as a proportion of 65535, rounded down.
// FromU16(k).U16() == k for every k.
func (f Frac) U16() uint16 { return uint16(f / sixteenth) }

// Ratio returns num/den rounded down, at most [One]. It is 0 when den is 0: a
// share of nothing is nothing.
func Ratio(num, den uint64) Frac {
	if den == 0 || num == 0 {
		return 0
	}
	if num >= den {
		return One
	}
	// num·(2⁶⁴−1) = (num−1)·2⁶⁴ + (2⁶⁴−num), and num−1 < den.
	q, _ := bits.Div64(num-1, -num, den)
	return Frac(q)
}

// Mul returns f·g, rounded down.
func (f Frac) Mul(g Frac) Frac {
	// With N = f·g = hi·2⁶⁴+lo = hi·(2⁶⁴−1) + (hi+lo), and hi+lo < 2·(2⁶⁴−1),
	// the quotient N/(2⁶⁴−1) is hi, or hi+1 when hi+lo reaches 2⁶⁴−1.
	hi, lo := bits.Mul64(uint64(f), uint64(g))
	_, carry := bits.Add64(hi, lo, 1)
	return Frac(hi + carry)
}

// Div returns f/g rounded down, at most [One], and 0 when g is 0.
func (f Frac) Div(g Frac) Frac { return Ratio(uint64(f), uint64(g)) }

// Of returns the part f of n, rounded down.
func (f Frac) Of(n uint64) uint64 { return uint64(f.Mul(Frac(n))) }

// Sub returns f−g, and 0 when g is the greater.
func (f Frac) Sub(g Frac) Frac {
	if g >= f {
		return 0
	}
	return f - g
}

// Lerp returns the point that lies the part t of the way from f to g. The
// distance is rounded down, so t = 0 gives f and t = 1 gives g exactly.
func (f Frac) Lerp(g, t Frac) Frac {
	if g >= f {
		return f + t.Mul(g-f)
	}
	return f - t.Mul(f-g)
}

// Normalize divides every element of v by their sum, in place, so that they add
// up to at most [One]. A v that sums to 0 stays as it is.
func Normalize(v []Frac) {
	var sum Sum
	for _, f := range v {
		sum.Add(uint64(f))
	}
	for i, f := range v {
		v[i] = sum.Share(uint64(f))
	}
}
