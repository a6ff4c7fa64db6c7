// Package provider sells this machine's compute on the market: it bids on
// orders, runs what tenants send for the leases that it wins, and takes its
// pay.
//
// The chain says what should run, an engine (package sandbox) what does, and a
// [Daemon] brings the two together again at every block. It keeps no list of
// its own that could go wrong: what it claims of its inventory comes from the
// chain and from the manifests on disk each time, so it can be killed, or lose
// the chain, and goes on. While the chain does not answer, leases run on and
// bids stop. Only the chain's word ends a lease: that it is closed, at a block
// no older than those seen before, never that a question failed.
//
// Rooms: inventory is the accounting, price the prices, lease what keeps one
// lease running, pass and api the door for tenants, ingress the one for their
// users. The others are engines. Start at [Daemon.Run].
package provider

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/ingress"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/price"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// Options of a [Daemon]. Those of the first block are needed.
type Options struct {
	Dir      string // of manifests and state
	Account  string // the provider's address
	Chain    Chain
	Engine   sandbox.Engine
	Images   lease.Images
	Prices   price.Pricer
	Capacity inventory.Amounts // for sale
	GPUs     []sandbox.GPU     // the devices that Capacity counts

	Addresses []netip.Prefix // for lease, those that Capacity counts

	API         string // address to listen on; "" opens no API
	Certificate tls.Certificate
	Ingress     string // address to listen on for HTTP; "" opens no ingress
	Domain      string // names of services end in it; "" means localhost
	IngressURL  string // what stands before and after a name in URLs, as "http://%s:8000"; "" means http on Ingress's port, https on IngressTLS's
	IngressTLS  string // address to listen on for HTTPS; "" opens none
	TLSFile     string // the certificate of names below Domain, in PEM; "" means Certificate
	TLSKey      string // the key of TLSFile
	ACME        ACME   // certificates for tenants' own names
	Redirect    bool   // from HTTP to HTTPS, for names with a trusted certificate
	Limits      ingress.Limits
	Proxies     []netip.Prefix // of the operator's own before the ingress, which are believed who asks
	Ports       [2]uint16
	Webhooks    []alert.Hook
	Metrics     string // address to answer Prometheus on; "" means none

	DryRun          bool          // decide on bids, and send none
	BidLife         uint64        // blocks; 0 means as many as the chain allows
	ManifestTimeout time.Duration // from lease to manifest; 0 means 5 min
	Patience        time.Duration // with a lease whose replicas cannot be started; 0 means 15 min
	Withdraw        time.Duration // between withdrawals; 0 means 1 h
	WithdrawLeast   market.Amount // that is worth one; 0 means 1,000,000
	Overhead        int64         // bytes of memory of a sandbox itself; 0 means 48 MiB
	KeepPast        time.Duration // after its end in which a lease's events and logs can be read; 0 means 7 days
	KeepFree        int64         // bytes of disk below which images that nobody needs are deleted; 0 means 4 GiB
	ChainPatience   time.Duration // with a chain that does not answer, before its operator is told; 0 means 5 min
	Pace            time.Duration // between looks at the chain; 0 means 1 s
	Lease           lease.Options // Poll, Grace and Calm
	Log             *slog.Logger  // nil means no log

	write       func(file string, content []byte) error         // nil means lease.WriteFile
	freeDisk    func(dir string) (int64, error)                 // nil means inventory.FreeDisk
	ownURL      bool                                            // IngressURL was not given
	lookup      func(context.Context, string) ([]string, error) // nil means the machine's resolver
	webhookHTTP *http.Client                                    // nil means an ordinary one
	acmeHTTP    *http.Client                                    // to the authority; nil means an ordinary one
}

// ACME says where a provider gets certificates for the names that its tenants
// bring. The zero ACME gets none.
type ACME struct {
	Directory string `json:"directory"`       // URL of the authority's directory; "" means none
	Email     string `json:"email,omitempty"` // where the authority warns
}

// minDisk is how much of its disk a provider leaves free: with less, it does
// not bid.
const minDisk = 1 << 30

