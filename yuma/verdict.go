package yuma

import (
	"cmp"
	"math/bits"

	"github.com/plexus-network/plexus/coin"
)

// A Tally is the stake behind the votes on an accusation.
type Tally struct {
	Guilty, Innocent coin.Amount
	All              coin.Amount // of everybody who may vote
}

// Convicts tells whether at least ⅔ of all stake says guilty: as much as a
// chain of byzantine validators trusts. Nobody is convicted by no stake.
func (t Tally) Convicts() bool {
	return t.Guilty > 0 && times(t.Guilty, 3, t.All, 2) >= 0
}

// Acquits tells whether more than ⅓ of all stake says innocent, so that ⅔ can
// not say guilty any more.
func (t Tally) Acquits() bool { return times(t.Innocent, 3, t.All, 1) > 0 }

// times compares a·x with b·y.
func times(a coin.Amount, x uint64, b coin.Amount, y uint64) int {
	aHi, aLo := bits.Mul64(uint64(a), x)
	bHi, bLo := bits.Mul64(uint64(b), y)
	return cmp.Or(cmp.Compare(aHi, bHi), cmp.Compare(aLo, bLo))
}
