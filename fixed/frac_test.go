package fixed

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// exact values of the definition, for comparison.
var one = new(big.Int).SetUint64(math.MaxUint64)

func bigOf(v uint64) *big.Int { return new(big.Int).SetUint64(v) }

// quo returns ⌊a·b/c⌋.
func quo(a, b, c *big.Int) *big.Int {
	p := new(big.Int).Mul(a, b)
	return p.Quo(p, c)
}

// anyFrac draws fractions with the ends and their neighbours more often.
func anyFrac() *rapid.Generator[Frac] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Frac { return Frac(rapid.Uint64().Draw(t, "f")) }),
		rapid.SampledFrom([]Frac{0, 1, 2, One / 2, One/2 + 1, One - 1, One}),
		rapid.Custom(func(t *rapid.T) Frac { return FromU16(rapid.Uint16().Draw(t, "u16")) }),
	)
}

func TestU16(t *testing.T) {
	for k := range 1 << 16 {
		f := FromU16(uint16(k))
		if got := f.U16(); got != uint16(k) {
			t.Fatalf("FromU16(%d).U16() = %d", k, got)
		}
		if want := quo(bigOf(uint64(k)), one, bigOf(65535)); want.Uint64() != uint64(f) {
			t.Fatalf("FromU16(%d) = %d, want %v", k, f, want)
		}
		if f > 0 && (f-1).U16() != uint16(k-1) {
			t.Fatalf("just below %d/65535 is not rounded down", k)
		}
	}
}

func TestArithmeticIsExactlyTheFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, g := anyFrac().Draw(t, "f"), anyFrac().Draw(t, "g")
		a, b := bigOf(uint64(f)), bigOf(uint64(g))
		if got, want := f.Mul(g), quo(a, b, one); want.Uint64() != uint64(got) {
			t.Fatalf("Mul = %d, want %v", got, want)
		}
		if got := f.Of(uint64(g)); got != uint64(f.Mul(g)) {
			t.Fatalf("Of = %d, want %d", got, f.Mul(g))
		}
		want := uint64(0)
		switch {
		case g == 0:
		case f >= g:
			want = uint64(One)
		default:
			want = quo(a, one, b).Uint64()
		}
		if got := f.Div(g); uint64(got) != want {
			t.Fatalf("Div = %d, want %d", got, want)
		}
		if got := f.Sub(g); got != max(f, g)-g {
			t.Fatalf("Sub = %d, want %d", got, max(f, g)-g)
		}
	})
}

func TestLerp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, g, part := anyFrac().Draw(t, "f"), anyFrac().Draw(t, "g"), anyFrac().Draw(t, "t")
		if got := f.Lerp(g, 0); got != f {
			t.Fatalf("at 0: %d, want %d", got, f)
		}
		if got := f.Lerp(g, One); got != g {
			t.Fatalf("at 1: %d, want %d", got, g)
		}
		if got := f.Lerp(g, part); got < min(f, g) || got > max(f, g) {
			t.Fatalf("%d lies outside of [%d, %d]", got, min(f, g), max(f, g))
		}
	})
}

func TestNormalizeAddsUpToOneAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(anyFrac(), 0, 20).Draw(t, "v")
		before := append([]Frac(nil), v...)
		Normalize(v)
		sum, whole := new(big.Int), new(big.Int)
		for i := range v {
			sum.Add(sum, bigOf(uint64(v[i])))
			whole.Add(whole, bigOf(uint64(before[i])))
		}
		if sum.Cmp(one) > 0 {
			t.Fatalf("sum %v exceeds one", sum)
		}
		// Each element loses at most its own rounding and the bits by which
		// the sum is longer than 64.
		if lost := new(big.Int).Sub(one, sum); whole.Sign() > 0 && lost.Cmp(big.NewInt(int64(3*len(v)*len(v)+64))) > 0 {
			t.Fatalf("sum is %v short of one", lost)
		}
	})
}

func TestNormalizeOfOneIsOne(t *testing.T) {
	v := []Frac{0, 3, 0}
	if Normalize(v); v[1] != One || v[0] != 0 {
		t.Errorf("got %v, want all in the middle", v)
	}
	zero := []Frac{0, 0}
	if Normalize(zero); zero[0] != 0 || zero[1] != 0 {
		t.Errorf("zeros became %v", zero)
	}
}
