package yuma

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/plexus-network/plexus/coin"
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
		in.Neurons[i].Stake = coin.Amount(1+rng.IntN(1e6)) * coin.PLX
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

var benchSizes = []struct{ n, validators, every int }{
	{256, 64, 1}, {1024, 64, 1}, {1024, 64, 16}, {4096, 256, 1}, {4096, 256, 16},
}

func BenchmarkEpoch(b *testing.B) {
	for _, s := range benchSizes {
		in := benchInput(s.n, s.validators, s.every)
		name := fmt.Sprintf("%dx%d", s.n, s.validators)
		if s.every > 1 {
			name += fmt.Sprintf("/1in%d", s.every)
		}
		b.Run(name+"/fixed", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Epoch(in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/float64", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				referenceEpoch(in)
			}
		})
	}
}
