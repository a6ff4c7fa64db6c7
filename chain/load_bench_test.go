package chain

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/rpc/client/local"

	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// A load is transactions of one kind, made ready before they are measured.
type load struct {
	name    string
	gas     uint64
	fee     coin.Amount
	genesis func(count int) func(*GenesisOptions)
	message func(b *bench, i int) (*person, sdk.Msg)
}

// loads are a payment between two accounts that exist, every one of another
// sender; and the weights of one of 64 validators on all 256 neurons of a
// subnet, every one of another validator or on another subnet.
var loads = []load{
	{
		name: "send", gas: 120_000, fee: 10_000,
		genesis: func(count int) func(*GenesisOptions) {
			return func(o *GenesisOptions) {
				for i := range count {
					o.Accounts = append(o.Accounts, GenesisAccount{Address: newPerson(fmt.Sprint("s", i)).String(), Balance: coin.PLX})
				}
			}
		},
		message: func(b *bench, i int) (*person, sdk.Msg) {
			p, to := b.person(fmt.Sprint("s", i)), b.person(fmt.Sprint("s", i^1))
			return p, &banktypes.MsgSend{FromAddress: p.String(), ToAddress: to.String(), Amount: sdk.NewCoins(nplx(1))}
		},
	},
	{
		name: "weights", gas: 200_000,
		genesis: func(count int) func(*GenesisOptions) {
			return func(o *GenesisOptions) { fillSubnets(o, (count+voters-1)/voters) }
		},
		message: func(b *bench, i int) (*person, sdk.Msg) {
			p := b.person(fmt.Sprint("v", i%voters))
			m := &subnetv1.MsgSetWeights{Account: p.String(), Netuid: uint32(1 + i/voters)}
			for uid := range uint32(seats) {
				m.Uids = append(m.Uids, uid)
				m.Weights = append(m.Weights, 1+(uint32(i)*7919+uid*104729)%65535)
			}
			return p, m
		},
	},
}

// A full subnet has so many neurons, of which so many are validators.
const (
	seats  = 256
	voters = 64
)

// fillSubnets makes n full subnets of the first. Validators that no node runs
// have too little stake to stop the chain.
func fillSubnets(o *GenesisOptions, n int) {
	for i := range o.Validators {
		o.Validators[i].Bootstrap = 1_000_000 * coin.PLX
	}
	for i := len(o.Validators); i < voters; i++ {
		p := newPerson(fmt.Sprint("v", i))
		o.Validators = append(o.Validators, GenesisValidator{Moniker: fmt.Sprint("v", i), Operator: p.String(), Key: p.consKey})
	}
	s := o.Subnets[0]
	s.Hyperparameters.MaxUids, s.Hyperparameters.MaxValidators, s.Hyperparameters.Tempo = seats, voters, 360
	s.Neurons = nil
	for i := range seats {
		name := fmt.Sprint("m", i)
		if i < voters {
			name = fmt.Sprint("v", i)
		}
		s.Neurons = append(s.Neurons, GenesisNeuron{Account: newPerson(name).String()})
	}
	o.Subnets = slices.Repeat([]GenesisSubnet{s}, n)
}

// sign returns count signed transactions.
func (l load) sign(b *bench, count int) [][]byte {
	ctx := b.ctx()
	txs := make([][]byte, count)
	for i := range txs {
		p, m := l.message(b, i)
		account := b.app.Accounts.GetAccount(ctx, p.address())
		txs[i] = b.signed(p, account.GetAccountNumber(), p.sequence, l.gas, l.fee, m)
		p.sequence++
	}
	return txs
}

// ms returns d per one of n, in milliseconds.
func ms(d time.Duration, n int) float64 { return float64(d.Microseconds()) / 1000 / float64(max(n, 1)) }

