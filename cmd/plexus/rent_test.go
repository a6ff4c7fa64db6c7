package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/gvisor"
	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/runc"
	"github.com/plexus-network/plexus/tenant"
)

// insideRent marks a test binary that runs in namespaces of its own.
const insideRent = "PLEXUS_RENT_TEST"

// rentEngines are the engines that the rental is tried on.
var rentEngines = []string{"gvisor", "runc"}

// TestEndToEndRent is a rental from its SDL to its refund, in real processes
// and real containers, with the provider killed in the middle.
func TestEndToEndRent(t *testing.T) {
	apart(t, func() {
		for _, engine := range rentEngines {
			t.Run(engine, func(t *testing.T) { newRental(t, engine).whole() })
		}
	})
}

// apart runs a test in network and mount namespaces of its own, or skips it.
func apart(t *testing.T, test func()) {
	t.Helper()
	if !*endToEnd {
		t.Skip("takes minutes: run it with -e2e")
	}
	if os.Getenv("PLEXUS_SANDBOX") == "" || os.Geteuid() != 0 {
		t.Skip("make sandbox-test runs containers, as root")
	}
	if os.Getenv(insideRent) != "" {
		furnish(t)
		test()
		return
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=20m", "-e2e")
	again.Stdout, again.Stderr = t.Output(), t.Output()
	again.Env = append(os.Environ(), insideRent+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := again.Run(); err != nil {
		t.Fatalf("in namespaces of its own: %v", err)
	}
}

// furnish gives this network namespace a loopback device and a wire to a world
// in which nobody is.
func furnish(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	lo, err := netlink.LinkByName("lo")
	must(err)
	must(netlink.LinkSetUp(lo))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "up0"
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "down0"}))
	up, err := netlink.LinkByName("up0")
	must(err)
	address, err := netlink.ParseAddr("203.0.113.2/24")
	must(err)
	must(netlink.AddrAdd(up, address))
	must(netlink.LinkSetUp(up))
	must(netlink.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Gw: net.ParseIP("203.0.113.1")}))
}

// A rental is a chain, a provider and a tenant.
type rental struct {
	t        *testing.T
	engine   string
	dir      string
	chain    *process
	provider *exec.Cmd
	said     *bytes.Buffer
	image    string
	tenant   string // address
	seller   string // address
	port     int
	door     string // the ingress's address
}

