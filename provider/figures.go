package provider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/inventory"
)

// figures count what happens. What is so at the moment, a [gauges] tells when
// it is asked.
type figures struct {
	registry  *prometheus.Registry
	bids      *prometheus.CounterVec // by result
	declined  *prometheus.CounterVec // orders, by kind of reason
	ended     *prometheus.CounterVec // leases, by reason
	start     prometheus.Histogram
	withdrawn *prometheus.CounterVec // base units, by denom
	payments  prometheus.Counter
	errors    *prometheus.CounterVec // by what failed
	alerts    *prometheus.CounterVec // by result
}

const figuresSpace = "plexus_provider"

func newFigures(d *Daemon) *figures {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: figuresSpace, Name: name, Help: help}, labels)
	}
	f := &figures{
		registry: prometheus.NewRegistry(),
		bids:     vec("bids_total", "Bids, by what became of them: placed, refused by the chain, won, lost.", "result"),
		declined: vec("orders_declined_total", "Orders that got no bid, once for each kind of reason: ability, attribute, resource, price.", "kind"),
		ended:    vec("leases_ended_total", "Leases that ended, by the chain's reason.", "reason"),
		start: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: figuresSpace, Name: "manifest_to_running_seconds", Help: "From a manifest to all of its replicas started, images included.",
			Buckets: []float64{.1, .25, .5, 1, 1.5, 2.5, 5, 10, 30, 60, 120, 300, 900},
		}),
		withdrawn: vec("withdrawn_total", "Pay taken, in base units, before the network's part.", "denom"),
		payments:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: figuresSpace, Name: "withdrawals_total", Help: "Times that a lease's pay was taken."}),
		errors:    vec("errors_total", "What failed and is tried again, by what it was: round, bid, withdraw, close.", "of"),
		alerts:    vec("webhook_deliveries_total", "Alerts to webhooks, by result: delivered, failed (tried again), dropped.", "result"),
	}
	f.registry.MustRegister(f.bids, f.declined, f.ended, f.start, f.withdrawn, f.payments, f.errors, f.alerts, newGauges(d))
	return f
}

// paid counts a payment, as "17nplx".
func (f *figures) paid(amount string) {
	f.payments.Inc()
	end := strings.IndexFunc(amount, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end <= 0 {
		return
	}
	if n, err := strconv.ParseFloat(amount[:end], 64); err == nil {
		f.withdrawn.WithLabelValues(amount[end:]).Add(n)
	}
}

// follow counts the bids that were decided since the snapshot before.
func (f *figures) follow(before, now *Snapshot) {
	if before == nil {
		return
	}
	state := map[market.BidID]market.BidState{}
	for _, b := range now.Bids {
		state[b.ID] = b.State
	}
	for _, b := range before.Bids {
		if b.State != market.BidOpen {
			continue
		}
		switch state[b.ID] {
		case market.BidOpen:
		case market.BidActive:
			f.bids.WithLabelValues("won").Inc()
		default:
			f.bids.WithLabelValues("lost").Inc()
		}
	}
}

// serve answers Prometheus on an address until ctx ends.
func (f *figures) serve(ctx context.Context, all *errgroup.Group, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("provider: metrics: %w; choose another address", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(f.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 3, Timeout: 10 * time.Second}))
	serve(ctx, all, l, mux)
	return nil
}

// gauges tell Prometheus how a Daemon stands, when asked.
type gauges struct {
	d *Daemon

	cpu, memory, gpu, storage, diskFree *prometheus.Desc
	leases, bids, bidding, replicas     *prometheus.Desc
	restarts, pulls, pullBytes, pullS   *prometheus.Desc
	height, age, certificate, queue     *prometheus.Desc
	in, out                             *prometheus.Desc
}

