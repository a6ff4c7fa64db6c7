package engine

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// distribution draws candidates, likeliest first.
func distribution(t *rapid.T) []Candidate {
	l := Logits(rapid.SliceOfN(rapid.Float32Range(-8, 8), 1, 80).Draw(t, "logits"))
	return l.Top(MaxTop, l.LogSum())
}

func drawSampling(t *rapid.T) Sampling {
	return Sampling{
		Temperature: rapid.Float32Range(0, MaxTemperature).Draw(t, "temperature"),
		TopP:        rapid.Float32Range(0, 1).Draw(t, "top-p"),
		MinP:        rapid.Float32Range(0, 1).Draw(t, "min-p"),
		TopK:        rapid.IntRange(0, 60).Draw(t, "top-k"),
		Seed:        Seed{rapid.Byte().Draw(t, "seed")},
	}
}

func TestPickHasNoMargin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, top, p := drawSampling(t), distribution(t), rapid.IntRange(0, 1<<20).Draw(t, "position")
		i := s.Pick(top, p)
		if i < 0 || i >= len(top) {
			t.Fatalf("pick %d of %d", i, len(top))
		}
		if m := s.Margin(top, p, top[i].Token); m != 0 {
			t.Fatalf("the pick has a margin of %v", m)
		}
		for _, c := range top {
			if m := s.Margin(top, p, c.Token); !(m >= 0 && m <= clip) {
				t.Fatalf("token %d has a margin of %v", c.Token, m)
			}
		}
	})
}

// TestGreedyMarginTellsNearTies: at temperature 0 a token that almost won must
// not look like one that came from nowhere.
func TestGreedyMarginTellsNearTies(t *testing.T) {
	top := []Candidate{{1, -0.700}, {2, -0.701}, {3, -9.5}}
	s := Sampling{TopK: 1}
	for _, c := range []struct {
		token Token
		want  float64
	}{{1, 0}, {2, 0.001}, {3, clip}, {4, clip}} {
		if got := s.Margin(top, 5, c.token); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("token %d: got %v, want %v", c.token, got, c.want)
		}
	}
}

// TestPickFollowsTheDistribution counts picks at temperature 1 over many
// positions: by the Gumbel-max trick they follow the probabilities.
func TestPickFollowsTheDistribution(t *testing.T) {
	l := Logits{2, 1, 0, -1}
	top := l.Top(4, l.LogSum())
	s := Sampling{Temperature: 1, Seed: Seed{9}}
	const n = 20000
	count := make([]int, 4)
	for p := range n {
		count[s.Pick(top, p)]++
	}
	for i, c := range top {
		p := math.Exp(float64(c.LogProb))
		if d := math.Abs(float64(count[i])/n - p); d > 4*math.Sqrt(p*(1-p)/n) {
			t.Errorf("token %d: picked %d of %d, want %.4f", c.Token, count[i], n, p)
		}
	}
}

// TestPickIsPinned holds sampler S1 to its bits: miners and validators of
// other versions must pick alike.
func TestPickIsPinned(t *testing.T) {
	if g, want := gumbel(Seed{1, 2, 3}, 7, 11), 2.191202052344449; g != want {
		t.Errorf("gumbel is %v, want %v", g, want)
	}
}

func TestSamplingCheck(t *testing.T) {
	nan := float32(math.NaN())
	for _, s := range []Sampling{{Temperature: -1}, {Temperature: 2.1}, {Temperature: nan}, {TopP: -0.1}, {TopP: 1.1}, {TopP: nan}, {MinP: 2}, {MinP: nan}, {TopK: -1}} {
		if err := s.Check(); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: got %v, want ErrRequest", s, err)
		}
	}
	if err := (Sampling{Temperature: 2, TopP: 1, MinP: 1, TopK: 500}).Check(); err != nil {
		t.Errorf("got %v", err)
	}
}
