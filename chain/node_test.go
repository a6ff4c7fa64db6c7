package chain

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/yuma"
)

// A cluster is validators of one chain in this process.
type cluster struct {
	t     testing.TB
	cfgs  []NodeConfig
	nodes []*Node
	held  []ports // of nodes that are stopped, and come back on the same port
}

// newCluster starts n validators v0, v1, … that are neurons of one subnet.
func newCluster(t testing.TB, n int, blockTime time.Duration) *cluster {
	t.Helper()
	c := draftCluster(t, n, blockTime, func(*GenesisOptions) {})
	for i := range c.cfgs {
		c.start(i)
	}
	return c
}

// draftCluster prepares what newCluster starts. change may alter the genesis.
func draftCluster(t testing.TB, n int, blockTime time.Duration, change func(*GenesisOptions)) *cluster {
	t.Helper()
	Configure()
	c := &cluster{t: t}
	home := t.TempDir()
	h := quickHyperparameters()
	s := GenesisSubnet{Kind: "text", Hyperparameters: &h}
	o := GenesisOptions{ChainID: "plexus-test"}
	for i := range n {
		cfg := NodeConfig{Home: filepath.Join(home, fmt.Sprint(i)), Local: true, BlockTime: blockTime, Stall: 5 * time.Minute}
		id, err := LoadIdentity(cfg.Home)
		if err != nil {
			t.Fatal(err)
		}
		operator := newPerson(fmt.Sprint("v", i)).String()
		o.Validators = append(o.Validators, GenesisValidator{Moniker: fmt.Sprint("v", i), Operator: operator, Key: id.Key})
		s.Neurons = append(s.Neurons, GenesisNeuron{Account: operator})
		c.cfgs = append(c.cfgs, cfg)
	}
	o.Subnets = []GenesisSubnet{s}
	change(&o)
	doc, err := Genesis(o)
	if err != nil {
		t.Fatal(err)
	}
	c.nodes, c.held = make([]*Node, n), make([]ports, n)
	for i := range c.cfgs {
		c.cfgs[i].Genesis = doc
	}
	return c
}