func newGauges(d *Daemon) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(figuresSpace, "", name), help, labels, nil)
	}
	return &gauges{
		d:           d,
		cpu:         desc("cpu_cores", "Cores: capacity for sale, free of bids and leases, sold to leases, used as measured.", "of"),
		memory:      desc("memory_bytes", "Memory: capacity, free, sold, used.", "of"),
		gpu:         desc("gpus", "Graphics processors by kind: capacity, free, sold.", "kind", "of"),
		storage:     desc("storage_bytes", "Disk by class, the ephemeral one's being empty: capacity, free, sold, used.", "class", "of"),
		diskFree:    desc("disk_free_bytes", "What is left on the disk of the provider's folder."),
		leases:      desc("leases", "Leases that run."),
		bids:        desc("bids_open", "Bids that are open."),
		bidding:     desc("bidding", "1 while the provider bids, 0 while it does not."),
		replicas:    desc("replicas", "Replicas, by state.", "state"),
		restarts:    desc("restarts_total", "Replicas started again after they ended, since the daemon began."),
		pulls:       desc("image_pulls_total", "Images fetched, and those of them that failed.", "result"),
		pullBytes:   desc("image_pull_bytes_total", "Bytes fetched from registries."),
		pullS:       desc("image_pull_seconds_total", "Time in which images were fetched and unpacked."),
		height:      desc("chain_height", "The latest block that was followed."),
		age:         desc("chain_age_seconds", "How old that block is."),
		certificate: desc("certificate_expiry_seconds", "Until the ingress's first certificate ends.", "name"),
		queue:       desc("webhook_queue", "Alerts that wait to be delivered."),
		in:          desc("network_received_bytes", "Bytes that the replicas that run have received."),
		out:         desc("network_sent_bytes", "Bytes that they have sent."),
	}
}

// Describe implements [prometheus.Collector]. It tells nothing: what there is
// depends on the classes of disk and on certificates.
func (*gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	s := g.d.Status(context.Background())
	for of, a := range map[string]inventory.Amounts{"capacity": s.Capacity, "free": s.Free, "sold": s.Sold} {
		gauge(g.cpu, float64(a.CPU)/1000, of)
		gauge(g.memory, float64(a.Memory), of)
		for kind := range s.Capacity.GPUs {
			gauge(g.gpu, float64(a.GPUs[kind]), kind, of)
		}
		for class := range s.Capacity.Storage {
			gauge(g.storage, float64(a.Storage[class]), class, of)
		}
	}
	gauge(g.cpu, float64(s.Used.CPU)/1000, "used")
	gauge(g.memory, float64(s.Used.Memory), "used")
	for class := range s.Capacity.Storage {
		gauge(g.storage, float64(s.Used.Storage[class]), class, "used")
	}
	if free, err := g.d.o.freeDisk(g.d.o.Dir); err == nil {
		gauge(g.diskFree, float64(free))
	}
	gauge(g.leases, float64(s.Leases))
	gauge(g.bids, float64(s.Bids))
	bidding := 0.0
	if s.Bidding {
		bidding = 1
	}
	gauge(g.bidding, bidding)
	gauge(g.in, float64(s.Used.In))
	gauge(g.out, float64(s.Used.Out))
	states, restarts := g.d.replicas()
	for state, n := range states {
		gauge(g.replicas, float64(n), state)
	}
	counter(g.restarts, float64(restarts))
	gauge(g.queue, float64(g.d.post.Waiting()))
	if images, ok := g.d.o.Images.(interface{ Pulled() image.Pulled }); ok {
		p := images.Pulled()
		counter(g.pulls, float64(p.Done), "done")
		counter(g.pulls, float64(p.Failed), "failed")
		counter(g.pullBytes, float64(p.Bytes))
		counter(g.pullS, p.Time.Seconds())
	}
	if gauge(g.height, float64(s.Height)); !s.Time.IsZero() {
		gauge(g.age, time.Since(s.Time).Seconds())
	}
	if g.d.tls != nil {
		for name, when := range g.d.tls.Expiries() {
			gauge(g.certificate, time.Until(when).Seconds(), name)
		}
	}
}

// replicas counts them by state, and how often they were started again.
func (d *Daemon) replicas() (states map[string]int, restarts int) {
	states = map[string]int{"starting": 0, "running": 0, "exited": 0, "failed": 0, "waiting": 0}
	for _, k := range d.all() {
		for _, r := range k.keeper.Replicas() {
			state := "waiting"
			if r.State != 0 {
				state = r.State.String()
			}
			states[state]++
		}
		restarts += k.keeper.Restarts()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return states, restarts + d.restarts
}
