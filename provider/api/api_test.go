package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/wallet"
)

const seller = "plx1provider"

var tenantKey = wallet.Derive("api", "tenant")

// desk is a provider with one lease.
type desk struct {
	id       market.BidID
	keeper   *lease.Keeper
	manifest manifest.Manifest

	histories *lease.Histories
}

func (d *desk) Status(context.Context) api.Status { return api.Status{Provider: seller, Bidding: true} }

func (d *desk) Screen(_ context.Context, owner string, g market.GroupSpec) api.Screening {
	return api.Screening{OK: true, Price: owner + g.Name}
}

func (d *desk) Manifest(_ context.Context, owner string, dseq uint64, m manifest.Manifest) ([]string, error) {
	if owner != d.id.Owner || dseq != d.id.DSeq {
		return nil, fmt.Errorf("%w: deployment %d", api.ErrNoLease, dseq)
	}
	d.manifest = m
	return []string{d.id.String()}, nil
}

func (d *desk) Past(id market.BidID) (*lease.Past, error) {
	if d.histories == nil {
		return nil, fmt.Errorf("%w: %v", api.ErrNoLease, id)
	}
	return d.histories.Past(id.String())
}

func (d *desk) Migrate(_ context.Context, id market.BidID, hosts []string) error {
	if _, err := d.Keeper(id); err != nil {
		return err
	}
	if hosts[0] != "app.example" {
		return fmt.Errorf("%w: %q", api.ErrMismatch, hosts)
	}
	return nil
}

func (d *desk) Lease(_ context.Context, id market.BidID) (api.LeaseStatus, error) {
	if _, err := d.Keeper(id); err != nil {
		return api.LeaseStatus{}, err
	}
	return api.LeaseStatus{ID: id.String(), Ready: true}, nil
}

func (d *desk) MigrateIP(_ context.Context, from, to market.BidID, endpoint string) error {
	if _, err := d.Keeper(from); err != nil {
		return err
	}
	if endpoint != "front" || to.DSeq != 4 {
		return fmt.Errorf("%w: endpoint %s to %v", api.ErrMismatch, endpoint, to)
	}
	return nil
}

func (d *desk) Keeper(id market.BidID) (*lease.Keeper, error) {
	if id != d.id {
		return nil, fmt.Errorf("%w: %v", api.ErrNoLease, id)
	}
	return d.keeper, nil
}

type images struct{}

func (images) Pull(context.Context, string, image.Credentials) (image.Image, error) {
	return image.Image{Digest: "sha256:" + strings.Repeat("a", 64), Root: "/images/a", Config: v1.Config{Entrypoint: []string{"/run"}}}, nil
}

// site is a provider's API with a lease that runs.
type site struct {
	desk   *desk
	engine *memory.Engine
	url    string
	pin    []byte
}

func open(t *testing.T) *site {
	t.Helper()
	id := market.BidID{OrderID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: tenantKey.Address(), DSeq: 3}, GSeq: 1}, OSeq: 1}, Provider: seller}
	books, err := lease.OpenBooks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engine := &memory.Engine{}
	record := &lease.Record{ID: id.String(), Hash: "ab", Group: manifest.Group{Name: "here", Services: []manifest.Service{{
		Name: "web", Image: "example.com/app", Count: 2, Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 100}, Memory: market.Memory{Size: 32 << 20}, Storage: []market.Volume{{Name: "default", Size: 16 << 20}},
		},
	}}}}
	k := lease.NewKeeper(id.String(), record, lease.Options{Engine: engine, Images: images{}, Books: books})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	s := &site{desk: &desk{id: id, keeper: k}, engine: engine}
	server := httptest.NewUnstartedServer(api.NewServer(seller, s.desk, engine, slog.New(slog.DiscardHandler)))
	certificate, pin, err := provider.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url, s.pin = server.URL, pin
	for deadline := time.Now().Add(30 * time.Second); len(k.Replicas()) < 2 || engine.Starts() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing runs")
		}
	}
	return s
}

