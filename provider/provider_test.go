package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/price"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/yuma"
)

const me = "plx1provider"

// images has every image.
type images struct{}

func (images) Pull(context.Context, string, image.Credentials) (image.Image, error) {
	return image.Image{Digest: "sha256:" + strings.Repeat("a", 64), Root: "/images/a", Config: v1.Config{Entrypoint: []string{"/run"}}}, nil
}

// fakeChain is a market with a block a second.
type fakeChain struct {
	mu      sync.Mutex
	name    string
	began   time.Time
	behind  yuma.Height // blocks that the node forgot
	away    bool
	orders  []market.Order
	bids    map[market.BidID]market.Bid
	leases  map[market.BidID]market.Lease
	hashes  map[market.DeploymentID]manifest.Hash
	groups  map[market.DeploymentID]market.GroupSpec
	has     market.Attributes // the provider, beside its region
	closed  map[market.BidID]market.Reason
	paid    int
	refuses error
	cases   uint32
	slashed uint64
	balance uint64
}

func newChain() *fakeChain {
	return &fakeChain{
		name: "test", began: time.Now(), bids: map[market.BidID]market.Bid{}, leases: map[market.BidID]market.Lease{},
		hashes: map[market.DeploymentID]manifest.Hash{}, groups: map[market.DeploymentID]market.GroupSpec{}, closed: map[market.BidID]market.Reason{}, balance: 1 << 60,
	}
}

var errAway = fmt.Errorf("%w: connection refused", ledger.ErrUnreachable)

func (c *fakeChain) height() yuma.Height {
	return 100 + yuma.Height(time.Since(c.began)/time.Second) - c.behind
}

func (c *fakeChain) ID(context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name, nil
}

func (c *fakeChain) Heads(ctx context.Context) iter.Seq[ledger.Head] {
	return func(yield func(ledger.Head) bool) {
		for {
			c.mu.Lock()
			away, head := c.away, ledger.Head{Height: c.height(), Time: time.Now()}
			c.mu.Unlock()
			if !away && !yield(head) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

func (c *fakeChain) Snapshot(_ context.Context, at ledger.Head) (*Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, errAway
	}
	s := &Snapshot{
		Head: at, Attributes: append(market.Attributes{{Key: "region", Value: "here"}}, c.has...),
		Rules: map[string]market.Rules{"nplx": market.DefaultRules()}, Orders: slices.Clone(c.orders),
		Cases: c.cases, Slashed: c.slashed, Balance: c.balance,
	}
	for _, b := range c.bids {
		if b.State == market.BidOpen || b.State == market.BidActive {
			s.Bids = append(s.Bids, b)
		}
	}
	for _, l := range c.leases {
		if l.State.Runs() {
			s.Leases = append(s.Leases, l)
		}
	}
	return s, nil
}

func (c *fakeChain) Deployment(_ context.Context, id market.DeploymentID) (*Deployment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, errAway
	}
	hash, ok := c.hashes[id]
	if !ok {
		return nil, ledger.ErrNotFound
	}
	d := &Deployment{Hash: hash, Groups: map[uint32]market.GroupSpec{1: c.groups[id]}}
	for _, l := range c.leases {
		if l.ID.DeploymentID == id && l.State.Runs() {
			d.Leases = append(d.Leases, l.ID)
		}
	}
	return d, nil
}

func (c *fakeChain) Fate(_ context.Context, id market.BidID) (Fate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return Fate{}, errAway
	}
	l := c.leases[id]
	return Fate{Runs: l.State.Runs(), Reason: l.Reason, Owed: 2_000_000}, nil
}

func (c *fakeChain) Bid(_ context.Context, b market.Bid, _ uint64) (yuma.Height, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses != nil {
		return 0, c.refuses
	}
	if _, has := c.bids[b.ID]; has {
		return 0, &ledger.TxError{Log: "has bid already"}
	}
	c.bids[b.ID] = b
	return c.height(), nil
}

func (c *fakeChain) Close(_ context.Context, id market.BidID, why market.Reason) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(id, why)
	return nil
}

// end closes a lease and its bid.
func (c *fakeChain) end(id market.BidID, why market.Reason) {
	l, b := c.leases[id], c.bids[id]
	l.State, l.Reason, b.State = market.LeaseClosed, why, market.BidClosed
	c.leases[id], c.bids[id], c.closed[id] = l, b, why
}

func (c *fakeChain) Notice(context.Context, market.BidID) error { return nil }

func (c *fakeChain) Withdraw(context.Context, market.BidID) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paid++
	return "1nplx", nil
}

