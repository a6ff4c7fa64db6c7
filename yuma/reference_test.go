package yuma

import (
	"math"
	"slices"
)

// reference is the law written out in float64 over dense rows, straight from
// the formulas: the measure of precision in tests and of speed in benchmarks.
type reference struct {
	consensus, incentive, dividends, validatorTrust, trust []float64
	bonds                                                  [][]float64
}

func referenceEpoch(in *Input) *reference {
	return referenceEpochAt(in, float64(in.Params.Kappa)/65535)
}

// referenceEpochAt replaces kappa, to find out whether it decides a tie.
func referenceEpochAt(in *Input, kappa float64) *reference {
	n := len(in.Neurons)
	p := in.Params
	stake := make([]float64, n)
	total := 0.0
	for i, u := range in.Neurons {
		if u.Stake >= p.StakeThreshold || u.Owner {
			stake[i] = float64(u.Stake)
		}
		total += stake[i]
	}
	active := make([]float64, n)
	for i, u := range in.Neurons {
		if stake[i] < total/(1<<32) {
			stake[i] = 0
		}
		if u.Updated.Add(p.ActivityCutoff) >= in.Block && (u.Permit || u.Owner) {
			active[i] = stake[i]
		}
	}
	floatNormalize(active)
	w := referenceWeights(in)
	r := &reference{
		consensus: make([]float64, n), incentive: make([]float64, n), dividends: make([]float64, n),
		validatorTrust: make([]float64, n), trust: make([]float64, n), bonds: make([][]float64, n),
	}
	column := make([][2]float64, 0, n)
	for j := range n {
		column = column[:0]
		for i := range n {
			if active[i] > 0 {
				weight := 0.0
				if w[i] != nil {
					weight = w[i][j]
				}
				column = append(column, [2]float64{weight, active[i]})
			}
		}
		r.consensus[j] = floatMedian(column, kappa)
	}
	beta := float64(p.BondsPenalty) / 65535
	prerank := make([]float64, n)
	for i, row := range w {
		for j, weight := range row {
			clipped := min(weight, r.consensus[j])
			prerank[j] += active[i] * weight
			r.incentive[j] += active[i] * clipped
			r.validatorTrust[i] += clipped
			row[j] = weight - beta*(weight-clipped)
		}
	}
	for j := range n {
		if prerank[j] > 0 {
			r.trust[j] = r.incentive[j] / prerank[j]
		}
	}
	floatNormalize(r.incentive)
	r.bond(in, w, active)
	return r
}

// referenceWeights masks and normalises; rows without weights are nil.
func referenceWeights(in *Input) [][]float64 {
	w := make([][]float64, len(in.Neurons))
	for i, row := range in.Weights {
		u := in.Neurons[i]
		if len(row) == 0 || !u.Permit && !u.Owner {
			continue
		}
		w[i] = make([]float64, len(in.Neurons))
		for _, e := range row {
			since := in.Neurons[e.UID].Registered
			if (int(e.UID) != i || u.Owner) && u.Updated > since && (u.Committed == 0 || u.Committed >= since) {
				w[i][e.UID] = float64(e.Value)
			}
		}
		floatNormalize(w[i])
	}
	return w
}

// bond grows the bonds and finds the dividends.
func (r *reference) bond(in *Input, w [][]float64, active []float64) {
	n := len(in.Neurons)
	last := in.Previous + 1
	if in.Previous == 0 {
		last = Height(in.Block.Since(Height(in.Tempo)))
	}
	for i := range n {
		if w[i] == nil && (i >= len(in.Bonds) || len(in.Bonds[i]) == 0) {
			continue
		}
		r.bonds[i] = make([]float64, n)
		if w[i] == nil {
			w[i] = make([]float64, n)
		}
		if i < len(in.Bonds) {
			for _, e := range in.Bonds[i] {
				if last > in.Neurons[e.UID].Registered {
					r.bonds[i][e.UID] = float64(e.Value) / 65535
				}
			}
		}
	}
	p := in.Params
	alpha := 1 - float64(p.BondsAverage)/1e6
	liquid := p.LiquidAlpha && slices.ContainsFunc(r.consensus, func(c float64) bool { return c > 0 })
	if p.Rule == Yuma2 {
		bought := make([][]float64, n)
		for i, row := range r.bonds {
			if row == nil {
				continue
			}
			bought[i] = make([]float64, n)
			for j := range row {
				bought[i][j] = active[i] * w[i][j]
			}
		}
		floatColumns(bought)
		floatColumns(r.bonds)
		for i, row := range r.bonds {
			for j, b := range row {
				row[j] = (1-alpha)*b + alpha*bought[i][j]
			}
		}
	} else {
		for i, row := range r.bonds {
			for j, b := range row {
				a := alpha
				if liquid {
					a = floatAlpha(p, w[i][j], b, r.consensus[j])
				}
				row[j] = min(1, (1-a)*b+a*w[i][j])
			}
		}
	}
	shares := make([][]float64, n)
	for i, row := range r.bonds {
		shares[i] = slices.Clone(row)
	}
	floatColumns(shares)
	for i, row := range shares {
		for j, b := range row {
			r.dividends[i] += b * r.incentive[j]
		}
		if p.Rule == Yuma3 {
			r.dividends[i] *= active[i]
		}
	}
	floatNormalize(r.dividends)
	if p.Rule == Yuma2 {
		floatUpscale(r.bonds)
	}
}

func floatAlpha(p Params, w, b, c float64) float64 {
	diff := max(0, w-c)
	if w < b {
		diff = b - w
	}
	x := float64(p.AlphaSteepness) / 100 * (diff - 0.5)
	low, high := float64(p.AlphaLow)/65535, float64(p.AlphaHigh)/65535
	return low + (high-low)/(1+math.Exp(-max(-20, min(20, x))))
}

// floatMedian is the smallest weight up to which more than the minority of
// the stake voted, or the largest if there is none.
func floatMedian(column [][2]float64, kappa float64) float64 {
	if len(column) == 0 {
		return 0
	}
	slices.SortFunc(column, func(a, b [2]float64) int {
		switch {
		case a[0] < b[0]:
			return -1
		case a[0] > b[0]:
			return 1
		}
		return 0
	})
	sum, below := 0.0, 0.0
	for _, c := range column {
		sum += c[1]
	}
	for _, c := range column {
		if below += c[1]; below > sum-kappa {
			return c[0]
		}
	}
	return column[len(column)-1][0]
}

func floatNormalize(v []float64) {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	if sum == 0 {
		return
	}
	for i := range v {
		v[i] /= sum
	}
}

func floatColumns(m [][]float64) {
	sums := make([]float64, len(m))
	for _, row := range m {
		for j, x := range row {
			sums[j] += x
		}
	}
	for _, row := range m {
		for j := range row {
			if sums[j] > 0 {
				row[j] /= sums[j]
			}
		}
	}
}

func floatUpscale(m [][]float64) {
	tops := make([]float64, len(m))
	for _, row := range m {
		for j, x := range row {
			tops[j] = max(tops[j], x)
		}
	}
	for _, row := range m {
		for j := range row {
			if tops[j] > 0 {
				row[j] /= tops[j]
			}
		}
	}
}
