package compute

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute/exercise"
	"github.com/plexus-network/plexus/yuma"
)

// A machine is a provider in virtual time: it does its exercises truly, or as
// its owner would have it, and takes the time for them that its parts would.
type machine struct {
	cores float64 // that it really has
	says  int64   // thousandths of cores that it says are free
	price int     // of a service per block; above the manifest's it does not bid
	disk  float64 // MB/s
	start time.Duration
	fake  func(path string, request, answer []byte) []byte // what it answers instead
	down  func(now time.Time) bool                         // whether it does not answer
	takes bool                                             // it takes leases and tells no URL

	mu   sync.Mutex
	busy int // services at work
}

// world is a market with such machines.
type world struct {
	t        *testing.T
	machines map[string]*machine // by account
	now      Manifest
	away     error // of the chain

	mu      sync.Mutex
	doors   map[string]*door // by host
	open    int              // leases
	rents   map[string]int   // by account
	largest map[string]int   // services, by account
	closed  int
	accused []Accusation
	state   []byte // of a validator that was stopped
}

type door struct {
	on     *machine
	server *exercise.Server
}

func (w *world) Block(context.Context) (time.Duration, error) { return 6 * time.Second, w.away }

func (w *world) Offer(_ context.Context, provider string, g market.GroupSpec) (Offer, error) {
	p := w.machines[provider]
	if p == nil {
		return Offer{}, ErrNoProvider
	}
	o := Offer{CPU: p.says, Memory: 1 << 40, Disk: 1 << 40, Bids: p.price <= w.now.MaxPrice && int64(g.Totals().CPU) <= p.says}
	if !o.Bids {
		o.Reason = "price: too little is offered"
	}
	return o, nil
}

func (w *world) Rent(_ context.Context, provider string, file *sdl.SDL) (*Lease, error) {
	if w.away != nil {
		return nil, w.away
	}
	p := w.machines[provider]
	time.Sleep(p.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rents[provider]++
	id := market.BidID{OrderID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: "me", DSeq: uint64(w.rents[provider])}, GSeq: 1}, OSeq: 1}, Provider: provider}
	if p.takes {
		return nil, &Undelivered{id, errors.New("it tells where 0 of 1 services are")}
	}
	l := &Lease{ID: id, Taken: time.Now().Add(-p.start), Doors: map[string]string{}, Client: &http.Client{Transport: w}}
	services := file.Manifest[0].Services
	w.largest[provider] = max(w.largest[provider], len(services))
	for _, s := range services {
		host := fmt.Sprintf("%s-%d.%s", s.Name, w.rents[provider], provider)
		key, _ := strings.CutPrefix(s.Env[0], "KEY=")
		w.doors[host] = &door{p, &exercise.Server{Key: key, Scratch: w.t.TempDir()}}
		l.Doors[s.Name] = "http://" + host
	}
	w.open++
	l.Close = func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
		w.closed++
		return nil
	}
	return l, nil
}