// A Daemon is a provider at work.
type Daemon struct {
	o         Options
	inventory *inventory.Inventory
	books     *lease.Books
	histories *lease.Histories
	router    *ingress.Router
	door      *ingress.Door
	tls       *ingress.Certificates // nil without IngressTLS
	authority *ingress.Authority    // nil without ACME
	secureURL string                // of names with a trusted certificate; "" without TLS
	report    sandbox.Report
	meter     *meter
	figures   *figures
	post      *alert.Post

	manifests sync.Mutex // one at a time, for ports and names

	mu       sync.Mutex
	ctx      context.Context // of keepers; nil before Run and after
	keepers  map[string]*kept
	stray    []*lease.Record // of a run before, that no keeper has yet
	last     *Snapshot       // nil before the first look
	answered time.Time       // when last was made
	trouble  string          // why there is no newer one
	position position
	orders   map[market.OrderID]*opinion
	names    names                // of tenants' services
	placed   map[string]placement // bids that no snapshot shows yet
	later    map[string]time.Time // by bid, when to try to close it again
	paid     time.Time            // of the last withdrawals
	sold     inventory.Amounts    // to leases
	restarts int                  // of leases that have ended
	news     bool                 // the position is to be written at once, so that nothing is told twice
	full     string               // why state cannot be written; "" if it can
	unread   bool                 // some records are damaged: nobody knows which images they need
}

// kept is a lease with who keeps it.
type kept struct {
	id     market.BidID
	keeper *lease.Keeper
	since  time.Time
	stop   context.CancelFunc
	done   chan struct{}
}

// position is how far a daemon has followed which chain.
type position struct {
	Chain   string `json:"chain"`
	Height  uint64 `json:"height"`
	Cases   uint32 `json:"cases,omitempty"` // what was told of reports against the provider
	Slashed uint64 `json:"slashed,omitempty"`
}

// New returns a Daemon with what a run before left on disk.
func New(o Options) (*Daemon, error) {
	o = o.withDefaults()
	books, err := lease.OpenBooks(filepath.Join(o.Dir, "leases"))
	if err != nil {
		return nil, fmt.Errorf("provider: folder of leases: %w", err)
	}
	books.Write = o.write
	histories, err := lease.OpenHistories(filepath.Join(o.Dir, "history"))
	if err != nil {
		return nil, fmt.Errorf("provider: folder of histories: %w", err)
	}
	d := &Daemon{
		o: o, inventory: inventory.New(o.Capacity), books: books, histories: histories, router: &ingress.Router{Log: o.Log, PerLease: o.Limits.PerLease}, door: ingress.NewDoor(o.Limits, o.Proxies...), meter: newMeter(o.Engine),
		keepers: map[string]*kept{}, orders: map[market.OrderID]*opinion{}, placed: map[string]placement{}, later: map[string]time.Time{},
		trouble: "the chain was not seen yet", paid: time.Now(),
	}
	d.figures = newFigures(d)
	d.post, err = alert.Open(filepath.Join(o.Dir, "alerts"), o.Account, o.Webhooks, alert.Options{
		HTTP: o.webhookHTTP, Count: func(result string) { d.figures.alerts.WithLabelValues(result).Inc() }, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	if d.names, err = readNames(o.Dir); err != nil {
		return nil, err
	}
	if err := d.secure(); err != nil {
		return nil, err
	}
	if d.stray, err = books.All(); err != nil {
		d.unread = true
		o.Log.Error("leases that cannot be read run on, but cannot be changed until their tenants send their manifests again", "error", err)
	}
	text, err := os.ReadFile(d.positionFile())
	if err == nil {
		err = json.Unmarshal(text, &d.position)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("provider: %s: %w; delete it if it is damaged", d.positionFile(), err)
	}
	return d, nil
}

func (d *Daemon) positionFile() string { return filepath.Join(d.o.Dir, "position.json") }

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	or(&o.ManifestTimeout, 5*time.Minute)
	or(&o.Patience, 15*time.Minute)
	or(&o.Withdraw, time.Hour)
	or(&o.ChainPatience, 5*time.Minute)
	or(&o.KeepPast, 7*24*time.Hour)
	or(&o.Pace, time.Second)
	if o.WithdrawLeast == 0 {
		o.WithdrawLeast = 1_000_000
	}
	if o.Overhead == 0 {
		o.Overhead = 48 << 20
	}
	if o.KeepFree == 0 {
		o.KeepFree = 4 << 30
	}
	if o.Domain == "" {
		o.Domain = "localhost"
	}
	if o.Ports == [2]uint16{} {
		o.Ports = [2]uint16{30000, 32767}
	}
	if o.write == nil {
		o.write = lease.WriteFile
	}
	if o.freeDisk == nil {
		o.freeDisk = inventory.FreeDisk
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.IngressURL == "" {
		o.ownURL, o.IngressURL = true, "http://%s"
		if _, port, err := net.SplitHostPort(o.Ingress); err == nil && port != "80" {
			o.IngressURL += ":" + port
		}
	}
	return o
}

// Run provides until ctx ends. It then lets go of what runs, which runs on.
func (d *Daemon) Run(ctx context.Context) error {
	report, err := d.o.Engine.Check(ctx)
	if err != nil {
		return fmt.Errorf("provider: this machine runs no containers: %w", err)
	}
	all, ctx := errgroup.WithContext(ctx)
	d.mu.Lock()
	d.report, d.ctx = report, ctx
	d.mu.Unlock()
	defer d.letGo()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := d.open(ctx, all); err != nil {
		stop()
		return errors.Join(err, all.Wait())
	}
	d.o.Log.Info("provider", "account", d.o.Account, "tenants", d.o.API, "their users", d.o.Ingress)
	if d.authority != nil {
		all.Go(func() error { d.authority.Run(ctx); return nil })
	}
	all.Go(func() error { return d.follow(ctx) })
	all.Go(func() error { return d.goOn(ctx) })
	all.Go(func() error { d.meter.run(ctx); return nil })
	all.Go(func() error { d.tidy(ctx); return nil })
	all.Go(func() error { d.watch(ctx); return nil })
	all.Go(func() error { d.post.Run(ctx); return nil })
	if err := all.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// open serves tenants and their users.
func (d *Daemon) open(ctx context.Context, all *errgroup.Group) error {
	if d.o.API != "" {
		l, err := net.Listen("tcp", d.o.API)
		if err != nil {
			return fmt.Errorf("provider: API: %w; plexus provider init --listen chooses another address", err)
		}
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{d.o.Certificate}, NextProtos: []string{"http/1.1"},
		})
		serve(ctx, all, l, api.NewServer(d.o.Account, d, d.o.Engine, d.o.Log))
	}
	if d.o.Metrics != "" {
		if err := d.figures.serve(ctx, all, d.o.Metrics); err != nil {
			return err
		}
	}
	return d.openIngress(ctx, all)
}

// serve answers on l until ctx ends.
func serve(ctx context.Context, all *errgroup.Group, l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	all.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	all.Go(func() error {
		<-ctx.Done()
		return s.Close()
	})
}

// firstLook is how long a daemon that begins waits for the chain's word before
// it starts again what has ended of its leases.
const firstLook = 20 * time.Second

// goOn takes up the leases of a run before, if the chain does not answer soon.
func (d *Daemon) goOn(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(firstLook):
		d.takeUp()
	}
	return nil
}

