package chain

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/plexus-network/plexus/yuma"
)

// account returns the test account of a number.
func account(i int) sdk.AccAddress {
	a := make(sdk.AccAddress, 20)
	copy(a, fmt.Sprintf("account-%d", i))
	return a
}

// network starts n validators of one chain in this process.
func network(t *testing.T, n int, blockTime time.Duration) []*Node {
	t.Helper()
	Configure()
	home := t.TempDir()
	o := GenesisOptions{ChainID: "plexus-test"}
	for i := range n {
		id, err := LoadIdentity(filepath.Join(home, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		o.Validators = append(o.Validators, GenesisValidator{Moniker: fmt.Sprint("v", i), Operator: account(i).String(), Key: id.Key})
	}
	doc, err := Genesis(o)
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*Node
	var peers []string
	for i := range n {
		node, err := StartNode(t.Context(), NodeConfig{
			Home: filepath.Join(home, fmt.Sprint(i)), Genesis: doc, Peers: peers, Local: true, BlockTime: blockTime,
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Close() })
		nodes, peers = append(nodes, node), append(peers, node.PeerAddr())
	}
	return nodes
}

// await waits until all nodes have a height.
func await(t *testing.T, nodes []*Node, height yuma.Height, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, n := range nodes {
		for n.Height() < height {
			select {
			case <-ctx.Done():
				t.Fatalf("height %d after %v, want %d", n.Height(), within, height)
			case <-n.Done():
				t.Fatalf("node ended: %v", n.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func TestNetwork(t *testing.T) {
	began := time.Now()
	nodes := network(t, 4, time.Second)
	t.Logf("started after %v", time.Since(began))
	await(t, nodes, 1, 20*time.Second)
	t.Logf("first block after %v", time.Since(began))
	await(t, nodes, 5, 20*time.Second)
	t.Logf("fifth block after %v", time.Since(began))
}
