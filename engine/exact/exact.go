// Package exact computes elementary functions with the same bits on every
// machine.
//
// The standard library's versions use assembly on some processors, and the
// compiler may fuse a product and a sum into one rounding. Here every product
// is rounded by an explicit conversion, and the polynomials are fixed. Errors
// stay below 2 units in the last place over the ranges named; the functions
// serve the reference engine and the sampler, whose results others check.
package exact

import "math"

// ln 2 and π/2 in pieces: the leading ones have trailing zero bits, so that
// their product with a small integer is exact (W. Cody and W. Waite, Software
// Manual for the Elementary Functions, 1980; digits as in FreeBSD msun).
const (
	ln2Hi  = 6.93147180369123816490e-01
	ln2Lo  = 1.90821492927058770002e-10
	pio2A  = 1.57079632673412561417e+00
	pio2B  = 6.07710050630396597660e-11
	pio2C  = 2.02226624879595063154e-21
	log2e  = 1.44269504088896338700e+00
	twoOPi = 6.36619772367581382433e-01
)

// poly is c[0] + x·(c[1] + x·(…)).
func poly(x float64, c []float64) float64 {
	s := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		s = float64(s*x) + c[i]
	}
	return s
}

// expC are 1/n!, enough for |x| ≤ ln2/2.
var expC = []float64{
	1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
	1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800,
}

// Exp is eˣ. Beyond the range of float64 it is 0 or +Inf.
func Exp(x float64) float64 {
	switch {
	case x != x || x > 709.7:
		return x * math.Inf(1) // NaN stays NaN
	case x < -745.1:
		return 0
	}
	k := math.Floor(float64(x*log2e) + 0.5)
	r := (x - float64(k*ln2Hi)) - float64(k*ln2Lo)
	return math.Ldexp(poly(r, expC), int(k))
}

// logC are 2/(2n+1), for the series of 2·atanh.
var logC = []float64{
	2, 2. / 3, 2. / 5, 2. / 7, 2. / 9, 2. / 11, 2. / 13, 2. / 15, 2. / 17, 2. / 19, 2. / 21, 2. / 23,
}

// Log is the natural logarithm. It is −Inf at 0 and NaN below.
func Log(x float64) float64 {
	switch {
	case x != x || x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	case math.IsInf(x, 1):
		return x
	}
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f, e = 2*f, e-1
	}
	s := (f - 1) / (f + 1)
	k := float64(e)
	return float64(k*ln2Hi) + (float64(s*poly(float64(s*s), logC)) + float64(k*ln2Lo))
}

var (
	sinC = []float64{1, -1. / 6, 1. / 120, -1. / 5040, 1. / 362880, -1. / 39916800, 1. / 6227020800, -1. / 1307674368000}
	cosC = []float64{1, -1. / 2, 1. / 24, -1. / 720, 1. / 40320, -1. / 3628800, 1. / 479001600, -1. / 87178291200, 1. / 20922789888000}
)

// SinCos returns sin x and cos x for |x| ≤ 10⁶; an angle that large keeps
// about 10⁻¹⁶ of absolute accuracy.
func SinCos(x float64) (sin, cos float64) {
	k := math.Floor(float64(x*twoOPi) + 0.5)
	r := ((x - float64(k*pio2A)) - float64(k*pio2B)) - float64(k*pio2C)
	z := float64(r * r)
	s, c := float64(r*poly(z, sinC)), poly(z, cosC)
	switch int64(k) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}

// Pow is x to the power of y, for x > 0.
func Pow(x, y float64) float64 { return Exp(float64(y * Log(x))) }
