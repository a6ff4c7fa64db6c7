package yuma

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// drawRow draws a row for a subnet of n neurons.
func drawRow(t *rapid.T, n int, name string) Row {
	var row Row
	for j, v := range rapid.SliceOfN(rapid.Uint16(), n, n).Draw(t, name) {
		if v > 1<<14 {
			row = append(row, Entry{UID(j), v})
		}
	}
	return row
}

// drawInput draws a subnet in which everything may happen.
func drawInput(t *rapid.T) *Input {
	n := rapid.IntRange(1, 10).Draw(t, "n")
	in := &Input{
		Block:    Height(rapid.Uint64Range(10, 20).Draw(t, "block")),
		Previous: Height(rapid.Uint64Range(0, 9).Draw(t, "previous")),
		Tempo:    Blocks(rapid.Uint64Range(1, 20).Draw(t, "tempo")),
		Emission: coin.Amount(rapid.Uint64().Draw(t, "emission")),
		Params: Params{
			Kappa:          rapid.OneOf(rapid.Uint16(), rapid.SampledFrom([]uint16{0, 32767, 65535})).Draw(t, "kappa"),
			BondsPenalty:   rapid.OneOf(rapid.Uint16(), rapid.SampledFrom([]uint16{0, 65535})).Draw(t, "beta"),
			BondsAverage:   rapid.Uint32Range(0, 1e6).Draw(t, "average"),
			Rule:           rapid.SampledFrom([]Rule{Yuma3, Yuma2}).Draw(t, "rule"),
			LiquidAlpha:    rapid.Bool().Draw(t, "liquid"),
			AlphaLow:       rapid.Uint16Range(0, 30000).Draw(t, "low"),
			AlphaHigh:      rapid.Uint16Range(30000, 65535).Draw(t, "high"),
			AlphaSteepness: rapid.Int16().Draw(t, "steepness"),
			MaxValidators:  rapid.Uint16Range(0, 12).Draw(t, "permits"),
			StakeThreshold: coin.Amount(rapid.Uint64Range(0, 1000).Draw(t, "threshold")),
			ActivityCutoff: Blocks(rapid.Uint64Range(0, 20).Draw(t, "cutoff")),
			OwnerCut:       rapid.Uint16Range(0, 20000).Draw(t, "cut"),
		},
		Neurons: make([]Neuron, n),
		Weights: make([]Row, n),
		Bonds:   make([]Row, n),
	}
	owner := rapid.IntRange(-n, n-1).Draw(t, "owner")
	for i := range in.Neurons {
		in.Neurons[i] = Neuron{
			Stake:      coin.Amount(rapid.Uint64Range(0, 1<<rapid.IntRange(0, 59).Draw(t, "bits")).Draw(t, "stake")),
			Registered: Height(rapid.Uint64Range(0, 12).Draw(t, "registered")),
			Updated:    Height(rapid.Uint64Range(0, 12).Draw(t, "updated")),
			Permit:     rapid.IntRange(0, 3).Draw(t, "permit") > 0,
			Owner:      i == owner,
		}
		if rapid.IntRange(0, 3).Draw(t, "commits") == 0 {
			in.Neurons[i].Committed = Height(rapid.Uint64Range(1, 12).Draw(t, "committed"))
		}
		in.Weights[i] = drawRow(t, n, "weights")
		in.Bonds[i] = drawRow(t, n, "bonds")
	}
	return in
}

// must runs an epoch that has to succeed.
func must(t interface{ Fatalf(string, ...any) }, in *Input) *Result {
	r, err := Epoch(in)
	if err != nil {
		t.Fatalf("epoch: %v", err)
	}
	return r
}

func TestEpochLosesNoUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		r := must(t, in)
		sum := r.OwnerCut + r.Remainder
		stake := false
		for i, o := range r.Neurons {
			sum += o.Emission()
			stake = stake || in.Neurons[i].Stake >= max(1, in.Params.StakeThreshold)
		}
		if sum != in.Emission {
			t.Fatalf("pays %d of %d", sum, in.Emission)
		}
		if stake && r.Remainder > coin.Amount(2*len(r.Neurons)) {
			t.Fatalf("leaves %d to %d neurons", r.Remainder, len(r.Neurons))
		}
	})
}

func TestEpochLeavesItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before := *in
		before.Neurons = slices.Clone(in.Neurons)
		before.Weights, before.Bonds = make([]Row, len(in.Weights)), make([]Row, len(in.Bonds))
		for i := range in.Weights {
			before.Weights[i], before.Bonds[i] = slices.Clone(in.Weights[i]), slices.Clone(in.Bonds[i])
		}
		first := must(t, in)
		if !reflect.DeepEqual(in, &before) {
			t.Fatal("the input changed")
		}
		if again := must(t, in); !reflect.DeepEqual(first, again) {
			t.Fatal("a second run gives something else")
		}
	})
}

// The reference loses bits where an epoch does not: about 2⁻⁵² against 2⁻⁶⁰.
func TestEpochMatchesTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		kappa := float64(in.Params.Kappa) / 65535
		want := referenceEpochAt(in, kappa)
		for _, nudge := range []float64{-1e-9, 1e-9} {
			if !reflect.DeepEqual(want.consensus, referenceEpochAt(in, kappa+nudge).consensus) {
				t.Skip("a tie, which float64 decides by its rounding")
			}
		}
		r := must(t, in)
		for i, o := range r.Neurons {
			for _, c := range []struct {
				name string
				got  uint16
				want float64
			}{
				{"consensus", o.Consensus, want.consensus[i]},
				{"incentive", o.Incentive, want.incentive[i]},
				{"dividends", o.Dividends, want.dividends[i]},
				{"validator trust", o.ValidatorTrust, want.validatorTrust[i]},
				{"trust", o.Trust, want.trust[i]},
			} {
				if math.Abs(float64(c.got)-c.want*65535) > 1.01 {
					t.Fatalf("uid %d: %s is %d, want %v", i, c.name, c.got, c.want*65535)
				}
			}
			bonds := make([]float64, len(r.Neurons))
			for _, e := range r.Bonds[i] {
				bonds[e.UID] = float64(e.Value)
			}
			for j, got := range bonds {
				if o.Permit && want.bonds[i] != nil && math.Abs(got-want.bonds[i][j]*65535) > 1.01 {
					t.Fatalf("bond %d, %d is %v, want %v", i, j, got, want.bonds[i][j]*65535)
				}
			}
			if !o.Permit && r.Bonds[i] != nil {
				t.Fatalf("uid %d keeps bonds without a permit", i)
			}
		}
	})
}

// relabel renames uid i to to[i].
func relabel(in *Input, to []int) *Input {
	out := *in
	out.Neurons = make([]Neuron, len(to))
	out.Weights, out.Bonds = make([]Row, len(to)), make([]Row, len(to))
	rename := func(row Row) Row {
		row = slices.Clone(row)
		for k := range row {
			row[k].UID = UID(to[row[k].UID])
		}
		slices.SortFunc(row, func(a, b Entry) int { return int(a.UID) - int(b.UID) })
		return row
	}
	for i, j := range to {
		out.Neurons[j] = in.Neurons[i]
		out.Weights[j], out.Bonds[j] = rename(in.Weights[i]), rename(in.Bonds[i])
	}
	return &out
}

func TestEpochDoesNotCareForNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		order := make([]int, len(in.Neurons))
		for i := range in.Neurons {
			order[i] = i
			if u := &in.Neurons[i]; u.Stake > 0 {
				u.Stake = u.Stake&^0xf | coin.Amount(i+1) // no ties, which uids decide
			}
		}
		to := rapid.Permutation(order).Draw(t, "names")
		a, b := must(t, in), must(t, relabel(in, to))
		if a.Remainder != b.Remainder {
			t.Fatalf("remainders %d and %d", a.Remainder, b.Remainder)
		}
		for i, j := range to {
			if a.Neurons[i] != b.Neurons[j] {
				t.Fatalf("uid %d gets %+v, and as uid %d %+v", i, a.Neurons[i], j, b.Neurons[j])
			}
		}
	})
}

