// Package network gives each lease a network of its own: a bridge for its
// replicas, one network namespace per start of a replica, and the rules that
// keep tenants away from each other, from the host and from its neighbours.
//
// What holds, whatever runs inside:
//
//   - replicas of one lease reach each other on every port;
//   - a replica reaches the internet through the host's address, but no
//     private, link-local, shared or multicast address, no network that the
//     host is attached to, and not the host itself;
//   - the host reaches a replica; the world reaches only published ports;
//   - a replica cannot send with an address of somebody else, nor IPv6;
//   - traffic is counted, and shaped where asked for.
//
// Nothing of this needs a process that lives: rules, bridges and shaping are
// the kernel's, and stay when the provider's daemon dies. Start at [Switch].
package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
)

// Options of a [Switch]. The zero value works.
type Options struct {
	// Prefix begins the names of all devices and of the table of rules: at
	// most 4 letters; "" means "plx". Two switches on one machine need two
	// prefixes and two pools.
	Prefix string

	// Pool is cut into networks of 254 addresses, one per lease; the zero
	// Pool means 10.64.0.0/10, which is room for 16,384 leases.
	Pool netip.Prefix

	// Addresses are public ones that leases can have for themselves, and
	// Interface is the device that takes them on while they do. Outgoing has a
	// replica's own connections come from its lease's address.
	Addresses []netip.Prefix
	Interface string
	Outgoing  bool
}

// A Switch is the networks of one engine's leases.
type Switch struct {
	prefix string
	pool   netip.Prefix
	public Options // Addresses, Interface and Outgoing

	mu       sync.Mutex
	leases   map[int]bool
	forwards Forwards
}

// A Forward is a port of this machine that is passed on to a replica.
type Forward struct {
	IP   netip.Addr // a leased address; the zero Addr means all of the machine's own
	Port uint16
	UDP  bool
}

// Forwards tell who is behind each port: one replica, or for a leased address
// also several of one lease, which take turns.
type Forwards map[Forward][]netip.AddrPort

// New prepares this machine for networks, and sets the rules for those that
// [Switch.Restore] is told of and no others.
func New(o Options) (*Switch, error) {
	s := &Switch{prefix: o.Prefix, pool: o.Pool, public: o, leases: map[int]bool{}, forwards: Forwards{}}
	if s.prefix == "" {
		s.prefix = "plx"
	}
	if s.pool == (netip.Prefix{}) {
		s.pool = netip.MustParsePrefix("10.64.0.0/10")
	}
	if len(s.prefix) > 4 {
		return nil, fmt.Errorf("network: the prefix %q of device names has more than 4 letters", s.prefix)
	}
	if !s.pool.Addr().Is4() || s.pool.Bits() > 24 || s.pool != s.pool.Masked() {
		return nil, fmt.Errorf("network: the pool %s is no IPv4 network of at least 256 addresses", s.pool)
	}
	for _, a := range o.Addresses {
		if !a.Addr().Is4() || a != a.Masked() || o.Interface == "" {
			return nil, fmt.Errorf("network: addresses for lease %s on the interface %q: want an IPv4 network, as 203.0.113.16/28, and the device that faces the internet", a, o.Interface)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return nil, fmt.Errorf("network: allow forwarding: %w", err)
	}
	return s, nil
}

// Size is how many leases have room.
func (s *Switch) Size() int { return 1 << (24 - s.pool.Bits()) }

// Restore takes up networks and forwards that an earlier process made, and
// replaces the rules by those for them.
func (s *Switch) Restore(leases []int, forwards Forwards) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lease := range leases {
		s.leases[lease] = true
	}
	maps.Copy(s.forwards, forwards)
	return s.apply()
}

// Network returns the addresses of a lease, numbered from 0 to [Switch.Size].
func (s *Switch) Network(lease int) netip.Prefix {
	base := s.pool.Addr().As4()
	n := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8
	n += uint32(lease) << 8
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 0}), 24)
}

