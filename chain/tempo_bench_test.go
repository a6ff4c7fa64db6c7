package chain

import (
	"fmt"
	"testing"
	"time"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// crowdedChain returns a chain of 128 subnets, each with 64 validators that
// have weights on all of its 192 miners, after an epoch of each. Their first
// epochs are staggered over the default tempo of 360 blocks.
func crowdedChain(b *testing.B) *bench {
	const subnets, validators, miners = 128, 64, 192
	names := make([]string, miners)
	for i := range names {
		names[i] = fmt.Sprint("m", i)
	}
	w := newBench(b, validators, names, nil, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.MaxUids, h.MaxValidators, h.Tempo = validators+miners, validators, 360
		for range subnets - 1 {
			o.Subnets = append(o.Subnets, o.Subnets[0])
		}
	})
	w.unchecked = true
	for netuid := range uint32(subnets) {
		for i, v := range w.validators {
			m := &subnetv1.MsgSetWeights{Account: v.String(), Netuid: netuid + 1}
			for j := range miners {
				m.Uids = append(m.Uids, uint32(validators+j))
				m.Weights = append(m.Weights, uint32(1+(i*7919+j*104729)%65535))
			}
			if err := w.ask(m); err != nil {
				b.Fatal(err)
			}
		}
		w.block() // the tree is slow to look through what is not committed
	}
	w.until(w.metagraph(subnets).Subnet.NextEpoch)
	return w
}

// BenchmarkTempo makes the 360 blocks of a tempo on a full chain: 128 subnets
// of 256 neurons and 64 validators. Blocks are finalized and committed; those
// without an epoch tell what an epoch adds.
func BenchmarkTempo(b *testing.B) {
	w := crowdedChain(b)
	var idle, busy, most time.Duration
	idles, epochs, blocks := 0, 0, 0
	for b.Loop() {
		for range 360 {
			began := cpu()
			r := w.block()
			spent := cpu() - began
			blocks++
			ran := 0
			for _, e := range r.Events {
				if e.Type == "plexus.subnet.v1.EventEpoch" {
					ran++
				}
			}
			if most = max(most, spent); ran == 0 {
				idle, idles = idle+spent, idles+1
			} else {
				busy, epochs = busy+spent, epochs+ran
			}
		}
	}
	ms := func(d time.Duration, n int) float64 { return float64(d.Microseconds()) / 1000 / float64(max(n, 1)) }
	b.ReportMetric(ms(busy, epochs)-ms(idle, idles), "cpu-ms/epoch")
	b.ReportMetric(ms(idle, idles), "cpu-ms/idle-block")
	b.ReportMetric(ms(idle+busy, blocks), "cpu-ms/block")
	b.ReportMetric(ms(most, 1), "cpu-ms/worst-block")
	b.ReportMetric(float64(epochs)/float64(b.N), "epochs/op")
}
