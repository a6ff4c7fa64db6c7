package chain

import (
	"fmt"
	"math"
	"testing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// edge is a bench after three epochs in which all n validators spoke, unless
// opinion tells otherwise: a validator's weights on m and on n.
func edge(t *testing.T, n int, opinion func(i int) (m, n int), change func(*subnetv1.Hyperparameters)) *bench {
	b := newBench(t, n, []string{"m", "n"}, nil, func(o *GenesisOptions) {
		if change != nil {
			change(o.Subnets[0].Hyperparameters)
		}
	})
	for i, v := range b.validators {
		first, second := opinion(i)
		b.must(v, b.weigh(1, v, "m", first, "n", second))
	}
	for range 3 {
		b.until(b.metagraph(1).Subnet.NextEpoch)
	}
	return b
}

// paid returns what the latest epoch of subnet 1 paid to miners and to
// validators, and complains unless that is all of its pot to a few units.
func (b *bench) paid() (miners, validators uint64) {
	b.t.Helper()
	for _, n := range b.metagraph(1).Neurons {
		miners, validators = miners+n.ServerEmission, validators+n.ValidatorEmission
	}
	if s := b.metagraph(1).Subnet; s.Epoch < 3 || s.Pending > 1000 {
		b.t.Errorf("after %d epochs %d is pending, want all of a pot to be paid", s.Epoch, s.Pending)
	}
	return miners, validators
}

func TestScenarioAllZeroWeights(t *testing.T) {
	b := edge(t, 3, func(int) (int, int) { return 0, 0 }, nil)
	if miners, validators := b.paid(); miners != 0 || validators == 0 {
		t.Errorf("miners earned %d and validators %d; want nothing and all, by stake", miners, validators)
	}
	if a, c := b.neuron("v0").ValidatorEmission, b.neuron("v2").ValidatorEmission; a != c {
		t.Errorf("validators of equal stake earned %d and %d", a, c)
	}
}

func TestScenarioOneValidator(t *testing.T) {
	b := edge(t, 1, func(int) (int, int) { return 3, 1 }, nil)
	miners, validators := b.paid()
	if m := b.neuron("m").Incentive; miners == 0 || validators == 0 || m < 49_149 || m > 49_153 {
		t.Errorf("miners earned %d, validators %d, m has incentive %d; want halves, and three quarters of 65535", miners, validators, m)
	}
}

func TestScenarioAllStakeInactive(t *testing.T) {
	b := edge(t, 3, func(int) (int, int) { return 1, 1 }, func(h *subnetv1.Hyperparameters) { h.ActivityCutoff = tempo })
	b.until(b.metagraph(1).Subnet.NextEpoch + tempo) // nobody has spoken for longer than the cutoff
	if v := b.neuron("v0"); v.Active || v.Dividends != 0 {
		t.Fatalf("v0 is active %v with dividends %d; the test needs it inactive", v.Active, v.Dividends)
	}
	if miners, validators := b.paid(); miners != 0 || validators == 0 {
		t.Errorf("miners earned %d and validators %d; want nothing and all, by stake", miners, validators)
	}
	v := b.validators[0] // one speaks again: it alone decides
	b.must(v, b.weigh(1, v, "n", 1))
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if n := b.neuron("n"); n.Incentive != math.MaxUint16 {
		t.Errorf("n has incentive %d by the only active validator, want 65535", n.Incentive)
	}
}

// With kappa 0 the most generous opinion counts, with kappa 1 the least.
func TestScenarioKappaZeroAndOne(t *testing.T) {
	for kappa, want := range map[uint32]uint32{0: math.MaxUint16, math.MaxUint16: 0} {
		t.Run(fmt.Sprint(kappa), func(t *testing.T) {
			b := edge(t, 3, func(i int) (int, int) {
				if i == 0 {
					return 0, 1 // the only friend of n
				}
				return 1, 0
			}, func(h *subnetv1.Hyperparameters) { h.Kappa = kappa })
			m, n := b.neuron("m"), b.neuron("n")
			if n.Consensus != want || m.Consensus != want {
				t.Errorf("consensus on m is %d and on n %d, want %d", m.Consensus, n.Consensus, want)
			}
			miners, validators := b.paid()
			if want == 0 && miners != 0 || want != 0 && (n.Incentive == 0 || m.Incentive <= n.Incentive) || validators == 0 {
				t.Errorf("incentives %d and %d; miners earned %d, validators %d", m.Incentive, n.Incentive, miners, validators)
			}
		})
	}
}

// A subnet of one neuron, which is a validator and can weigh only itself.
func TestScenarioOneNeuron(t *testing.T) {
	b := newBench(t, 1, nil, nil, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.MaxUids = 1
	})
	v := b.validators[0]
	b.must(v, b.weigh(1, v, "v0", 1))
	for range 3 {
		b.until(b.metagraph(1).Subnet.NextEpoch)
	}
	if miners, validators := b.paid(); miners != 0 || validators == 0 {
		t.Errorf("the only neuron mined %d and validated for %d; want nothing of its own weight, and all", miners, validators)
	}
	b.roundTrip()
}

func TestScenarioStakeNearTwoToThe63(t *testing.T) {
	const huge = coin.Amount(1<<62 - 1) // of each: 2⁶³ − 2 together
	b := newBench(t, 2, []string{"m", "n"}, []string{"rich"}, func(o *GenesisOptions) {
		for i := range o.Validators {
			o.Validators[i].Bootstrap = huge
		}
	})
	first, second := b.validators[0], b.validators[1]
	b.must(b.person("rich"), delegateMsg(b.person("rich"), first, coin.PLX)) // the first has a little more
	b.must(first, b.weigh(1, first, "m", 1))
	b.must(second, b.weigh(1, second, "n", 1))
	for range 3 {
		b.until(b.metagraph(1).Subnet.NextEpoch)
	}
	v, w := b.neuron("v0"), b.neuron("v1")
	if v.Stake != uint64(huge+coin.PLX) || w.Stake != uint64(huge) {
		t.Errorf("stakes of %d and %d, want %d and %d", v.Stake, w.Stake, huge+coin.PLX, huge)
	}
	miners, validators := b.paid()
	if miners == 0 || validators == 0 || b.neuron("m").Incentive == 0 {
		t.Errorf("miners earned %d, validators %d, m has incentive %d", miners, validators, b.neuron("m").Incentive)
	}
	b.roundTrip()
}
