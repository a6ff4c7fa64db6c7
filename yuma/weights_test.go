package yuma

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNewWeights(t *testing.T) {
	for _, c := range []struct {
		name    string
		uids    []UID
		values  []uint16
		atLeast int
		want    Row // nil means ErrWeights
	}{
		{"scaled to the largest", []UID{1, 2}, []uint16{1, 2}, 0, Row{{1, 32768}, {2, 65535}}},
		{"in any order", []UID{5, 1}, []uint16{65535, 3}, 0, Row{{1, 3}, {5, 65535}}},
		{"zeros left out", []UID{1, 2}, []uint16{0, 2}, 2, Row{{2, 65535}}},
		{"all zero", []UID{1, 2}, []uint16{0, 0}, 0, Row{}},
		{"none", nil, nil, 0, Row{}},
		{"just enough", []UID{1, 2}, []uint16{1, 1}, 2, Row{{1, 65535}, {2, 65535}}},
		{"oneself is exempt", []UID{0}, []uint16{7}, 2, Row{{0, 65535}}},
		{"too few", []UID{1}, []uint16{1}, 2, nil},
		{"a value short", []UID{1, 2}, []uint16{1}, 0, nil},
		{"twice", []UID{1, 2, 1}, []uint16{1, 1, 1}, 0, nil},
		{"unknown", []UID{9}, []uint16{1}, 0, nil},
		{"too many", make([]UID, 10), make([]uint16, 10), 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NewWeights(0, c.uids, c.values, 9, c.atLeast)
			if c.want == nil {
				if !errors.Is(err, ErrWeights) {
					t.Errorf("got %v, %v; want ErrWeights", got, err)
				}
				return
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestNewWeightsKeepsProportions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		values := rapid.SliceOfN(rapid.Uint16(), n, n).Draw(t, "values")
		uids := make([]UID, n)
		for j := range uids {
			uids[j] = UID(j)
		}
		row, err := NewWeights(0, uids, values, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := row.check(n); err != nil {
			t.Fatal(err)
		}
		top := float64(slices.Max(values))
		for _, e := range row {
			if want := float64(values[e.UID]) / top * math.MaxUint16; math.Abs(float64(e.Value)-want) > 0.5 {
				t.Fatalf("%d of %v becomes %d, want %v", values[e.UID], top, e.Value, want)
			}
		}
	})
}
