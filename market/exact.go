package market

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// Exact is money in parts of 10⁻¹⁸ of a base unit, from 0 to (2¹²⁸−1)·10⁻¹⁸.
// Prices are Exact, and so is what a lease owes, so that no settlement ever
// rounds: only what is paid out is cut to whole units. Values compare with ==.
type Exact struct {
	hi, lo uint64
}

// exactScale is the number of parts of one base unit, and exactDigits its
// zeros.
const (
	exactScale  = 1_000_000_000_000_000_000
	exactDigits = 18
)

// ErrExact means that a sum left the range of an [Exact], or is no number.
var ErrExact = errors.New("market: not an amount")

// Whole returns a as an Exact, which always fits.
func Whole(a Amount) Exact {
	hi, lo := bits.Mul64(uint64(a), exactScale)
	return Exact{hi, lo}
}

// ParseExact reads digits with at most 18 decimals, as in "50" or "0.25". It
// refuses signs, exponents and separators.
func ParseExact(s string) (Exact, error) {
	whole, part, dot := strings.Cut(s, ".")
	if dot && part == "" || whole == "" && part == "" {
		return Exact{}, fmt.Errorf("%w: %q has no digits beside the point", ErrExact, s)
	}
	if len(part) > exactDigits {
		return Exact{}, fmt.Errorf("%w: %q has %d decimals, and at most %d count", ErrExact, s, len(part), exactDigits)
	}
	if len(whole) > 2*exactDigits+4 {
		return Exact{}, fmt.Errorf("%w: a number of %d digits is too large", ErrExact, len(whole))
	}
	digits := whole + part + strings.Repeat("0", exactDigits-len(part))
	if strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
		return Exact{}, fmt.Errorf("%w: %q; write digits and at most one point, as in 0.25", ErrExact, s)
	}
	n, _ := new(big.Int).SetString(digits, 10)
	e, ok := fromBig(n)
	if !ok {
		return Exact{}, fmt.Errorf("%w: %q is too large", ErrExact, s)
	}
	return e, nil
}

// String formats e with all of its 18 decimals, as in
// "50.000000000000000000". [ParseExact] reads it back.
func (e Exact) String() string {
	whole, part := new(big.Int).DivMod(e.big(), big.NewInt(exactScale), new(big.Int))
	return fmt.Sprintf("%s.%018d", whole, part)
}

// MarshalText writes [Exact.String].
func (e Exact) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [ParseExact] reads.
func (e *Exact) UnmarshalText(text []byte) error {
	read, err := ParseExact(string(text))
	if err == nil {
		*e = read
	}
	return err
}

// IsZero tells whether e is no money at all.
func (e Exact) IsZero() bool { return e == Exact{} }

// Compare returns −1, 0 or 1 as e is less than, equal to or greater than f.
func (e Exact) Compare(f Exact) int {
	_, borrow := bits.Sub64(e.lo, f.lo, 0)
	_, less := bits.Sub64(e.hi, f.hi, borrow)
	switch {
	case e == f:
		return 0
	case less != 0:
		return -1
	}
	return 1
}

// Add returns e+f, or false when it does not fit.
func (e Exact) Add(f Exact) (Exact, bool) {
	lo, carry := bits.Add64(e.lo, f.lo, 0)
	hi, over := bits.Add64(e.hi, f.hi, carry)
	return Exact{hi, lo}, over == 0
}

// Sub returns e−f, and 0 when f is the greater.
func (e Exact) Sub(f Exact) Exact {
	if e.Compare(f) <= 0 {
		return Exact{}
	}
	lo, borrow := bits.Sub64(e.lo, f.lo, 0)
	hi, _ := bits.Sub64(e.hi, f.hi, borrow)
	return Exact{hi, lo}
}

// Times returns e·n, or false when it does not fit.
func (e Exact) Times(n uint64) (Exact, bool) {
	over, hi := bits.Mul64(e.hi, n)
	carry, lo := bits.Mul64(e.lo, n)
	hi, c := bits.Add64(hi, carry, 0)
	return Exact{hi, lo}, over == 0 && c == 0
}

// Over returns how often f goes into e, rounded down, and what is left. A
// quotient above 2⁶⁴−1 stays there; so does a division by 0, which leaves e.
func (e Exact) Over(f Exact) (times uint64, rest Exact) {
	if f.IsZero() {
		return ^uint64(0), e
	}
	q, r := new(big.Int).QuoRem(e.big(), f.big(), new(big.Int))
	rest, _ = fromBig(r)
	if !q.IsUint64() {
		return ^uint64(0), rest
	}
	return q.Uint64(), rest
}

// Floor returns the whole units of e, at most 2⁶⁴−1 of them.
func (e Exact) Floor() Amount {
	if e.hi >= exactScale {
		return ^Amount(0)
	}
	q, _ := bits.Div64(e.hi, e.lo, exactScale)
	return Amount(q)
}

// Share returns e·part/whole rounded down, and 0 when whole is 0. The caller
// sees to it that part is at most whole, so that the result fits.
func (e Exact) Share(part, whole Exact) Exact {
	if whole.IsZero() {
		return Exact{}
	}
	n := new(big.Int).Mul(e.big(), part.big())
	share, _ := fromBig(n.Quo(n, whole.big()))
	return share
}

func (e Exact) big() *big.Int {
	n := new(big.Int).SetUint64(e.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(e.lo))
}

// fromBig returns n, which is not negative, or false when it does not fit.
func fromBig(n *big.Int) (Exact, bool) {
	if n.BitLen() > 128 {
		return Exact{}, false
	}
	hi := new(big.Int).Rsh(n, 64)
	return Exact{hi.Uint64(), new(big.Int).Sub(n, new(big.Int).Lsh(hi, 64)).Uint64()}, true
}