// Address returns a lease's host-th address. 1 is the gateway, 2 to 254 are
// replicas'.
func (s *Switch) Address(lease, host int) netip.Addr {
	a := s.Network(lease).Addr().As4()
	a[3] = byte(host)
	return netip.AddrFrom4(a)
}

func (s *Switch) bridge(lease int) string { return fmt.Sprintf("%s%d", s.prefix, lease) }

func (s *Switch) veth(lease, host int) string { return fmt.Sprintf("%s%dv%d", s.prefix, lease, host) }

// Prepare makes a lease's bridge, to which replicas are plugged. It carries
// nothing before [Switch.Open], which may be called next to [Switch.Plug].
func (s *Switch) Prepare(lease int) error {
	name := s.bridge(lease)
	_, err := netlink.LinkByName(name)
	var absent netlink.LinkNotFoundError
	if errors.As(err, &absent) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	}
	if err != nil {
		return fmt.Errorf("network: bridge %s: %w", name, err)
	}
	// IPv6 is off before the bridge is up. A kernel without IPv6 has no file.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0o644)
	return nil
}

// Open makes a lease's network work, and passes ports of this machine on to
// its replicas. A network that is there is mended. A port that is passed on
// elsewhere already is an error, and then none is.
func (s *Switch) Open(lease int, forwards Forwards) error {
	name := s.bridge(lease)
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("network: bridge %s: %w", name, err)
	}
	// The rules come first: a bridge is never up without them.
	if err := s.admit(lease, forwards); err != nil {
		return err
	}
	gateway := &netlink.Addr{IPNet: &net.IPNet{IP: s.Address(lease, 1).AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrReplace(link, gateway); err != nil {
		return fmt.Errorf("network: address of %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("network: start %s: %w", name, err)
	}
	return nil
}

// Close takes a lease's network away; one that is gone is no error.
func (s *Switch) Close(lease int) error {
	err := deleteLink(s.bridge(lease))
	return errors.Join(err, s.change(func() {
		delete(s.leases, lease)
		s.forget(s.Network(lease).Contains)
	}))
}

// admit sets the rules for a lease and its forwards.
func (s *Switch) admit(lease int, forwards Forwards) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, to := range forwards {
		for _, was := range s.forwards[f] {
			if !slices.Contains(to, was) && (!f.IP.IsValid() || !together(was, to[0])) {
				return fmt.Errorf("network: port %d of %s is another workload's", f.Port, f.where())
			}
		}
	}
	for f, to := range forwards {
		for _, t := range to {
			if !slices.Contains(s.forwards[f], t) {
				s.forwards[f] = append(slices.Clip(s.forwards[f]), t)
			}
		}
	}
	s.leases[lease] = true
	return s.apply()
}

// where names the machine, or the leased address.
func (f Forward) where() string {
	if f.IP.IsValid() {
		return f.IP.String()
	}
	return "this machine"
}

// together tells whether two replicas are of one lease.
func together(a, b netip.AddrPort) bool {
	return netip.PrefixFrom(a.Addr(), 24).Masked() == netip.PrefixFrom(b.Addr(), 24).Masked()
}

// Withdraw takes away all forwards to an address.
func (s *Switch) Withdraw(from netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.forget(func(a netip.Addr) bool { return a == from }) {
		return nil
	}
	return s.apply()
}

// forget drops forwards to some addresses, and tells whether there were any.
// The caller holds s.mu.
func (s *Switch) forget(gone func(netip.Addr) bool) bool {
	any := false
	for f, to := range s.forwards {
		left := slices.DeleteFunc(slices.Clone(to), func(t netip.AddrPort) bool { return gone(t.Addr()) })
		any = any || len(left) < len(to)
		if s.forwards[f] = left; len(left) == 0 {
			delete(s.forwards, f)
		}
	}
	return any
}

func (s *Switch) change(edit func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	return s.apply()
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	var absent netlink.LinkNotFoundError
	if errors.As(err, &absent) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("network: delete %s: %w", name, err)
	}
	return nil
}
