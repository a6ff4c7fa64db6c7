package yuma

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
)

// benchInput is a subnet of n neurons, the first of which validate, each with
// weights and bonds on one in every so many miners.
func benchInput(n, validators, every int) *Input {
	rng := rand.New(rand.NewPCG(1, uint64(n*validators+every)))
	in := &Input{
		Block: 1000, Previous: 640, Tempo: 360, Emission: 360 * coin.PLX,
		Params:  DefaultParams(),
		Neurons: make([]Neuron, n), Weights: make([]Row, n), Bonds: make([]Row, n),
	}
	in.Params.MaxValidators = uint16(validators)
	for i := range in.Neurons {
		in.Neurons[i] = Neuron{Registered: 1, Updated: 900}
		if i >= validators {
			continue
		}
		in.Neurons[i].Stake = coin.Amount(1+rng.IntN(1e4)) * coin.PLX
		in.Neurons[i].Permit = true
		for j := range n {
			if every > 1 && rng.IntN(every) > 0 {
				continue
			}
			in.Weights[i] = append(in.Weights[i], Entry{UID(j), uint16(1 + rng.IntN(65535))})
			in.Bonds[i] = append(in.Bonds[i], Entry{UID(j), uint16(1 + rng.IntN(65535))})
		}
	}
	return in
}

// benchSizes are the subnets that bench/yuma.md reports on.
var benchSizes = []struct {
	name                 string
	n, validators, every int
}{
	{"256x64", 256, 64, 1},
	{"1024x64", 1024, 64, 1},
	{"4096x256", 4096, 256, 1},
	{"4096x256_1in16", 4096, 256, 16},
}

// BenchmarkEpoch measures the law beside the same in float64 and in decimals.
func BenchmarkEpoch(b *testing.B) {
	for _, s := range benchSizes {
		for _, peer := range []struct {
			name string
			run  func(*Input)
		}{
			{"law", func(in *Input) { must(b, in) }},
			{"float64", func(in *Input) { referenceEpoch(in) }},
			{"decimal", func(in *Input) { decimalEpoch(in) }},
		} {
			b.Run(s.name+"/"+peer.name, func(b *testing.B) {
				in := benchInput(s.n, s.validators, s.every)
				b.ReportAllocs()
				for b.Loop() {
					peer.run(in)
				}
			})
		}
	}
}

// BenchmarkVariants measures what the options of the law cost.
func BenchmarkVariants(b *testing.B) {
	for _, v := range []struct {
		name   string
		change func(*Params)
	}{
		{"yuma3", func(*Params) {}},
		{"yuma2", func(p *Params) { p.Rule = Yuma2 }},
		{"liquid", func(p *Params) { p.LiquidAlpha = true }},
	} {
		in := benchInput(256, 64, 1)
		v.change(&in.Params)
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				must(b, in)
			}
		})
	}
}

// BenchmarkMedian measures a column whose weights were chosen
// to split badly, beside one of random weights.
func BenchmarkMedian(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name    string
		columns []ballot
	}{
		{"random", ballots(4096, func(int) uint64 { return rng.Uint64() })},
		{"hostile", ballots(4096, func(i int) uint64 { return uint64(min(i, 4096-i)) })},
	} {
		b.Run(c.name, func(b *testing.B) {
			column := make([]ballot, len(c.columns))
			for b.Loop() {
				copy(column, c.columns)
				median(column, uint64(len(column))/2)
			}
		})
	}
}

// The peers compute the same thing, or their times would mean nothing.
func TestPeersAgree(t *testing.T) {
	in := benchInput(64, 16, 1)
	r, want := must(t, in), referenceEpoch(in)
	incentive, dividends, _ := decimalEpoch(in)
	for i, o := range r.Neurons {
		peers := []float64{want.incentive[i], incentive[i].MustFloat64()}
		if i < len(dividends) {
			if d := dividends[i].MustFloat64(); math.Abs(float64(o.Dividends)-d*65535) > 1.01 {
				t.Errorf("uid %d: dividends %d, in decimals %v", i, o.Dividends, d*65535)
			}
		}
		for _, p := range peers {
			if math.Abs(float64(o.Incentive)-p*65535) > 1.01 {
				t.Errorf("uid %d: incentive %d, of a peer %v", i, o.Incentive, p*65535)
			}
		}
	}
}

// ballots returns n ballots of stake 1 with these weights.
func ballots(n int, weight func(i int) uint64) []ballot {
	b := make([]ballot, n)
	for i := range b {
		b[i] = ballot{fixed.Frac(weight(i)), 1}
	}
	return b
}
