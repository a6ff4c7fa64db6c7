package lease

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/plexus-network/plexus/market/manifest"
)

// ErrShared means that two leases would share a port of one address.
var ErrShared = errors.New("lease: a port of a leased address is taken")

// Endpoints are the names of the addresses that a group asks for, in order.
func Endpoints(g manifest.Group) []string {
	var all []string
	for _, s := range g.Services {
		for _, e := range s.Expose {
			if e.Global && e.IP != "" && !slices.Contains(all, e.IP) {
				all = append(all, e.IP)
			}
		}
	}
	slices.Sort(all)
	return all
}

// An entrance is a port of an address.
type entrance struct {
	ip   netip.Addr
	port uint32
	udp  bool
}

// entrances are those of all of r's addresses, by the service behind each.
func (r *Record) entrances() map[entrance]string {
	all := map[entrance]string{}
	for _, s := range r.Group.Services {
		for _, e := range s.Expose {
			for _, a := range r.Addresses {
				if e.Global && e.IP == a.Endpoint {
					all[entrance{a.IP, e.External(), e.Proto == "UDP"}] = s.Name
				}
			}
		}
	}
	return all
}

// Clash returns nil, or an [ErrShared] that names a port of an address which
// both r and other want.
func (r *Record) Clash(other *Record) error {
	theirs := other.entrances()
	for e, service := range r.entrances() {
		if s, taken := theirs[e]; taken {
			proto := "TCP"
			if e.udp {
				proto = "UDP"
			}
			return fmt.Errorf("%w: %s port %d of %s, for service %s, is service %s's of lease %s", ErrShared, proto, e.port, e.ip, service, s, other.ID)
		}
	}
	return nil
}

// Lend gives r an address for each of its endpoints: the one that it had, else
// the one that another of its owner's leases has for an endpoint of that name,
// if no port clashes, else a free one. before are the addresses that r had,
// siblings the owner's other leases here, and free returns an address that
// nobody has, or an error when there is none.
func (r *Record) Lend(before []Address, siblings []*Record, free func() (netip.Addr, error)) error {
	r.Addresses = nil
	for _, name := range Endpoints(r.Group) {
		candidates := addressesOf(name, &Record{Addresses: before})
		if len(candidates) == 0 {
			candidates = addressesOf(name, siblings...)
		}
		found := slices.ContainsFunc(candidates, func(ip netip.Addr) bool {
			next := *r
			next.Addresses = append(slices.Clip(r.Addresses), Address{name, ip})
			fits := !slices.ContainsFunc(siblings, func(s *Record) bool { return next.Clash(s) != nil })
			if fits {
				r.Addresses = next.Addresses
			}
			return fits
		})
		if found {
			continue
		}
		ip, err := free()
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", name, err)
		}
		r.Addresses = append(r.Addresses, Address{name, ip})
	}
	return nil
}

// addressesOf are the addresses that records have for an endpoint of a name.
func addressesOf(name string, records ...*Record) []netip.Addr {
	var all []netip.Addr
	for _, r := range records {
		for _, a := range r.Addresses {
			if a.Endpoint == name && !slices.Contains(all, a.IP) {
				all = append(all, a.IP)
			}
		}
	}
	return all
}

// Swap returns records like a and b that have exchanged their addresses for an
// endpoint, or why they cannot. others are further leases that may share them.
func Swap(a, b *Record, endpoint string, others []*Record) (*Record, *Record, error) {
	mine, theirs := addressesOf(endpoint, a), addressesOf(endpoint, b)
	for _, side := range []struct {
		r   *Record
		has []netip.Addr
	}{{a, mine}, {b, theirs}} {
		if len(side.has) == 0 {
			return nil, nil, fmt.Errorf("lease %s has no endpoint %q; it has %q", side.r.ID, endpoint, Endpoints(side.r.Group))
		}
	}
	if mine[0] == theirs[0] {
		return nil, nil, fmt.Errorf("both leases share %s already for endpoint %q", mine[0], endpoint)
	}
	a, b = a.readdressed(endpoint, theirs[0]), b.readdressed(endpoint, mine[0])
	if err := a.Clash(b); err != nil {
		return nil, nil, err
	}
	for _, o := range others {
		if err := errors.Join(a.Clash(o), b.Clash(o)); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}

func (r *Record) readdressed(endpoint string, ip netip.Addr) *Record {
	next := *r
	next.Addresses = slices.Clone(r.Addresses)
	for i := range next.Addresses {
		if next.Addresses[i].Endpoint == endpoint {
			next.Addresses[i].IP = ip
		}
	}
	return &next
}
