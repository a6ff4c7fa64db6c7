package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	cmtdb "github.com/cometbft/cometbft-db"
	cmtcfg "github.com/cometbft/cometbft/config"
	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"google.golang.org/grpc"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/store/v2"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/plexus-network/plexus/yuma"
)

// NodeConfig says how a node runs. Only Home is required.
type NodeConfig struct {
	// Home is the node's folder, made if absent: config/ holds its keys and the
	// genesis document, data/ its blocks and state.
	Home string
	// Genesis starts a new chain; it is written to Home unless one is there. It
	// must be the one in Home otherwise. nil means the one in Home.
	Genesis *genutiltypes.AppGenesis
	Moniker string // name among peers; empty means "plexus"

	// P2P is the address to listen on for peers, as "127.0.0.1:26656"; port 0
	// takes any free port. Empty means any free port of the loopback interface.
	P2P string
	// RPC, GRPC and REST are addresses to serve clients on, as P2P. Empty means
	// not to listen.
	RPC, GRPC, REST string
	// External is the address that peers of other hosts find P2P at; may be empty.
	External string
	// Peers are kept connected: "id@host:port", as [Node.PeerAddr] returns it.
	Peers []string
	// Local is for several nodes on one host: it allows loopback addresses,
	// asks nobody for further peers, and gossips faster.
	Local bool

	BlockTime   time.Duration // aimed at between blocks; 0 means 6 s
	KeepStates  uint64        // heights whose state can be queried; 0 means 1,000
	KeepBlocks  uint64        // blocks kept, at least what unbonding takes; 0 means all
	Snapshots   uint64        // blocks between state-sync snapshots; 0 means none
	MinGasPrice string        // least price of gas, as "0.01nplx"; empty means 0
	StateSync   *StateSync    // whence an empty node takes its state; nil means from the first block on
	Metrics     string        // serve Prometheus here, one node per process; empty means not to
	Stall       time.Duration // behind its peers without a block for longer ends the node; 0 means 1 min
	Log         *slog.Logger  // gets warnings and errors of the node; nil means none
}

// A Node is a running node of the chain. It ends by Close, by the end of the
// context it was started with, or by itself when it can no longer follow the
// chain.
type Node struct {
	app   *App
	comet *cmtnode.Node
	dbs   []*guardedDB // of CometBFT
	serve services

	metrics     *http.Server // nil if nobody asked
	metricsAddr string

	peerAddr string
	stop     context.CancelFunc
	done     chan struct{}
	failed   chan failure // the first of consensus or state sync
	err      error        // why the node ended; read after done
}

// shutdownTime is how long the parts of a node may take to stop.
const shutdownTime = 10 * time.Second

// StartNode starts a node. It returns once the node runs, which is before its
// first block.
func StartNode(ctx context.Context, cfg NodeConfig) (*Node, error) {
	Configure()
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	var free ports
	defer func() { _ = free.Close() }() // the node listens by then, or never will
	if cfg, err = cfg.on(&free); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	n := &Node{stop: stop, done: make(chan struct{}), failed: make(chan failure, 1)}
	if err := n.start(ctx, cfg); err != nil {
		stop()
		return nil, errors.Join(err, n.shutdown())
	}
	go n.watch(ctx, cfg)
	return n, nil
}

// complete fills in what c leaves out, except ports.
func (c NodeConfig) complete() (NodeConfig, error) {
	if c.Home == "" {
		return c, errors.New("a node needs a home")
	}
	if c.Genesis != nil {
		if err := SaveGenesis(c.Home, c.Genesis); err != nil {
			return c, err
		}
	}
	var err error
	if c.Genesis, err = LoadGenesis(c.Home); err != nil {
		return c, err
	}
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&c.BlockTime, 6*time.Second)
	defaults(&c.Stall, time.Minute)
	if c.KeepStates == 0 {
		c.KeepStates = 1000
	}
	if c.Moniker == "" {
		c.Moniker = Name
	}
	if err := errors.Join(c.StateSync.check(), checkGasPrice(c.MinGasPrice)); err != nil {
		return c, err
	}
	if c.P2P == "" {
		c.P2P = "127.0.0.1:0"
	}
	return c, nil
}

// on picks the ports that CometBFT listens on.
func (c NodeConfig) on(free *ports) (NodeConfig, error) {
	for _, address := range []*string{&c.P2P, &c.RPC, &c.Metrics} {
		var err error
		if *address, err = free.pick(*address); err != nil {
			return c, err
		}
	}
	return c, nil
}

