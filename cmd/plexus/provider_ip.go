package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// minPoolBits bounds a range to 65,536 addresses.
const minPoolBits = 16

// readPool reads which addresses tenants can lease.
func (s *seller) readPool() error {
	for _, text := range s.pool {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, bad := netip.ParseAddr(text)
			if bad != nil {
				return fmt.Errorf("--ip-pool %q: want addresses as 203.0.113.16/28", text)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		if !p.Addr().Is4() || p != p.Masked() || p.Bits() < minPoolBits {
			return fmt.Errorf("--ip-pool %q: want an IPv4 range that begins at its first address and has at most %d, as 203.0.113.16/28", text, 1<<(32-minPoolBits))
		}
		for _, had := range s.c.IPPool {
			if had.Overlaps(p) {
				return fmt.Errorf("--ip-pool %s: overlaps %s", p, had)
			}
		}
		s.c.IPPool = append(s.c.IPPool, p)
	}
	if len(s.c.IPPool) == 0 {
		return nil
	}
	return s.checkLink()
}

// checkLink makes sure that no address for lease is the machine's own.
func (s *seller) checkLink() error {
	if s.c.IPLink == "" {
		return errors.New("--ip-pool needs --ip-interface, the device that faces the internet, as eth0")
	}
	if _, err := net.InterfaceByName(s.c.IPLink); err != nil {
		return fmt.Errorf("--ip-interface %s: %w", s.c.IPLink, err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range own {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP.To4())
		ones, _ := n.Mask.Size()
		for _, p := range s.c.IPPool {
			if ok && ones < 32 && p.Contains(ip) { // those of 32 bits are leased already
				return fmt.Errorf("--ip-pool %s: %s is this machine's own", p, ip)
			}
		}
	}
	return nil
}
