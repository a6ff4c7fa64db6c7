package engine

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTop compares with a sort of all.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few different values, so that there are ties.
		l := Logits(rapid.SliceOfN(rapid.Map(rapid.IntRange(-20, 20), func(i int) float32 { return float32(i) / 4 }), 1, 200).Draw(t, "logits"))
		n := rapid.IntRange(0, 60).Draw(t, "n")
		sum := l.LogSum()
		got := l.Top(n, sum)
		want := make([]Candidate, len(l))
		for i := range l {
			want[i] = Candidate{Token(i), l.LogProb(Token(i), sum)}
		}
		slices.SortFunc(want, func(a, b Candidate) int {
			return cmp.Or(cmp.Compare(l[b.Token], l[a.Token]), cmp.Compare(a.Token, b.Token))
		})
		if !slices.Equal(got, want[:min(n, len(want))]) {
			t.Fatalf("got %v, want %v", got, want[:min(n, len(want))])
		}
	})
}

func TestLogSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Logits(rapid.SliceOfN(rapid.Float32Range(-100, 100), 1, 50).Draw(t, "logits"))
		want := 0.0
		for _, v := range l {
			want += math.Exp(float64(v))
		}
		if got := l.LogSum(); math.Abs(got-math.Log(want)) > 1e-9 {
			t.Fatalf("got %v, want %v", got, math.Log(want))
		}
	})
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, l := range []Logits{{}, {nan, 1}, {inf, 1}, {-inf, -inf}} {
		if s := l.LogSum(); !math.IsNaN(s) && !math.IsInf(s, 0) {
			t.Errorf("%v is no distribution, its sum is %v", l, s)
		}
	}
}

// TestTopOfIsTopWithoutTheRest takes the likeliest of a part of the tokens.
func TestTopOfIsTopWithoutTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Logits(rapid.SliceOfN(rapid.Float32Range(-20, 20), 1, 200).Draw(t, "logits"))
		among := NewMask(len(l))
		for i := range l {
			if rapid.Bool().Draw(t, "in") {
				among.Set(Token(i))
			}
		}
		n, sum := rapid.IntRange(1, 60).Draw(t, "n"), l.LogSum()
		var want []Candidate
		for _, c := range l.Top(len(l), sum) {
			if among.Has(c.Token) && len(want) < n {
				want = append(want, c)
			}
		}
		if got := l.TopOf(n, sum, among); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