func newRental(t *testing.T, engine string) *rental {
	if _, err := gvisor.Unpack(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if engine == "runc" {
		if _, err := exec.LookPath("runc"); err != nil {
			t.Fatal(err)
		}
	}
	r := &rental{t: t, engine: engine, dir: t.TempDir(), port: freePorts(t, 30), said: &bytes.Buffer{}}
	r.tenant, r.seller = r.key("tenant"), r.key("seller")
	r.plexus("seller", "chain", "init", "--home", r.home("chain"), "--port", fmt.Sprint(r.port), "--block-time", "500ms",
		"--account", r.tenant+"=100plx", "--account", r.seller+"=100plx")
	r.chain = &process{t: t, home: r.home("chain"), grpc: fmt.Sprintf("127.0.0.1:%d", r.port+2)}
	r.chain.start()
	t.Cleanup(func() { r.chain.kill() })
	r.chain.reach(2)
	r.image = r.push()
	return r
}

func (r *rental) home(of string) string { return filepath.Join(r.dir, of) }

// key makes a home with a key, and returns its address.
func (r *rental) key(of string) string {
	r.t.Helper()
	config := ledger.Config{GRPC: fmt.Sprintf("127.0.0.1:%d", r.port+2), Keyring: "test", Key: of}
	if err := config.Write(r.home(of)); err != nil {
		r.t.Fatal(err)
	}
	var made struct{ Address string }
	r.json(&made, of, "keys", "create", of)
	return made.Address
}

// try runs a command in somebody's home.
func (r *rental) try(of string, args ...string) (out, errs string, err error) {
	cmd := exec.CommandContext(r.t.Context(), "plexus", args...)
	cmd.Env = append(os.Environ(), "PLEXUS_HOME="+r.home(of))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func (r *rental) plexus(of string, args ...string) string {
	r.t.Helper()
	out, errs, err := r.try(of, args...)
	if err != nil {
		r.t.Fatalf("plexus %s: %v\n%s%s\nthe provider says:\n%s", strings.Join(args, " "), err, out, errs, r.said)
	}
	return out
}

func (r *rental) json(into any, of string, args ...string) {
	r.t.Helper()
	var cut []string // flags go before "--"
	if i := slices.Index(args, "--"); i >= 0 {
		args, cut = args[:i], args[i:]
	}
	out := r.plexus(of, append(append(slices.Clone(args), "--json"), cut...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		r.t.Fatalf("plexus %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// push builds the tenant's program into an image and pushes it to a registry
// on loopback.
func (r *rental) push() string { return r.pushed("provider/sandbox/sandboxtest/tenant") }

// pushed does so for a program of this module.
func (r *rental) pushed(of string) string {
	t := r.t
	t.Helper()
	file := filepath.Join(r.dir, "program")
	build := exec.Command("go", "build", "-trimpath", "-o", file, "github.com/plexus-network/plexus/"+of)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tenant's program: %v\n%s", err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err = errors.Join(w.WriteHeader(&tar.Header{Name: "tenant", Mode: 0o755, Size: int64(len(program))}))
	if _, e := w.Write(program); err != nil || e != nil {
		t.Fatal(err, e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		image, err = mutate.Config(image, v1.Config{Entrypoint: []string{"/tenant"}, Env: []string{"GREETING=hello"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/tenant:v1"
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err == nil {
		err = remote.Write(parsed, image)
	}
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	return ref
}

// open registers the provider and starts it.
func (r *rental) open(options ...string) {
	api := fmt.Sprintf("127.0.0.1:%d", r.port+20)
	r.door = fmt.Sprintf("127.0.0.1:%d", r.port+21)
	r.plexus("seller", append([]string{
		"provider", "init", "--engine", r.engine, "--host-uri", "https://" + api, "--listen", api, "--ingress", r.door,
		"--domain", "rent.test", "--attribute", "region=here", "--private-registries", "--cpu", "1000", "--memory", "512Mi", "--storage", "512Mi",
	}, options...)...)
	r.t.Cleanup(r.clear)
	r.provide()
}

// clear ends the provider and whatever it still runs.
func (r *rental) clear() {
	r.kill()
	open := gvisor.Open
	if r.engine == "runc" {
		shim, err := gvisor.Unpack(r.t.TempDir())
		if err != nil {
			r.t.Fatal(err)
		}
		open = func(o oci.Options) (*oci.Engine, error) { o.Shim = gvisor.Shim(shim); return runc.Open(o) }
	}
	engine, err := open(oci.Options{Dir: filepath.Join(r.home("seller"), "provider", "engine")})
	if err != nil {
		r.t.Error(err)
		return
	}
	ctx := context.Background()
	all, err := engine.List(ctx)
	if err != nil {
		r.t.Error(err)
	}
	for _, s := range all {
		if err := engine.Release(ctx, s.ID.Lease); err != nil {
			r.t.Error(err)
		}
	}
	if err := engine.Destroy(); err != nil {
		r.t.Error(err)
	}
}

// start starts the provider.
func (r *rental) start() {
	t := r.t
	t.Helper()
	r.provider = exec.Command("plexus", "provider", "run")
	r.provider.Env = append(os.Environ(), "PLEXUS_HOME="+r.home("seller"))
	r.said.Reset()
	r.provider.Stdout, r.provider.Stderr = r.said, r.said
	r.provider.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.provider.Start(); err != nil {
		t.Fatal(err)
	}
}

// provide starts the provider and waits until it bids.
func (r *rental) provide() {
	r.t.Helper()
	r.start()
	r.wait("the provider to bid", func() bool {
		var s struct{ Bidding bool }
		out, _, err := r.try("seller", "provider", "status", "--json")
		return err == nil && json.Unmarshal([]byte(out), &s) == nil && s.Bidding
	})
}

// kill ends the provider as a loss of power would.
func (r *rental) kill() {
	r.t.Helper()
	if r.provider == nil || r.provider.ProcessState != nil {
		return
	}
	if err := r.provider.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = r.provider.Wait()
}

func (r *rental) wait(what string, done func() bool) {
	r.t.Helper()
	for until := time.Now().Add(5 * time.Minute); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(until) {
			r.t.Fatalf("waited five minutes for %s; the provider says:\n%s", what, r.said)
		}
	}
}

// sdl writes a file with two replicas that answer with a greeting.
func (r *rental) sdl(file, greeting, price, region string) string {
	return r.write(file, fmt.Sprintf(`version: "2.0"
services:
  web:
    image: %s
    args: ["serve", "%s"]
    expose:
      - {port: 8080, as: 80, accept: [web.example], to: [{global: true}]}
      - {port: 8080, as: 9000, to: [{global: true}]}
profiles:
  compute:
    small: {resources: {cpu: {units: 100m}, memory: {size: 32Mi}, storage: {size: 16Mi}}}
  placement:
    here:
      attributes: {region: %s}
      pricing: {small: {denom: nplx, amount: %s}}
deployment:
  web: {here: {profile: small, count: 2}}
`, r.image, greeting, region, price))
}

// write makes a file of the rental's folder, and returns its path.
func (r *rental) write(file, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, file)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// get asks the ingress for a name, or a port if there is none.
func (r *rental) get(at, host string) (int, string) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+at+"/hello", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	c := http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (r *rental) client() *ledger.Client {
	c, err := ledger.Dial(r.chain.grpc, ledger.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// whole goes through a rental.
func (r *rental) whole() {
	t := r.t
	r.open()
	door := r.door
	l := r.client()
	before := r.balances(l)

	// Nobody could serve these, and the tenant is told why.
	for _, c := range []struct{ price, region, want string }{
		{"0.001", "here", "1 of 1 providers: price"},
		{"10000", "elsewhere", "attribute: provider lacks attribute region=elsewhere"},
	} {
		_, errs, err := r.try("tenant", "deploy", r.sdl("none.yaml", "none", c.price, c.region), "--wait", "3s")
		if err == nil || !strings.Contains(errs, c.want) || !strings.Contains(errs, "refunded") {
			t.Errorf("a deployment that nobody serves: %v, %s; want %q", err, errs, c.want)
		}
	}

	began := time.Now()
	var d tenant.State
	r.json(&d, "tenant", "deploy", r.sdl("web.yaml", "first", "10000", "here"), "--deposit", "2plx")
	t.Logf("%s: from SDL to running: %v", r.engine, time.Since(began).Round(time.Millisecond))
	if !d.Ready || len(d.Leases) != 1 || d.Runway.Blocks <= 0 || len(d.Leases[0].Services) != 1 {
		t.Fatalf("deployed %+v", d)
	}
	service := d.Leases[0].Services[0]
	dseq := fmt.Sprint(d.DSeq)
	given, err := url.Parse(service.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{given.Host, "web.example"} {
		r.wait("an answer through the ingress as "+host, func() bool {
			code, body := r.get(door, host)
			return code == 200 && strings.HasPrefix(body, "first /hello")
		})
	}
	if len(service.Ports) != 2 {
		t.Errorf("published ports %+v, want one per replica", service.Ports)
	}

	r.inside(dseq)
	r.lists(dseq)
	r.survives(door, dseq)

	// Another manifest replaces what runs.
	r.plexus("tenant", "deploy", "update", dseq, r.sdl("web.yaml", "second", "10000", "here"))
	r.wait("the updated program to answer", func() bool {
		_, body := r.get(door, "web.example")
		return strings.HasPrefix(body, "second /hello")
	})
	r.plexus("tenant", "deploy", "topup", dseq, "1plx")

	// The lease ends while the provider is down, which it sees on its return.
	r.kill()
	r.plexus("tenant", "deploy", "close", dseq)
	r.provide()
	r.wait("the containers to be gone", func() bool {
		var s struct{ Leases int }
		r.json(&s, "seller", "provider", "status")
		code, _ := r.get(door, "web.example")
		return s.Leases == 0 && code == 404
	})
	r.books(l, before, d)
}

// inside looks into the containers: logs, events, commands.
func (r *rental) inside(dseq string) {
	t := r.t
	t.Helper()
	r.wait("two replicas to say that they serve", func() bool {
		return strings.Count(r.plexus("tenant", "lease", "logs", dseq, "--service", "web", "--tail", "5"), "serving first") == 2
	})
	if events := r.plexus("tenant", "lease", "events", dseq); strings.Count(events, "started") != 2 {
		t.Errorf("events: %s", events)
	}
	if out := r.plexus("tenant", "lease", "exec", dseq, "web", "--", "/tenant", "echo", "inside"); strings.TrimSpace(out) != "inside" {
		t.Errorf("exec: %q", out)
	}
	_, errs, err := r.try("tenant", "lease", "exec", dseq, "web", "--replica", "1", "--", "/tenant", "exit", "7")
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exec of a command that ends with 7: %v %s", err, errs)
	}
	if _, errs, err := r.try("seller", "lease", "logs", dseq); err == nil || !strings.Contains(errs, "no lease of deployment") {
		t.Errorf("logs of somebody else's: %v %s", err, errs)
	}
}

// lists looks at the tenant's lists.
func (r *rental) lists(dseq string) {
	t := r.t
	t.Helper()
	var all []tenant.Listed
	r.json(&all, "tenant", "deploy", "list")
	if len(all) != 1 || all[0].Leases != 1 || all[0].Runway.Blocks <= 0 {
		t.Errorf("deploy list: %+v", all)
	}
	var providers []tenant.Screening
	r.json(&providers, "tenant", "providers")
	if len(providers) != 1 || providers[0].Status == nil || providers[0].Status.Free.CPU != 800 || providers[0].Status.Leases != 1 {
		t.Errorf("providers: %+v", providers)
	}
	var state tenant.State
	r.json(&state, "tenant", "lease", "status", dseq)
	if !state.Ready || state.Leases[0].Services[0].Running != 2 {
		t.Errorf("lease status: %+v", state)
	}
}

// survives kills the provider, finds that what it runs runs on, and that it
// takes it up again.
func (r *rental) survives(door, dseq string) {
	t := r.t
	t.Helper()
	began := func() (all []string) {
		var state tenant.State
		r.json(&state, "tenant", "lease", "status", dseq)
		for _, replica := range state.Leases[0].Services[0].Replicas {
			all = append(all, replica.State+" since "+replica.Since.String())
		}
		return all
	}
	before := began()
	r.kill()
	if shims := r.shims(); shims != 2 {
		t.Errorf("%d containers run without the provider, want 2", shims)
	}
	r.provide()
	r.wait("the ingress", func() bool { code, _ := r.get(door, "web.example"); return code == 200 })
	if after := began(); !slices.Equal(before, after) {
		t.Errorf("replicas after kill -9: %v, before: %v", after, before)
	}
	if shims := r.shims(); shims != 2 {
		t.Errorf("%d containers run after the provider's return, want 2", shims)
	}
}

// shims counts the processes that watch this provider's containers.
func (r *rental) shims() int {
	n := 0
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range all {
		text, _ := os.ReadFile(file) // one that has ended meanwhile is none
		args := strings.Split(string(text), "\x00")
		if len(args) > 2 && filepath.Base(args[0]) == "shim" && args[1] == "watch" && strings.HasPrefix(args[2], r.home("seller")) {
			n++
		}
	}
	return n
}

func (r *rental) balances(l *ledger.Client) [2]coin.Amount {
	r.t.Helper()
	tenant, err1 := l.Balance(r.t.Context(), r.tenant)
	seller, err2 := l.Balance(r.t.Context(), r.seller)
	if err := errors.Join(err1, err2); err != nil {
		r.t.Fatal(err)
	}
	return [2]coin.Amount{tenant, seller}
}

// lease is a deployment's first lease as the chain has it.
func (r *rental) lease(l *ledger.Client, d tenant.State) marketv1.Lease {
	r.t.Helper()
	id, err := market.ParseBidID(d.Leases[0].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := l.Market().Lease(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Lease
}

// books checks the money to the unit: the tenant paid what the lease paid out,
// and the provider got it less the network's part.
func (r *rental) books(l *ledger.Client, before [2]coin.Amount, d tenant.State) {
	t := r.t
	t.Helper()
	after := r.balances(l)
	lease := r.lease(l, d)
	paid := coin.Amount(lease.Paid)
	blocks := uint64(lease.Closed - lease.Opened)
	price, err := market.ParseExact(lease.Price.Amount)
	if err != nil {
		t.Fatal(err)
	}
	earned, _ := price.Times(blocks)
	if paid == 0 || coin.Amount(earned.Floor()) != paid {
		t.Errorf("%d blocks at %s paid %d", blocks, lease.Price.Amount, paid)
	}
	if before[0]-after[0] != paid {
		t.Errorf("the tenant is poorer by %d, the lease paid %d", before[0]-after[0], paid)
	}
	if got := after[1] - before[1]; got > paid || got < paid-paid/50-2 {
		t.Errorf("the provider is richer by %d, the lease paid %d, of which the network takes 2 %%", got, paid)
	}
	t.Logf("%s: %d blocks for %d nplx", r.engine, blocks, paid)
}
