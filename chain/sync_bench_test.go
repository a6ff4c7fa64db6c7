package chain

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// addRows gives the validators of subnet 1 weights and bonds on all miners.
func addRows(b *testing.B, doc *genutiltypes.AppGenesis) {
	b.Helper()
	enc, err := newEncoding()
	if err != nil {
		b.Fatal(err)
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &state); err != nil {
		b.Fatal(err)
	}
	var g subnetv1.GenesisState
	if err := enc.Codec.UnmarshalJSON(state[subnet.ModuleName], &g); err != nil {
		b.Fatal(err)
	}
	for i := range uint32(voters) {
		var row yuma.Row
		for uid := uint32(voters); uid < seats; uid++ {
			row = append(row, yuma.Entry{UID: yuma.UID(uid), Value: uint16(1 + (i*7919+uid*104729)%65535)})
		}
		r := subnetv1.Row{Uid: i, Entries: yuma.AppendRow(nil, row)}
		g.Subnets[1].Weights, g.Subnets[1].Bonds = append(g.Subnets[1].Weights, r), append(g.Subnets[1].Bonds, r)
	}
	text, err := enc.Codec.MarshalJSON(&g)
	if err != nil {
		b.Fatal(err)
	}
	state[subnet.ModuleName] = text
	if doc.AppState, err = json.Marshal(state); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStateSync lets an empty node take over a state of 25,000 accounts
// and a full subnet, from two validators in this process. What these use
// meanwhile is measured before and taken off. One operation is one sync: from
// the start of the node to the first block that it ran itself.
func BenchmarkStateSync(b *testing.B) {
	const accounts, every, blockTime = 25_000, 60, 200 * time.Millisecond
	c := draftCluster(b, 2, blockTime, func(o *GenesisOptions) {
		fillSubnets(o, 1)
		for i := range accounts {
			sum := sha256.Sum256(fmt.Append(nil, "account ", i))
			o.Accounts = append(o.Accounts, GenesisAccount{Address: sdk.AccAddress(sum[:20]).String(), Balance: coin.PLX})
		}
	})
	addRows(b, c.cfgs[0].Genesis)
	for i := range c.cfgs {
		c.cfgs[i].RPC, c.cfgs[i].Snapshots, c.cfgs[i].Stall = "127.0.0.1:0", every, time.Minute
		c.start(i)
	}
	c.await(5) // the state of the first block takes long to store
	c.await(every + 5)
	trusted := c.nodes[0].comet.BlockStore().LoadBlockMeta(5)
	sync := &StateSync{Height: 5, Hash: fmt.Sprintf("%X", trusted.BlockID.Hash)}
	for _, n := range c.nodes {
		rpc, _, _ := n.Addrs()
		sync.RPC = append(sync.RPC, rpc)
	}
	began, idle := time.Now(), cpu()
	c.await(c.nodes[0].Height() + 5)
	rate := float64(cpu()-idle) / float64(time.Since(began))

	var spent, took time.Duration
	for b.Loop() {
		cfg := NodeConfig{Home: filepath.Join(b.TempDir(), "fresh"), Genesis: c.cfgs[0].Genesis, Local: true, BlockTime: blockTime, StateSync: sync}
		c.cfgs, c.nodes, c.held = append(c.cfgs[:2], cfg), append(c.nodes[:2], nil), append(c.held[:2], nil)
		began, used := time.Now(), cpu()
		fresh := c.start(2)
		c.await(every + 1)
		spent, took = spent+cpu()-used, took+time.Since(began)
		if base := fresh.comet.BlockStore().Base(); base < every {
			b.Fatalf("the node's blocks begin at %d: it did not take over a state", base)
		}
		c.stop(2)
	}
	own := float64(spent) - rate*float64(took)
	b.ReportMetric(float64(sizes(b, c.cfgs[0].Home)["snapshots"])/(1<<20), "snapshots-MiB")
	b.ReportMetric(spent.Seconds()/float64(b.N), "all-cpu-s/sync")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/sync")
	b.ReportMetric(own/1e9/float64(b.N), "cpu-s/sync")
	b.ReportMetric(rate, "cores-idle")
}
