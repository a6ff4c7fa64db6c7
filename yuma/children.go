package yuma

import (
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// A Parent is a validator that lends part of its stake to another, its child,
// which votes with it.
type Parent struct {
	Stake     coin.Amount
	Lent      fixed.Frac // part of its stake that the child votes with
	SameOwner bool       // as the child's; then the child takes nothing
}

// ChildDividends divides what a child validator earned over the stake that it
// voted with: its own, of which it lends the part lent to others, and that of
// its parents. Of a parent's part the child keeps take, a proportion of 65535,
// and what rounding leaves.
//
// Rule and vectors: opentensor/subtensor, coinbase/run_coinbase.rs.
func ChildDividends(dividend, stake coin.Amount, lent fixed.Frac, parents []Parent, take uint16) (toParents []coin.Amount, toChild coin.Amount) {
	votes := make([]coin.Amount, len(parents)+1)
	votes[len(parents)] = stake.Mul(fixed.One - lent)
	for i, p := range parents {
		votes[i] = p.Stake.Mul(p.Lent)
	}
	parts, _ := coin.Divide(dividend, votes)
	toParents, toChild = parts[:len(parents)], dividend
	for i, p := range parents {
		if !p.SameOwner {
			toParents[i] -= toParents[i].Mul(fixed.FromU16(take))
		}
		toChild -= toParents[i]
	}
	return toParents, toChild
}
