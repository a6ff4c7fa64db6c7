package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/tenant"
)

// outage is how long TestEndToEndRentWithoutChain has no chain. That five
// minutes are as good is tested in virtual time, in package provider.
var outage = flag.Duration("outage", 20*time.Second, "how long the end-to-end test of an outage of the chain has none")

// small writes an SDL with one replica, which answers with its name at
// NAME.example.
func (r *rental) small(name string, price int) string { return r.sized(name, "50m", price) }

// sized writes a file of one service with so much of a processor.
func (r *rental) sized(name, cpu string, price int) string {
	return r.write(name+".yaml", fmt.Sprintf(`version: "2.0"
services:
  web:
    image: %s
    args: ["serve", "%s"]
    expose:
      - {port: 8080, as: 80, accept: [%s.example], to: [{global: true}]}
profiles:
  compute:
    small: {resources: {cpu: {units: %s}, memory: {size: 16Mi}, storage: {size: 16Mi}}}
  placement:
    here:
      pricing: {small: {denom: nplx, amount: %d}}
deployment:
  web: {here: {profile: small, count: 1}}
`, r.image, name, name, cpu, price))
}

// rent deploys a small SDL and waits until it answers through the ingress.
func (r *rental) rent(name string, price int) (d tenant.State) {
	r.t.Helper()
	r.json(&d, "tenant", "deploy", r.small(name, price))
	r.wait(name+" to answer", func() bool { return r.answers(name) })
	return d
}

func (r *rental) answers(name string) bool {
	code, body := r.get(r.door, name+".example")
	return code == 200 && strings.HasPrefix(body, name+" /hello")
}

// status is what the provider says of itself; it fails while it is down.
func (r *rental) status() (api.Status, error) {
	var s api.Status
	out, errs, err := r.try("seller", "provider", "status", "--json")
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, errs)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// lives are the starts of a deployment's replicas.
func (r *rental) lives(d tenant.State) (all []string) {
	r.t.Helper()
	var state tenant.State
	r.json(&state, "tenant", "lease", "status", fmt.Sprint(d.DSeq))
	for _, lease := range state.Leases {
		for _, service := range lease.Services {
			for _, replica := range service.Replicas {
				all = append(all, replica.State+" since "+replica.Since.String())
			}
		}
	}
	return all
}

// TestEndToEndRentOfTenSurvivesKill9 kills a provider with ten leases, twice.
func TestEndToEndRentOfTenSurvivesKill9(t *testing.T) {
	const leases = 10
	apart(t, func() {
		r := newRental(t, "gvisor")
		r.open("--memory", "1Gi")
		names, rented, before := make([]string, leases), make([]tenant.State, leases), make([][]string, leases)
		for i := range leases {
			names[i] = fmt.Sprint("lease", i)
			rented[i] = r.rent(names[i], 10000)
			before[i] = r.lives(rented[i])
		}
		for range 2 {
			r.kill()
			if n := r.shims(); n != leases {
				t.Errorf("%d containers run without the provider, want %d", n, leases)
			}
			r.provide()
			for i := range leases {
				r.wait(names[i]+" to answer again", func() bool { return r.answers(names[i]) })
				if after := r.lives(rented[i]); !slices.Equal(before[i], after) {
					t.Errorf("%s after kill -9: %v, before: %v", names[i], after, before[i])
				}
			}
			if n := r.shims(); n != leases {
				t.Errorf("%d containers run after the provider's return, want %d", n, leases)
			}
		}
		if s, err := r.status(); err != nil || s.Leases != leases || s.Free.CPU != 1000-leases*50 {
			t.Errorf("the provider has %d leases and %d thousandths of a core free: %v", s.Leases, s.Free.CPU, err)
		}
	})
}

// TestEndToEndRentWithoutChain freezes the chain: what runs goes on, what ends
// is started again, and bids stop until the chain is back.
func TestEndToEndRentWithoutChain(t *testing.T) {
	apart(t, func() {
		r := newRental(t, "gvisor")
		r.open()
		d := r.rent("first", 10000)
		if err := r.chain.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		back := time.Now().Add(*outage)
		r.wait("the provider to stop bidding", func() bool {
			s, err := r.status()
			return err == nil && !s.Bidding && s.Reason != ""
		})
		r.crash()
		r.wait("the replica to be started again", func() bool { return r.answers("first") })
		for time.Now().Before(back) {
			if !r.answers("first") {
				t.Fatal("the lease does not answer while the chain is away")
			}
			time.Sleep(time.Second)
		}
		if s, err := r.status(); err != nil || s.Leases != 1 || s.Bidding {
			t.Errorf("without a chain: %+v, %v", s, err)
		}
		if err := r.chain.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		r.wait("the provider to bid again", func() bool { s, err := r.status(); return err == nil && s.Bidding })
		r.rent("second", 10000)
		r.plexus("tenant", "deploy", "close", fmt.Sprint(d.DSeq))
		r.wait("the first lease to be gone", func() bool { s, err := r.status(); return err == nil && s.Leases == 1 && !r.answers("first") })
	})
}

