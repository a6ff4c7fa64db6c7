package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

var errKilled = errors.New("killed")

// A victim is all that a daemon touches, until it is killed: from then on it
// reaches nothing, and does not shut down either.
type victim struct {
	*fakeChain
	sandbox.Engine
	images
	dead atomic.Bool
	hold atomic.Bool // pulls do not end
}

func (v *victim) ID(ctx context.Context) (string, error) {
	if v.dead.Load() {
		return "", errKilled
	}
	return v.fakeChain.ID(ctx)
}

func (v *victim) Heads(ctx context.Context) iter.Seq[ledger.Head] { return v.fakeChain.Heads(ctx) }

func (v *victim) Start(ctx context.Context, w sandbox.Workload) error {
	if v.dead.Load() {
		return errKilled
	}
	return v.Engine.Start(ctx, w)
}

func (v *victim) Stop(ctx context.Context, id sandbox.ID, grace time.Duration) error {
	if v.dead.Load() {
		return errKilled
	}
	return v.Engine.Stop(ctx, id, grace)
}

func (v *victim) Release(ctx context.Context, l sandbox.Lease) error {
	if v.dead.Load() {
		return errKilled
	}
	return v.Engine.Release(ctx, l)
}

func (v *victim) Pull(ctx context.Context, ref string, c image.Credentials) (image.Image, error) {
	if v.hold.Load() {
		<-ctx.Done()
		return image.Image{}, ctx.Err()
	}
	return v.images.Pull(ctx, ref, c)
}

// TestKilledWithTenLeases kills the daemon, without a shutdown, while five
// leases run and the images of five more are being fetched, and opens another
// on the same folder and engine.
func TestKilledWithTenLeases(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		v := &victim{fakeChain: s.chain, Engine: s.engine}
		large := func(o *Options) { o.Capacity.CPU, o.Capacity.Memory = 10_000, 8<<30 }
		s.run(large, func(o *Options) { o.Chain, o.Engine, o.Images = v, v, v })
		var all []market.BidID
		for dseq := range uint64(10) {
			if dseq == 5 {
				v.hold.Store(true)
			}
			all = append(all, s.lease(dseq+1))
		}
		if s.running() != 5 || s.engine.Starts() != 5 {
			t.Fatalf("%d run before the kill, %d were started", s.running(), s.engine.Starts())
		}
		v.dead.Store(true)
		stopFirst := s.stop
		s.run(large)
		blocks(10)
		if s.running() != 10 || s.engine.Starts() != 10 {
			t.Errorf("%d run after the return, %d were started; want ten, each once", s.running(), s.engine.Starts())
		}
		for _, id := range all {
			if status, err := s.d.Lease(t.Context(), id); err != nil || !status.Ready {
				t.Errorf("lease %v: %+v, %v", id, status, err)
			}
		}
		if free := s.d.inventory.Free(); free.CPU != 6000 || len(s.chain.closed) != 0 {
			t.Errorf("free %+v, closed %v", free, s.chain.closed)
		}
		s.stop()
		stopFirst()
	})
}

// inbox is a webhook that keeps what it gets.
type inbox struct {
	mu  sync.Mutex
	got []alert.Alert
}

// RoundTrip implements [http.RoundTripper].
func (i *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var a alert.Alert
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, a)
	return httptest.NewRecorder().Result(), nil
}

// count counts the alerts of a kind, and those that tell of its end.
func (i *inbox) count(k alert.Kind) (begun, ended int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range i.got {
		switch {
		case a.Kind == k && a.Resolved:
			ended++
		case a.Kind == k:
			begun++
		}
	}
	return begun, ended
}

func (i *inbox) want(t *testing.T, k alert.Kind, begun, ended int) {
	t.Helper()
	if b, e := i.count(k); b != begun || e != ended {
		t.Errorf("%s: told %d times, resolved %d; want %d, %d; all: %+v", k, b, e, begun, ended, i.got)
	}
}

func (i *inbox) hook(o *Options) {
	o.Webhooks = []alert.Hook{{URL: "http://127.0.0.1/hook"}}
	o.webhookHTTP = &http.Client{Transport: i}
}

// TestFullDisk fills the disk of the daemon's own folder.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		in := &inbox{}
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run(in.hook, func(o *Options) {
			write := o.withDefaults().write
			o.write = func(file string, content []byte) error {
				if full.Load() {
					return &os.PathError{Op: "write", Path: file, Err: syscall.ENOSPC}
				}
				return write(file, content)
			}
		})
		id := s.lease(1)
		full.Store(true)
		next := s.chain.order(2, spec(1))
		s.chain.take(next) // as if a bid had been taken before
		_, err := s.d.Manifest(t.Context(), "plx1tenant", 2, webManifest("v1", 2))
		if !errors.Is(err, api.ErrAway) || !strings.Contains(fmt.Sprint(err), "no space left") {
			t.Errorf("a manifest on a full disk: %v", err)
		}
		waiting := s.chain.order(3, spec(1))
		time.Sleep(time.Minute)
		status := s.d.Status(t.Context())
		if _, bid := s.chain.bids[waiting]; bid || status.Bidding || !strings.Contains(status.Reason, "no space left") {
			t.Errorf("bid %v, status %+v", bid, status)
		}
		if got, err := s.d.Lease(t.Context(), id); err != nil || !got.Ready || s.running() != 1 {
			t.Errorf("the lease that runs: %+v, %v", got, err)
		}
		in.want(t, alert.DiskLow, 1, 0)
		s.stop() // what is on disk is whole
		full.Store(false)
		starts := s.engine.Starts()
		s.run(in.hook)
		blocks(5)
		if s.running() != 1 || s.engine.Starts() != starts {
			t.Errorf("after a restart %d run, %d were started again", s.running(), s.engine.Starts()-starts)
		}
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 2, webManifest("v1", 2)); err != nil {
			t.Errorf("the manifest when there is room again: %v", err)
		}
		blocks(3)
		if _, bid := s.chain.bids[waiting]; s.running() != 2 || bid == (s.d.inventory.Free().CPU < 0) {
			t.Errorf("%d run, bid %v", s.running(), bid)
		}
		s.stop()
	})
}