// client is a tenant's, whose pass says that.
func (s *site) client(t *testing.T, leases pass.Leases) *api.Client {
	t.Helper()
	token, err := pass.Sign(tenantKey, seller, time.Now(), time.Hour, leases)
	if err != nil {
		t.Fatal(err)
	}
	return api.NewClient(s.url, s.pin, token)
}

func TestAPI(t *testing.T) {
	s := open(t)
	c := s.client(t, pass.Leases{})
	ctx := t.Context()
	if got, err := c.Status(ctx); err != nil || got.Provider != seller || !got.Bidding {
		t.Errorf("status %+v, %v", got, err)
	}
	group := market.GroupSpec{Name: "here", Units: []market.ResourceUnit{{
		Count: 1, Price: market.Price{Denom: "nplx", Amount: market.Whole(5)}, Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 100}, Memory: market.Memory{Size: 32 << 20}, Storage: []market.Volume{{Name: "default", Size: 16 << 20}},
		},
	}}}
	if got, err := c.Screen(ctx, "who", group); err != nil || got.Price != "whohere" {
		t.Errorf("screening %+v, %v", got, err)
	}
	if _, err := c.Screen(ctx, "who", market.GroupSpec{}); err == nil {
		t.Error("an invalid group is screened")
	}
	m := manifest.Manifest{{Name: "here", Services: s.desk.keeper.Record().Group.Services}}
	if got, err := c.SendManifest(ctx, 3, m); err != nil || len(got) != 1 || s.desk.manifest.Hash() != m.Hash() {
		t.Errorf("manifest: %v, %v", got, err)
	}
	if _, err := c.SendManifest(ctx, 4, m); !errors.Is(err, api.ErrNoLease) {
		t.Errorf("manifest of no lease: %v", err)
	}
	if err := c.Migrate(ctx, s.desk.id, []string{"app.example"}); err != nil {
		t.Errorf("a name that moves: %v", err)
	}
	if err := c.Migrate(ctx, s.desk.id, []string{"other.example"}); !errors.Is(err, api.ErrMismatch) {
		t.Errorf("a name that the manifest lacks: %v", err)
	}
	if err := c.Migrate(ctx, s.desk.id, nil); err == nil {
		t.Error("no name moves")
	}
	if got, err := c.Lease(ctx, s.desk.id); err != nil || !got.Ready {
		t.Errorf("lease %+v, %v", got, err)
	}
	other := s.desk.id
	other.DSeq = 9
	if _, err := c.Lease(ctx, other); !errors.Is(err, api.ErrNoLease) {
		t.Errorf("no lease: %v", err)
	}
}