// Moving weight that lies above consensus to a miner nobody knows changes
// nothing: it earned nothing to begin with.
func TestVotingAboveConsensusGainsNothing(t *testing.T) {
	tried := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Params.BondsPenalty = math.MaxUint16
		in.Neurons = append(in.Neurons, Neuron{})
		stranger := UID(len(in.Neurons) - 1)
		for i := range in.Neurons[:stranger] {
			if in.Neurons[i].Updated == 0 {
				in.Neurons[i].Updated = 1 // else its weights are older than the stranger
			}
		}
		e, err := run(in)
		if err != nil {
			t.Fatalf("epoch: %v", err)
		}
		w := e.weights()
		for i := range stranger {
			if e.voting[i] == 0 || e.voting[i] >= quorum(e.vote.total, in.Params.Kappa) {
				continue // it has no say, or makes consensus alone
			}
			row := w.row(int(i))
			for k, j := range row.uid {
				if row.val[k] <= e.vote.consensus[j] {
					continue
				}
				at := slices.IndexFunc(in.Weights[i], func(x Entry) bool { return x.UID == j })
				excess := (row.val[k] - e.vote.consensus[j]).Div(row.val[k]).Of(uint64(in.Weights[i][at].Value))
				if excess < 2 {
					continue
				}
				tried++
				modest := *in
				modest.Weights = slices.Clone(in.Weights)
				modest.Weights[i] = append(slices.Clone(in.Weights[i]), Entry{stranger, uint16(excess - 1)})
				modest.Weights[i][at].Value -= uint16(excess - 1)
				high, low := must(t, in).Neurons[i], must(t, &modest).Neurons[i]
				if j == i { // an owner that votes for itself: trust is what consensus leaves of a miner's votes
					high.Trust, low.Trust = 0, 0
				}
				if high != low {
					t.Fatalf("%d more than consensus on uid %d turns %+v into %+v", excess, j, low, high)
				}
			}
		}
	})
	if tried == 0 {
		t.Error("no case had a weight above consensus")
	}
}

func TestConsensusIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		voters := rapid.IntRange(1, 40).Draw(t, "voters")
		draw := func() []ballot {
			b := make([]ballot, voters)
			for i := range b {
				b[i] = ballot{fixed.Frac(rapid.Uint64Range(0, 9).Draw(t, "weight")), rapid.Uint64Range(1, 5).Draw(t, "stake")}
			}
			return b
		}
		low := draw()
		high := slices.Clone(low)
		raised := rapid.IntRange(0, voters-1).Draw(t, "raised")
		high[raised].weight++
		quorum := rapid.Uint64Range(1, uint64(5*voters)).Draw(t, "quorum")
		more := quorum + rapid.Uint64Range(0, 5).Draw(t, "more")
		if l, m := median(slices.Clone(low), quorum), median(slices.Clone(low), more); m > l {
			t.Fatalf("consensus rises from %d to %d with the quorum", l, m)
		}
		if l, h := median(slices.Clone(low), quorum), median(high, quorum); h < l {
			t.Fatalf("consensus falls from %d to %d as one weight rises", l, h)
		}
	})
}

func TestMedianIsByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "n")
		top := rapid.Uint64Range(1, 1000).Draw(t, "top")
		b := make([]ballot, n)
		for i := range b {
			b[i] = ballot{fixed.Frac(rapid.Uint64Range(1, top).Draw(t, "weight")), rapid.Uint64Range(1, 9).Draw(t, "stake")}
		}
		quorum := rapid.Uint64Range(1, uint64(6*n+1)).Draw(t, "quorum")
		want := fixed.Frac(0)
		for _, x := range b {
			backing := uint64(0)
			for _, y := range b {
				if y.weight >= x.weight {
					backing += y.stake
				}
			}
			if backing >= quorum {
				want = max(want, x.weight)
			}
		}
		if got := median(b, quorum); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

// Weights chosen to split badly must not cost quadratic time.
func TestMedianOfHostileWeights(t *testing.T) {
	const n = 4096
	b := make([]ballot, n)
	for i := range b { // the pivot of three is always among the least
		b[i] = ballot{fixed.Frac(n - i), 1}
		if i%2 == 1 {
			b[i].weight = fixed.Frac(i)
		}
	}
	sorted := slices.Clone(b)
	slices.SortFunc(sorted, func(x, y ballot) int { return int(int64(y.weight) - int64(x.weight)) })
	for quorum := uint64(1); quorum <= n; quorum += 333 {
		if got, want := median(slices.Clone(b), quorum), sorted[quorum-1].weight; got != want {
			t.Errorf("quorum %d: got %d, want %d", quorum, got, want)
		}
	}
}

