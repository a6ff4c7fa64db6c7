package fixed

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// drawSum adds up random numbers in both representations.
func drawSum(t *rapid.T) (Sum, *big.Int) {
	var s Sum
	want := new(big.Int)
	for _, v := range rapid.SliceOfN(anyFrac(), 0, 10).Draw(t, "numbers") {
		s.Add(uint64(v))
		want.Add(want, bigOf(uint64(v)))
	}
	return s, want
}

func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := drawSum(t)
		if v, ok := s.Uint64(); ok != want.IsUint64() || ok && v != want.Uint64() {
			t.Fatalf("Uint64 = %d, %t; want %v", v, ok, want)
		}
		v := anyFrac().Draw(t, "v")
		got := uint64(s.Share(uint64(v)))
		if want.Sign() == 0 {
			if got != 0 {
				t.Fatalf("a share of nothing is %d", got)
			}
			return
		}
		truth := quo(bigOf(uint64(v)), one, want)
		if truth.Cmp(one) > 0 {
			truth = one
		}
		slack := uint64(0)
		if !want.IsUint64() {
			slack = 3 << (want.BitLen() - 64)
		}
		if got > truth.Uint64() || truth.Uint64()-got > slack {
			t.Fatalf("Share = %d, want %v less at most %d", got, truth, slack)
		}
	})
}

func TestMeanOfProducts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stakes := rapid.SliceOfN(rapid.Uint64Range(0, 1<<61), 0, 7).Draw(t, "stakes")
		var s Sum
		total, want := uint64(0), new(big.Int)
		for _, stake := range stakes {
			f := anyFrac().Draw(t, "f")
			s.AddMul(stake, uint64(f))
			total += stake
			want.Add(want, new(big.Int).Mul(bigOf(stake), bigOf(uint64(f))))
		}
		if total == 0 {
			if got := s.Mean(0); got != 0 {
				t.Fatalf("mean of nothing is %d", got)
			}
			return
		}
		want.Quo(want, bigOf(total))
		if got := s.Mean(total); uint64(got) != want.Uint64() {
			t.Fatalf("Mean = %d, want %v", got, want)
		}
	})
}

func TestMeanSaturates(t *testing.T) {
	var s Sum
	s.AddMul(1<<63, 1<<63)
	if got := s.Mean(1); got != One {
		t.Errorf("got %d, want One", got)
	}
}

func TestScaleIsJustBelowTheRatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		num := anyFrac().Draw(t, "num")
		den, bigDen := drawSum(t)
		f := anyFrac().Draw(t, "f")
		got := bigOf(uint64(ScaleOf(num, den).Of(f)))
		if bigDen.Sign() == 0 {
			if got.Sign() != 0 {
				t.Fatalf("scale by x/0 gives %v", got)
			}
			return
		}
		truth := quo(bigOf(uint64(f)), bigOf(uint64(num)), bigDen)
		low := new(big.Int).Sub(truth, new(big.Int).Rsh(truth, 61))
		low.Sub(low, big.NewInt(1))
		if truth.Cmp(one) > 0 {
			truth = one
		}
		if got.Cmp(truth) > 0 || got.Cmp(low) < 0 && got.Cmp(one) != 0 {
			t.Fatalf("got %v, want %v or a part in 2⁶¹ less", got, truth)
		}
	})
}
