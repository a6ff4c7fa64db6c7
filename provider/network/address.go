package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// public are the parts of the rules that leased addresses need.
type public struct {
	addresses []string
	rules     string // of the chain prerouting
	outgoing  []string
}

// leased makes them. The caller holds s.mu.
func (s *Switch) leased() public {
	var p public
	var rules []string
	from := map[netip.Addr]netip.Addr{}
	for f, to := range s.forwards {
		if !f.IP.IsValid() {
			continue
		}
		p.addresses = append(p.addresses, f.IP.String())
		var turns []string
		for i, t := range to {
			turns = append(turns, fmt.Sprintf("%d : %s . %d", i, t.Addr(), t.Port()))
			if was, has := from[t.Addr()]; s.public.Outgoing && (!has || f.IP.Less(was)) {
				from[t.Addr()] = f.IP
			}
		}
		rules = append(rules, fmt.Sprintf("\t\tiifname != @leases ip daddr %s meta l4proto %s th dport %d dnat ip to numgen inc mod %d map { %s }\n",
			f.IP, f.protocol(), f.Port, len(to), strings.Join(turns, ", ")))
	}
	for replica, ip := range from {
		p.outgoing = append(p.outgoing, fmt.Sprintf("%s : %s", replica, ip))
	}
	slices.Sort(rules)
	slices.Sort(p.outgoing)
	slices.Sort(p.addresses)
	p.addresses, p.rules = slices.Compact(p.addresses), strings.Join(rules, "")
	return p
}

// takeOn gives the interface the addresses that are leased, and takes from it
// those of the pool that are not, also those that an earlier process left. The
// caller holds s.mu.
func (s *Switch) takeOn() error {
	wanted := map[netip.Addr]bool{}
	for f := range s.forwards {
		if f.IP.IsValid() {
			wanted[f.IP] = true
		}
	}
	if s.public.Interface == "" {
		if len(wanted) > 0 {
			return fmt.Errorf("network: %v are leased, and no interface takes them on", slices.Collect(maps.Keys(wanted)))
		}
		return nil
	}
	link, err := netlink.LinkByName(s.public.Interface)
	if err != nil {
		return fmt.Errorf("network: the interface %s for leased addresses: %w", s.public.Interface, err)
	}
	has, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("network: addresses of %s: %w", s.public.Interface, err)
	}
	var errs []error
	for _, a := range has {
		ip, _ := netip.AddrFromSlice(a.IP.To4()) // of four bytes
		switch ones, _ := a.Mask.Size(); {
		case wanted[ip]:
			delete(wanted, ip)
		case ones == 32 && s.ours(ip):
			errs = append(errs, netlink.AddrDel(link, &a))
		}
	}
	for ip := range wanted {
		errs = append(errs, netlink.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(32, 32)}}))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("network: leased addresses on %s: %w", s.public.Interface, err)
	}
	return nil
}

func (s *Switch) ours(ip netip.Addr) bool {
	return slices.ContainsFunc(s.public.Addresses, func(p netip.Prefix) bool { return p.Contains(ip) })
}