func TestLogsAndEvents(t *testing.T) {
	s := open(t)
	c := s.client(t, pass.Leases{})
	replica := func(n int) sandbox.ID {
		return sandbox.ID{Lease: sandbox.Lease(s.desk.id.String()), Service: "web", Replica: n}
	}
	for n := range 5 {
		s.engine.Print(replica(0), fmt.Sprint("line ", n))
	}
	s.engine.Print(replica(1), "other")
	count := 0
	for line, err := range c.Logs(t.Context(), s.desk.id, api.Selection{}, sandbox.LogOptions{Tail: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; line.Text == "line 0" {
			t.Errorf("beyond the tail: %+v", line)
		}
	}
	if count != 3 {
		t.Errorf("%d lines, want 2 and 1", count)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last string
	for line, err := range c.Logs(ctx, s.desk.id, api.Selection{Service: "web", Replica: 0}, sandbox.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if last = line.Text; last == "line 4" {
			s.engine.Print(replica(0), "later")
		}
		if last == "later" {
			break
		}
	}
	if last != "later" {
		t.Errorf("the last line was %q", last)
	}
	for _, err := range c.Logs(ctx, s.desk.id, api.Selection{Service: "db", Replica: -1}, sandbox.LogOptions{}) {
		if !errors.Is(err, api.ErrNoLease) {
			t.Errorf("logs of a service that is not there: %v", err)
		}
	}
	for e, err := range c.Events(ctx, s.desk.id, true) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "pull" {
			s.desk.keeper.Event("web/0", "test", "now")
		}
		if e.Kind == "test" {
			return
		}
	}
	t.Error("the event did not come")
}

func TestExec(t *testing.T) {
	s := open(t)
	c := s.client(t, pass.Leases{})
	which := api.Selection{Service: "web", Replica: 1}
	var out bytes.Buffer
	input := strings.Repeat("typed ", 50_000) // many frames
	code, err := c.Exec(t.Context(), s.desk.id, which, sandbox.Exec{Args: []string{"cat", "a b"}, Stdin: strings.NewReader(input), Stdout: &out})
	if err != nil || code != 0 || out.String() != "cat a b\n"+input {
		t.Errorf("code %d, %v, %d bytes", code, err, out.Len())
	}
	if code, err := c.Exec(t.Context(), s.desk.id, which, sandbox.Exec{Args: []string{"false"}, TTY: true, Size: sandbox.Size{Rows: 3, Columns: 4}}); err != nil || code != 3 {
		t.Errorf("code %d, %v; want 3", code, err)
	}
	for name, call := range map[string]func() (int, error){
		"no_command": func() (int, error) { return c.Exec(t.Context(), s.desk.id, which, sandbox.Exec{}) },
		"no_service": func() (int, error) {
			return c.Exec(t.Context(), s.desk.id, api.Selection{Service: "db"}, sandbox.Exec{Args: []string{"x"}})
		},
	} {
		if _, err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s.engine.End(sandbox.ID{Lease: sandbox.Lease(s.desk.id.String()), Service: "web", Replica: 1}, 0)
	if _, err := c.Exec(t.Context(), s.desk.id, which, sandbox.Exec{Args: []string{"x"}}); err == nil {
		t.Error("a command ran in a replica that has ended")
	}
}

func TestWhoMayNot(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	nobody := api.NewClient(s.url, s.pin, "")
	logs := s.client(t, pass.Leases{Access: "scoped", Scope: []pass.Scope{pass.Logs}})
	web := s.client(t, pass.Leases{Services: []string{"db"}})
	thief, err := pass.Sign(wallet.Derive("api", "thief"), seller, time.Now(), time.Hour, pass.Leases{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		client *api.Client
		want   error
	}{
		"nobody": {nobody, api.ErrDenied}, "scope": {logs, api.ErrDenied}, "service": {web, api.ErrDenied},
		"thief": {api.NewClient(s.url, s.pin, thief), api.ErrNoLease},
	} {
		if _, err := c.client.Lease(ctx, s.desk.id); !errors.Is(err, c.want) {
			t.Errorf("%s: status: %v", name, err)
		}
		if _, err := c.client.Exec(ctx, s.desk.id, api.Selection{Service: "web"}, sandbox.Exec{Args: []string{"x"}}); !errors.Is(err, c.want) {
			t.Errorf("%s: exec: %v", name, err)
		}
	}
	if _, err := api.NewClient(s.url, make([]byte, 32), "").Status(ctx); err == nil || !strings.Contains(err.Error(), "on the chain") {
		t.Errorf("another key than the chain's: %v", err)
	}
	if _, err := api.NewClient(s.url, nil, "").Status(ctx); err == nil {
		t.Error("a certificate of nobody is trusted without a pin")
	}
}

func TestHugeBodiesAreRefused(t *testing.T) {
	s := open(t)
	w := httptest.NewRecorder()
	server := api.NewServer(seller, s.desk, s.engine, slog.New(slog.DiscardHandler))
	server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/screen", io.LimitReader(endless{}, 2<<20)))
	if w.Code != http.StatusBadRequest {
		t.Errorf("code %d", w.Code)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// texts are the lines of a stream of logs.
func texts(t *testing.T, all iter.Seq2[api.LogLine, error]) string {
	t.Helper()
	var words []string
	for line, err := range all {
		if err != nil {
			return err.Error()
		}
		words = append(words, line.Text)
	}
	return strings.Join(words, " ")
}

func TestLogsOfEarlierRunsAndOfTheEnded(t *testing.T) {
	s := open(t)
	c := s.client(t, pass.Leases{})
	replica := sandbox.ID{Lease: sandbox.Lease(s.desk.id.String()), Service: "web"}
	s.engine.Print(replica, "one")
	s.engine.Print(replica, "two")
	s.engine.End(replica, 1)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s.desk.keeper.Wake()
		if all := s.desk.keeper.Replicas(); all[0].Restarts == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not started again within 30 s")
		}
	}
	s.engine.Print(replica, "three")
	which := api.Selection{Service: "web", Replica: 0}
	if got := texts(t, c.Logs(t.Context(), s.desk.id, which, sandbox.LogOptions{})); got != "one two three" {
		t.Errorf("all runs: %q", got)
	}
	which.Previous = true
	if got := texts(t, c.Logs(t.Context(), s.desk.id, which, sandbox.LogOptions{})); got != "one two" {
		t.Errorf("the runs before: %q", got)
	}
	if got := texts(t, c.Logs(t.Context(), s.desk.id, which, sandbox.LogOptions{Tail: 1})); got != "two" {
		t.Errorf("their last line: %q", got)
	}
	ended := s.desk.id
	ended.DSeq = 77
	if got := texts(t, c.Logs(t.Context(), ended, api.Selection{}, sandbox.LogOptions{})); !strings.Contains(got, "no such lease") {
		t.Errorf("a lease that never was: %q", got)
	}
	var err error
	if s.desk.histories, err = lease.OpenHistories(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	name := ended.String()
	lease.NewKeeper(name, nil, lease.Options{History: s.desk.histories}).Event("", "closed", "over")
	if err := s.engine.Start(t.Context(), sandbox.Workload{
		ID: sandbox.ID{Lease: sandbox.Lease(name), Service: "web"}, Root: "/images/a", Process: sandbox.Process{Args: []string{"/run"}}, CPU: 100, Memory: sandbox.MinMemory, Disk: sandbox.MinDisk,
	}); err != nil {
		t.Fatal(err)
	}
	s.engine.Print(sandbox.ID{Lease: sandbox.Lease(name), Service: "web"}, "last words")
	if err := s.desk.histories.Keep(t.Context(), s.engine, name, "by owner"); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, c.Logs(t.Context(), ended, api.Selection{}, sandbox.LogOptions{})); got != "last words" {
		t.Errorf("logs of a lease that ended: %q", got)
	}
	for e, err := range c.Events(t.Context(), ended, true) {
		if err != nil || e.Kind != "closed" || e.Number != 1 {
			t.Errorf("events of a lease that ended: %+v, %v", e, err)
		}
	}
}

func TestMigrateIPNeedsItsScopeForBothDeployments(t *testing.T) {
	s := open(t)
	to := s.desk.id
	to.DSeq = 4
	stranger := to
	stranger.Owner = "plx1stranger"
	for name, c := range map[string]struct {
		leases   pass.Leases
		to       market.BidID
		endpoint string
		want     error
	}{
		"full":          {pass.Leases{}, to, "front", nil},
		"scoped":        {pass.Leases{Access: "scoped", Scope: []pass.Scope{pass.MigrateIP}}, to, "front", nil},
		"other scope":   {pass.Leases{Access: "scoped", Scope: []pass.Scope{pass.Status, pass.Shell}}, to, "front", api.ErrDenied},
		"one side only": {pass.Leases{DSeqs: []uint64{3}}, to, "front", api.ErrDenied},
		"both sides":    {pass.Leases{DSeqs: []uint64{3, 4}}, to, "front", nil},
		"to another's":  {pass.Leases{}, stranger, "front", api.ErrDenied},
		"endpoint":      {pass.Leases{}, to, "back", api.ErrMismatch},
	} {
		if err := s.client(t, c.leases).MigrateIP(t.Context(), s.desk.id, c.to, c.endpoint); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
