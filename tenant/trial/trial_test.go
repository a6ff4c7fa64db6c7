package trial

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/subnet/compute/duty"
	"github.com/plexus-network/plexus/subnet/compute/exercise"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/tenanttest"
)

// ingress does the exercises of all services that providers of containers that
// are only remembered do not run.
func ingress(t *testing.T) (address string) {
	var mu sync.Mutex
	servers := map[string]*exercise.Server{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		one := servers[r.Host]
		if one == nil {
			key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			one = &exercise.Server{Key: key, Scratch: t.TempDir()}
			servers[r.Host] = one
		}
		mu.Unlock()
		one.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// smallProbe is a manifest whose probes take next to nothing.
var smallProbe = `{"image": "registry.example/probe@sha256:` + strings.Repeat("ab", 32) + `",
	"cpu_milli": 100, "memory_mib": 64, "storage_mib": 64, "hashes_per_core": 10000, "disk_mb_s": 1, "net_mbit_s": 1,
	"every_s": 60, "keep_s": 10, "most": 2, "max_price_nplx": 10000}`

// TestValidatorMeasuresAProvider goes from a neuron that answers to its score,
// by a lease on a chain: rented, measured, kept, and ended with its deposit
// back.
func TestValidatorMeasuresAProvider(t *testing.T) {
	m := tenanttest.Open(t, "here")
	at := ingress(t)
	tn := tenant.New(m.Chain, m.Tenant)
	book := filepath.Join(t.TempDir(), "probes.json")
	manifest, err := compute.ParseManifest([]byte(smallProbe))
	if err != nil {
		t.Fatal(err)
	}
	renter := New(m.Chain, tn, book, Options{Life: manifest.Life(), Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}})
	defer renter.CloseIdle()
	kind, err := compute.New(manifest, compute.Options{Renter: renter})
	if err != nil {
		t.Fatal(err)
	}
	before, err := m.Chain.Balance(t.Context(), m.Tenant.Address())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- kind.Run(ctx) }()
	var last subnet.Score
	tenanttest.Wait(t, "the provider to be measured", func() bool {
		last = ask(t, kind, m.Providers[0].Key.Address())
		return last.Checked && !strings.Contains(last.Reason, "not probed")
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("worth %.2f: %s", last.Value, last.Reason)
	if last.Value < 0.2 || last.Reject {
		t.Errorf("score %+v", last)
	}
	open, err := tn.List(t.Context(), false)
	if err != nil || len(open) != 0 {
		t.Errorf("left open: %+v, %v", open, err)
	}
	if left, err := renter.book.all(); err != nil || len(left) != 0 {
		t.Errorf("left in the book: %v, %v", left, err)
	}
	after, err := m.Chain.Balance(t.Context(), m.Tenant.Address())
	if err != nil || after >= before || before-after > 100_000_000 {
		t.Errorf("the probe cost %v of %v, %v", before-after, before, err)
	}
}

// TestProviderThatFakesIsReported goes from a fake answer in a lease that was
// rented on a chain to a case on that chain, with the evidence in its
// transaction.
func TestProviderThatFakesIsReported(t *testing.T) {
	m := tenanttest.Open(t, "here")
	at := ingress(t)
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != exercise.PathChains {
			httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: at}).ServeHTTP(w, r)
			return
		}
		var c exercise.Chains
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(make([]byte, c.Size())) // the validator says what is wrong
	}))
	t.Cleanup(fake.Close)
	manifest, err := compute.ParseManifest([]byte(smallProbe))
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fake.Listener.Addr().String())
	}
	renter := New(m.Chain, tenant.New(m.Chain, m.Tenant), filepath.Join(t.TempDir(), "probes.json"), Options{Life: manifest.Life(), Dial: dial})
	defer renter.CloseIdle()
	reports, err := duty.New(duty.Options{
		Court: m.Chain.Market(), Actor: ledger.Actor{Key: m.Tenant}, Folder: subnet.Folder{Path: filepath.Join(t.TempDir(), "accusations")},
		Beat: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	kind, err := compute.New(manifest, compute.Options{Renter: renter, Accuse: reports.Accuse})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- kind.Run(ctx) }()
	go func() { ended <- reports.Run(ctx) }()
	provider := m.Providers[0].Key.Address()
	var cases []marketv1.Case
	tenanttest.Wait(t, "the provider to be reported", func() bool {
		ask(t, kind, provider)
		cases, err = m.Chain.Market().Cases(t.Context(), marketv1.QueryCasesRequest{Provider: provider})
		return err == nil && len(cases) > 0
	})
	cancel()
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Error(err)
	}
	if c := cases[0]; c.Reporter != m.Tenant.Address() || c.Lease.Provider != provider || c.EvidenceSize < 1000 {
		t.Errorf("case %+v", c)
	}
	l, err := m.Chain.Market().Lease(t.Context(), wire.ReadBidID(cases[0].Lease))
	if err != nil || l.Lease.Case != cases[0].Id {
		t.Errorf("its lease: %+v, %v", l, err)
	}
}