// TestDiskThatHasRoomAgain needs no restart.
func TestDiskThatHasRoomAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		free.Store(100 << 30)
		in := &inbox{}
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run(in.hook, func(o *Options) {
			write := o.withDefaults().write
			o.freeDisk = func(string) (int64, error) { return free.Load(), nil }
			o.write = func(file string, content []byte) error {
				if free.Load() == 0 {
					return &os.PathError{Op: "write", Path: file, Err: syscall.ENOSPC}
				}
				return write(file, content)
			}
		})
		s.lease(1)
		free.Store(0)
		time.Sleep(time.Minute)
		in.want(t, alert.DiskLow, 1, 0)
		waiting := s.chain.order(2, spec(1))
		blocks(3)
		if _, bid := s.chain.bids[waiting]; bid {
			t.Error("a bid on a full disk")
		}
		free.Store(100 << 30)
		time.Sleep(time.Minute)
		if _, bid := s.chain.bids[waiting]; !bid || !s.d.Status(t.Context()).Bidding || s.running() != 1 {
			t.Errorf("with room again: bid %v, %+v", bid, s.d.Status(t.Context()))
		}
		in.want(t, alert.DiskLow, 1, 1)
		s.stop()
	})
}

func TestOperatorIsTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run(in.hook)
		id := s.lease(1)
		synctest.Wait()
		in.want(t, alert.LeaseOpened, 1, 0)
		s.stop()
		s.run(in.hook) // is told of nothing twice
		time.Sleep(time.Minute)
		in.want(t, alert.LeaseOpened, 1, 0)

		s.chain.change(func() { s.chain.cases, s.chain.slashed, s.chain.balance = 1, 500, 7 })
		time.Sleep(time.Minute)
		in.want(t, alert.CaseOpened, 1, 0)
		in.want(t, alert.DepositSlashed, 1, 0)
		in.want(t, alert.BalanceLow, 1, 0)
		s.chain.change(func() { s.chain.balance = 1 << 60; s.chain.away = true })
		time.Sleep(4 * time.Minute)
		in.want(t, alert.ChainAway, 0, 0)
		time.Sleep(2 * time.Minute)
		in.want(t, alert.ChainAway, 1, 0)
		s.chain.change(func() { s.chain.away = false })
		time.Sleep(time.Minute)
		in.want(t, alert.ChainAway, 1, 1)
		in.want(t, alert.BalanceLow, 1, 1)

		for range 12 { // a program that ends as soon as it begins
			s.engine.End(sandbox.ID{Lease: sandbox.Lease(id.String()), Service: "web"}, 1)
			time.Sleep(70 * time.Second)
		}
		in.want(t, alert.ReplicaFailing, 1, 0)
		s.chain.change(func() { s.chain.end(id, market.InsufficientFunds) })
		time.Sleep(time.Minute)
		in.want(t, alert.LeaseClosed, 1, 0)
		in.want(t, alert.ReplicaFailing, 1, 1)
		s.stop()
	})
}

func TestLeaseCanBeReadAfterItsEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run()
		id := s.lease(1)
		s.engine.Print(sandbox.ID{Lease: sandbox.Lease(id.String()), Service: "web"}, "hello")
		s.stop()
		s.run()
		blocks(3)
		k, err := s.d.Keeper(id)
		if err != nil {
			t.Fatal(err)
		}
		if all, _ := k.Events(0); len(all) == 0 || all[0].Kind != "manifest" {
			t.Errorf("events after a restart: %+v", all)
		}
		s.chain.change(func() { s.chain.end(id, market.InsufficientFunds) })
		blocks(3)
		s.stop()
		s.run()
		blocks(3)
		p, err := s.d.Past(id)
		if err != nil {
			t.Fatal(err)
		}
		all, err := p.Events()
		if last := len(all) - 1; err != nil || last < 0 || all[last].Kind != "closed" || !strings.Contains(all[last].Text, "insufficient funds") {
			t.Errorf("events %+v, %v", all, err)
		}
		if ids, err := p.Replicas(); err != nil || len(ids) != 1 {
			t.Errorf("logs of %v, %v", ids, err)
		}
		s.stop()
	})
}
