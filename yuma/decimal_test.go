package yuma

import (
	"slices"

	"cosmossdk.io/math"
)

// decimalEpoch is the law under Yuma3 in the chain SDK's decimals, which are
// big.Int with 18 digits: what a keeper would use who has no fixed point. It
// runs over dense rows and knows no masks, for speed is all it is asked for.
// It returns incentive, dividends and new bonds.
func decimalEpoch(in *Input) (incentive, dividends []math.LegacyDec, bonds [][]math.LegacyDec) {
	n := len(in.Neurons)
	unit := math.LegacyNewDec(65535)
	kappa := math.LegacyNewDec(int64(in.Params.Kappa)).Quo(unit)
	beta := math.LegacyNewDec(int64(in.Params.BondsPenalty)).Quo(unit)
	keep := math.LegacyNewDec(int64(in.Params.BondsAverage)).QuoInt64(1e6)
	alpha := math.LegacyOneDec().Sub(keep)

	var voters []int
	var stake []math.LegacyDec
	for i, u := range in.Neurons {
		if u.Stake > 0 && u.Permit {
			voters = append(voters, i)
			stake = append(stake, math.LegacyNewDec(int64(u.Stake)))
		}
	}
	decNormalize(stake)
	w := make([][]math.LegacyDec, len(voters))
	for v, i := range voters {
		w[v] = decZeros(n)
		for _, e := range in.Weights[i] {
			if int(e.UID) != i {
				w[v][e.UID] = math.LegacyNewDec(int64(e.Value))
			}
		}
		decNormalize(w[v])
	}
	incentive = decZeros(n)
	column := make([]int, len(voters))
	for j := range n {
		for v := range column {
			column[v] = v
		}
		slices.SortFunc(column, func(a, b int) int { return w[a][j].BigIntMut().Cmp(w[b][j].BigIntMut()) })
		minority, below := math.LegacyOneDec().Sub(kappa), math.LegacyZeroDec()
		consensus := w[column[len(column)-1]][j]
		for _, v := range column {
			if below = below.Add(stake[v]); below.GT(minority) {
				consensus = w[v][j]
				break
			}
		}
		for v := range w {
			clipped := math.LegacyMinDec(w[v][j], consensus)
			incentive[j] = incentive[j].Add(stake[v].Mul(clipped))
			w[v][j] = w[v][j].Sub(beta.Mul(w[v][j].Sub(clipped)))
		}
	}
	decNormalize(incentive)

	bonds = make([][]math.LegacyDec, len(voters))
	sums := decZeros(n)
	for v, i := range voters {
		bonds[v] = decZeros(n)
		for _, e := range in.Bonds[i] {
			bonds[v][e.UID] = math.LegacyNewDec(int64(e.Value)).Quo(unit)
		}
		for j, b := range bonds[v] {
			bonds[v][j] = keep.Mul(b).Add(alpha.Mul(w[v][j]))
			sums[j] = sums[j].Add(bonds[v][j])
		}
	}
	dividends = decZeros(len(voters))
	for v, row := range bonds {
		for j, b := range row {
			if sums[j].IsPositive() {
				dividends[v] = dividends[v].Add(b.Quo(sums[j]).Mul(incentive[j]))
			}
		}
		dividends[v] = dividends[v].Mul(stake[v])
	}
	decNormalize(dividends)
	return incentive, dividends, bonds
}

func decZeros(n int) []math.LegacyDec {
	v := make([]math.LegacyDec, n)
	for i := range v {
		v[i] = math.LegacyZeroDec()
	}
	return v
}

func decNormalize(v []math.LegacyDec) {
	sum := math.LegacyZeroDec()
	for _, x := range v {
		sum = sum.Add(x)
	}
	if sum.IsZero() {
		return
	}
	for i := range v {
		v[i] = v[i].Quo(sum)
	}
}
