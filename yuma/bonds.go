package yuma

import (
	"math"
	"math/bits"

	"github.com/plexus-network/plexus/fixed"
)

// bonds are the validators' new bonds and how each rule stores them.
type bonds struct {
	matrix
	sums []fixed.Sum  // by miner
	tops []fixed.Frac // by miner: its greatest bond; nil where bonds are stored as they are
}

// bond grows the bonds and finds what dividends they earn.
func (e *epoch) bond() {
	if e.Params.Rule == Yuma2 {
		e.bondShared()
	} else {
		e.bondEach()
	}
}

// growth is the rate of the moving average: α = 1 − BondsAverage/10⁶.
func (e *epoch) growth() fixed.Frac {
	return fixed.One - fixed.Ratio(uint64(e.Params.BondsAverage), 1e6)
}

// bondEach is [Yuma3]: a bond b on a miner moves towards the weight w,
//
//	b' = (1−α)·b + α·w
//
// and earns the validator's voting stake times Σⱼ incentiveⱼ·b'ⱼ/Σb'ⱼ.
func (e *epoch) bondEach() {
	alpha := e.growth()
	liquid := e.liquid()
	e.grow(func(_ int, j UID, w, b fixed.Frac) fixed.Frac {
		a := alpha
		if liquid != nil {
			a = liquid.alpha(w, b, e.vote.consensus[j])
		}
		return step(b, w, a)
	})
	e.earn()
	for i := range e.due {
		e.due[i] = e.share(i).Mul(e.due[i])
	}
}

// step moves bond b towards weight w at the rate a.
func step(b, w, a fixed.Frac) fixed.Frac { return (fixed.One - a).Mul(b) + a.Mul(w) }

// bondShared is [Yuma2]: each miner's bonds are shares that add up to 1, and
// move towards the shares of voting stake times weight, s·w,
//
//	b' ∝ (1−α)·b/Σb + α·s·w/Σs·w
//
// and earn Σⱼ incentiveⱼ·b'ⱼ/Σb'ⱼ.
func (e *epoch) bondShared() {
	n := len(e.Neurons)
	share := make([]fixed.Frac, n)
	for i := range share {
		share[i] = e.share(i)
	}
	old, bought := make([]fixed.Sum, n), make([]fixed.Sum, n)
	e.pairs(func(i int, j UID, w, b fixed.Frac) {
		old[j].Add(uint64(b))
		bought[j].Add(uint64(share[i].Mul(w)))
	})
	alpha := e.growth()
	keep, buy := make([]fixed.Scale, n), make([]fixed.Scale, n)
	for j := range n {
		keep[j], buy[j] = fixed.ScaleOf(fixed.One-alpha, old[j]), fixed.ScaleOf(alpha, bought[j])
	}
	e.bonds.tops = make([]fixed.Frac, n)
	e.grow(func(i int, j UID, w, b fixed.Frac) fixed.Frac {
		return keep[j].Of(b) + buy[j].Of(share[i].Mul(w))
	})
	e.earn()
}

// share returns the part of the voting stake that is validator i's.
func (e *epoch) share(i int) fixed.Frac { return fixed.Ratio(e.voting[i], e.vote.total) }

// pairs calls f for every validator i and miner j between which there is a
// weight w or a bond b, in order. Bonds on a miner that took its uid since the
// last epoch are gone.
func (e *epoch) pairs(f func(i int, j UID, w, b fixed.Frac)) {
	stale := e.stale()
	for i := range e.Neurons {
		row := e.vote.weights.row(i)
		k := 0
		for _, old := range e.oldBonds(i) {
			for ; k < len(row.uid) && row.uid[k] < old.UID; k++ {
				f(i, row.uid[k], row.val[k], 0)
			}
			var w, b fixed.Frac
			if !stale[old.UID] {
				b = fixed.FromU16(old.Value)
			}
			if k < len(row.uid) && row.uid[k] == old.UID {
				w = row.val[k]
				k++
			}
			f(i, old.UID, w, b)
		}
		for ; k < len(row.uid); k++ {
			f(i, row.uid[k], row.val[k], 0)
		}
	}
}

// oldBonds returns the stored bonds of validator i.
func (e *epoch) oldBonds(i int) Row {
	if i < len(e.Bonds) {
		return e.Bonds[i]
	}
	return nil
}

// stale tells of each miner whether it took its uid since the last epoch or,
// if there was none, within the last tempo.
func (e *epoch) stale() []bool {
	last := e.Previous.Add(1)
	if e.Previous == 0 {
		last = Height(e.Block.Since(Height(e.Tempo)))
	}
	stale := make([]bool, len(e.Neurons))
	for j, u := range e.Neurons {
		stale[j] = last <= u.Registered
	}
	return stale
}

// grow computes the new bonds by rule.
func (e *epoch) grow(rule func(i int, j UID, w, b fixed.Frac) fixed.Frac) {
	n := len(e.Neurons)
	size := 0
	for i := range n {
		size += min(n, len(e.vote.weights.row(i).uid)+len(e.oldBonds(i)))
	}
	e.bonds.matrix = newMatrix(n, size)
	e.bonds.sums = make([]fixed.Sum, n)
	e.pairs(func(i int, j UID, w, b fixed.Frac) {
		v := rule(i, j, w, b)
		if v == 0 {
			return
		}
		e.bonds.endRows(i)
		e.bonds.append(j, v)
		e.bonds.sums[j].Add(uint64(v))
		if e.bonds.tops != nil {
			e.bonds.tops[j] = max(e.bonds.tops[j], v)
		}
	})
	e.bonds.endRows(n)
}

// earn adds up what each validator's bonds earn of the miners' incentive.
func (e *epoch) earn() {
	pay := make([]fixed.Scale, len(e.Neurons))
	for j := range pay {
		pay[j] = fixed.ScaleOf(e.incentive[j], e.bonds.sums[j])
	}
	e.due = make([]fixed.Frac, len(e.Neurons))
	for i := range e.due {
		row := e.bonds.row(i)
		for k, j := range row.uid {
			e.due[i] += pay[j].Of(row.val[k])
		}
	}
}

// rows returns the bonds of the permitted as they are stored: rounded down to
// proportions of 65535, under [Yuma2] of the miner's greatest bond.
func (b *bonds) rows(permits []bool) []Row {
	rows := make([]Row, len(permits))
	for i, permit := range permits {
		if !permit {
			continue
		}
		bond := b.row(i)
		row := make(Row, 0, len(bond.uid))
		for k, j := range bond.uid {
			value := bond.val[k].U16()
			if b.tops != nil {
				hi, lo := bits.Mul64(uint64(bond.val[k]), math.MaxUint16)
				q, _ := bits.Div64(hi, lo, uint64(b.tops[j]))
				value = uint16(q)
			}
			if value > 0 {
				row = append(row, Entry{j, value})
			}
		}
		rows[i] = row
	}
	return rows
}