// RoundTrip does an exercise and takes its time.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	d := w.doors[r.URL.Host]
	w.mu.Unlock()
	if d.on.down != nil && d.on.down(time.Now()) {
		return nil, errors.New("connection refused")
	}
	var request []byte
	if r.Body != nil {
		request, _ = io.ReadAll(r.Body)
	}
	recorder := httptest.NewRecorder()
	again := httptest.NewRequest(r.Method, r.URL.Path, bytes.NewReader(request))
	again.Header = r.Header
	d.server.ServeHTTP(recorder, again)
	resp := recorder.Result()
	if d.on.fake != nil {
		body, _ := io.ReadAll(resp.Body)
		if body := d.on.fake(r.URL.Path, request, body); body != nil {
			resp.Body = io.NopCloser(bytes.NewReader(body))
			return resp, nil
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, d.on.work(r.Context(), w.now, r.URL.Path, request)
}

// work takes as long as the machine would.
func (p *machine) work(ctx context.Context, m Manifest, path string, request []byte) error {
	time.Sleep(2 * time.Millisecond) // the way there and back
	if path != exercise.PathChains {
		if path == exercise.PathWrite {
			time.Sleep(time.Duration(float64(m.Memory) * 1e6 / p.disk / 1e6 * float64(time.Second)))
		}
		return nil
	}
	var c exercise.Chains
	if err := json.Unmarshal(request, &c); err != nil {
		return err
	}
	p.mu.Lock()
	p.busy++
	p.mu.Unlock()
	time.Sleep(time.Millisecond) // until all have begun
	p.mu.Lock()
	cores := min(m.cores(), p.cores/float64(p.busy))
	p.mu.Unlock()
	seconds := float64(uint64(c.Chains)*c.Steps) / (float64(m.Hashes) * cores)
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.busy--
	p.mu.Unlock()
	return ctx.Err()
}

// accuse keeps what a validator proves.
func (w *world) accuse(a Accusation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accused = append(w.accused, a)
	return nil
}

// tiny is a manifest whose exercises take no real time.
func tiny() Manifest {
	return Manifest{
		Image: image, CPU: 1000, Memory: 1, Storage: 8, Hashes: 2000, Disk: 1, Net: 1,
		Every: 1800, Keep: 600, Most: 4, Full: 4000, MaxPrice: 100, Penalty: 3600,
	}.withDefaults()
}

func newWorld(t *testing.T, machines map[string]*machine) *world {
	return &world{
		t: t, machines: machines, now: tiny(), doors: map[string]*door{}, rents: map[string]int{}, largest: map[string]int{},
	}
}

// honest is a machine that has what it says.
func honest() *machine {
	return &machine{cores: 8, says: 8000, price: 50, disk: 10, start: 5 * time.Second}
}

// A jury is a validator's mechanism in a world, in virtual time.
type jury struct {
	*Mechanism
	world *world
	names []string // accounts; a miner's uid is its place
}

// convene makes a validator of all machines' owners.
func convene(t *testing.T, w *world) *jury {
	t.Helper()
	m, err := New(w.now, Options{Renter: w, Together: 16, Accuse: w.accuse, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	j := &jury{Mechanism: m, world: w}
	for name := range w.machines {
		j.names = append(j.names, name)
	}
	slices.Sort(j.names)
	return j
}

// peer is a miner of that name.
func (j *jury) peer(name string) subnet.Peer {
	return subnet.Peer{UID: yuma.UID(slices.Index(j.names, name)), Account: name, PeerID: "peer of " + name}
}

// ask gives a miner a task and scores its answer.
func (j *jury) ask(name string) subnet.Score {
	j.world.t.Helper()
	body, err := j.Challenge(j.world.t.Context())
	if err != nil {
		j.world.t.Fatal(err)
	}
	task := subnet.Task{Netuid: 7, Miner: j.peer(name), Validator: subnet.Peer{PeerID: "me"}, Body: body}
	answer := presence(task)
	scores, err := j.Score(j.world.t.Context(), []subnet.Trial{{Task: task, Answer: subnet.Answer{Body: answer[:], Received: time.Now()}}})
	if err != nil {
		j.world.t.Fatal(err)
	}
	return scores[0]
}

// run lets the validator work for so long, asking each miner now and then, and
// returns what each is worth and why. No lease is left open.
func (j *jury) run(long time.Duration) (last map[string]subnet.Score, rejected map[string]bool) {
	ctx, cancel := context.WithCancel(j.world.t.Context())
	ended := make(chan error)
	go func() { ended <- j.Run(ctx) }()
	last, rejected = map[string]subnet.Score{}, map[string]bool{}
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(5 * time.Minute) {
		for _, name := range j.names {
			last[name] = j.ask(name)
			rejected[name] = rejected[name] || last[name].Reject
		}
	}
	cancel()
	if err := <-ended; err != nil {
		j.world.t.Errorf("Run: %v", err)
	}
	if j.world.open != 0 {
		j.world.t.Errorf("%d leases are left open", j.world.open)
	}
	return last, rejected
}