// start opens the data, and starts consensus and the services.
func (n *Node) start(ctx context.Context, cfg NodeConfig) error {
	nodeKey, signer, err := loadKeys(cfg.Home)
	if err != nil {
		return err
	}
	if n.app, err = openApp(cfg); err != nil {
		return err
	}
	figures, err := cfg.figures()
	if err != nil {
		return err
	}
	comet := cfg.comet()
	n.comet, err = cmtnode.NewNodeWithContext(ctx, comet, signer, nodeKey,
		proxy.NewLocalClientCreator(server.NewCometABCIWrapper(n.app)),
		cfg.Genesis.ToGenesisDoc,
		n.openDB,
		figures,
		cometLog(cfg.Log, n.fail),
	)
	if err != nil {
		return fmt.Errorf("node in %s: %w", cfg.Home, err)
	}
	if err := n.serve.start(n.app, n.comet, cfg); err != nil {
		return err
	}
	if err := n.serveMetrics(cfg.Metrics); err != nil {
		return err
	}
	if err := n.comet.Switch().AddPersistentPeers(cfg.Peers); err != nil {
		return fmt.Errorf("node in %s: peers: %w", cfg.Home, err)
	}
	if err := n.comet.Start(); err != nil {
		return fmt.Errorf("node in %s: %w", cfg.Home, err)
	}
	n.peerAddr = p2p.IDAddressString(nodeKey.ID(), cfg.reachable())
	n.dial(cfg.Peers)
	return nil
}

// reachable returns the address at which peers find the node.
func (c NodeConfig) reachable() string {
	if c.External != "" {
		return c.External
	}
	return c.P2P
}

// dial connects to peers at once, where CometBFT would wait up to 3 s first and
// then dial even for a node that has stopped, which leaves its peers with a
// connection to nobody. A failure is left to CometBFT, which tries again.
func (n *Node) dial(peers []string) {
	for _, peer := range peers {
		address, err := p2p.NewNetAddressString(peer)
		if err != nil {
			continue // it was refused already
		}
		go func() { _ = n.comet.Switch().DialPeerWithAddress(address) }()
	}
}

// openDB opens a database of CometBFT and notes it.
func (n *Node) openDB(c *cmtcfg.DBContext) (cmtdb.DB, error) {
	db, err := cmtcfg.DefaultDBProvider(c)
	if err != nil {
		return nil, fmt.Errorf("database %s in %s (does another process use this home?): %w", c.ID, c.Config.DBDir(), err)
	}
	guarded := &guardedDB{DB: db}
	n.dbs = append(n.dbs, guarded)
	return guarded, nil
}

// indexedEvents are what transactions and blocks can be searched by. Others can
// be large, as epochs are, and are found by their block.
var indexedEvents = []string{
	"message.action", "message.sender", "transfer.sender", "transfer.recipient",
	"delegate.validator", "delegate.delegator", "unbond.validator", "unbond.delegator",
	"plexus.subnet.v1.EventEpoch.netuid", "plexus.subnet.v1.EventEpochFailed.netuid",
	"plexus.subnet.v1.EventSubnetRegistered.owner", "plexus.subnet.v1.EventClaimed.account",
	"plexus.subnet.v1.EventNeuronRegistered.netuid", "plexus.subnet.v1.EventNeuronRegistered.account",
	"plexus.subnet.v1.EventWeightsSet.netuid",
}

// openApp opens the state machine on the disk.
func openApp(cfg NodeConfig) (*App, error) {
	data := filepath.Join(cfg.Home, "data")
	db, err := dbm.NewDB("application", dbm.GoLevelDBBackend, data)
	if err != nil {
		return nil, fmt.Errorf("state in %s (does another process use this home?): %w", data, err)
	}
	base := []func(*baseapp.BaseApp){
		baseapp.SetPruning(pruningtypes.NewCustomPruningOptions(max(cfg.KeepStates, 2), 10)),
		baseapp.SetMinGasPrices(cfg.MinGasPrice),
		baseapp.SetMinRetainBlocks(cfg.KeepBlocks),
		baseapp.SetInterBlockCache(store.NewCommitKVStoreCacheManager()),
		baseapp.SetIAVLCacheSize(50_000),
		baseapp.SetIAVLSyncPruning(true),
		baseapp.SetIndexEvents(indexedEvents),
	}
	if cfg.Snapshots > 0 || cfg.StateSync != nil {
		keep, err := openSnapshots(filepath.Join(data, "snapshots"))
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		base = append(base, baseapp.SetSnapshot(keep, snapshottypes.NewSnapshotOptions(cfg.Snapshots, keepSnapshots)))
	}
	app, err := NewApp(AppOptions{DB: db, Home: cfg.Home, ChainID: cfg.Genesis.ChainID, Log: quiet(cfg.Log), Base: base})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return app, nil
}

// comet returns the configuration of CometBFT.
func (c NodeConfig) comet() *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.SetRoot(c.Home)
	cfg.Moniker = c.Moniker
	cfg.DBBackend = string(cmtdb.GoLevelDBBackend)
	cfg.RPC.ListenAddress = ""
	if c.RPC != "" {
		cfg.RPC.ListenAddress = "tcp://" + c.RPC
	}
	cfg.P2P.ListenAddress = "tcp://" + c.P2P
	cfg.P2P.ExternalAddress = c.External
	cfg.P2P.AllowDuplicateIP = c.Local
	cfg.P2P.AddrBookStrict = !c.Local
	cfg.P2P.PexReactor = !c.Local
	cfg.Mempool.MaxTxBytes = maxTxBytes
	cfg.Mempool.Size = 10_000
	c.pace(cfg.Consensus)
	c.StateSync.configure(cfg.StateSync)
	if c.Local {
		cfg.P2P.FlushThrottleTimeout = 5 * time.Millisecond
		cfg.Consensus.PeerGossipSleepDuration = 15 * time.Millisecond
		cfg.Consensus.PeerQueryMaj23SleepDuration = 500 * time.Millisecond
	}
	return cfg
}

