package exact

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// near tells whether got is within tol of want, relative to the larger of want
// and floor.
func near(got, want, tol, floor float64) bool {
	return math.Abs(got-want) <= tol*math.Max(math.Abs(want), floor)
}

func TestAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-700, 700).Draw(t, "x")
		if got, want := Exp(x), math.Exp(x); !near(got, want, 1e-15, 0) {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
		y := rapid.Float64Range(1e-300, 1e300).Draw(t, "y")
		if got, want := Log(y), math.Log(y); !near(got, want, 1e-15, 1e-1) {
			t.Fatalf("Log(%v) = %v, want %v", y, got, want)
		}
		a := rapid.Float64Range(-1e6, 1e6).Draw(t, "a")
		s, c := SinCos(a)
		if !near(s, math.Sin(a), 1e-15, 1) || !near(c, math.Cos(a), 1e-15, 1) {
			t.Fatalf("SinCos(%v) = %v %v, want %v %v", a, s, c, math.Sin(a), math.Cos(a))
		}
	})
}

func TestEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"exp of −∞", Exp(-inf), 0},
		{"exp of ∞", Exp(inf), inf},
		{"exp of 0", Exp(0), 1},
		{"exp far below", Exp(-800), 0},
		{"log of 0", Log(0), -inf},
		{"log of 1", Log(1), 0},
		{"log of ∞", Log(inf), inf},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
	if !math.IsNaN(Exp(math.NaN())) || !math.IsNaN(Log(math.NaN())) || !math.IsNaN(Log(-1)) {
		t.Error("NaN is lost")
	}
}

// TestBits pins results to their bits: a compiler that fuses a product and a
// sum, or another processor, must not change them.
func TestBits(t *testing.T) {
	s, c := SinCos(12345.678)
	for _, v := range []struct {
		name string
		got  float64
		want uint64
	}{
		{"exp", Exp(-1.2345), 0x3fd29f6b7bfe469d},
		{"log", Log(1.2345), 0x3fcaf71abe30f490},
		{"sin", s, 0xbfe687d5890974a5},
		{"cos", c, 0x3fe6b94c3bbe24b8},
	} {
		if got := math.Float64bits(v.got); got != v.want {
			t.Errorf("%s: got %#x, want %#x", v.name, got, v.want)
		}
	}
}
