package yuma

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrWeights means that a validator's weights are refused.
var ErrWeights = errors.New("yuma: bad weights")

// NewWeights makes the row that a chain stores of the weights that neuron from
// sent: values[k] for uids[k], in any order and unit. They are scaled so that
// the largest becomes 65535, sorted, and zeros left out.
//
// It returns [ErrWeights] unless both lists are of one length, name at least
// atLeast neurons (a lone weight on oneself is exempt), no uid twice, and only
// uids below n.
func NewWeights(from UID, uids []UID, values []uint16, n, atLeast int) (Row, error) {
	if len(uids) != len(values) {
		return nil, fmt.Errorf("%w: %d uids but %d values", ErrWeights, len(uids), len(values))
	}
	if len(uids) > n {
		return nil, fmt.Errorf("%w: %d weights in a subnet of %d neurons", ErrWeights, len(uids), n)
	}
	if self := len(uids) == 1 && uids[0] == from; len(uids) < atLeast && !self {
		return nil, fmt.Errorf("%w: %d given, this subnet asks for at least %d", ErrWeights, len(uids), atLeast)
	}
	row := make(Row, len(uids))
	for k, uid := range uids {
		row[k] = Entry{uid, values[k]}
	}
	slices.SortFunc(row, func(a, b Entry) int { return int(a.UID) - int(b.UID) })
	if err := row.check(n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWeights, err)
	}
	row.upscale()
	return slices.DeleteFunc(row, func(e Entry) bool { return e.Value == 0 }), nil
}

// upscale multiplies all values so that the largest becomes 65535. A row of
// zeros stays.
func (r Row) upscale() {
	var top uint16
	for _, e := range r {
		top = max(top, e.Value)
	}
	for k, e := range r {
		r[k].Value = proportion(uint64(e.Value), uint64(top))
	}
}

// proportion returns part/whole of 65535, rounded to the nearest, and 0 when
// whole is 0. Neither may exceed 2⁴⁷.
func proportion(part, whole uint64) uint16 {
	if whole == 0 {
		return 0
	}
	return uint16((part*math.MaxUint16 + whole/2) / whole)
}