// subnet returns an input with two validators of equal stake and two miners,
// of whom both validators give the first four fifths.
func subnet() *Input {
	p := DefaultParams()
	return &Input{
		Block: 100, Previous: 90, Tempo: 10, Emission: 1000, Params: p,
		Neurons: []Neuron{
			{Stake: 50, Updated: 95, Permit: true},
			{Stake: 50, Updated: 95, Permit: true},
			{},
			{},
		},
		Weights: []Row{{{2, 4}, {3, 1}}, {{2, 4}, {3, 1}}},
	}
}

func TestEpochPaysHalfToMiners(t *testing.T) {
	r := must(t, subnet())
	for i, want := range []Outcome{
		{Stake: 32767, Dividends: 32767, ValidatorTrust: 65535, Active: true, Permit: true, Validated: 250},
		{Stake: 32767, Dividends: 32767, ValidatorTrust: 65535, Active: true, Permit: true, Validated: 250},
		{Consensus: 52428, Incentive: 52428, Trust: 65535, Active: true, Mined: 400},
		{Consensus: 13107, Incentive: 13107, Trust: 65535, Active: true, Mined: 100},
	} {
		if r.Neurons[i] != want {
			t.Errorf("uid %d: got %+v, want %+v", i, r.Neurons[i], want)
		}
	}
	// α = 0.1 of weights 4/5 and 1/5.
	if want := (Row{{2, 5242}, {3, 1310}}); !slices.Equal(r.Bonds[0], want) {
		t.Errorf("bonds are %v, want %v", r.Bonds[0], want)
	}
}

