package yuma

import (
	"cmp"

	"github.com/plexus-network/plexus/coin"
)

// A Candidate is a neuron that may have to give up its uid to a new one.
type Candidate struct {
	UID        UID
	Emission   coin.Amount // earned in the last epoch
	Registered Height
	Protected  bool // never to be pruned, as the owner's
	Convicted  bool // to be pruned before all others, protected or not
}

// Prune returns the uid that a full subnet gives to the next registration at
// block, and false when all are protected. A neuron is immune for its first
// immunity blocks.
//
// The one that earned least goes, among equals the oldest, then the lowest
// uid. One that was convicted goes before all others. Neurons that are not immune go first, but only while more than minFree
// of them are left: otherwise the worst of the immune makes room, so that a
// flood of registrations cannot drive out all that have proven themselves.
// Where there are no immune neurons, the worst of the others goes.
func Prune(candidates []Candidate, block Height, immunity Blocks, minFree int) (UID, bool) {
	var free, immune, convict *Candidate
	frees := 0
	for i := range candidates {
		c := &candidates[i]
		switch {
		case c.Convicted:
			convict = worse(convict, c)
		case c.Protected:
		case block.Since(c.Registered) < immunity:
			immune = worse(immune, c)
		default:
			frees++
			free = worse(free, c)
		}
	}
	switch {
	case convict != nil:
		return convict.UID, true
	case free != nil && (frees > minFree || immune == nil):
		return free.UID, true
	case immune != nil:
		return immune.UID, true
	}
	return 0, false
}

// worse returns which of two is pruned first. a may be nil.
func worse(a, b *Candidate) *Candidate {
	if a == nil || cmp.Or(
		cmp.Compare(b.Emission, a.Emission),
		cmp.Compare(b.Registered, a.Registered),
		cmp.Compare(b.UID, a.UID),
	) < 0 {
		return b
	}
	return a
}