// BenchmarkApply takes transactions into the state machine alone, in memory:
// first as a node's queue checks them, then in blocks of 1,000. One operation
// is one transaction.
func BenchmarkApply(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			w := newBench(b, 1, nil, nil, l.genesis(b.N))
			w.unchecked = true
			txs := l.sign(w, b.N)
			began := cpu()
			for _, tx := range txs {
				if r, err := w.app.CheckTx(&abci.RequestCheckTx{Tx: tx}); err != nil || r.Code != 0 {
					b.Fatalf("check: %v, %v", r, err)
				}
			}
			checked := cpu() - began
			b.ResetTimer()
			began = cpu()
			var gas int64
			for some := range slices.Chunk(txs, 1000) {
				for _, r := range w.block(some...).TxResults {
					if r.Code != 0 {
						b.Fatal(r.Log)
					}
					gas += r.GasUsed
				}
			}
			b.ReportMetric(ms(cpu()-began, b.N), "cpu-ms/tx")
			b.ReportMetric(ms(checked, b.N), "check-cpu-ms/tx")
			b.ReportMetric(float64(gas)/float64(b.N), "gas/tx")
			b.ReportMetric(float64(len(txs[0])), "B/tx")
		})
	}
}

// BenchmarkLoad sends transactions through the nodes' gRPC and waits until all
// are in blocks. All validators run in this process, so processor time is that
// of all of them, and of the clients. One operation is one transaction.
func BenchmarkLoad(b *testing.B) {
	for _, l := range loads {
		for _, nodes := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/validators=%d", l.name, nodes), func(b *testing.B) { l.run(b, nodes) })
		}
	}
}

// run measures a load on a chain of so many nodes.
func (l load) run(b *testing.B, nodes int) {
	c := draftCluster(b, nodes, time.Second, l.genesis(b.N))
	for i := range c.cfgs {
		c.cfgs[i].Stall = time.Minute
		c.start(i)
	}
	c.await(2)
	txs := l.sign(&bench{t: b, app: c.nodes[0].App(), people: map[string]*person{}}, b.N)
	before := sizes(b, c.cfgs[0].Home)
	first, began := int64(c.nodes[0].Height()), cpu()
	b.ResetTimer()
	c.pour(txs)
	blocks := c.drain(first, b.N)
	spent := cpu() - began
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(ms(spent, b.N), "cpu-ms/tx")
	b.ReportMetric(ms(spent, b.N*nodes), "cpu-ms/tx/node")
	b.ReportMetric(float64(blocks), "blocks")
	for i := range c.nodes {
		c.stop(i)
	}
	after := sizes(b, c.cfgs[0].Home)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		grown := float64(after[name]-before[name]) / float64(b.N)
		b.ReportMetric(grown, "disk-B/tx/"+strings.TrimSuffix(name, ".db"))
	}
}

// pour sends transactions, those of one sender in order through one node.
func (c *cluster) pour(txs [][]byte) {
	const lines = 4
	var all sync.WaitGroup
	for line := range lines {
		service := txtypes.NewServiceClient(c.nodes[line%len(c.nodes)].GRPC())
		all.Go(func() {
			for i := line; i < len(txs); i += lines {
				r, err := service.BroadcastTx(c.t.Context(), &txtypes.BroadcastTxRequest{TxBytes: txs[i], Mode: txtypes.BroadcastMode_BROADCAST_MODE_SYNC})
				if err != nil || r.TxResponse.Code != 0 {
					c.t.Errorf("transaction %d: %v, %v", i, r, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// drain waits until count transactions are in the blocks after first, and
// returns in how many blocks. All must have succeeded.
func (c *cluster) drain(first int64, count int) (blocks int) {
	client := local.New(c.nodes[0].comet)
	for at, have := first+1, 0; have < count && !c.t.Failed(); {
		if int64(c.nodes[0].Height()) <= at { // the results of the latest may not be there yet
			time.Sleep(5 * time.Millisecond)
			continue
		}
		r, err := client.BlockResults(c.t.Context(), &at)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, tx := range r.TxsResults {
			if tx.Code != 0 {
				c.t.Fatal(tx.Log)
			}
		}
		if have += len(r.TxsResults); len(r.TxsResults) > 0 {
			blocks++
		}
		at++
	}
	return blocks
}

// sizes returns the bytes in every folder of a node's data.
func sizes(t testing.TB, home string) map[string]int64 {
	t.Helper()
	data, sum := filepath.Join(home, "data"), map[string]int64{}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a database may drop a file at any time
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		name, _ := filepath.Rel(data, path)
		if folder, _, ok := strings.Cut(name, string(filepath.Separator)); ok {
			sum[folder] += info.Size()
			sum["all"] += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