// ask gives a miner a task, which it answers, and returns its score.
func ask(t *testing.T, kind *compute.Mechanism, account string) subnet.Score {
	t.Helper()
	body, err := kind.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trial := subnet.Trial{Task: subnet.Task{Netuid: 1, Miner: subnet.Peer{UID: 3, Account: account, PeerID: "miner"}, Body: body}}
	err = kind.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := kind.Score(t.Context(), []subnet.Trial{trial})
	if err != nil {
		t.Fatal(err)
	}
	return scores[0]
}

func TestNoProvider(t *testing.T) {
	m := tenanttest.Open(t)
	renter := New(m.Chain, tenant.New(m.Chain, m.Tenant), filepath.Join(t.TempDir(), "probes.json"), Options{})
	if _, err := renter.Offer(t.Context(), m.Tenant.Address(), tenant.Sample()); !errors.Is(err, compute.ErrNoProvider) {
		t.Errorf("%v, want %v", err, compute.ErrNoProvider)
	}
	// A probe that an earlier run opened, and one that is over.
	if err := renter.book.add(77); err != nil {
		t.Fatal(err)
	}
	if err := renter.Recover(t.Context()); err != nil {
		t.Errorf("recover: %v", err)
	}
	if left, err := renter.book.all(); err != nil || len(left) != 0 {
		t.Errorf("left in the book: %v, %v", left, err)
	}
}

func TestBook(t *testing.T) {
	b := &book{file: filepath.Join(t.TempDir(), "probes.json")}
	for _, err := range []error{b.add(3), b.add(1), b.add(3), b.remove(9), b.add(2), b.remove(1)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if all, err := (&book{file: b.file}).all(); err != nil || !slices.Equal(all, []uint64{2, 3}) {
		t.Errorf("%v, %v; want 2 and 3", all, err)
	}
	if err := os.WriteFile(b.file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.add(4); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged book: %v", err)
	}
}

func TestProvidersCannotSendAValidatorHome(t *testing.T) {
	for address, ok := range map[string]bool{
		"203.0.113.7:80": true, "[2001:db8::1]:80": true,
		"127.0.0.1:80": false, "10.1.2.3:80": false, "192.168.0.1:80": false, "169.254.169.254:80": false, "100.64.0.1:80": false,
		"[::1]:80": false, "[fe80::1]:80": false, "[fd00::1]:80": false, "[::ffff:127.0.0.1]:80": false, "0.0.0.0:80": false, "nonsense": false,
	} {
		if err := public("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestBlame(t *testing.T) {
	id := market.BidID{Provider: "p"}
	if err := blame(t.Context(), id, ledger.ErrUnreachable); errors.Is(err, compute.ErrUndelivered) {
		t.Errorf("the chain's silence is the provider's fault: %v", err)
	}
	var undelivered *compute.Undelivered
	if err := blame(t.Context(), id, errors.New("no")); !errors.Is(err, compute.ErrUndelivered) || !errors.As(err, &undelivered) || undelivered.Lease != id {
		t.Errorf("nobody's fault: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if err := blame(ctx, id, errors.New("no")); errors.Is(err, compute.ErrUndelivered) {
		t.Errorf("the end of the validator is the provider's fault: %v", err)
	}
}
