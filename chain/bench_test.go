package chain

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// dense returns a chain whose subnet 1 has validators and miners with weights
// of every validator on every miner, after an epoch that gave permits.
func dense(b *testing.B, validators, miners int) *bench {
	names := make([]string, miners)
	for i := range names {
		names[i] = fmt.Sprint("m", i)
	}
	w := newBench(b, validators, names, nil, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.MaxUids, h.MaxValidators, h.Tempo = uint32(validators+miners), uint32(validators), 20
	})
	w.unchecked = true
	var txs [][]byte
	for i, v := range w.validators {
		m := &subnetv1.MsgSetWeights{Account: v.String(), Netuid: 1}
		for j := range miners {
			m.Uids = append(m.Uids, uint32(validators+j))
			m.Weights = append(m.Weights, uint32(1+(i*7919+j*104729)%65535))
		}
		txs = append(txs, w.tx(v, 0, m))
	}
	for _, r := range w.block(txs...).TxResults {
		if r.Code != 0 {
			b.Fatal(r.Log)
		}
	}
	w.until(w.metagraph(1).Subnet.NextEpoch)
	w.until(w.metagraph(1).Subnet.NextEpoch)
	if n := w.metagraph(1).Neurons[validators].Incentive; n == 0 {
		b.Fatal("the miners have no incentive")
	}
	return w
}

// cpu returns the processor time of this process, which tells more than the
// clock where others work on the same machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEpoch runs the whole epoch of a subnet on committed state: reading
// it, the law, paying, and writing to a cache.
func BenchmarkEpoch(b *testing.B) {
	for _, size := range []struct{ uids, validators int }{{256, 64}} {
		b.Run(fmt.Sprintf("%dx%d", size.uids, size.validators), func(b *testing.B) {
			w := dense(b, size.validators, size.uids-size.validators)
			next := w.metagraph(1).Subnet.NextEpoch
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				ctx, _ := w.ctx().WithBlockHeight(next).WithEventManager(sdk.NewEventManager()).CacheContext()
				if err := w.app.Subnets.EndBlock(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkBlock makes whole blocks, finalized and committed, of which one in
// 20 runs an epoch of 256 neurons and 64 validators. The metrics tell the two
// kinds apart.
func BenchmarkBlock(b *testing.B) {
	w := dense(b, 64, 192)
	for _, epoch := range []bool{false, true} {
		b.Run(fmt.Sprintf("epoch=%v", epoch), func(b *testing.B) {
			b.StopTimer()
			var spent time.Duration
			for range b.N {
				if epoch {
					w.until(w.metagraph(1).Subnet.NextEpoch - 1)
				} else if w.metagraph(1).Subnet.NextEpoch == w.app.LastBlockHeight()+1 {
					w.block()
				}
				b.StartTimer()
				began := cpu()
				w.block()
				spent += cpu() - began
				b.StopTimer()
			}
			b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkMetagraph answers the query of a subnet of 256 neurons.
func BenchmarkMetagraph(b *testing.B) {
	w := dense(b, 64, 192)
	b.ReportAllocs()
	for b.Loop() {
		if m := w.metagraph(1); len(m.Neurons) != 256 {
			b.Fatalf("%d neurons", len(m.Neurons))
		}
	}
}
