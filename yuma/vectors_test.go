package yuma

import (
	"encoding/json"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// A vector calls one function of the original with named arguments.
type vector struct {
	ID, Fn string
	Args   map[string]json.RawMessage
	Expect json.RawMessage
	Eps    float64
	Num    string
}

// scale is what fractions are multiplied by to become whole numbers where a
// function does not care for the unit.
const scale = 1 << 32

// skipped tells why a vector's function is not part of the law.
var skipped = map[string]string{
	"check_vec_max_limited": "no limit on a single weight: the original has fixed it at 65535, which is none",
	"mat_ema_alpha_sparse":  "the sparse moving average forgets absent weights; this law takes the dense rule",
}

func TestMathVectors(t *testing.T) {
	runs := map[string]func(*testing.T, vector){
		"normalize": normalizeVector, "row_normalize": rowNormalizeVector, "col_normalize": colNormalizeVector,
		"col_max_upscale": colUpscaleVector, "row_hadamard": rowHadamardVector, "mat_vec_mul": matVecMulVector,
		"row_sum": rowSumVector, "matmul": matmulVector, "matmul_transpose": matmulTransposeVector,
		"vecdiv": vecdivVector, "col_clip": colClipVector, "weighted_median": medianVector,
		"weighted_median_col": medianColVector, "interpolate": interpolateVector, "mat_ema_alpha": emaVector,
		"sigmoid_safe": sigmoidVector, "is_topk": topkVector, "is_topk_nonzero": topkVector,
		"vec_max_upscale_to_u16": upscaleVector, "vec_u16_max_upscale_to_u16": upscaleU16Vector,
		"yuma3_compute_bonds": liquidVector,
	}
	file, err := os.ReadFile("testdata/math.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Vectors []vector }
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, v := range all.Vectors {
		if skipped[v.Fn] != "" {
			continue
		}
		ran++
		run, ok := runs[v.Fn]
		if !ok {
			t.Errorf("%s: nobody runs %s", v.ID, v.Fn)
			continue
		}
		t.Run(strings.ReplaceAll(v.ID, "/", "_"), func(t *testing.T) { run(t, v) })
	}
	if want := 118 - 11 - 7; ran != want {
		t.Errorf("ran %d vectors, want %d", ran, want)
	}
}

// arg decodes an argument.
func arg[T any](t *testing.T, v vector, name string) T {
	t.Helper()
	var x T
	if raw, ok := v.Args[name]; ok {
		if err := json.Unmarshal(raw, &x); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// near compares a result with the expectation.
func near[T any](t *testing.T, v vector, got []T, number func(T) float64) {
	t.Helper()
	var want []float64
	if err := json.Unmarshal(v.Expect, &want); err != nil {
		var rows [][]float64
		if err := json.Unmarshal(v.Expect, &rows); err != nil {
			t.Fatal(err)
		}
		want = slices.Concat(rows...)
	}
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d", len(got), len(want))
	}
	for i := range got {
		if g := number(got[i]); math.Abs(g-want[i]) > v.Eps+1e-7*max(1, math.Abs(want[i])) {
			t.Errorf("result %d is %v, want %v", i, g, want[i])
		}
	}
}

// frac turns a number from 0 to 1 into a fraction, and float back.
func frac(x float64) fixed.Frac {
	if x >= 1 {
		return fixed.One
	}
	f, _ := new(big.Float).Mul(big.NewFloat(x), new(big.Float).SetUint64(math.MaxUint64)).Uint64()
	return fixed.Frac(f)
}

func float(f fixed.Frac) float64 { return float64(f) / float64(fixed.One) }

// whole turns a number of any size into a fraction in units of 1/scale.
func whole(x float64) fixed.Frac { return fixed.Frac(math.Round(x * scale)) }

func normalizeVector(t *testing.T, v vector) {
	var x []fixed.Frac
	for _, f := range arg[[]float64](t, v, "x") {
		if f < 0 {
			t.Skip("negative numbers are no fractions")
		}
		x = append(x, whole(f))
	}
	fixed.Normalize(x)
	near(t, v, x, float)
}

func rowNormalizeVector(t *testing.T, v vector) {
	var all []fixed.Frac
	for _, row := range arg[[][]float64](t, v, "m") {
		var x []fixed.Frac
		for _, f := range row {
			x = append(x, fixed.Frac(math.Round(f*6)))
		}
		normalizeRow(x)
		all = append(all, x...)
	}
	near(t, v, all, float)
}

func colNormalizeVector(t *testing.T, v vector) {
	m := arg[[][]float64](t, v, "m")
	sums := make([]fixed.Sum, len(m[0]))
	for _, row := range m {
		for j, f := range row {
			sums[j].Add(uint64(whole(f)))
		}
	}
	var all []fixed.Frac
	for _, row := range m {
		for j, f := range row {
			all = append(all, fixed.ScaleOf(fixed.One, sums[j]).Of(whole(f)))
		}
	}
	near(t, v, all, float)
}

// colUpscaleVector stores bonds as shares of their column's greatest.
func colUpscaleVector(t *testing.T, v vector) {
	m := arg[[][]float64](t, v, "m")
	b := bonds{matrix: newMatrix(len(m), 0), tops: make([]fixed.Frac, len(m[0]))}
	permits := make([]bool, len(m))
	for i, row := range m {
		permits[i] = true
		for j, f := range row {
			if f != 0 {
				b.append(UID(j), whole(f))
				b.tops[j] = max(b.tops[j], whole(f))
			}
		}
		b.endRow()
	}
	all := make([]uint16, len(m)*len(m[0]))
	for i, row := range b.rows(permits) {
		for _, e := range row {
			all[i*len(m[0])+int(e.UID)] = e.Value
		}
	}
	v.Eps += 1. / 65535
	near(t, v, all, func(u uint16) float64 { return float64(u) / 65535 })
}

// dense makes a vote of a dense matrix, whose numbers are divided by 16 to
// become fractions.
func dense(m [][]float64, stake []float64) *vote {
	w := newMatrix(len(m), 0)
	var s []uint64
	for i, row := range m {
		for j, f := range row {
			w.append(UID(j), frac(f/16))
		}
		w.endRow()
		s = append(s, uint64(stake[i]))
	}
	n := 0
	if len(m) > 0 {
		n = len(m[0])
	}
	return newVote(w, s, n)
}

func ones(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

func rowHadamardVector(t *testing.T, v vector) {
	var all []fixed.Frac
	by := arg[[]float64](t, v, "v")
	for i, row := range arg[[][]float64](t, v, "m") {
		for _, f := range row {
			all = append(all, frac(f/16).Mul(frac(by[i]/16)))
		}
	}
	near(t, v, all, func(f fixed.Frac) float64 { return float(f) * 256 })
}

func matVecMulVector(t *testing.T, v vector) {
	var all []fixed.Frac
	by := arg[[]float64](t, v, "v")
	for _, row := range arg[[][]float64](t, v, "m") {
		for j, f := range row {
			all = append(all, frac(f/16).Mul(frac(by[j]/16)))
		}
	}
	near(t, v, all, func(f fixed.Frac) float64 { return float(f) * 256 })
}

func rowSumVector(t *testing.T, v vector) {
	var sums []fixed.Frac
	for _, row := range arg[[][]float64](t, v, "m") {
		var sum fixed.Sum
		for _, f := range row {
			sum.AddMul(1, uint64(frac(f/64)))
		}
		sums = append(sums, sum.Mean(1))
	}
	near(t, v, sums, func(f fixed.Frac) float64 { return float(f) * 64 })
}

// matmulVector reads the products off the mean weights by stake.
func matmulVector(t *testing.T, v vector) {
	m, stake := arg[[][]float64](t, v, "m"), arg[[]float64](t, v, "v")
	vote := dense(m, stake)
	vote.decide(0)
	vote.clip(0)
	near(t, v, vote.prerank, func(f fixed.Frac) float64 { return float(f) * 16 * float64(vote.total) })
}

func matmulTransposeVector(t *testing.T, v vector) {
	by := arg[[]float64](t, v, "v")
	var sums []fixed.Sum
	for _, row := range arg[[][]float64](t, v, "m") {
		var sum fixed.Sum
		for j, f := range row {
			sum.AddMul(uint64(by[j]), uint64(frac(f/16)))
		}
		sums = append(sums, sum)
	}
	near(t, v, sums, func(s fixed.Sum) float64 { return float(s.Mean(8)) * 16 * 8 })
}

func vecdivVector(t *testing.T, v vector) {
	x, y := arg[[]float64](t, v, "x"), arg[[]float64](t, v, "y")
	if slices.Min(x) < 0 || slices.Min(y) < 0 {
		t.Skip("negative numbers are no fractions")
	}
	var all []fixed.Frac
	for i := range x {
		if x[i] > y[i] && y[i] > 0 {
			t.Skipf("%v/%v is no fraction", x[i], y[i])
		}
		if y[i] == 0 {
			all = append(all, fixed.Ratio(uint64(whole(x[i])), 0))
			continue
		}
		all = append(all, whole(x[i]).Div(whole(y[i])))
	}
	near(t, v, all, float)
}

func colClipVector(t *testing.T, v vector) {
	m := arg[[][]float64](t, v, "m")
	vote := dense(m, ones(len(m)))
	for j, f := range arg[[]float64](t, v, "threshold") {
		vote.consensus[j] = frac(f / 16)
	}
	vote.clip(fixed.One)
	near(t, v, vote.weights.val, func(f fixed.Frac) float64 { return float(f) * 16 })
}

// columnMedian is the weighted median of one column of whole numbers.
func columnMedian(stake, score []float64, majority float64) fixed.Frac {
	var b []ballot
	total := 0.0
	for i, s := range stake {
		total += math.Round(s * scale)
		if s > 0 && score[i] > 0 {
			b = append(b, ballot{whole(score[i]), uint64(whole(s))})
		}
	}
	quorum := uint64(math.Ceil(total * float64(float32(majority))))
	return median(b, max(1, quorum))
}

func wholeFloat(f fixed.Frac) float64 { return float64(f) / scale }

func medianVector(t *testing.T, v vector) {
	stake, score := arg[[]float64](t, v, "stake"), arg[[]float64](t, v, "score")
	if len(score) > 0 && slices.Min(score) < 0 {
		t.Skip("negative numbers are no weights")
	}
	got := columnMedian(stake, score, arg[float64](t, v, "majority"))
	v.Expect = slices.Concat([]byte("["), v.Expect, []byte("]"))
	near(t, v, []fixed.Frac{got}, wholeFloat)
}

func medianColVector(t *testing.T, v vector) {
	stake, m := arg[[]float64](t, v, "stake"), arg[[][]float64](t, v, "score")
	var all []fixed.Frac
	for j := range m[0] {
		var column []float64
		for _, row := range m {
			column = append(column, row[j])
		}
		all = append(all, columnMedian(stake, column, arg[float64](t, v, "majority")))
	}
	near(t, v, all, wholeFloat)
}

func interpolateVector(t *testing.T, v vector) {
	const unit = 1 << 20 // of numbers up to a million
	a, b := arg[[][]float64](t, v, "a"), arg[[][]float64](t, v, "b")
	var all []fixed.Frac
	for i, row := range a {
		for j, x := range row {
			all = append(all, frac(x/unit).Lerp(frac(b[i][j]/unit), frac(arg[float64](t, v, "ratio"))))
		}
	}
	near(t, v, all, func(f fixed.Frac) float64 { return float(f) * unit })
}

// emaVector compares the moving average where its terms are fractions, which
// they always are in an epoch.
func emaVector(t *testing.T, v vector) {
	old, alpha := arg[[][]float64](t, v, "old"), arg[[][]float64](t, v, "alpha")
	var want [][]float64
	if err := json.Unmarshal(v.Expect, &want); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, row := range arg[[][]float64](t, v, "new") {
		for j, w := range row {
			if w > 1 || old[i][j] > 1 {
				continue
			}
			compared++
			if got := float(step(frac(old[i][j]), frac(w), frac(alpha[i][j]))); math.Abs(got-want[i][j]) > v.Eps+1e-7 {
				t.Errorf("entry %d, %d is %v, want %v", i, j, got, want[i][j])
			}
		}
	}
	if compared == 0 {
		t.Skip("all terms exceed 1")
	}
}

func sigmoidVector(t *testing.T, v vector) {
	var want []float64
	if err := json.Unmarshal(v.Expect, &want); err != nil {
		t.Fatal(err)
	}
	slope := int16(arg[int64](t, v, "rho") * 100 >> 32)
	mid := frac(float64(arg[int64](t, v, "kappa")) / scale)
	for i, x := range arg[[]int64](t, v, "x") {
		if x < 0 || x > scale {
			continue // no fraction
		}
		if got := float(fixed.Logistic(frac(float64(x)/scale), mid, slope)); math.Abs(got-want[i]) > v.Eps {
			t.Errorf("at %d: got %v, want %v", x, got, want[i])
		}
	}
}

// topkVector gives permits by stake, which is never negative.
func topkVector(t *testing.T, v vector) {
	e := &epoch{Input: &Input{Params: Params{MaxValidators: uint16(arg[int](t, v, "k"))}}}
	for _, f := range arg[[]float64](t, v, "vector") {
		s := uint64(whole(f))
		if v.Fn == "is_topk" {
			s++ // it ranks zeros as well, which get no permit here
		}
		e.stake = append(e.stake, s)
	}
	e.Neurons = make([]Neuron, len(e.stake))
	e.permit()
	var want []bool
	if err := json.Unmarshal(v.Expect, &want); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.permits, want) {
		t.Errorf("got %v, want %v", e.permits, want)
	}
}

func upscaleVector(t *testing.T, v vector) {
	if v.Num == "raw" {
		t.Skip("numbers past 2⁴⁷, which no weight reaches")
	}
	var got []uint16
	vector := arg[[]float64](t, v, "vector")
	for _, f := range vector {
		got = append(got, proportion(uint64(whole(f)), uint64(whole(slices.Max(vector)))))
	}
	near(t, v, got, func(u uint16) float64 { return float64(u) })
}

func upscaleU16Vector(t *testing.T, v vector) {
	var row Row
	for j, u := range arg[[]uint16](t, v, "vector") {
		row = append(row, Entry{UID(j), u})
	}
	row.upscale()
	near(t, v, row, func(e Entry) float64 { return float64(e.Value) })
}

func liquidVector(t *testing.T, v vector) {
	p := arg[struct {
		Low  uint16 `json:"alpha_low"`
		High uint16 `json:"alpha_high"`
	}](t, v, "params")
	low := fixed.FromU16(p.Low)
	law := liquid{low: low, spread: fixed.FromU16(p.High) - low, steepness: 1000}
	b, c := arg[[][]float64](t, v, "bonds"), arg[[]float64](t, v, "consensus")
	var all []fixed.Frac
	for i, row := range arg[[][]float64](t, v, "weights") {
		for j, f := range row {
			w, old := frac(f), frac(b[i][j])
			all = append(all, step(old, w, law.alpha(w, old, frac(c[j]))))
		}
	}
	near(t, v, all, float)
}

func TestEconomicsVectors(t *testing.T) {
	file, err := os.ReadFile("../coin/testdata/economics.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Vectors []vector }
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, v := range all.Vectors {
		switch v.Fn {
		case "neuron_to_prune":
			ran++
			t.Run(v.ID, func(t *testing.T) { pruneVector(t, v) })
		case "child_dividends":
			ran++
			t.Run(v.ID, func(t *testing.T) { childVector(t, v) })
		}
	}
	if ran != 5 {
		t.Errorf("ran %d vectors, want 5", ran)
	}
}

func pruneVector(t *testing.T, v vector) {
	registered, owners := arg[[]Height](t, v, "reg_block"), arg[[]UID](t, v, "owner_immortal")
	var candidates []Candidate
	for i, e := range arg[[]coin.Amount](t, v, "emission") {
		candidates = append(candidates, Candidate{
			UID: UID(i), Emission: e, Registered: registered[i], Protected: slices.Contains(owners, UID(i)),
		})
	}
	var want UID
	if err := json.Unmarshal(v.Expect, &want); err != nil {
		t.Fatal(err)
	}
	got, ok := Prune(candidates, arg[Height](t, v, "block"), arg[Blocks](t, v, "immunity"), 0)
	if !ok || got != want {
		t.Errorf("got uid %d, %t; want %d", got, ok, want)
	}
}

func childVector(t *testing.T, v vector) {
	var parents []Parent
	for _, p := range arg[[][]json.RawMessage](t, v, "parents") {
		var parent Parent
		for k, into := range []any{&parent.Stake, &parent.Lent, &parent.SameOwner} {
			if err := json.Unmarshal(p[k], into); err != nil {
				t.Fatal(err)
			}
		}
		parents = append(parents, parent)
	}
	got, own := ChildDividends(arg[coin.Amount](t, v, "dividend"), arg[coin.Amount](t, v, "self_stake"),
		arg[fixed.Frac](t, v, "self_to_children"), parents, arg[uint16](t, v, "take_u16"))
	v.Eps = 1000 // the tolerance of these vectors
	near(t, v, append(got, own), func(a coin.Amount) float64 { return float64(a) })
}
