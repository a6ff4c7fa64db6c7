package yuma

import (
	"fmt"
	"math/bits"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// Shares returns how voters divide one whole among n choices: the ranks of an
// epoch's miners, normalised, without masks, permits or bonds. It is the law
// by which root weights share out emission among subnets.
//
// Voter i has stakes[i] and gives weights[i], whose uids are choices; one
// without weights abstains. Shares add up to at most 1; they are all 0 when no
// stake votes. It returns [ErrInput] if rows do not match stakes or n, or
// stake exceeds 2⁶⁴−1.
func Shares(stakes []coin.Amount, weights []Row, n int, kappa uint16) ([]fixed.Frac, error) {
	if len(stakes) != len(weights) {
		return nil, fmt.Errorf("%w: %d stakes for %d rows of weights", ErrInput, len(stakes), len(weights))
	}
	m := newMatrix(len(weights), entries(weights))
	voting := make([]uint64, len(weights))
	var total, carry uint64
	for i, row := range weights {
		if err := row.check(n); err != nil {
			return nil, fmt.Errorf("%w: weights of voter %d: %w", ErrInput, i, err)
		}
		for _, w := range row {
			m.append(w.UID, fixed.Frac(w.Value))
		}
		m.endRow()
		normalizeRow(m.row(i).val)
		if len(row) > 0 {
			voting[i] = uint64(stakes[i])
		}
		if total, carry = bits.Add64(total, voting[i], 0); carry != 0 {
			return nil, fmt.Errorf("%w: stake up to voter %d exceeds 2⁶⁴−1", ErrInput, i)
		}
	}
	v := newVote(m, voting, n)
	v.decide(kappa)
	v.clip(0)
	fixed.Normalize(v.rank)
	return v.rank, nil
}
