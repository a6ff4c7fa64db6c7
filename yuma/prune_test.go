package yuma

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

func TestPrune(t *testing.T) {
	at := func(uid UID, emission coin.Amount, registered Height) Candidate {
		return Candidate{UID: uid, Emission: emission, Registered: registered}
	}
	const none = UID(99)
	for _, c := range []struct {
		name    string
		all     []Candidate
		minFree int
		want    UID
	}{
		{"who earned least", []Candidate{at(0, 5, 1), at(1, 3, 9), at(2, 4, 1)}, 0, 1},
		{"of equals the oldest", []Candidate{at(0, 3, 7), at(1, 3, 5), at(2, 3, 6)}, 0, 1},
		{"of twins the lowest uid", []Candidate{at(2, 3, 5), at(1, 3, 5)}, 0, 1},
		{"the immune only after the others", []Candidate{at(0, 1, 95), at(1, 9, 1)}, 0, 1},
		{"immunity ends after its blocks", []Candidate{at(0, 1, 90), at(1, 9, 1)}, 0, 0},
		{"too few left to choose from", []Candidate{at(0, 9, 95), at(1, 8, 96), at(2, 1, 1)}, 1, 1},
		{"more than too few", []Candidate{at(0, 9, 95), at(1, 8, 1), at(2, 1, 1)}, 1, 2},
		{"too few, but nobody is immune", []Candidate{at(0, 9, 1), at(1, 8, 1)}, 10, 1},
		{"never the protected", []Candidate{{UID: 0, Protected: true}, at(1, 9, 1)}, 0, 1},
		{"all protected", []Candidate{{UID: 0, Protected: true}}, 0, none},
		{"nobody", nil, 0, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Prune(c.all, 100, 10, c.minFree)
			if ok != (c.want != none) || ok && got != c.want {
				t.Errorf("got uid %d, %t; want %d", got, ok, c.want)
			}
		})
	}
}

func TestPruneDoesNotCareForOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]Candidate, rapid.IntRange(0, 12).Draw(t, "n"))
		for i := range all {
			all[i] = Candidate{
				UID:        UID(i),
				Emission:   coin.Amount(rapid.Uint64Range(0, 3).Draw(t, "emission")),
				Registered: Height(rapid.Uint64Range(0, 20).Draw(t, "registered")),
				Protected:  rapid.IntRange(0, 5).Draw(t, "protected") == 0,
			}
		}
		minFree := rapid.IntRange(0, 5).Draw(t, "minFree")
		first, ok := Prune(all, 20, 10, minFree)
		again, okAgain := Prune(rapid.Permutation(all).Draw(t, "order"), 20, 10, minFree)
		if first != again || ok != okAgain {
			t.Fatalf("uid %d, %t, and in another order %d, %t", first, ok, again, okAgain)
		}
		if ok && slices.ContainsFunc(all, func(c Candidate) bool { return c.UID == first && c.Protected }) {
			t.Fatalf("uid %d is protected", first)
		}
	})
}

func TestChildDividendsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string) coin.Amount {
			return coin.Amount(rapid.Uint64Range(0, uint64(coin.Cap)).Draw(t, name))
		}
		part := func(name string) fixed.Frac { return fixed.Frac(rapid.Uint64().Draw(t, name)) }
		parents := make([]Parent, rapid.IntRange(0, 5).Draw(t, "parents"))
		for i := range parents {
			parents[i] = Parent{amount("stake"), part("lent"), rapid.Bool().Draw(t, "same owner")}
		}
		dividend := amount("dividend")
		toParents, sum := ChildDividends(dividend, amount("own"), part("lent"), parents, rapid.Uint16().Draw(t, "take"))
		for _, p := range toParents {
			sum += p
		}
		if sum != dividend {
			t.Fatalf("divides %d of %d", sum, dividend)
		}
	})
}
