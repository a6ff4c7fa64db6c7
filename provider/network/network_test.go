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