func TestEpochCases(t *testing.T) {
	incentive := func(want ...uint16) func(*testing.T, *Result) {
		return func(t *testing.T, r *Result) {
			t.Helper()
			for i, w := range want {
				if got := r.Neurons[i].Incentive; got != w {
					t.Errorf("incentive of uid %d is %d, want %d", i, got, w)
				}
			}
		}
	}
	permits := func(want ...bool) func(*testing.T, *Result) {
		return func(t *testing.T, r *Result) {
			t.Helper()
			for i, w := range want {
				if got := r.Neurons[i].Permit; got != w {
					t.Errorf("permit of uid %d is %t, want %t", i, got, w)
				}
			}
		}
	}
	paid := func(want ...coin.Amount) func(*testing.T, *Result) {
		return func(t *testing.T, r *Result) {
			t.Helper()
			for i, w := range want {
				if got := r.Neurons[i].Emission(); got != w {
					t.Errorf("uid %d is paid %d, want %d", i, got, w)
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(in *Input)
		check  func(*testing.T, *Result)
	}{
		{"kappa 0 takes the greatest weight", func(in *Input) {
			in.Params.Kappa = 0
			in.Weights[1] = Row{{3, 1}}
		}, incentive(0, 0, 26214, 39321)},
		{"kappa 1 takes what all give", func(in *Input) {
			in.Params.Kappa = 65535
			in.Weights[1] = Row{{3, 1}}
		}, incentive(0, 0, 0, 65535)},
		{"half the stake is enough by default", func(in *Input) { in.Weights[1] = nil }, incentive(0, 0, 52428, 13106)},
		{"less than half is clipped", func(in *Input) {
			in.Neurons[0].Stake, in.Weights[1] = 49, Row{{3, 1}}
		}, incentive(0, 0, 0, 65535)},
		{"inactive stake does not vote", func(in *Input) {
			in.Params.ActivityCutoff, in.Neurons[1].Updated = 5, 94
			in.Weights[1] = Row{{3, 1}}
		}, incentive(0, 0, 52428, 13107)},
		{"at the cutoff it does", func(in *Input) {
			in.Params.ActivityCutoff = 5
			in.Weights[1] = Row{{3, 1}}
		}, incentive(0, 0, 26214, 39321)},
		{"without an old permit nobody votes", func(in *Input) {
			in.Neurons[0].Permit = false
			in.Weights[1] = Row{{3, 1}}
		}, incentive(0, 0, 0, 65535)},
		{"the owner votes without a permit", func(in *Input) {
			in.Neurons[0].Permit, in.Neurons[0].Owner = false, true
		}, incentive(0, 0, 52428, 13107)},
		{"weights on oneself do not count", func(in *Input) {
			in.Weights[0] = Row{{0, 9}, {2, 4}, {3, 1}}
		}, incentive(0, 0, 52428, 13107)},
		{"but for the owner", func(in *Input) {
			in.Neurons[0].Owner, in.Neurons[0].Stake = true, 1000
			in.Weights[0] = Row{{0, 9}}
		}, incentive(65535, 0, 0, 0)},
		{"weights older than the miner do not count", func(in *Input) {
			in.Neurons[2].Registered = 95
		}, incentive(0, 0, 0, 65535)},
		{"weights newer than the miner do", func(in *Input) {
			in.Neurons[2].Registered = 94
		}, incentive(0, 0, 52428, 13107)},
		{"weights committed before the miner came do not", func(in *Input) {
			in.Neurons[2].Registered = 93
			in.Neurons[0].Committed, in.Neurons[1].Committed = 92, 92
		}, incentive(0, 0, 0, 65535)},
		{"those committed at its block do", func(in *Input) {
			in.Neurons[2].Registered = 93
			in.Neurons[0].Committed, in.Neurons[1].Committed = 93, 93
		}, incentive(0, 0, 52428, 13107)},
		{
			"of equals the higher uid gets the permit", func(in *Input) { in.Params.MaxValidators = 1 },
			permits(false, true, false, false),
		},
		{"no stake, no permit", func(in *Input) { in.Neurons[2].Stake = 1 }, permits(true, true, true, false)},
		{"the owner's permit is an extra one", func(in *Input) {
			in.Params.MaxValidators, in.Neurons[3].Owner = 1, true
		}, permits(false, true, false, true)},
		{"stake below the threshold is none", func(in *Input) {
			in.Params.StakeThreshold, in.Neurons[1].Stake = 50, 49
		}, permits(true, false, false, false)},
		{"unless it is the owner's", func(in *Input) {
			in.Params.StakeThreshold, in.Neurons[1].Stake, in.Neurons[1].Owner = 50, 49, true
		}, permits(true, true, false, false)},
		{"dust is none", func(in *Input) {
			in.Neurons[0].Stake, in.Neurons[1].Stake = 1<<32, 1
		}, permits(true, false, false, false)},
		{"just more than dust is stake", func(in *Input) {
			in.Neurons[0].Stake, in.Neurons[1].Stake = 1<<32-1, 1
		}, permits(true, true, false, false)},
		{"the owner's cut comes first", func(in *Input) { in.Params.OwnerCut = 13107 }, paid(200, 200, 320, 80)},
		{"stake is paid when nobody is ranked", func(in *Input) { in.Weights = nil }, paid(500, 500, 0, 0)},
		{"stake that votes is paid before other stake", func(in *Input) {
			in.Weights, in.Neurons[1].Permit = nil, false
		}, paid(1000, 0, 0, 0)},
		{"if none votes all is paid", func(in *Input) {
			in.Weights, in.Params.ActivityCutoff = nil, 0
		}, paid(500, 500, 0, 0)},
		{
			"bonds that never grow leave all to miners", func(in *Input) { in.Params.BondsAverage = 1e6 },
			paid(0, 0, 800, 200),
		},
		{"great stake", func(in *Input) {
			in.Neurons[0].Stake, in.Neurons[1].Stake = 1<<62, 1<<62-1
		}, incentive(0, 0, 52428, 13107)},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := subnet()
			c.change(in)
			c.check(t, must(t, in))
		})
	}
}

func TestEpochOfNobody(t *testing.T) {
	r := must(t, &Input{Emission: 7})
	if r.Remainder != 7 || len(r.Neurons) != 0 {
		t.Errorf("got %+v, want all left over", r)
	}
	r = must(t, &Input{Emission: 7, Neurons: []Neuron{{Permit: true}}, Weights: []Row{{{0, 1}}}})
	if r.Remainder != 7 || r.Neurons[0].Emission() != 0 {
		t.Errorf("one neuron without stake: got %+v, want all left over", r)
	}
	r = must(t, &Input{Emission: 7, Params: DefaultParams(), Neurons: []Neuron{{Permit: true, Stake: 1}}, Weights: []Row{{{0, 1}}}})
	if r.Neurons[0].Validated != 7 || !r.Neurons[0].Permit {
		t.Errorf("one neuron with stake: got %+v, want all for it", r)
	}
}

// Bonds on a uid are gone when it changed hands since the last epoch.
func TestEpochDropsStaleBonds(t *testing.T) {
	in := subnet()
	in.Weights = nil
	in.Bonds = []Row{{{2, 60000}, {3, 60000}}}
	in.Neurons[2].Registered = 91
	if got := must(t, in).Bonds[0]; !slices.Equal(got, Row{{3, 53999}}) {
		t.Errorf("bonds are %v, want 53999 on uid 3 alone", got)
	}
	in.Previous, in.Tempo = 0, 10
	in.Neurons[2].Registered, in.Neurons[3].Registered = 89, 90
	if got := must(t, in).Bonds[0]; !slices.Equal(got, Row{{2, 53999}}) {
		t.Errorf("without a last epoch bonds are %v, want 53999 on uid 2 alone", got)
	}
}

// Stored bonds are rounded down, so a bond stops rising once a step is less
// than 1/65535: up to 1/α − 1 of these below its weight.
func TestBondSettlesBelowItsWeight(t *testing.T) {
	for _, c := range []struct {
		average uint32
		want    uint16
	}{{0, 65535}, {500_000, 65534}, {900_000, 65526}, {975_000, 65496}} {
		in := subnet()
		in.Params.BondsAverage = c.average
		in.Weights = []Row{{{2, 1}}, {{2, 1}}}
		for range 400 {
			in.Bonds = must(t, in).Bonds
		}
		if want := (Row{{2, c.want}}); !slices.Equal(in.Bonds[0], want) {
			t.Errorf("average %d: the bond settles at %v, want %v", c.average, in.Bonds[0], want)
		}
	}
}

func TestEpochRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(in *Input)
	}{
		{"too many neurons", func(in *Input) { in.Neurons = make([]Neuron, MaxNeurons+1) }},
		{"uids out of order", func(in *Input) { in.Weights[0] = Row{{3, 1}, {2, 1}} }},
		{"a uid twice", func(in *Input) { in.Bonds = []Row{{{3, 1}, {3, 1}}} }},
		{"an unknown uid", func(in *Input) { in.Weights[0] = Row{{4, 1}} }},
		{"rows without neurons", func(in *Input) { in.Bonds = make([]Row, 5) }},
		{"too much stake", func(in *Input) { in.Neurons[0].Stake = math.MaxUint64 - 49 }},
		{"average above 1", func(in *Input) { in.Params.BondsAverage = 1e6 + 1 }},
		{"alphas crossed", func(in *Input) { in.Params.AlphaLow, in.Params.AlphaHigh = 2, 1 }},
		{"unknown rule", func(in *Input) { in.Params.Rule = 9 }},
		{"too many permits", func(in *Input) { in.Params.MaxValidators = MaxNeurons + 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := subnet()
			c.change(in)
			if _, err := Epoch(in); !errors.Is(err, ErrInput) {
				t.Errorf("error %v, want ErrInput", err)
			}
		})
	}
}

