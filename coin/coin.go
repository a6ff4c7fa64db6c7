// Package coin is the token of the network: amounts, the 21 million cap, the
// halving schedule, and the prices that burn it.
//
// One PLX is 10⁹ nplx, and every [Amount] counts nplx. All arithmetic is in
// integers and rounds down; what a division leaves over is always accounted
// for. Start at [Amount], and at [Scheduled] for how the supply grows.
package coin

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/fixed"
)

// Amount is a sum of money in nplx. The zero value is no money.
type Amount uint64

// PLX is the token's unit in nplx, and Cap the supply that is never exceeded:
// 21 million PLX.
const (
	PLX Amount = 1_000_000_000
	Cap Amount = 21_000_000 * PLX
)

// Denom is the name of the base unit and Display that of the unit people use.
const (
	Denom   = "nplx"
	Display = "plx"
)

// ErrRange means that an amount left the range of 0 to 2⁶⁴−1 nplx.
var ErrRange = errors.New("coin: amount out of range")

// Add returns a+b, or [ErrRange] when it exceeds 2⁶⁴−1 nplx.
func (a Amount) Add(b Amount) (Amount, error) {
	sum, carry := bits.Add64(uint64(a), uint64(b), 0)
	if carry != 0 {
		return 0, fmt.Errorf("%v plus %v: %w", a, b, ErrRange)
	}
	return Amount(sum), nil
}

// Sub returns a−b, or [ErrRange] when b is the greater.
func (a Amount) Sub(b Amount) (Amount, error) {
	if b > a {
		return 0, fmt.Errorf("%v minus %v: %w", a, b, ErrRange)
	}
	return a - b, nil
}

// Mul returns the part f of a, rounded down.
func (a Amount) Mul(f fixed.Frac) Amount { return Amount(f.Of(uint64(a))) }

// String formats a in PLX with as many decimals as it needs, as in "1.5plx".
func (a Amount) String() string {
	whole := strconv.FormatUint(uint64(a/PLX), 10)
	part := strings.TrimRight(fmt.Sprintf("%09d", uint64(a%PLX)), "0")
	if part == "" {
		return whole + Display
	}
	return whole + "." + part + Display
}

// Parse reads an amount with its unit: "1.5plx" or "1500nplx", in either case
// of letters. It refuses signs, exponents, digit separators and parts of an
// nplx. Every [Amount.String] is read back as the same amount.
func Parse(s string) (Amount, error) {
	number, unit := s, ""
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number, unit = s[:i], strings.ToLower(strings.TrimSpace(s[i:]))
	}
	decimals := 0
	switch unit {
	case Display:
		decimals = 9
	case Denom:
	default:
		return 0, fmt.Errorf("coin: amount %q: write a number and its unit, as in 1.5%s or 1500%s", s, Display, Denom)
	}
	whole, part, dot := strings.Cut(number, ".")
	if whole == "" || dot && part == "" {
		return 0, fmt.Errorf("coin: amount %q: digits are missing beside the point or the unit", s)
	}
	if len(part) > decimals {
		return 0, fmt.Errorf("coin: amount %q: %d decimals, but %s has at most %d", s, len(part), unit, decimals)
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", decimals-len(part)), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("coin: amount %q: more than 2⁶⁴−1 %s: %w", s, Denom, ErrRange)
	}
	if err != nil {
		return 0, fmt.Errorf("coin: amount %q is no number", s)
	}
	return Amount(n), nil
}
