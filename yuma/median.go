package yuma

import (
	"cmp"
	"slices"

	"github.com/plexus-network/plexus/fixed"
)

// A ballot is a weight and the stake behind it, which is not 0.
type ballot struct {
	weight fixed.Frac
	stake  uint64
}

// few is how many ballots are sorted rather than split further.
const few = 12

// median returns the greatest weight that stake of at least quorum gives or
// exceeds, and 0 if there is none: who did not vote gave 0. It reorders b.
//
// It selects as quicksort does, and sorts if that goes badly, since whoever
// sets weights could otherwise choose them to make it slow.
func median(b []ballot, quorum uint64) fixed.Frac {
	for splits := 0; len(b) > few && splits < 2*few; splits++ {
		pivot := middle(b[0].weight, b[len(b)/2].weight, b[len(b)-1].weight)
		above, equal, stakeAbove, stakeEqual := split(b, pivot)
		switch {
		case stakeAbove >= quorum:
			b = b[:above]
		case stakeEqual >= quorum-stakeAbove:
			return pivot
		default:
			b = b[above+equal:]
			quorum -= stakeAbove + stakeEqual
		}
	}
	slices.SortFunc(b, func(x, y ballot) int { return cmp.Compare(y.weight, x.weight) })
	for _, x := range b {
		if x.stake >= quorum {
			return x.weight
		}
		quorum -= x.stake
	}
	return 0
}

// split moves the ballots above pivot to the front, followed by those equal to
// it, and returns how many they are and the stake behind each.
func split(b []ballot, pivot fixed.Frac) (above, equal int, stakeAbove, stakeEqual uint64) {
	end := 0 // of those above and equal
	for k, x := range b {
		switch {
		case x.weight > pivot:
			b[k], b[end], b[above] = b[end], b[above], x
			above++
			end++
			stakeAbove += x.stake
		case x.weight == pivot:
			b[k], b[end] = b[end], x
			end++
			stakeEqual += x.stake
		}
	}
	return above, end - above, stakeAbove, stakeEqual
}

// middle returns the second of three.
func middle(a, b, c fixed.Frac) fixed.Frac {
	return max(min(a, b), min(max(a, b), c))
}