// takeUp makes keepers for all records of a run before.
func (d *Daemon) takeUp() {
	d.mu.Lock()
	stray := d.stray
	d.stray = nil
	d.mu.Unlock()
	for _, r := range stray {
		id, err := market.ParseBidID(r.ID)
		if err == nil { // as the books saw to
			d.keep(id, r)
		}
	}
	d.route()
}

// keep returns who keeps a lease, who begins with record if there is nobody
// yet. It is nil while the Daemon does not run.
func (d *Daemon) keep(id market.BidID, record *lease.Record) *kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := id.String()
	if k := d.keepers[name]; k != nil || d.ctx == nil {
		return k
	}
	o := d.o.Lease
	o.Engine, o.Images, o.Books, o.Domain, o.Log = d.o.Engine, d.o.Images, d.books, d.o.Domain, d.o.Log
	o.History = d.histories
	o.Began = func(took time.Duration) { d.figures.start.Observe(took.Seconds()) }
	ctx, stop := context.WithCancel(d.ctx)
	k := &kept{id: id, keeper: lease.NewKeeper(name, record, o), since: time.Now(), stop: stop, done: make(chan struct{})}
	d.keepers[name] = k
	go func() {
		defer close(k.done)
		k.keeper.Run(ctx)
	}()
	return k
}

// all returns the leases that are kept.
func (d *Daemon) all() []*kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*kept
	for _, k := range d.keepers {
		all = append(all, k)
	}
	return all
}

// letGo ends the keepers, and nothing of what they keep.
func (d *Daemon) letGo() {
	for _, k := range d.all() {
		k.stop()
		<-k.done
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx = nil
	clear(d.keepers)
}
