package provider

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// ipOrder opens port 443 at the address of endpoint front.
func ipOrder() (market.GroupSpec, manifest.Manifest) {
	g, m := spec(1), webManifest("v1", 1)
	e := manifest.Expose{Port: 8443, ExternalPort: 443, Proto: "TCP", Global: true, IP: "front", Sequence: 1}
	g.Units[0].Resources.Endpoints = e.Endpoints()
	m[0].Services[0].Resources, m[0].Services[0].Expose = g.Units[0].Resources, []manifest.Expose{e}
	return g, m
}

// ipLease brings a lease with an address to run.
func (s *site) ipLease(dseq uint64) market.BidID {
	s.t.Helper()
	g, m := ipOrder()
	id := s.chain.order(dseq, g)
	blocks(2)
	s.chain.take(id)
	s.chain.change(func() { s.chain.hashes[id.DeploymentID] = m.Hash() })
	if _, err := s.d.Manifest(s.t.Context(), "plx1tenant", dseq, m); err != nil {
		s.t.Fatalf("deployment %d: %v", dseq, err)
	}
	blocks(2)
	return id
}

// address is that of a lease, as its status and its workload tell.
func (s *site) address(id market.BidID) string {
	s.t.Helper()
	status, err := s.d.Lease(s.t.Context(), id)
	if err != nil || len(status.Services) != 1 || len(status.Services[0].Addresses) != 1 {
		s.t.Fatalf("status %+v, %v", status, err)
	}
	a := status.Services[0].Addresses[0]
	w, _ := s.engine.Workload(sandbox.ID{Lease: sandbox.Lease(id.String()), Service: "web"})
	if !slices.Contains(w.Ports, sandbox.Port{Container: 8443, Host: 443, IP: a.IP}) || a.Port != 443 || a.Endpoint != "front" {
		s.t.Errorf("the status tells %+v, and the workload has the ports %+v", a, w.Ports)
	}
	return a.IP.String()
}

func TestAddressesAreLeasedAndMigrate(t *testing.T) {
	c := Config{CPU: 10_000, Memory: 1 << 40, Storage: 1 << 40, IPPool: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/31")}}
	sell := func(o *Options) { o.Capacity, o.Addresses = c.Capacity(), c.IPPool }
	virtual(t, func(s *site) {
		s.stop()
		s.run(sell)
		blue := s.ipLease(1)
		s.stop()
		s.run(sell)
		green := s.ipLease(2) // of the same owner and name, and the same port
		if a, b := s.address(blue), s.address(green); a != "192.0.2.8" || b != "192.0.2.9" {
			t.Errorf("the leases have %s and %s", a, b)
		}
		g, _ := ipOrder()
		if got := s.d.Screen(t.Context(), "", g); got.OK || got.Kind != "resource" || got.Reason != "too little ip addresses: 1 asked for, 0 free" {
			t.Errorf("a third: %+v", got)
		}
		if err := s.d.MigrateIP(t.Context(), blue, green, "back"); !errors.Is(err, api.ErrMismatch) {
			t.Errorf("an endpoint that is not there: %v", err)
		}
		if err := s.d.MigrateIP(t.Context(), blue, blue, "front"); !errors.Is(err, api.ErrMismatch) {
			t.Errorf("to itself: %v", err)
		}
		if err := s.d.MigrateIP(t.Context(), blue, green, "front"); err != nil {
			t.Fatal(err)
		}
		blocks(3)
		s.stop()
		s.run(sell)
		blocks(2)
		if a, b := s.address(blue), s.address(green); a != "192.0.2.9" || b != "192.0.2.8" {
			t.Errorf("after the migration and a restart the leases have %s and %s", a, b)
		}
		s.chain.change(func() { s.chain.end(blue, market.ByOwner) })
		blocks(3)
		if free := s.d.Status(t.Context()).Free.IPs; free != 1 {
			t.Errorf("%d addresses are free, want 1", free)
		}
		if third := s.ipLease(3); s.address(third) != "192.0.2.9" {
			t.Errorf("the third lease has %s", s.address(third))
		}
	})
}