// crash ends the tenant's program behind the provider's back.
func (r *rental) crash() {
	r.t.Helper()
	pids, err := filepath.Glob(filepath.Join(r.home("seller"), "provider/engine/leases/*/*/pid"))
	if err != nil || len(pids) != 1 {
		r.t.Fatalf("the replicas' processes: %v, %v; want one", pids, err)
	}
	text, err := os.ReadFile(pids[0])
	var pid int
	if _, e := fmt.Sscan(string(text), &pid); err != nil || e != nil {
		r.t.Fatal(err, e)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
}

// TestEndToEndRentRunsDry lets a lease's money end while the provider is down.
func TestEndToEndRentRunsDry(t *testing.T) {
	apart(t, func() {
		r := newRental(t, "gvisor")
		l := r.client()
		r.open("--price", "cpu=160000")
		before := r.balances(l)
		d := r.rent("short", 10_000_000) // half a PLX lasts 62 blocks at 8,000,000 a block
		r.kill()
		if r.shims() != 1 {
			t.Fatal("the container does not run without the provider")
		}
		var closed marketv1.Lease
		r.wait("the chain to close the lease", func() bool { closed = r.lease(l, d); return closed.Closed != 0 })
		if got := market.Reason(closed.Reason); got != market.InsufficientFunds {
			t.Errorf("closed for %v, want %v", got, market.InsufficientFunds)
		}
		if r.shims() != 1 {
			t.Error("nobody is there who could have ended the container")
		}
		r.provide()
		r.wait("the container to be gone", func() bool { s, err := r.status(); return err == nil && s.Leases == 0 && r.shims() == 0 })
		after := r.balances(l)
		if spent := before[0] - after[0]; int64(spent) != int64(closed.Paid) {
			t.Errorf("the tenant is poorer by %d, the lease paid %d", spent, closed.Paid)
		}
	})
}

// TestEndToEndRentOnAFullDisk fills the provider's disk.
func TestEndToEndRentOnAFullDisk(t *testing.T) {
	apart(t, func() {
		r := newRental(t, "gvisor")
		home := filepath.Join(r.home("seller"), "provider")
		if err := errors.Join(os.MkdirAll(home, 0o700), unix.Mount("disk", home, "tmpfs", 0, "size=1600m,mode=711")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(home, unix.MNT_DETACH) })
		r.open()
		d := r.rent("first", 10000)
		before := r.lives(d)
		filler := filepath.Join(home, "filler")
		fill(t, filler)
		full := func() bool {
			s, err := r.status()
			return err == nil && !s.Bidding && strings.Contains(s.Reason, "disk")
		}
		r.wait("the provider to say that its disk is full", full)
		if _, errs, err := r.try("tenant", "deploy", r.small("second", 10000), "--wait", "3s"); err == nil || !strings.Contains(errs, "cannot be written: no space left") {
			t.Errorf("a deployment while the disk is full: %v: %s", err, errs)
		}
		if !r.answers("first") {
			t.Error("the lease does not answer on a full disk")
		}
		r.kill()
		r.start()
		r.wait("the provider to say that its disk is full after kill -9", full)
		r.wait("the lease to answer after kill -9", func() bool { return r.answers("first") })
		if after := r.lives(d); !slices.Equal(before, after) {
			t.Errorf("replicas after kill -9 on a full disk: %v, before: %v", after, before)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		r.wait("the provider to bid again", func() bool { s, err := r.status(); return err == nil && s.Bidding })
		r.rent("second", 10000)
	})
}

// fill writes a file until there is no space.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for zeros := make([]byte, 1<<20); len(zeros) > 0; {
		n, err := f.Write(zeros)
		if errors.Is(err, syscall.ENOSPC) {
			zeros = zeros[:len(zeros)/2]
		} else if err != nil {
			t.Fatal(n, err)
		}
	}
}
