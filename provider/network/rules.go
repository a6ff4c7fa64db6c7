package network

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// closed are the networks that no tenant reaches, by RFC 6890 and its
// successors: this host, private, shared (RFC 6598), loopback, link-local with
// the clouds' metadata services, protocol assignments, benchmarks, multicast
// and reserved.
const closed = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, " +
	"192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3"

// rules is the whole table. It is replaced in one transaction, so that there
// is no moment without rules and none with half of them.
//
// Packets within a bridge pass these rules too if the host has br_netfilter.
// A verdict "accept" ends this table only: rules of the host's own still hold.
const rules = `table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	set leases { type ifname; %[2]s }
	set sources { type ifname . ipv4_addr; flags interval; %[3]s }
	set within { type ifname . ifname; %[7]s }
	set neighbours { type ipv4_addr; flags interval; auto-merge; %[4]s }
	map ports { type inet_proto . inet_service : ipv4_addr . inet_service; %[5]s }
	set addresses { type ipv4_addr; %[8]s }
	map outgoing { type ipv4_addr : ipv4_addr; %[10]s }
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname . oifname @within accept
		iifname @leases jump leaving
		oifname @leases jump entering
	}
	chain leaving {
		meta nfproto ipv6 counter drop
		iifname . ip saddr != @sources counter drop
		ct state established,related accept
		ip daddr { %[6]s } counter drop
		ip daddr @neighbours counter drop
	}
	chain entering {
		ct state established,related accept
		ct status dnat accept
		counter drop
	}
	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname @leases ct state established,related accept
		iifname @leases counter drop
		iifname != "lo" ip daddr @addresses meta l4proto != icmp counter drop
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
%[9]s		iifname != @leases ip daddr != @addresses fib daddr type local dnat ip to meta l4proto . th dport map @ports
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		iifname @leases oifname != @leases snat ip to ip saddr map @outgoing
		iifname @leases oifname != @leases masquerade
	}
}
`

// apply replaces the kernel's rules by those of s. The caller holds s.mu.
func (s *Switch) apply() error {
	var leases, within, sources, ports []string
	for _, lease := range slices.Sorted(maps.Keys(s.leases)) {
		leases = append(leases, fmt.Sprintf("%q", s.bridge(lease)))
		within = append(within, fmt.Sprintf("%[1]q . %[1]q", s.bridge(lease)))
		sources = append(sources, fmt.Sprintf("%q . %s", s.bridge(lease), s.Network(lease)))
	}
	for f, to := range s.forwards {
		if !f.IP.IsValid() {
			ports = append(ports, fmt.Sprintf("%s . %d : %s . %d", f.protocol(), f.Port, to[0].Addr(), to[0].Port()))
		}
	}
	slices.Sort(ports)
	neighbours, err := s.neighbours()
	if err != nil {
		return err
	}
	public := s.leased()
	// An address is never this machine's without the rules for it.
	if err := nft(fmt.Sprintf(rules, s.prefix, elements(leases), elements(sources), elements(neighbours), elements(ports), closed, elements(within),
		elements(public.addresses), public.rules, elements(public.outgoing))); err != nil {
		return err
	}
	return s.takeOn()
}

func (f Forward) protocol() string {
	if f.UDP {
		return "udp"
	}
	return "tcp"
}

func elements(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "elements = { " + strings.Join(list, ", ") + " }"
}

// neighbours are the networks that this machine is attached to: a public
// address there is a neighbour's, behind whatever guards the provider's site.
func (s *Switch) neighbours() ([]string, error) {
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("network: this machine's addresses: %w", err)
	}
	seen := map[string]bool{}
	for _, a := range addresses {
		if ones, _ := a.Mask.Size(); ones == 0 {
			continue // would be the whole internet
		}
		n := net.IPNet{IP: a.IP.Mask(a.Mask), Mask: a.Mask}
		seen[n.String()] = true
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// nft gives a ruleset to the kernel, all of it or nothing.
func nft(text string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("network: %w: install nftables", err)
	}
	if err != nil {
		return fmt.Errorf("network: set the rules: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Destroy takes away the rules; for an engine that will not come back.
func (s *Switch) Destroy() error {
	return nft(fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", s.prefix))
}
