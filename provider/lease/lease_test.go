package lease_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

const leaseID = "plx1tenant/1/1/1/plx1provider"

// pulls is a registry that counts, and may fail.
type pulls struct {
	mu   sync.Mutex
	refs []string
	err  error
}

func (p *pulls) Pull(_ context.Context, ref string, _ image.Credentials) (image.Image, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refs = append(p.refs, ref)
	digest := "sha256:" + strings.Repeat("a", 64)
	return image.Image{Digest: digest, Root: "/images/a", Config: v1.Config{Entrypoint: []string{"/run"}}}, p.err
}

func (p *pulls) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func service(name string, count uint32, expose ...manifest.Expose) manifest.Service {
	return manifest.Service{
		Name: name, Image: "example.com/app:v1", Count: count, Expose: expose,
		Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 100}, Memory: market.Memory{Size: 32 << 20}, Storage: []market.Volume{{Name: "default", Size: 16 << 20}},
		},
	}
}

func record(hash string, services ...manifest.Service) *lease.Record {
	return &lease.Record{ID: leaseID, Hash: strings.Repeat(hash, 64), Group: manifest.Group{Name: "here", Services: services}}
}

func id(service string, n int) sandbox.ID {
	return sandbox.ID{Lease: leaseID, Service: service, Replica: n}
}

// world is a keeper at work, in virtual time.
type world struct {
	engine *memory.Engine
	images *pulls
	books  *lease.Books
	keeper *lease.Keeper
	stop   func()
}

func newWorld(t *testing.T, dir string, engine *memory.Engine, r *lease.Record) *world {
	t.Helper()
	books, err := lease.OpenBooks(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{engine: engine, images: &pulls{}, books: books}
	w.keeper = lease.NewKeeper(leaseID, r, lease.Options{Engine: engine, Images: w.images, Books: books, Domain: "example.com"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.keeper.Run(ctx)
	}()
	w.stop = func() { cancel(); <-done }
	return w
}

func (w *world) running() int {
	n := 0
	for _, r := range w.keeper.Replicas() {
		if s, err := w.engine.Status(context.Background(), r.ID); err == nil && s.State == sandbox.Running {
			n++
		}
	}
	return n
}

func TestKeeperStartsReplacesAndStops(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, &memory.Engine{}, nil)
		defer w.stop()
		synctest.Wait()
		if w.engine.Starts() != 0 {
			t.Fatal("something runs without a manifest")
		}
		w.keeper.Adopt(record("a", service("web", 2), service("db", 1)))
		synctest.Wait()
		if w.running() != 3 || !w.keeper.Trouble().IsZero() {
			t.Fatalf("%d replicas run, trouble since %v", w.running(), w.keeper.Trouble())
		}
		changed := service("web", 1)
		changed.Env = []string{"A=b"}
		w.keeper.Adopt(record("b", changed))
		if w.keeper.Settled() {
			t.Error("settled before the new manifest runs")
		}
		synctest.Wait()
		if w.running() != 1 || w.engine.Starts() != 4 {
			t.Fatalf("%d replicas run after %d starts, want 1 and 4", w.running(), w.engine.Starts())
		}
		if got, _ := w.engine.Workload(id("web", 0)); !slices.Contains(got.Process.Env, "A=b") || !slices.Contains(got.Process.Env, "PLEXUS_DEPLOYMENT_SEQUENCE=1") {
			t.Errorf("environment %q", got.Process.Env)
		}
		if ref := w.images.refs[len(w.images.refs)-1]; ref != "example.com/app:v1" && !strings.Contains(ref, "@sha256:") {
			t.Errorf("pulled %s", ref)
		}
	})
}

func TestKeeperStartsAgainWithLongerPauses(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, &memory.Engine{}, nil)
		defer w.stop()
		w.keeper.Adopt(record("a", service("web", 1)))
		synctest.Wait()
		var took []time.Duration
		for n := range 5 {
			w.engine.End(id("web", 0), 1)
			began := time.Now()
			for w.engine.Starts() < n+2 {
				time.Sleep(100 * time.Millisecond)
			}
			took = append(took, time.Since(began).Round(time.Second))
		}
		synctest.Wait() // the engine counts a start before the keeper does
		if !slices.IsSorted(took) || took[4] < 16*time.Second {
			t.Errorf("started again after %v, want longer and longer", took)
		}
		if r := w.keeper.Replicas(); r[0].Restarts != 5 {
			t.Errorf("%d restarts, want 5", r[0].Restarts)
		}
		if !w.keeper.Trouble().IsZero() {
			t.Error("a program that ends is no trouble of the provider's")
		}
		text := ""
		all, _ := w.keeper.Events(0)
		for _, e := range all {
			text += e.Kind + " " + e.Text + "\n"
		}
		if !strings.Contains(text, "ended exited with code 1 (done)") {
			t.Errorf("events:\n%s", text)
		}
	})
}

