package lease_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// addressed is a record whose service has ports at endpoints, as "front:80" or
// "front:53/UDP".
func addressed(id string, entrances ...string) *lease.Record {
	s := service("web", 2)
	for _, text := range entrances {
		name, port, _ := strings.Cut(text, ":")
		e := manifest.Expose{Port: 8080, Proto: "TCP", Global: true, IP: name}
		if p, ok := strings.CutSuffix(port, "/UDP"); ok {
			port, e.Proto = p, "UDP"
		}
		_, _ = fmt.Sscan(port, &e.ExternalPort)
		s.Expose = append(s.Expose, e)
	}
	r := record("a", s)
	r.ID = id
	return r
}

// pool hands out 192.0.2.1 and those that follow.
func pool() func() (netip.Addr, error) {
	ip := netip.MustParseAddr("192.0.2.0")
	return func() (netip.Addr, error) {
		if ip = ip.Next(); ip.As4()[3] > 9 {
			return ip, errors.New("none left")
		}
		return ip, nil
	}
}

func ips(r *lease.Record) string {
	var all []string
	for _, a := range r.Addresses {
		all = append(all, a.Endpoint+"="+a.IP.String())
	}
	return strings.Join(all, " ")
}

func TestLendSharesByNameUnlessPortsClash(t *testing.T) {
	free := pool()
	var siblings []*lease.Record
	for i, c := range []struct {
		entrances []string
		want      string
	}{
		{[]string{"front:80", "front:443"}, "front=192.0.2.1"},
		{[]string{"front:53/UDP", "front:80/UDP"}, "front=192.0.2.1"}, // another protocol
		{[]string{"back:80"}, "back=192.0.2.2"},
		{[]string{"front:443", "back:81"}, "back=192.0.2.2 front=192.0.2.3"}, // 443 is taken
		{[]string{"front:444"}, "front=192.0.2.1"},
		{[]string{"front:444"}, "front=192.0.2.3"}, // the first of the two on which it is free
	} {
		r := addressed(fmt.Sprint("lease ", i), c.entrances...)
		if err := r.Lend(nil, siblings, free); err != nil || ips(r) != c.want {
			t.Errorf("%q gets %s, %v, want %s", c.entrances, ips(r), err, c.want)
		}
		siblings = append(siblings, r)
	}
	again := addressed("lease 0", "front:80", "front:8443")
	if err := again.Lend(siblings[0].Addresses, siblings[1:], free); err != nil || ips(again) != "front=192.0.2.1" {
		t.Errorf("a new manifest gets %s, %v, want the address it had", ips(again), err)
	}
	none := func() (netip.Addr, error) { return netip.Addr{}, errors.New("none left") }
	if err := addressed("x", "new:80").Lend(nil, siblings, none); err == nil || !strings.Contains(err.Error(), "endpoint new: none left") {
		t.Errorf("an empty pool: %v", err)
	}
}

func TestSwapExchangesAddresses(t *testing.T) {
	free := pool()
	blue, green, other := addressed("blue", "front:80"), addressed("green", "front:80"), addressed("other", "front:22")
	if err := errors.Join(blue.Lend(nil, nil, free), green.Lend(nil, []*lease.Record{blue}, free)); err != nil {
		t.Fatal(err)
	}
	a, b, err := lease.Swap(blue, green, "front", nil)
	if err != nil || ips(a) != "front=192.0.2.2" || ips(b) != "front=192.0.2.1" {
		t.Fatalf("swapped to %v and %v, %v", a, b, err)
	}
	if ips(blue) != "front=192.0.2.1" || ips(green) != "front=192.0.2.2" {
		t.Error("the records before were changed")
	}
	other.Addresses = slices.Clone(green.Addresses)
	if _, _, err := lease.Swap(blue, green, "front", []*lease.Record{other}); err != nil {
		t.Errorf("beside a lease with other ports: %v", err)
	}
	clash := addressed("clash", "front:80")
	clash.Addresses = green.Addresses
	if _, _, err := lease.Swap(blue, green, "front", []*lease.Record{clash}); !errors.Is(err, lease.ErrShared) || !strings.Contains(err.Error(), "TCP port 80 of 192.0.2.2") {
		t.Errorf("beside a lease with the same port: %v", err)
	}
	if _, _, err := lease.Swap(blue, green, "back", nil); err == nil || !strings.Contains(err.Error(), `no endpoint "back"; it has ["front"]`) {
		t.Errorf("an endpoint that is not there: %v", err)
	}
	if _, _, err := lease.Swap(green, other, "front", nil); err == nil || !strings.Contains(err.Error(), "share 192.0.2.2 already") {
		t.Errorf("an address that both have: %v", err)
	}
}

func TestPlanOpensLeasedPortsOnEveryReplica(t *testing.T) {
	r := addressed(leaseID, "front:80", "front:53/UDP")
	if err := r.Lend(nil, nil, pool()); err != nil {
		t.Fatal(err)
	}
	images := imagesOf(t, "web")
	all, err := lease.Plan(r, images, "example.com")
	if err != nil || len(all) != 2 {
		t.Fatalf("%d workloads, %v", len(all), err)
	}
	ip := netip.MustParseAddr("192.0.2.1")
	want := []sandbox.Port{{Container: 8080, Host: 80, IP: ip}, {Container: 8080, Host: 53, UDP: true, IP: ip}}
	for _, w := range all {
		if !slices.Equal(w.Ports, want) {
			t.Errorf("%s has the ports %+v, want %+v", w.ID, w.Ports, want)
		}
	}
}
