package sandboxtest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// limits are held against programs that do their worst. Each tells in the
// test's log how far it got.
func (k *kit) limits(t *testing.T) {
	l := k.lease(t)
	bystander := k.workload(l, "bystander", "serve", "here")
	address := k.start(t, bystander).Address
	unharmed := func(t *testing.T) {
		if got := get(t, address, "/", ""); !strings.HasPrefix(got, "here") {
			t.Errorf("the bystander answers %q", got)
		}
	}
	t.Run("memory hog is killed", func(t *testing.T) {
		w := k.workload(l, "hog", "memory", "2048")
		s, text := k.finish(t, w)
		t.Logf("of 64 MiB it got to %q, ended with %d, %s", lastLine(text), s.Code, s.Reason)
		if s.Reason != sandbox.ReasonMemory || strings.Contains(text, "took all") {
			t.Errorf("status %+v, want %q", s, sandbox.ReasonMemory)
		}
		unharmed(t)
	})
	t.Run("fork bomb is contained", func(t *testing.T) {
		w := k.workload(l, "bomb", "forks", "100000")
		w.Pids, w.Memory = 64, 512<<20
		k.start(t, w)
		wait(t, "the bomb's end", func() bool {
			s, err := k.engine.Status(t.Context(), w.ID)
			return err != nil || s.State != sandbox.Running || strings.Contains(k.text(t, w.ID), "then")
		})
		s, err := k.engine.Status(t.Context(), w.ID)
		if err != nil {
			t.Fatal(err)
		}
		text := k.text(t, w.ID)
		t.Logf("of 64 processes it got to %q, %s %s", lastLine(text), s.State, s.Reason)
		if strings.Contains(text, "started all") {
			t.Error("it started 100,000 processes")
		}
		unharmed(t)
		if err := k.engine.Stop(t.Context(), w.ID, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("disk is full at its quota", func(t *testing.T) {
		_, text := k.finish(t, k.workload(l, "filler", "fill", "/full", "256"))
		t.Logf("of 32 MiB %s", lastLine(text))
		var wrote int
		if n, err := fmt.Sscanf(lastLine(text), "wrote %d then", &wrote); n != 1 || !strings.Contains(text, "no space left") || wrote > 32 || wrote < 24 {
			t.Errorf("it printed %q (%v), want no space left at 24 to 32 MiB", text, err)
		}
		unharmed(t)
	})
	t.Run("processor is throttled", k.throttled)
}

// throttled has a program burn two cores. While it starts, an engine may let it
// go ahead of its limit by a second of a core, once and not at each restart.
func (k *kit) throttled(t *testing.T) {
	const limit, runs = 0.2, 3
	w := k.workload(k.lease(t), "burner", "cpu", "2", "4")
	w.CPU = limit * 1000
	var took, used time.Duration
	var late float64 // its share at the end of the last run
	for range runs {
		k.start(t, w)
		var all []sample // a sandbox's own start is not the tenant's work
		for k.alive(t, w.ID) {
			if u, err := k.engine.Usage(t.Context(), w.ID); err == nil {
				all = append(all, sample{time.Now(), u.CPU})
			}
			time.Sleep(20 * time.Millisecond)
		}
		if len(all) < 2 {
			t.Fatal("it could not be measured")
		}
		first, last := all[0], all[len(all)-1]
		took, used = took+last.at.Sub(first.at), used+last.cpu-first.cpu
		from := all[len(all)/2]
		late = (last.cpu - from.cpu).Seconds() / last.at.Sub(from.at).Seconds()
	}
	ahead := used.Seconds() - limit*took.Seconds()
	t.Logf("of 0.2 cores it used %.2f in the end, and in %d runs, %s together, %.2f s more than its limit", late, runs, took.Round(time.Millisecond), ahead)
	if used == 0 || late > 1.5*limit {
		t.Errorf("in the end it used %.2f of a core, want at most %.1f", late, limit)
	}
	if ahead > 1.5 {
		t.Errorf("it used %s in %s, want a second beyond its limit at most", used, took)
	}
}

// A sample is how much of a processor was used at a time.
type sample struct {
	at  time.Time
	cpu time.Duration
}

func (k *kit) alive(t *testing.T, id sandbox.ID) bool {
	t.Helper()
	s, err := k.engine.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.State == sandbox.Starting || s.State == sandbox.Running
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// isolation is between tenants, and between a tenant and everything that is
// not the public internet.
func (k *kit) isolation(t *testing.T) {
	mine, theirs := k.lease(t), k.lease(t)
	web := k.workload(mine, "web", "serve", "mine")
	web.Ports = []sandbox.Port{{Container: 8080, Host: 26080}}
	api := k.workload(mine, "api", "serve", "api")
	stranger := k.workload(theirs, "web", "serve", "theirs")
	webAt, apiAt, strangerAt := k.start(t, web).Address, k.start(t, api).Address, k.start(t, stranger).Address
	for _, a := range []netip.Addr{webAt, apiAt, strangerAt} {
		get(t, a, "/", "")
	}
	t.Run("names resolve inside the lease", func(t *testing.T) {
		if got := k.exec(t, web.ID, "resolve", "api"); !strings.Contains(got, apiAt.String()) {
			t.Errorf("api resolves to %s, want %s", got, apiAt)
		}
		if got := k.exec(t, api.ID, "resolve", "web-0"); !strings.Contains(got, webAt.String()) {
			t.Errorf("web-0 resolves to %s, want %s", got, webAt)
		}
		if got := opened(k.exec(t, web.ID, "dial", "api:8080", "localhost:8080")); len(got) != 2 {
			t.Errorf("of api and localhost only %q answer", got)
		}
	})
	t.Run("nothing else is reached but the internet", func(t *testing.T) {
		listen(t, "26443")
		host := k.listenHost(t)
		if got := k.exec(t, web.ID, "dial", internet+":26443"); len(opened(got)) != 1 {
			t.Fatalf("the internet: %s", got)
		}
		gateway := webAt.As4()
		gateway[3] = 1
		forbidden := []string{
			metadata + ":26443",           // a cloud's metadata
			neighbour + ":26443",          // the host's neighbour on a public network
			privateBeyond + ":26443",      // a private network behind the router
			strangerAt.String() + ":8080", // another tenant
			"[fd00::1]:8080",              // IPv6
		}
		ip, _, _ := strings.Cut(hostAddress, "/")
		for _, port := range append(host, 26080) { // also what the host publishes
			forbidden = append(forbidden, net.JoinHostPort(ip, strconv.Itoa(port)), net.JoinHostPort(netip.AddrFrom4(gateway).String(), strconv.Itoa(port)))
		}
		if got := opened(k.exec(t, web.ID, append([]string{"dial"}, forbidden...)...)); len(got) > 0 {
			t.Errorf("a tenant reaches %q", got)
		}
		t.Logf("tried %d addresses of the host, its neighbours and other tenants", len(forbidden))
	})
	t.Run("the world reaches published ports only", func(t *testing.T) {
		ip, _, _ := strings.Cut(hostAddress, "/")
		answer, err := outside(t, func() (string, error) {
			c, err := net.DialTimeout("tcp", ip+":26080", 5*time.Second)
			if err != nil {
				return "", err
			}
			defer func() { _ = c.Close() }()
			_, _ = fmt.Fprintf(c, "GET /x HTTP/1.0\r\n\r\n")
			text, err := io.ReadAll(c)
			return string(text), err
		})
		if err != nil || !strings.Contains(answer, "mine /x") {
			t.Errorf("the published port: %v, %q", err, answer)
		}
		_, err = outside(t, func() (struct{}, error) {
			c, err := net.DialTimeout("tcp", webAt.String()+":8080", time.Second)
			if err == nil {
				_ = c.Close()
			}
			return struct{}{}, err
		})
		if err == nil {
			t.Error("the world reaches a replica's own address")
		}
		clash := k.workload(theirs, "clash", "serve")
		clash.Ports = web.Ports
		if err := k.engine.Start(t.Context(), clash); err == nil || !strings.Contains(err.Error(), "26080") {
			t.Errorf("a port that is taken: %v", err)
		}
	})
	t.Run("a container stays inside", func(t *testing.T) {
		if got := k.exec(t, web.ID, "escape"); got != "tried" {
			t.Error(got)
		}
	})
	t.Run("traffic is shaped", k.shaped)
}

// listenHost opens servers on all of the host's addresses and returns their
// ports.
func (k *kit) listenHost(t *testing.T) []int {
	t.Helper()
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		serve(l)
		t.Cleanup(func() { _ = l.Close() })
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// shaped compares the time of a transfer with what the rate allows.
func (k *kit) shaped(t *testing.T) {
	listen(t, "26444")
	w := k.workload(k.lease(t), "sender", "send", internet+":26444", "4")
	w.Egress = 16_000_000
	_, text := k.finish(t, w)
	var took int
	if _, err := fmt.Sscanf(lastLine(text), "milliseconds %d", &took); err != nil {
		t.Fatalf("it printed %q: %v", text, err)
	}
	t.Logf("4 MiB at 16 Mbit/s took %d ms", took)
	// 4 MiB are 2.1 s at that rate, less what the bucket lets through at once.
	if took < 1500 {
		t.Errorf("4 MiB took %d ms, want at least 1500", took)
	}
}

// survival is of workloads when their engine dies, and of the engine when
// something is left half done.
func (k *kit) survival(t *testing.T) {
	l := k.lease(t)
	web, job := k.workload(l, "web", "serve", "alive"), k.workload(l, "job", "sleep", "1")
	at := k.start(t, web)
	k.start(t, job)
	get(t, at.Address, "/", "")
	before, err := k.engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, at.Address, "/", ""); !strings.HasPrefix(got, "alive") {
		t.Errorf("without an engine it answers %q", got)
	}
	k.engine = k.open(t, k.dir+"/engine")
	after, err := k.engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ids(before) != ids(after) {
		t.Errorf("found %s, there were %s", ids(after), ids(before))
	}
	s, err := k.engine.Status(t.Context(), web.ID)
	if err != nil || !reflect.DeepEqual(s, at) {
		t.Errorf("status %+v, %v, was %+v", s, err, at)
	}
	if err := k.engine.Start(t.Context(), web); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
	if got := k.exec(t, web.ID, "echo", "still"); got != "still" {
		t.Errorf("exec printed %q", got)
	}
	if s := k.ended(t, job.ID); s.Code != 0 || s.Reason != sandbox.ReasonDone {
		t.Errorf("the end that nobody saw: %+v", s)
	}
	if err := k.engine.Stop(t.Context(), web.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := k.engine.Release(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", at.Address.String()+":8080", time.Second); err == nil {
		_ = c.Close()
		t.Error("it answers after its release")
	}
	if _, err := k.engine.Status(t.Context(), web.ID); err == nil {
		t.Error("a released lease has a status")
	}
}

func ids(all []sandbox.Status) string {
	var names []string
	for _, s := range all {
		names = append(names, s.ID.String())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