// pace sets the timeouts of consensus. Blocks come a little later than
// TimeoutCommit after one another, by the time that agreement takes.
func (c NodeConfig) pace(cfg *cmtcfg.ConsensusConfig) {
	wait := max(min(c.BlockTime/2, 3*time.Second), 300*time.Millisecond)
	cfg.TimeoutCommit = max(c.BlockTime-c.BlockTime/20, time.Millisecond)
	cfg.TimeoutPropose, cfg.TimeoutProposeDelta = wait, wait/4
	cfg.TimeoutPrevote, cfg.TimeoutPrevoteDelta = wait/2, wait/4
	cfg.TimeoutPrecommit, cfg.TimeoutPrecommitDelta = wait/2, wait/4
	cfg.SkipTimeoutCommit = false
}

// fail notes that consensus or state sync failed; only the first time counts.
func (n *Node) fail(f failure) {
	select {
	case n.failed <- f:
	default:
	}
}

// watch ends the node when ctx ends, when consensus fails, and when the node
// gets no block for longer than it may while a peer has more. Before its first
// block, a node that takes over a state may take its time.
func (n *Node) watch(ctx context.Context, cfg NodeConfig) {
	defer close(n.done)
	defer n.stop()
	stall := cfg.Stall
	tick := time.NewTicker(max(stall/20, 10*time.Millisecond))
	defer tick.Stop()
	height, since := n.Height(), time.Now()
	for {
		select {
		case <-ctx.Done():
			n.err = n.shutdown()
			return
		case f := <-n.failed:
			n.err = errors.Join(fmt.Errorf("%s failed at height %d: %w", f.what, n.Height(), f.cause), n.shutdown())
			return
		case <-tick.C:
			if now := n.Height(); now != height || now == 0 && cfg.StateSync != nil {
				height, since = now, time.Now()
			}
			if best := n.bestPeer(); time.Since(since) > stall && best > height {
				n.err = errors.Join(fmt.Errorf("no block for %v at height %d, but a peer is at %d", stall, height, best), n.shutdown())
				return
			}
		}
	}
}

// bestPeer returns the greatest height that a peer says it has.
func (n *Node) bestPeer() yuma.Height {
	var best int64
	n.comet.Switch().Peers().ForEach(func(p p2p.Peer) {
		if s, ok := p.Get(cmttypes.PeerStateKey).(interface{ GetHeight() int64 }); ok {
			best = max(best, s.GetHeight()-1) // it works on the next
		}
	})
	return yuma.Height(max(best, 0))
}

// shutdown stops what was started, in reverse order.
func (n *Node) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	err := n.serve.stop(ctx)
	if n.metrics != nil {
		err = errors.Join(err, n.metrics.Shutdown(ctx))
	}
	if n.comet != nil && n.comet.IsRunning() {
		stopped := make(chan error, 1)
		go func() { stopped <- n.comet.Stop() }()
		select {
		case e := <-stopped:
			err = errors.Join(err, e)
		case <-ctx.Done():
			err = errors.Join(err, fmt.Errorf("consensus did not stop within %v", shutdownTime))
		}
	}
	if n.app != nil {
		err = errors.Join(err, n.app.Close())
	}
	for _, db := range n.dbs {
		err = errors.Join(err, db.end())
	}
	return err
}

// Run waits until the node ends, which it does when ctx ends, and returns why
// it ended: nil after Close or the end of ctx.
func (n *Node) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return n.Close()
	case <-n.done:
		return n.err
	}
}

// Done is closed when the node has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns why the node ended: nil after Close, and before the end.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

// Close stops the node and waits until its data is on disk. It may be called
// more than once.
func (n *Node) Close() error {
	n.stop()
	<-n.done
	return n.err
}

// App returns the state machine, for those in this process who look at it.
func (n *Node) App() *App { return n.app }

// GRPC returns a connection to this node that needs no port. It serves all
// queries, transactions and blocks, as the listening port does.
func (n *Node) GRPC() grpc.ClientConnInterface { return n.serve.conn }

// PeerAddr returns where other nodes reach this one: "id@host:port".
func (n *Node) PeerAddr() string { return n.peerAddr }

// Addrs returns the addresses that the node serves clients on; empty for none.
func (n *Node) Addrs() (rpc, grpc, rest string) { return n.serve.rpc, n.serve.grpc, n.serve.rest }

// Height returns the height of the latest block; 0 before the first.
func (n *Node) Height() yuma.Height { return yuma.Height(n.comet.BlockStore().Height()) }