// change changes the chain between blocks.
func (c *fakeChain) change(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// order puts a deployment of count replicas up for bids.
func (c *fakeChain) order(dseq uint64, g market.GroupSpec) market.BidID {
	return c.orderOf("plx1tenant", dseq, g)
}

func (c *fakeChain) orderOf(owner string, dseq uint64, g market.GroupSpec) market.BidID {
	id := market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: owner, DSeq: dseq}, GSeq: 1}, OSeq: 1}
	c.change(func() {
		c.orders = append(c.orders, market.Order{ID: id, State: market.OrderOpen, Spec: g})
		c.groups[id.DeploymentID] = g
	})
	return market.BidID{OrderID: id, Provider: me}
}

// take makes a lease of a bid.
func (c *fakeChain) take(id market.BidID) {
	c.change(func() {
		c.orders = slices.DeleteFunc(c.orders, func(o market.Order) bool { return o.ID == id.OrderID })
		b := c.bids[id]
		b.State = market.BidActive
		c.bids[id] = b
		c.leases[id] = market.Lease{ID: id, State: market.LeaseActive, Price: b.Price, Opened: market.Height(c.height())}
		c.hashes[id.DeploymentID] = webManifest("v1", id.DSeq).Hash()
	})
}

func spec(count uint32) market.GroupSpec {
	return market.GroupSpec{
		Name: "here", Requirements: market.Requirements{Attributes: market.Attributes{{Key: "region", Value: "here"}}},
		Units: []market.ResourceUnit{{
			Count: count, Price: market.Price{Denom: "nplx", Amount: market.Whole(1_000_000)}, Resources: resources(),
		}},
	}
}

func resources() market.Resources {
	return market.Resources{
		ID: 1, CPU: market.CPU{Units: 400}, Memory: market.Memory{Size: 32 << 20},
		Storage: []market.Volume{{Name: "default", Size: 16 << 20}}, Endpoints: []market.Endpoint{{}},
	}
}

func webManifest(image string, dseq uint64) manifest.Manifest {
	return manifest.Manifest{{Name: "here", Services: []manifest.Service{{
		Name: "web", Image: "example.com/app:" + image, Count: 1, Resources: resources(),
		Expose: []manifest.Expose{{Port: 8080, ExternalPort: 80, Proto: "TCP", Global: true, Hosts: []string{fmt.Sprintf("app%d.example", dseq)}}},
	}}}}
}

// site is a provider at work in virtual time.
type site struct {
	t      *testing.T
	dir    string
	chain  *fakeChain
	engine *memory.Engine
	d      *Daemon
	stop   func()
}

func (s *site) run(change ...func(*Options)) {
	s.t.Helper()
	o := Options{
		Dir: s.dir, Account: me, Chain: s.chain, Engine: s.engine, Images: images{}, Prices: price.DefaultScale(),
		Capacity: inventory.Amounts{CPU: 1000, Memory: 1 << 30, Storage: map[string]int64{"": 1 << 30}}, Domain: "sells.example",
	}
	for _, c := range change {
		c(&o)
	}
	d, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	s.d, s.stop = d, func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// virtual runs a test with a provider in virtual time.
func virtual(t *testing.T, test func(*site)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run()
		test(s)
		s.stop()
	})
}

func blocks(n int) { time.Sleep(time.Duration(n)*time.Second + 500*time.Millisecond) }

// running counts the replicas that run.
func (s *site) running() int {
	all, _ := s.engine.List(context.Background())
	n := 0
	for _, r := range all {
		if r.State == sandbox.Running {
			n++
		}
	}
	return n
}

// lease brings a lease to run.
func (s *site) lease(dseq uint64) market.BidID {
	s.t.Helper()
	id := s.chain.order(dseq, spec(1))
	blocks(2)
	s.chain.take(id)
	if _, err := s.d.Manifest(s.t.Context(), "plx1tenant", dseq, webManifest("v1", dseq)); err != nil {
		s.t.Fatal(err)
	}
	blocks(2)
	return id
}

func TestProviderServesALease(t *testing.T) {
	virtual(t, func(s *site) {
		id := s.lease(1)
		status, err := s.d.Lease(t.Context(), id)
		if err != nil || !status.Ready || s.running() != 1 {
			t.Fatalf("%+v, %v, %d run", status, err, s.running())
		}
		if urls := status.Services[0].URLs; len(urls) != 2 || urls[1] != "http://app1.example" || !strings.HasSuffix(urls[0], ".sells.example") {
			t.Errorf("urls %q", urls)
		}
		if free := s.d.inventory.Free(); free.CPU != 600 || s.d.Status(t.Context()).Leases != 1 {
			t.Errorf("free %+v beside a lease", free)
		}
		s.chain.change(func() { s.chain.end(id, market.InsufficientFunds) })
		blocks(3)
		all, _ := s.engine.List(t.Context())
		if free := s.d.inventory.Free(); len(all) != 0 || free.CPU != 1000 {
			t.Errorf("after the end %v are there, free %+v", all, free)
		}
		if _, err := s.d.Lease(t.Context(), id); !errors.Is(err, api.ErrNoLease) {
			t.Errorf("a lease that ended: %v", err)
		}
	})
}

