package fixed

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// bigExpNeg returns exp(−num/2⁶⁴) to 200 bits by its Taylor series, halved
// until it converges fast and squared back.
func bigExpNeg(num *big.Int) *big.Float {
	x := new(big.Float).SetPrec(200).SetInt(num)
	x.SetMantExp(x, -64-10)
	x.Neg(x)
	sum, term := big.NewFloat(1).SetPrec(200), big.NewFloat(1).SetPrec(200)
	for k := int64(1); k < 40; k++ {
		term.Mul(term, x)
		term.Quo(term, new(big.Float).SetPrec(200).SetInt64(k))
		sum.Add(sum, term)
	}
	for range 10 {
		sum.Mul(sum, sum)
	}
	return sum
}

func TestExpNeg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.Uint64Range(0, 19).Draw(t, "whole")
		part := rapid.Uint64().Draw(t, "part")
		num := new(big.Int).Lsh(bigOf(whole), 64)
		want := bigExpNeg(num.Add(num, bigOf(part)))
		want.Mul(want, new(big.Float).SetInt(one))
		off := want.Sub(want, new(big.Float).SetInt(bigOf(uint64(expNeg(whole, part)))))
		if f, _ := off.Float64(); math.Abs(f) > 8 {
			t.Fatalf("off by %v units of 2⁻⁶⁴", f)
		}
	})
}

func TestExpTables(t *testing.T) {
	for k, got := range expWhole {
		if want := math.Exp(-float64(k)); math.Abs(float64(got)/float64(One)/want-1) > 1e-9 {
			t.Errorf("exp(-%d) is %v, want %v", k, float64(got)/float64(One), want)
		}
	}
	for k, got := range exp64th {
		if want := math.Exp(-float64(k) / 64); math.Abs(float64(got)/float64(One)-want) > 1e-15 {
			t.Errorf("exp(-%d/64) is %v, want %v", k, float64(got)/float64(One), want)
		}
	}
}

func TestLogistic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, mid := anyFrac().Draw(t, "x"), anyFrac().Draw(t, "mid")
		slope := rapid.Int16().Draw(t, "slope")
		got := float64(Logistic(x, mid, slope)) / float64(One)
		arg := float64(slope) / 100 * (float64(x) - float64(mid)) / float64(One)
		want := 1 / (1 + math.Exp(-max(-20, min(20, arg))))
		if math.Abs(got-want) > 1e-12 {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestLogisticIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mid := anyFrac().Draw(t, "mid")
		a, b := anyFrac().Draw(t, "a"), anyFrac().Draw(t, "b")
		slope := rapid.Int16Range(1, math.MaxInt16).Draw(t, "slope")
		low, high := Logistic(min(a, b), mid, slope), Logistic(max(a, b), mid, slope)
		if low > high && low-high > 8 {
			t.Fatalf("falls from %d to %d", low, high)
		}
		if up, down := Logistic(a, mid, slope), Logistic(a, mid, -slope); a != mid && up+down != One {
			t.Fatalf("slopes ±%d give %d and %d, which are no complements", slope, up, down)
		}
	})
}