// start starts a node with all others that run as its peers.
func (c *cluster) start(i int) *Node {
	c.t.Helper()
	cfg := c.cfgs[i]
	for j, n := range c.nodes {
		if j != i && n != nil {
			cfg.Peers = append(cfg.Peers, n.PeerAddr())
		}
	}
	n, err := StartNode(c.t.Context(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
	c.cfgs[i].P2P = strings.SplitAfter(n.PeerAddr(), "@")[1] // the same port next time
	if err := c.held[i].Close(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = n.Close() })
	return n
}

// stop ends a node.
func (c *cluster) stop(i int) {
	c.t.Helper()
	if err := c.nodes[i].Close(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = nil
	if err := c.held[i].keep(c.cfgs[i].P2P); err != nil {
		c.t.Fatal(err)
	}
}

// await waits until all running nodes have a height.
func (c *cluster) await(height yuma.Height) {
	c.t.Helper()
	const within = 3 * time.Minute
	ctx, cancel := context.WithTimeout(c.t.Context(), within)
	defer cancel()
	for i, n := range c.nodes {
		for n != nil && n.Height() < height {
			select {
			case <-ctx.Done():
				c.t.Fatalf("node %d is at height %d after %v, want %d", i, n.Height(), within, height)
			case <-n.Done():
				c.t.Fatalf("node %d ended: %v", i, n.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func TestClusterSurvivesAMemberAndServes(t *testing.T) {
	began := time.Now()
	c := newCluster(t, 4, 200*time.Millisecond)
	started := time.Since(began)
	c.await(1)
	t.Logf("4 nodes started after %v, first block after %v", started, time.Since(began))

	c.await(3)
	c.stop(3)
	c.await(c.nodes[0].Height() + 3) // three of four go on
	n := c.start(3)
	c.await(c.nodes[0].Height() + 2) // and the fourth catches up

	blocks := cmtservice.NewServiceClient(n.GRPC())
	latest, err := blocks.GetLatestBlock(t.Context(), &cmtservice.GetLatestBlockRequest{})
	if err != nil || latest.SdkBlock.Header.ChainID != "plexus-test" {
		t.Fatalf("latest block: %v, %v", latest, err)
	}
	schedule, err := emissionv1.NewQueryClient(n.GRPC()).Schedule(t.Context(), &emissionv1.QueryScheduleRequest{})
	if err != nil || schedule.State.Minted != schedule.Scheduled {
		t.Errorf("schedule: %v, %v", schedule, err)
	}
	c.submit(n, newPerson("v0"), &subnetv1.MsgSetWeights{Account: newPerson("v0").String(), Netuid: 1, Uids: []uint32{1}, Weights: []uint32{1}})
	rows, err := subnetv1.NewQueryClient(n.GRPC()).Weights(t.Context(), &subnetv1.QueryWeightsRequest{Netuid: 1})
	if err != nil || len(rows.Rows) != 1 {
		t.Errorf("weights: %v, %v; want one row", rows, err)
	}

	// All stop and start again: the chain goes on.
	height := c.nodes[0].Height()
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	c.await(height + 2)
}

// submit sends a message through a node and waits until it is in a block.
func (c *cluster) submit(n *Node, p *person, msg sdk.Msg) {
	c.t.Helper()
	b := &bench{t: c.t, app: n.App()}
	service := txtypes.NewServiceClient(n.GRPC())
	r, err := service.BroadcastTx(c.t.Context(), &txtypes.BroadcastTxRequest{TxBytes: b.tx(p, 0, msg), Mode: txtypes.BroadcastMode_BROADCAST_MODE_SYNC})
	if err != nil || r.TxResponse.Code != 0 {
		c.t.Fatalf("broadcast: %v, %v", r, err)
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got, err := service.GetTx(c.t.Context(), &txtypes.GetTxRequest{Hash: r.TxResponse.TxHash})
		if err == nil {
			if got.TxResponse.Code != 0 {
				c.t.Fatalf("%T: %s", msg, got.TxResponse.RawLog)
			}
			return
		}
	}
	c.t.Fatalf("%T was in no block after two minutes", msg)
}

func TestConsensusFailureEndsTheNode(t *testing.T) {
	c := newCluster(t, 1, 100*time.Millisecond)
	c.await(2)
	n := c.nodes[0]
	if err := n.App().Close(); err != nil { // as if the disk had gone
		t.Fatal(err)
	}
	select {
	case <-n.Done():
	case <-time.After(2 * time.Minute):
		t.Fatal("the node goes on without consensus")
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "consensus failed at height") {
		t.Errorf("the node ended with %v, want a failure of consensus", err)
	}
}

func TestStalledNodeEndsWhilePeersGoOn(t *testing.T) {
	c := newCluster(t, 4, 100*time.Millisecond)
	c.await(2)
	c.stop(3)
	c.cfgs[3].Stall = 10 * time.Second // on a slow machine a node that is well may need some
	n := c.start(3)
	c.await(c.nodes[0].Height() + 1)

	// Its disk hangs, and answers again only after the watchdog barked.
	disk := &n.dbs[0].mu
	disk.Lock()
	time.AfterFunc(15*time.Second, disk.Unlock)
	select {
	case <-n.Done():
	case <-time.After(2 * time.Minute):
		t.Fatal("the node goes on, though it gets no block")
	}
	if err := n.Err(); err == nil || !strings.Contains(err.Error(), "but a peer is at") {
		t.Errorf("the node ended with %v, want that it fell behind", err)
	}
	c.nodes[3] = nil
	c.await(c.nodes[0].Height() + 2) // the others do not mind
}

func TestServesPortsAndRefusesWhatIsTaken(t *testing.T) {
	c := newCluster(t, 1, 100*time.Millisecond)
	c.await(1)
	c.stop(0)
	c.cfgs[0].RPC, c.cfgs[0].GRPC, c.cfgs[0].REST = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n := c.start(0)
	c.await(2)
	rpc, _, rest := n.Addrs()
	for _, url := range []string{"http://" + rpc + "/status", "http://" + rest + "/plexus/emission/v1/schedule"} {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.Close(); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, r.Status)
		}
	}

	// The same home and the same ports, while the node runs.
	if _, err := StartNode(t.Context(), NodeConfig{Home: c.cfgs[0].Home}); err == nil || !strings.Contains(err.Error(), "another process use this home") {
		t.Errorf("second node in one home: %v", err)
	}
	taken := NodeConfig{Home: filepath.Join(t.TempDir(), "b"), Genesis: c.cfgs[0].Genesis, RPC: rpc}
	if _, err := StartNode(t.Context(), taken); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("taken port: %v", err)
	}
	other := *c.cfgs[0].Genesis
	other.ChainID = "another"
	if _, err := StartNode(t.Context(), NodeConfig{Home: c.cfgs[0].Home, Genesis: &other}); err == nil || !strings.Contains(err.Error(), "holds the chain plexus-test") {
		t.Errorf("another chain's home: %v", err)
	}
}

func TestDamagedHomeIsRefused(t *testing.T) {
	home := t.TempDir()
	if _, err := StartNode(t.Context(), NodeConfig{Home: home}); err == nil || !strings.Contains(err.Error(), "has no genesis document") {
		t.Errorf("no genesis: %v", err)
	}
	if _, err := LoadIdentity(home); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{nodeKeyFile, signerFile, genesisFile} {
		path := filepath.Join(home, file)
		was, _ := os.ReadFile(path)
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadIdentity(home)
		if file == genesisFile {
			_, err = LoadGenesis(home)
		}
		if err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("damaged %s: %v; want an error that names it", file, err)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQuietLogs(t *testing.T) {
	var text strings.Builder
	log := quiet(slog.New(slog.NewTextHandler(&text, nil))).With("a", 1)
	log.Info("hidden")
	log.Warn("shown")
	log.Error("panic recovered in runTx", "err", "hidden stack\nout of gas in location: WritePerByte; gasWanted: 1, gasUsed: 2: out of gas")
	log.Error("panic recovered in runTx", "err", "nil pointer, shown too")
	if !strings.Contains(text.String(), "shown too") {
		t.Errorf("log %q keeps a true panic to itself", text.String())
	}
	if got := text.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("log %q, want warnings only", got)
	}
}