func TestProviderBidsNoMoreThanItHas(t *testing.T) {
	virtual(t, func(s *site) {
		for dseq := range uint64(5) {
			s.chain.order(dseq+1, spec(1))
		}
		blocks(3)
		if n := len(s.chain.bids); n != 2 {
			t.Errorf("%d bids of 400 on 1000 thousandths of a core, want 2", n)
		}
		got := s.d.Screen(t.Context(), "plx1tenant", spec(1))
		if got.OK || got.Kind != "resource" || !strings.Contains(got.Reason, "too little cpu: 0.4 cores asked for, 0.2 cores free") {
			t.Errorf("screening: %+v", got)
		}
		s.stop()
		s.run() // derives the same from the chain
		blocks(3)
		if n := len(s.chain.bids); n != 2 || s.d.inventory.Free().CPU != 200 {
			t.Errorf("after a restart %d bids, free %+v", n, s.d.inventory.Free())
		}
	})
}

func TestProviderScreens(t *testing.T) {
	virtual(t, func(s *site) {
		if got := s.d.Screen(t.Context(), "", spec(1)); got.Kind != "bidding" {
			t.Errorf("before the first look: %+v", got)
		}
		blocks(2)
		elsewhere, cheap, gpu := spec(1), spec(1), spec(1)
		elsewhere.Requirements.Attributes[0].Value = "there"
		cheap.Units[0].Price.Amount = market.Whole(1)
		gpu.Units[0].Resources.GPU.Units = 1
		for kind, g := range map[string]market.GroupSpec{"attribute": elsewhere, "price": cheap, "ability": gpu} {
			if got := s.d.Screen(t.Context(), "", g); got.OK || got.Kind != kind {
				t.Errorf("%s: %+v", kind, got)
			}
		}
		if got := s.d.Screen(t.Context(), "", spec(2)); !got.OK || !strings.HasSuffix(got.Price, "nplx") {
			t.Errorf("what it would serve: %+v", got)
		}
	})
}

func TestChainUnreachableForFiveMinutes(t *testing.T) {
	virtual(t, func(s *site) {
		s.lease(1)
		s.chain.change(func() { s.chain.away = true })
		blocks(1)
		waiting := s.chain.order(2, spec(1))
		time.Sleep(5 * time.Minute)
		s.engine.End(sandbox.ID{Lease: sandbox.Lease(market.BidID{OrderID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: "plx1tenant", DSeq: 1}, GSeq: 1}, OSeq: 1}, Provider: me}.String()), Service: "web"}, 1)
		time.Sleep(10 * time.Second)
		if s.running() != 1 {
			t.Error("a replica that ended was not started again without the chain")
		}
		if _, bid := s.chain.bids[waiting]; bid {
			t.Error("a bid without a chain")
		}
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 1, webManifest("v1", 1)); !errors.Is(err, api.ErrAway) {
			t.Errorf("a manifest without a chain: %v", err)
		}
		s.chain.change(func() { s.chain.away = false })
		blocks(3)
		if _, bid := s.chain.bids[waiting]; !bid || s.running() != 1 {
			t.Errorf("after the chain's return: bid %v, %d run", bid, s.running())
		}
	})
}

func TestDepletionWhileTheProviderIsDown(t *testing.T) {
	virtual(t, func(s *site) {
		first, second := s.lease(1), s.lease(2)
		s.stop()
		starts := s.engine.Starts()
		if s.running() != 2 {
			t.Fatalf("%d run while the provider is down", s.running())
		}
		s.chain.change(func() { s.chain.end(second, market.InsufficientFunds) })
		time.Sleep(time.Minute)
		s.run()
		blocks(3)
		if s.running() != 1 || s.engine.Starts() != starts {
			t.Errorf("%d run after the return, %d were started; want the one that is leased, and none", s.running(), s.engine.Starts()-starts)
		}
		if status, err := s.d.Lease(t.Context(), first); err != nil || !status.Ready {
			t.Errorf("the lease that runs: %+v, %v", status, err)
		}
	})
}

