package yuma

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// Epoch computes what every neuron earns, who is permitted to validate next,
// and the validators' bonds. It returns [ErrInput] for what no chain can hold:
// rows out of order, unknown uids, more stake than 64 bits count.
//
// Permits lag by one epoch: weights and stake count by the permits that
// neurons hold, and the new ones only decide whose bonds are kept.
func Epoch(in *Input) (*Result, error) {
	e, err := run(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return e.result(), nil
}

// dustBits says what stake is dust and counts as none: less than 2⁻³² of the
// subnet's stake, which is nothing in the 32 fraction bits of the original.
const dustBits = 32

// An epoch is one run of the law, step by step.
type epoch struct {
	*Input

	stake   []uint64 // by uid; 0 below the threshold and for dust
	staked  uint64   // sum of stake, dust included
	voting  []uint64 // stake that is active and permitted
	active  []bool
	permits []bool // for the next epoch

	vote      *vote
	incentive []fixed.Frac
	bonds     bonds
	due       []fixed.Frac // validators' dividends before they are normalised
}

// run takes all steps up to the payment.
func run(in *Input) (*epoch, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	e := &epoch{Input: in}
	if err := e.stakes(); err != nil {
		return nil, err
	}
	e.permit()
	e.vote = newVote(e.weights(), e.voting, len(in.Neurons))
	e.vote.decide(in.Params.Kappa)
	e.vote.clip(fixed.FromU16(in.Params.BondsPenalty))
	e.incentive = slices.Clone(e.vote.rank)
	fixed.Normalize(e.incentive)
	e.bond()
	return e, nil
}

// check tells what no chain can hold.
func (in *Input) check() error {
	n := len(in.Neurons)
	if n > MaxNeurons {
		return fmt.Errorf("%d neurons, at most %d", n, MaxNeurons)
	}
	if err := in.Params.Validate(); err != nil {
		return err
	}
	if len(in.Weights) > n || len(in.Bonds) > n {
		return fmt.Errorf("%d rows of weights and %d of bonds for %d neurons", len(in.Weights), len(in.Bonds), n)
	}
	for i, row := range in.Weights {
		if err := row.check(n); err != nil {
			return fmt.Errorf("weights of uid %d: %w", i, err)
		}
	}
	for i, row := range in.Bonds {
		if err := row.check(n); err != nil {
			return fmt.Errorf("bonds of uid %d: %w", i, err)
		}
	}
	return nil
}

// stakes finds out who has stake, and whose stake votes.
func (e *epoch) stakes() error {
	n := len(e.Neurons)
	e.stake, e.voting, e.active = make([]uint64, n), make([]uint64, n), make([]bool, n)
	var carry uint64
	for i, u := range e.Neurons {
		if u.Stake >= e.Params.StakeThreshold || u.Owner {
			e.stake[i] = uint64(u.Stake)
		}
		if e.staked, carry = bits.Add64(e.staked, e.stake[i], 0); carry != 0 {
			return fmt.Errorf("stake up to uid %d exceeds 2⁶⁴−1", i)
		}
	}
	dust := (e.staked - 1) >> dustBits
	for i, u := range e.Neurons {
		if e.stake[i] <= dust {
			e.stake[i] = 0
		}
		e.active[i] = u.Updated.Add(e.Params.ActivityCutoff) >= e.Block
		if e.active[i] && (u.Permit || u.Owner) {
			e.voting[i] = e.stake[i]
		}
	}
	return nil
}

// permit gives the next permits to the owner and to those with the most stake.
// Of equals the higher uid comes first.
func (e *epoch) permit() {
	e.permits = make([]bool, len(e.Neurons))
	var ranked []UID
	for i, s := range e.stake {
		e.permits[i] = e.Neurons[i].Owner
		if s > 0 {
			ranked = append(ranked, UID(i))
		}
	}
	slices.SortStableFunc(ranked, func(a, b UID) int {
		switch {
		case e.stake[a] < e.stake[b]:
			return -1
		case e.stake[a] > e.stake[b]:
			return 1
		}
		return 0
	})
	for _, i := range ranked[max(0, len(ranked)-int(e.Params.MaxValidators)):] {
		e.permits[i] = true
	}
}

// weights returns the rows of permitted validators without what does not
// count, each row normalised. What does not count is a weight on oneself,
// except the owner's, and a weight on a miner that took its uid since the
// weights were set or committed to: they meant another.
func (e *epoch) weights() matrix {
	m := newMatrix(len(e.Neurons), entries(e.Weights))
	registered := make([]Height, len(e.Neurons))
	for j, u := range e.Neurons {
		registered[j] = u.Registered
	}
	for i, row := range e.Weights {
		u := e.Neurons[i]
		if !u.Permit && !u.Owner {
			row = nil
		}
		before := u.Updated
		if u.Committed != 0 {
			before = min(before, u.Committed.Add(1))
		}
		for _, w := range row {
			self := int(w.UID) == i && !u.Owner
			if registered[w.UID] < before && !self && w.Value != 0 {
				m.append(w.UID, fixed.Frac(w.Value))
			}
		}
		m.endRow()
		normalizeRow(m.row(i).val)
	}
	m.endRows(len(e.Neurons))
	return m
}

// normalizeRow turns whole weights of at most 65535 into parts of their sum.
func normalizeRow(row []fixed.Frac) {
	var sum fixed.Frac
	for _, w := range row {
		sum += w
	}
	if sum == 0 {
		return
	}
	// ⌊w·One/sum⌋ = w·⌊One/sum⌋ + ⌊w·(One mod sum)/sum⌋, without overflow.
	whole, rest := fixed.One/sum, fixed.One%sum
	for k, w := range row {
		row[k] = w*whole + w*rest/sum
	}
}

// result pays out the emission and gathers what the epoch found.
func (e *epoch) result() *Result {
	r := &Result{Neurons: make([]Outcome, len(e.Neurons)), Bonds: e.bonds.rows(e.permits)}
	dividends := slices.Clone(e.due)
	fixed.Normalize(dividends)
	for i := range r.Neurons {
		r.Neurons[i] = Outcome{
			Stake:          fixed.Ratio(e.stake[i], e.staked).U16(),
			Consensus:      e.vote.consensus[i].U16(),
			Incentive:      e.incentive[i].U16(),
			Dividends:      dividends[i].U16(),
			ValidatorTrust: e.vote.trust[i].U16(),
			Trust:          e.vote.rank[i].Div(e.vote.prerank[i]).U16(),
			Active:         e.active[i],
			Permit:         e.permits[i],
		}
	}
	e.pay(r)
	return r
}

// pay shares out the emission: after the owner's cut one half to miners by
// rank and one half to validators by dividends, or all to one side if the
// other earned nothing. If nobody did, validators are paid by the stake that
// votes, or else all by their stake.
func (e *epoch) pay(r *Result) {
	r.OwnerCut = e.Emission.Mul(fixed.FromU16(e.Params.OwnerCut))
	pot := e.Emission - r.OwnerCut
	ranked := slices.ContainsFunc(e.vote.rank, positive)
	earned := slices.ContainsFunc(e.due, positive)

	var mined, validated []coin.Amount
	var left, rest coin.Amount
	switch {
	case ranked && earned:
		mined, left = coin.Divide(pot/2, e.vote.rank)
		validated, rest = coin.Divide(pot/2, e.due)
		left += rest + pot%2
	case ranked:
		mined, left = coin.Divide(pot, e.vote.rank)
	case e.vote.total > 0:
		validated, left = coin.Divide(pot, e.voting)
	default:
		validated, left = coin.Divide(pot, e.stake)
	}
	for i, a := range mined {
		r.Neurons[i].Mined = a
	}
	for i, a := range validated {
		r.Neurons[i].Validated = a
	}
	r.Remainder = left
}

// positive tells whether f is more than 0.
func positive(f fixed.Frac) bool { return f > 0 }
