package fixed

import "math/bits"

// Sum adds up numbers and products without loss, in 128 bits. The zero value
// is an empty sum. It wraps around past 2¹²⁸, which 2⁶⁴ numbers cannot reach,
// nor can products with fractions that add up to no more than [One].
type Sum struct{ hi, lo uint64 }

// Add adds v.
func (s *Sum) Add(v uint64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, v, 0)
	s.hi += carry
}

// AddMul adds a·b.
func (s *Sum) AddMul(a, b uint64) {
	hi, lo := bits.Mul64(a, b)
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi += hi + carry
}

// Uint64 returns the sum, and false if it does not fit 64 bits.
func (s Sum) Uint64() (uint64, bool) { return s.lo, s.hi == 0 }

// Mean returns the sum divided by n, rounded down, at most [One], and 0 when n
// is 0. For a sum of stake·fraction over stakes that add up to n, it is the
// stake-weighted mean of the fractions.
func (s Sum) Mean(n uint64) Frac {
	switch {
	case n == 0:
		return 0
	case s.hi >= n:
		return One
	}
	q, _ := bits.Div64(s.hi, s.lo, n)
	return Frac(q)
}

// Share returns v divided by the sum, rounded down, at most [One], and 0 when
// the sum is 0. It is exact while the sum fits 64 bits; past that, v and the
// sum lose as many low bits as the sum is too long.
func (s Sum) Share(v uint64) Frac {
	if s.hi == 0 {
		return Ratio(v, s.lo)
	}
	top, shift := s.top()
	return Ratio(v>>shift, top)
}

// top returns the leading 64 bits of a sum that is not 0, rounded up, and by
// how many bits it was shifted right for that: negative means left.
func (s Sum) top() (v uint64, shift int) {
	if s.hi == 0 {
		n := bits.LeadingZeros64(s.lo)
		return s.lo << n, -n
	}
	n := bits.LeadingZeros64(s.hi)
	v = s.hi<<n | s.lo>>(64-n)
	if s.lo<<n == 0 {
		return v, 64 - n
	}
	if v++; v == 0 {
		return 1 << 63, 64 - n + 1
	}
	return v, 64 - n
}

// Scale multiplies many fractions by one ratio, at the price of one division.
// The zero value multiplies by 0.
type Scale struct {
	mul   uint64 // the leading 64 bits of the ratio
	shift uint   // the ratio is mul/2^shift
}

// ScaleOf returns the scale num/den, which is 0 when den is 0.
func ScaleOf(num Frac, den Sum) Scale {
	if num == 0 || den == (Sum{}) {
		return Scale{}
	}
	// With both words shifted to the top, the quotient has 64 leading bits.
	up := bits.LeadingZeros64(uint64(num))
	n := uint64(num) << up
	d, down := den.top()
	if n >= d {
		n >>= 1
		up--
	}
	q, _ := bits.Div64(n, 0, d)
	return Scale{mul: q, shift: uint(64 + up + down)}
}

// Of returns f times the ratio, rounded down, at most [One]. The ratio is short
// of num/den by no more than a part in 2⁶¹.
func (s Scale) Of(f Frac) Frac {
	hi, lo := bits.Mul64(uint64(f), s.mul)
	if s.shift >= 64 {
		return Frac(hi >> (s.shift - 64))
	}
	if hi>>s.shift != 0 {
		return One
	}
	return Frac(hi<<(64-s.shift) | lo>>s.shift)
}