func TestProviderBelievesNoOtherChain(t *testing.T) {
	virtual(t, func(s *site) {
		id := s.lease(1)
		time.Sleep(time.Minute)
		for name, change := range map[string]func(){
			"another":    func() { s.chain.name = "other" },
			"one_behind": func() { s.chain.behind = 80 },
		} {
			s.chain.change(func() { change(); s.chain.end(id, market.ByOwner) })
			blocks(5)
			if s.running() != 1 || s.d.Status(t.Context()).Bidding {
				t.Errorf("%s: %d run, status %+v", name, s.running(), s.d.Status(t.Context()))
			}
			s.chain.change(func() {
				s.chain.name, s.chain.behind = "test", 0
				l := s.chain.leases[id]
				l.State = market.LeaseActive
				s.chain.leases[id] = l
			})
			blocks(2)
		}
	})
}

func TestProviderGivesUp(t *testing.T) {
	virtual(t, func(s *site) {
		silent := s.chain.order(1, spec(1))
		blocks(2)
		s.chain.take(silent)
		time.Sleep(4 * time.Minute)
		if why := s.chain.closed[silent]; why != 0 {
			t.Errorf("closed after 4 minutes: %v", why)
		}
		time.Sleep(2 * time.Minute)
		if why := s.chain.closed[silent]; why != market.ManifestTimeout {
			t.Errorf("without a manifest: %v", why)
		}
		s.engine.Break(sandbox.ErrNoSpace)
		broken := s.lease(2)
		time.Sleep(20 * time.Minute)
		if why := s.chain.closed[broken]; why != market.Unstable {
			t.Errorf("what cannot start: %v", why)
		}
	})
}

func TestManifests(t *testing.T) {
	virtual(t, func(s *site) {
		id := s.lease(1)
		m := webManifest("v2", 1)
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 1, m); !errors.Is(err, api.ErrMismatch) {
			t.Errorf("another manifest than the chain's: %v", err)
		}
		if _, err := s.d.Manifest(t.Context(), "plx1thief", 1, m); !errors.Is(err, api.ErrNoLease) {
			t.Errorf("somebody else's deployment: %v", err)
		}
		more := webManifest("v2", 1)
		more[0].Services[0].Resources.CPU.Units = 900
		s.chain.change(func() { s.chain.hashes[id.DeploymentID] = more.Hash() })
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 1, more); !errors.Is(err, api.ErrMismatch) {
			t.Errorf("more than is paid for: %v", err)
		}
		s.chain.change(func() { s.chain.hashes[id.DeploymentID] = m.Hash() })
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 1, m); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProviderIsPaid(t *testing.T) {
	virtual(t, func(s *site) {
		s.lease(1)
		time.Sleep(3*time.Hour + time.Minute)
		if s.chain.paid != 3 {
			t.Errorf("withdrew %d times in 3 hours", s.chain.paid)
		}
	})
}

func TestDryRunSendsNothing(t *testing.T) {
	virtual(t, func(s *site) {
		s.stop()
		s.run(func(o *Options) { o.DryRun = true })
		s.chain.order(1, spec(1))
		blocks(3)
		if len(s.chain.bids) != 0 || s.d.Status(t.Context()).Bidding {
			t.Errorf("bids of a dry run: %v", s.chain.bids)
		}
	})
}

func TestRefusedBidsAreTriedAgain(t *testing.T) {
	virtual(t, func(s *site) {
		s.chain.change(func() { s.chain.refuses = &ledger.TxError{Log: "insufficient funds"} })
		id := s.chain.order(1, spec(1))
		blocks(3)
		if free := s.d.inventory.Free(); free.CPU != 1000 {
			t.Errorf("a refused bid claims: free %+v", free)
		}
		s.chain.change(func() { s.chain.refuses = nil })
		time.Sleep(2 * time.Minute)
		if _, bid := s.chain.bids[id]; !bid {
			t.Error("no bid after two minutes")
		}
	})
}

func TestCertificateStays(t *testing.T) {
	dir := t.TempDir()
	_, pin, err := Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, again, err := Certificate(dir); err != nil || !slices.Equal(pin, again) || len(pin) != 32 {
		t.Errorf("pin %x, then %x, %v", pin, again, err)
	}
	c := Config{Key: "k", CPU: math.MaxInt64, Prices: price.DefaultScale(), Classes: map[string]Class{"beta3": {Dir: "/x", Size: 5}}}
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadConfig(dir); err != nil || got.CPU != c.CPU || got.Prices.CPU != c.Prices.CPU || got.Capacity().Storage["beta3"] != 5 {
		t.Errorf("read %+v, %v", got, err)
	}
}
