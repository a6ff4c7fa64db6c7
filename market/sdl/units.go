package sdl

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/market"
)

// factors are the units of sizes, in bytes, in the order of messages.
var factors = []struct {
	suffix string
	bytes  uint64
}{
	{"k", 1e3},
	{"Ki", 1 << 10},
	{"M", 1e6},
	{"Mi", 1 << 20},
	{"G", 1e9},
	{"Gi", 1 << 30},
	{"T", 1e12},
	{"Ti", 1 << 40},
	{"P", 1e15},
	{"Pi", 1 << 50},
	{"E", 1e18},
	{"Ei", 1 << 60},
}

// size reads bytes, as in 512Mi, 1.5Gi or 1000000.
func (r *reader) size(n node) market.Quantity {
	text := r.text(n)
	number, factor := text, uint64(1)
	for _, f := range factors {
		if whole, ok := strings.CutSuffix(text, f.suffix); ok {
			number, factor = whole, f.bytes
		}
	}
	v, fault := scale(number, factor)
	if fault != "" {
		r.refuse(n, "size %q %s%s", clip(text), fault, meantSize(text))
	}
	return market.Quantity(v)
}

// ram reads a GPU's memory, whose units are only Ki to Ei.
func (r *reader) ram(n node) market.Quantity {
	text := r.text(n)
	for _, f := range factors {
		if len(f.suffix) == 1 && strings.HasSuffix(text, f.suffix) {
			r.refuse(n, "ram %q has the unit %s, but a GPU's memory is counted in Mi or Gi%s", clip(text), f.suffix, meantSize(text+"b"))
			return 0
		}
	}
	return r.size(n)
}

// meantSize guesses the unit behind a wrong one: 1gi, 10Gb and 16 GB are what
// one meets in the wild.
func meantSize(text string) string {
	end := strings.IndexFunc(text, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	if end < 1 {
		return ""
	}
	unit := strings.ToLower(strings.TrimSpace(text[end:]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "ytes"), "b")
	unit = strings.TrimSuffix(unit, "i")
	meant := text[:end] + strings.ToUpper(unit) + "i"
	switch {
	case unit == "":
		return "; did you mean " + text[:end] + ", in bytes?"
	case len(unit) > 1 || !strings.Contains("kmgtpe", unit) || meant == text:
		return ""
	}
	return "; did you mean " + meant + "?"
}

// cores reads thousandths of a core, written as 500m or as 0.5.
func (r *reader) cores(n node) market.Quantity {
	text := r.text(n)
	if milli, ok := strings.CutSuffix(text, "m"); ok {
		v, err := strconv.ParseUint(milli, 10, 32)
		if err != nil {
			r.refuse(n, "cpu %q: before m stands a whole number of thousandths of a core, as in 500m", clip(text))
		}
		return market.Quantity(v)
	}
	v, fault := scale(text, 1000)
	if fault == "" && v > 1<<32-1 {
		fault = "is too large"
	}
	if fault != "" {
		r.refuse(n, "cpu %q %s; write cores as in 0.5, or thousandths as in 500m", clip(text), fault)
	}
	return market.Quantity(v)
}

// count reads a whole number of 64 bits, in quotes or not.
func (r *reader) count(n node) market.Quantity {
	if n.null() {
		return 0
	}
	v, err := strconv.ParseUint(r.text(n), 10, 64)
	if err != nil {
		r.refuse(n, "a whole number is wanted here, not %s", n.kind())
	}
	return market.Quantity(v)
}

// scale returns number·factor cut to a whole number, or what is wrong.
//
// Akash computes this in 64-bit floating point, and the manifest's hash hangs
// on the result: 1.001 cores are 1000 thousandths there, since the nearest
// double of 1.001 is a little less. So the number is rounded to 53 bits, and the
// product again, as that arithmetic does; only here it is the same everywhere.
func scale(number string, factor uint64) (uint64, string) {
	exact, fault := decimal(number)
	if fault != "" {
		return 0, fault
	}
	double := new(big.Float).SetPrec(53).SetRat(exact)
	double.Mul(double, new(big.Float).SetPrec(53).SetUint64(factor))
	whole, _ := double.Int(nil)
	if !whole.IsUint64() {
		return 0, "is too large"
	}
	return whole.Uint64(), ""
}

// decimal reads a number that is not negative, with a point and an exponent if
// need be, or tells what is wrong.
func decimal(s string) (*big.Rat, string) {
	mantissa, exponent, e := strings.Cut(strings.ToLower(s), "e")
	whole, part, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := whole + part
	if digits == "" || len(s) > 40 || len(mantissa)-len(strings.TrimLeft(mantissa, "+-")) > 1 ||
		strings.IndexFunc(digits, func(c rune) bool { return c < '0' || c > '9' }) >= 0 {
		return nil, "is no number with a unit"
	}
	if e {
		n, err := strconv.Atoi(exponent)
		if err != nil || n < -40 || n > 40 { // a longer one is a bomb
			return nil, "has an exponent that is none, or is beyond 40"
		}
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, "is no number with a unit"
	}
	if v.Sign() < 0 {
		return nil, "is negative"
	}
	return v, ""
}

// spans are the units of durations in nanoseconds, longest suffix first where
// one ends in another.
var spans = []struct {
	suffix string
	nanos  int64
}{
	{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"μs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9},
}

// window reads a duration as Go writes them, as in 24h or 1h30m, and rounds it
// up to whole seconds.
func (r *reader) window(n node) market.Seconds {
	text := r.text(n)
	nanos, ok := duration(strings.TrimPrefix(text, "+"))
	switch {
	case !ok:
		r.refuse(n, "duration %q: write a number with s, m or h, as in 24h", clip(text))
		return 0
	case nanos.Sign() <= 0:
		r.refuse(n, "duration %q: a window must be longer than 0, as in 24h", clip(text))
		return 0
	}
	seconds := new(big.Int).Div(new(big.Int).Add(nanos, big.NewInt(1e9-1)), big.NewInt(1e9))
	return market.Seconds(seconds.Int64()) // fits: nanos are below 2⁶³
}

// duration returns the nanoseconds of s, or false when s is none or they do not
// fit into 63 bits.
func duration(s string) (*big.Int, bool) {
	if s == "0" {
		return new(big.Int), true
	}
	sum := new(big.Rat)
	for parts := 0; s != ""; parts++ {
		end := strings.IndexFunc(s, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
		if end < 1 || parts > 8 {
			return nil, false
		}
		v, fault := decimal(s[:end])
		if fault != "" {
			return nil, false
		}
		s = s[end:]
		unit := s
		if next := strings.IndexFunc(s, func(c rune) bool { return c >= '0' && c <= '9' || c == '.' }); next >= 0 {
			unit = s[:next]
		}
		s = s[len(unit):]
		nanos := int64(0)
		for _, u := range spans {
			if u.suffix == unit {
				nanos = u.nanos
			}
		}
		if nanos == 0 {
			return nil, false
		}
		sum.Add(sum, v.Mul(v, new(big.Rat).SetInt64(nanos)))
		if s == "" {
			whole := new(big.Int).Quo(sum.Num(), sum.Denom())
			return whole, whole.IsInt64()
		}
	}
	return nil, false
}
