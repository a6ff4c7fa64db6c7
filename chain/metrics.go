package chain

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// figures returns where CometBFT counts. It knows only the registry of the
// whole process, so that a second node with metrics in one process is refused.
func (c NodeConfig) figures() (cmtnode.MetricsProvider, error) {
	if c.Metrics == "" {
		return cmtnode.DefaultMetricsProvider(&cmtcfg.InstrumentationConfig{}), nil
	}
	mark := prometheus.NewGauge(prometheus.GaugeOpts{Name: "plexus_chain_nodes", Help: "Nodes of this process that serve metrics: 1."})
	mark.Set(1)
	if err := prometheus.Register(mark); err != nil {
		return nil, fmt.Errorf("metrics on %s: a node of this process serves them already: %w", c.Metrics, err)
	}
	return cmtnode.DefaultMetricsProvider(&cmtcfg.InstrumentationConfig{Prometheus: true, Namespace: "cometbft"}), nil
}

// serveMetrics serves Prometheus on an address, unless it is empty.
func (n *Node) serveMetrics(address string) error {
	if address == "" {
		return nil
	}
	own := prometheus.NewRegistry()
	if err := own.Register(newCollector(n)); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics on %s: %w (choose another address)", address, err)
	}
	n.metricsAddr = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{prometheus.DefaultGatherer, own}, promhttp.HandlerOpts{
		MaxRequestsInFlight: 3, Timeout: 10 * time.Second,
	}))
	n.metrics = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = n.metrics.Serve(l) }() // ends with the server
	return nil
}

// A collector tells Prometheus how a node is, when asked.
type collector struct {
	node *Node

	height, peerHeight, peers, syncing, age *prometheus.Desc
	mempoolTxs, mempoolBytes                *prometheus.Desc
	minted, burned, unallocated             *prometheus.Desc
}

// newCollector returns the collector of a node.
func newCollector(n *Node) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("plexus_chain_"+name, help, nil, nil)
	}
	return &collector{
		node:         n,
		height:       desc("height", "Height of the latest block."),
		peerHeight:   desc("peer_height", "Greatest height that a peer says it has; 0 without peers."),
		peers:        desc("peers", "Connected peers."),
		syncing:      desc("syncing", "1 while the node catches up with others."),
		age:          desc("block_age_seconds", "Time since the latest block, by its own time."),
		mempoolTxs:   desc("mempool_transactions", "Transactions that wait for a block."),
		mempoolBytes: desc("mempool_bytes", "Size of the transactions that wait."),
		minted:       desc("minted_nplx", "All that the schedule minted."),
		burned:       desc("burned_nplx", "All that was burned."),
		unallocated:  desc("unallocated_nplx", "Minted or returned, and promised to nobody."),
	}
}

// Describe names the figures.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.height, c.peerHeight, c.peers, c.syncing, c.age, c.mempoolTxs, c.mempoolBytes, c.minted, c.burned, c.unallocated,
	} {
		to <- d
	}
}

// Collect reads the figures.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	n := c.node
	height := n.Height()
	gauge(c.height, float64(height))
	gauge(c.peerHeight, float64(n.bestPeer()))
	gauge(c.peers, float64(n.comet.Switch().Peers().Size()))
	syncing := 0.0
	if n.comet.ConsensusReactor().WaitSync() {
		syncing = 1
	}
	gauge(c.syncing, syncing)
	gauge(c.mempoolTxs, float64(n.comet.Mempool().Size()))
	gauge(c.mempoolBytes, float64(n.comet.Mempool().SizeBytes()))
	if meta := n.comet.BlockStore().LoadBlockMeta(int64(height)); meta != nil {
		gauge(c.age, time.Since(meta.Header.Time).Seconds())
	}
	minted, burned, unallocated, err := n.money()
	if err != nil {
		return // there is no state yet, or the node is ending
	}
	counter(c.minted, minted)
	counter(c.burned, burned)
	gauge(c.unallocated, float64(unallocated))
}

// money returns what the schedule says at the latest height.
func (n *Node) money() (minted, burned, unallocated uint64, err error) {
	height := n.app.LastBlockHeight()
	if height == 0 {
		return 0, 0, 0, errors.New("there is no block yet")
	}
	ctx, err := n.app.CreateQueryContext(height, false)
	if err != nil {
		return 0, 0, 0, err
	}
	g, err := n.app.Emission.ExportGenesis(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	return g.State.Minted, g.State.Burned, g.State.Unallocated, nil
}
