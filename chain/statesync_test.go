package chain

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// commitHash returns the hash of a node's own state at a height.
func commitHash(t testing.TB, n *Node, height int64) []byte {
	t.Helper()
	store, ok := n.App().CommitMultiStore().(interface {
		GetCommitInfo(int64) (*storetypes.CommitInfo, error)
	})
	if !ok {
		t.Fatal("the store keeps no commits")
	}
	info, err := store.GetCommitInfo(height)
	if err != nil {
		t.Fatal(err)
	}
	return info.CommitID().Hash
}

// TestStateSync lets a fresh node take the state of two others, and finds the
// same state in it, then and later.
func TestStateSync(t *testing.T) {
	if testing.Short() {
		t.Skip("waits some 15 s for blocks and snapshots")
	}
	c := newCluster(t, 2, 150*time.Millisecond)
	c.await(1)
	for i := range c.nodes {
		c.stop(i)
		c.cfgs[i].RPC, c.cfgs[i].Snapshots = "127.0.0.1:0", 30 // two of them last longer than a sync takes
	}
	c.cfgs[0].Metrics = "127.0.0.1:0"
	for i := range c.nodes {
		c.start(i)
	}
	c.await(c.nodes[0].Height() + 2) // transactions are checked against a block of this run
	v0 := newPerson("v0")
	c.submit(c.nodes[0], v0, &subnetv1.MsgSetWeights{Account: v0.String(), Netuid: 1, Uids: []uint32{1}, Weights: []uint32{1}})
	c.await(31)

	trusted := c.nodes[0].comet.BlockStore().LoadBlockMeta(5)
	sync := &StateSync{Height: 5, Hash: fmt.Sprintf("%X", trusted.BlockID.Hash)}
	for _, n := range c.nodes {
		rpc, _, _ := n.Addrs()
		sync.RPC = append(sync.RPC, rpc)
	}
	cfg := NodeConfig{Home: filepath.Join(t.TempDir(), "fresh"), Genesis: c.cfgs[0].Genesis, Local: true, BlockTime: 150 * time.Millisecond, StateSync: sync}
	lie := *sync
	lie.Hash = strings.Repeat("AB", 32)
	bad := cfg
	bad.Home, bad.StateSync = filepath.Join(t.TempDir(), "bad"), &lie
	if n, err := StartNode(t.Context(), bad); err == nil {
		_ = n.Close()
		t.Error("a node believes a hash that is not the chain's")
	} else if !strings.Contains(err.Error(), "light client") {
		t.Errorf("a wrong hash: %v", err)
	}

	began := time.Now()
	c.cfgs = append(c.cfgs, cfg)
	c.nodes, c.held = append(c.nodes, nil), append(c.held, nil)
	fresh := c.start(2)
	c.await(31)
	t.Logf("a fresh node was at height %d after %v, of which 5 s is the search for snapshots", fresh.Height(), time.Since(began))
	if base := fresh.comet.BlockStore().Base(); base < 30 {
		t.Errorf("the fresh node's blocks begin at %d: it did not take over a state", base)
	}
	c.await(fresh.Height() + 3)
	height := int64(fresh.Height()) - 1
	got, want := commitHash(t, fresh, height), commitHash(t, c.nodes[0], height)
	if !bytes.Equal(got, want) {
		t.Errorf("state at height %d: hash %x, want %x", height, got, want)
	}
	ctx, err := fresh.App().CreateQueryContext(height, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.App().Check(ctx); err != nil {
		t.Error(err)
	}
	rows, err := subnetv1.NewQueryClient(fresh.GRPC()).Weights(t.Context(), &subnetv1.QueryWeightsRequest{Netuid: 1})
	if err != nil || len(rows.Rows) != 1 {
		t.Errorf("weights of the fresh node: %v, %v; want those set before", rows, err)
	}

	// It starts again from what it has.
	c.stop(2)
	c.start(2)
	c.await(fresh.Height() + 3)
	checkMetrics(t, c.nodes[0])
}

// checkMetrics reads a node's figures as Prometheus would.
func checkMetrics(t *testing.T, n *Node) {
	t.Helper()
	r, err := http.Get("http://" + n.metricsAddr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v: %s", r.Status, err, text)
	}
	for _, want := range []string{
		"plexus_chain_height ", "plexus_chain_peers 2", "plexus_chain_peer_height ", "plexus_chain_syncing 0", "plexus_chain_block_age_seconds ",
		"plexus_chain_mempool_transactions 0", "plexus_chain_minted_nplx ", "plexus_chain_nodes 1",
		"cometbft_consensus_height{", "process_cpu_seconds_total",
	} {
		if !strings.Contains(string(text), "\n"+want) {
			t.Errorf("metrics have no %q", want)
		}
	}
	if _, err := (NodeConfig{Metrics: "127.0.0.1:0", Moniker: "plexus", Genesis: &genutiltypes.AppGenesis{ChainID: "plexus-test"}}).figures(); err == nil {
		t.Error("a second node of one process may serve metrics")
	}
}

func TestStateSyncIsChecked(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, s := range map[string]*StateSync{
		"one node":    {RPC: []string{"a:1"}, Height: 5, Hash: hash},
		"no height":   {RPC: []string{"a:1", "b:1"}, Hash: hash},
		"short hash":  {RPC: []string{"a:1", "b:1"}, Height: 5, Hash: "abcd"},
		"no hex hash": {RPC: []string{"a:1", "b:1"}, Height: 5, Hash: strings.Repeat("x", 64)},
	} {
		if s.check() == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := (&StateSync{RPC: []string{"a:1", "b:1"}, Height: 5, Hash: hash}).check(); err != nil {
		t.Error(err)
	}
	for price, ok := range map[string]bool{"": true, "0.01nplx": true, "nplx": false, "-1nplx": false, "a lot": false} {
		if err := checkGasPrice(price); (err == nil) != ok {
			t.Errorf("gas price %q: %v", price, err)
		}
	}
}
