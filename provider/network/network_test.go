package network

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNetworksDoNotOverlap(t *testing.T) {
	s := &Switch{prefix: "plx", pool: netip.MustParsePrefix("10.64.0.0/10")}
	if got := s.Size(); got != 16384 {
		t.Errorf("room for %d leases, want 16384", got)
	}
	seen := map[netip.Prefix]bool{}
	for n := range s.Size() {
		p := s.Network(n)
		if seen[p] || !s.pool.Overlaps(p) || p.Bits() != 24 {
			t.Fatalf("lease %d has %s, outside %s or another's", n, p, s.pool)
		}
		seen[p] = true
	}
	if got, want := s.Address(16383, 254).String(), "10.127.255.254"; got != want {
		t.Errorf("the last address is %s, want %s", got, want)
	}
	if name := s.veth(16383, 254); len(name) > 15 {
		t.Errorf("the device name %q has more than 15 bytes", name)
	}
}

func TestNewRefusesBadPools(t *testing.T) {
	for _, o := range []Options{
		{Prefix: "plexus"},
		{Pool: netip.MustParsePrefix("10.0.0.0/25")},
		{Pool: netip.MustParsePrefix("10.0.0.1/16")},
		{Pool: netip.MustParsePrefix("fd00::/8")},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "network:") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestElements(t *testing.T) {
	if got := elements(nil); got != "" {
		t.Errorf("none: %q", got)
	}
	if got, want := elements([]string{"a", "b"}), "elements = { a, b }"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLeasedAddressesLeadToTheirReplicasInTurns(t *testing.T) {
	ip, low := netip.MustParseAddr("203.0.113.33"), netip.MustParseAddr("203.0.113.32")
	one, two := netip.MustParseAddrPort("10.64.0.2:8080"), netip.MustParseAddrPort("10.64.0.3:8080")
	s := &Switch{public: Options{Outgoing: true}, forwards: Forwards{
		{IP: ip, Port: 80}: {one, two}, {IP: low, Port: 53, UDP: true}: {netip.AddrPortFrom(one.Addr(), 53)}, {Port: 30000}: {one},
	}}
	p := s.leased()
	want := "\t\tiifname != @leases ip daddr 203.0.113.32 meta l4proto udp th dport 53 dnat ip to numgen inc mod 1 map { 0 : 10.64.0.2 . 53 }\n" +
		"\t\tiifname != @leases ip daddr 203.0.113.33 meta l4proto tcp th dport 80 dnat ip to numgen inc mod 2 map { 0 : 10.64.0.2 . 8080, 1 : 10.64.0.3 . 8080 }\n"
	if p.rules != want {
		t.Errorf("rules\n%swant\n%s", p.rules, want)
	}
	if got := strings.Join(p.outgoing, ", "); got != "10.64.0.2 : 203.0.113.32, 10.64.0.3 : 203.0.113.33" {
		t.Errorf("connections come from %s", got)
	}
	if got := strings.Join(p.addresses, " "); got != "203.0.113.32 203.0.113.33" {
		t.Errorf("addresses %s", got)
	}
	s.public.Outgoing = false
	if p := s.leased(); len(p.outgoing) > 0 {
		t.Errorf("connections come from %q, though nobody asked for it", p.outgoing)
	}
	if err := s.takeOn(); err == nil || !strings.Contains(err.Error(), "no interface") {
		t.Errorf("without an interface: %v", err)
	}
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for _, o := range []Options{
		{Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.32/28")}},
		{Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.33/28")}, Interface: "lo"},
		{Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::/120")}, Interface: "lo"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "addresses for lease") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