func TestKeeperIsInTroubleWhileNothingStarts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, &memory.Engine{}, nil)
		defer w.stop()
		w.images.fail(errors.New("no such image"))
		w.keeper.Adopt(record("a", service("web", 1)))
		time.Sleep(10 * time.Minute)
		if since := w.keeper.Trouble(); since.IsZero() || time.Since(since) < 9*time.Minute {
			t.Errorf("trouble since %v", since)
		}
		if n := len(w.images.refs); n > 15 {
			t.Errorf("asked %d times for an image in 10 minutes", n)
		}
		w.images.fail(nil)
		time.Sleep(6 * time.Minute)
		if w.running() != 1 || !w.keeper.Trouble().IsZero() {
			t.Errorf("%d replicas run, trouble since %v", w.running(), w.keeper.Trouble())
		}
		w.images.fail(errors.New("no such image"))
		w.keeper.Adopt(record("b", service("web", 1)))
		synctest.Wait()
		if w.keeper.Trouble().IsZero() || w.keeper.Settled() || w.running() != 1 {
			t.Errorf("a manifest that cannot run: trouble since %v, %d run", w.keeper.Trouble(), w.running())
		}
	})
}

func TestKeeperAfterAKill(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		engine := &memory.Engine{}
		w := newWorld(t, dir, engine, nil)
		r := record("a", service("web", 2))
		if err := w.books.Put(r); err != nil {
			t.Fatal(err)
		}
		w.keeper.Adopt(r)
		synctest.Wait()
		w.stop()
		all, err := w.books.All()
		if err != nil || len(all) != 1 || all[0].Images["web"] == "" {
			t.Fatalf("on disk: %+v, %v", all, err)
		}
		engine.End(id("web", 1), 1) // while nobody looks
		again := newWorld(t, dir, engine, all[0])
		defer again.stop()
		synctest.Wait()
		if again.running() != 2 || engine.Starts() != 3 {
			t.Errorf("%d replicas run after %d starts, want 2 and 3", again.running(), engine.Starts())
		}
		if ref := again.images.refs[0]; !strings.HasSuffix(ref, "@sha256:"+strings.Repeat("a", 64)) {
			t.Errorf("pulled %s, want the digest of before", ref)
		}
	})
}

func TestPlan(t *testing.T) {
	s := service("web", 2, manifest.Expose{Port: 8080, ExternalPort: 80, Proto: "TCP", Global: true}, manifest.Expose{Port: 53, Proto: "UDP", Global: true})
	persistent := market.Attributes{{Key: "class", Value: "beta3"}, {Key: "persistent", Value: "true"}}
	s.Resources.Storage = append(s.Resources.Storage,
		market.Volume{Name: "Data_1", Size: 8 << 20, Attributes: persistent},
		market.Volume{Name: "shm", Size: 1 << 20, Attributes: market.Attributes{{Key: "class", Value: "ram"}}})
	s.Params = &manifest.Params{Storage: []manifest.Mount{{Name: "Data_1", Mount: "/data", ReadOnly: true}, {Name: "shm", Mount: "/dev/shm"}}}
	r := record("a", s)
	next := uint16(30000)
	var err error
	r.Ports, err = lease.Publish(r.Group, nil, func(bool) (uint16, error) { next++; return next, nil })
	if err != nil || len(r.Ports) != 2 || !r.Ports[0].UDP || r.Ports[1].Host != 30002 {
		t.Fatalf("ports %+v, %v", r.Ports, err)
	}
	kept, err := lease.Publish(r.Group, r.Ports, func(bool) (uint16, error) { return 0, errors.New("none") })
	if err != nil || !slices.Equal(kept, r.Ports) {
		t.Errorf("ports of the same manifest again: %+v, %v", kept, err)
	}
	images := map[string]image.Image{"web": {Root: "/images/a", Config: v1.Config{Cmd: []string{"/run"}}}}
	all, err := lease.Plan(r, images, "example.com")
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	w := all[1]
	if w.ID != id("web", 1) || w.CPU != 100 || w.Memory != 32<<20 || w.Disk != 16<<20 || w.Shm != 1<<20 {
		t.Errorf("workload %+v", w)
	}
	if len(w.Volumes) != 1 || w.Volumes[0].Class != "beta3" || w.Volumes[0].Path != "/data" || !w.Volumes[0].ReadOnly {
		t.Errorf("volumes %+v", w.Volumes)
	}
	if len(w.Ports) != 1 || w.Ports[0] != (sandbox.Port{Container: 53, Host: 30002, UDP: true}) {
		t.Errorf("ports %+v", w.Ports)
	}
	if want := "PLEXUS_INGRESS_HOST=" + lease.HostName(leaseID, "web", 8080) + ".example.com"; !slices.Contains(w.Process.Env, want) {
		t.Errorf("environment %q lacks %s", w.Process.Env, want)
	}
	s.Params.Storage[1].Mount = "/ram"
	if _, err := lease.Plan(record("a", s), images, ""); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("a memory disk anywhere: %v", err)
	}
}