func TestShares(t *testing.T) {
	rows := []Row{{{0, 1}, {2, 1}}, {{2, 5}}, nil}
	got, err := Shares([]coin.Amount{60, 40, 1000}, rows, 3, 32767)
	if err != nil {
		t.Fatal(err)
	}
	// Voter 0 decides: choices 0 and 2 have consensus ½ and ½; voter 2 abstains.
	want := []uint16{24575, 0, 40959}
	for j, w := range want {
		if got[j].U16() != w {
			t.Errorf("share of choice %d is %d, want %d", j, got[j].U16(), w)
		}
	}
	if got, err := Shares(nil, nil, 2, 32767); err != nil || got[0] != 0 || got[1] != 0 {
		t.Errorf("without voters: %v, %v; want zeros", got, err)
	}
	for _, bad := range [][]Row{{{{3, 1}}}, {nil, nil}} {
		if _, err := Shares([]coin.Amount{1}, bad, 3, 0); !errors.Is(err, ErrInput) {
			t.Errorf("%v: error %v, want ErrInput", bad, err)
		}
	}
	if _, err := Shares([]coin.Amount{math.MaxUint64, 1}, []Row{{{0, 1}}, {{0, 1}}}, 1, 0); !errors.Is(err, ErrInput) {
		t.Errorf("too much stake: error %v, want ErrInput", err)
	}
}

func TestHeight(t *testing.T) {
	if got := Height(math.MaxUint64 - 1).Add(5); got != math.MaxUint64 {
		t.Errorf("Add overflows to %d", got)
	}
	if got := Height(3).Since(5); got != 0 {
		t.Errorf("Since goes negative: %d", got)
	}
}