func TestServable(t *testing.T) {
	group := func(change func(*market.ResourceUnit)) market.GroupSpec {
		u := market.ResourceUnit{Count: 1, Resources: service("web", 1).Resources}
		change(&u)
		return market.GroupSpec{Units: []market.ResourceUnit{u}}
	}
	classes := map[string]int64{"": 1, "beta3": 1}
	for name, c := range map[string]struct {
		change func(*market.ResourceUnit)
		want   string
	}{
		"plain": {func(*market.ResourceUnit) {}, ""},
		"many":  {func(u *market.ResourceUnit) { u.Count = 251 }, "251 replicas"},
		"small": {func(u *market.ResourceUnit) { u.Resources.Memory.Size = 1 << 20 }, "memory"},
		"arch": {func(u *market.ResourceUnit) {
			u.Resources.CPU.Attributes = market.Attributes{{Key: "arch", Value: "vax"}}
		}, "vax"},
		"class": {func(u *market.ResourceUnit) {
			u.Resources.Storage[0].Attributes = market.Attributes{{Key: "class", Value: "beta1"}, {Key: "persistent", Value: "true"}}
		}, "beta1"},
	} {
		err := lease.Servable(group(c.change), classes)
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, lease.ErrUnservable) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBooksKeepTheRestBesideADamagedRecord(t *testing.T) {
	dir := t.TempDir()
	books, err := lease.OpenBooks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := books.Put(record("a", service("web", 1))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/bad.json", []byte(`{"id":"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := books.All()
	if err == nil || len(all) != 1 || all[0].Group.Services[0].Name != "web" {
		t.Errorf("read %d records, %v", len(all), err)
	}
	if err := errors.Join(books.Delete(leaseID), books.Delete(leaseID)); err != nil {
		t.Error(err)
	}
	if all, _ := books.All(); len(all) != 0 {
		t.Errorf("%d records after the delete", len(all))
	}
}

// imagesOf are those of services.
func imagesOf(t *testing.T, services ...string) map[string]image.Image {
	t.Helper()
	all := map[string]image.Image{}
	for _, s := range services {
		i, err := (&pulls{}).Pull(t.Context(), s, image.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		all[s] = i
	}
	return all
}

func TestPlanWantsTheDevicesThatWerePutAside(t *testing.T) {
	s := service("web", 2)
	s.Resources.GPU = market.GPU{Units: 1, Attributes: market.Attributes{{Key: "vendor/nvidia/model/h100", Value: "true"}}}
	r := record("a", s)
	if _, err := lease.Plan(r, imagesOf(t, "web"), ""); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("without devices: %v", err)
	}
	r.GPUs = []lease.Device{{Service: "web", Replica: 0, GPU: sandbox.GPU{Number: 3}}, {Service: "web", Replica: 1, GPU: sandbox.GPU{Number: 5}}}
	all, err := lease.Plan(r, imagesOf(t, "web"), "")
	if err != nil || len(all) != 2 || all[0].GPUs[0].Number != 3 || all[1].GPUs[0].Number != 5 {
		t.Errorf("planned %+v, %v", all, err)
	}
}

func TestAnEngineThatDoesNotAnswerIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &memory.Engine{}
		engine.Break(fmt.Errorf("%w: no route", sandbox.ErrUnavailable))
		w := newWorld(t, t.TempDir(), engine, record("a", service("web", 1)))
		defer w.stop()
		time.Sleep(time.Hour)
		if since := time.Since(w.keeper.Trouble()); since > 10*time.Minute {
			t.Errorf("in trouble for %v while nobody could be asked", since)
		}
		engine.Break(errors.New("no such image"))
		time.Sleep(time.Hour)
		if since := time.Since(w.keeper.Trouble()); since < 40*time.Minute {
			t.Errorf("in trouble for %v, want since the engine answers", since)
		}
	})
}

func TestPlanNamesAnImageThatNobodyUnpacked(t *testing.T) {
	s := service("web", 1)
	s.Credentials = &manifest.Credentials{Username: "someone", Password: "secret"}
	images := map[string]image.Image{"web": {Digest: "sha256:" + strings.Repeat("a", 64), Config: v1.Config{Cmd: []string{"/run"}, User: "nginx"}}}
	all, err := lease.Plan(record("a", s), images, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := sandbox.Image{Ref: "example.com/app@sha256:" + strings.Repeat("a", 64), Username: "someone", Password: "secret"}
	if w := all[0]; w.Root != "" || w.Image != want || w.Process.User != "nginx" {
		t.Errorf("workload %+v, want image %+v", w, want)
	}
}
