package tenant

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/market"
)

// MoveHosts has names that several leases of the tenant's accept at one
// provider lead to that of a deployment: the only one of a group or, with 0, of
// all. It returns that lease. The provider says api.ErrMismatch if its manifest
// does not accept a name.
func (t *Tenant) MoveHosts(ctx context.Context, dseq uint64, gseq uint32, hosts ...string) (market.BidID, error) {
	all, err := t.Group(ctx, dseq, gseq)
	if err != nil {
		return market.BidID{}, err
	}
	if len(all) != 1 {
		return market.BidID{}, fmt.Errorf("deployment %d has %d leases that run; name the group of one", dseq, len(all))
	}
	small := make([]string, len(hosts))
	for i, host := range hosts {
		small[i] = strings.ToLower(host)
	}
	p, err := t.Provider(ctx, all[0].ID.Provider)
	if err == nil {
		err = p.Migrate(ctx, all[0].ID, small)
	}
	return all[0].ID, err
}

// MoveAddress exchanges the addresses that leases of two deployments have for
// an endpoint, which takes that both are with one provider, and returns these
// leases. gseq is the group of the first one; 0 means whichever fits.
func (t *Tenant) MoveAddress(ctx context.Context, from uint64, gseq uint32, to uint64, endpoint string) (a, b market.BidID, err error) {
	mine, err := t.Group(ctx, from, gseq)
	if err != nil {
		return a, b, err
	}
	theirs, err := t.Leases(ctx, to)
	if err != nil {
		return a, b, err
	}
	for _, one := range mine {
		for _, other := range theirs {
			if one.ID.Provider != other.ID.Provider {
				continue
			}
			p, err := t.Provider(ctx, one.ID.Provider)
			if err == nil {
				err = p.MigrateIP(ctx, one.ID, other.ID, endpoint)
			}
			return one.ID, other.ID, err
		}
	}
	return a, b, fmt.Errorf("deployments %d and %d have no provider in common; an address does not leave its provider", from, to)
}

// A Held is a leased address, and whose it is.
type Held struct {
	DSeq     uint64     `json:"dseq"`
	Group    uint32     `json:"group"`
	Provider string     `json:"provider"`
	Endpoint string     `json:"endpoint"` // as the SDL names it
	IP       netip.Addr `json:"ip"`
}

// Held returns the addresses that leases of a deployment have, each once. A
// provider that does not answer is left out.
func (t *Tenant) Held(ctx context.Context, dseq uint64) ([]Held, error) {
	leases, err := t.Leases(ctx, dseq)
	return t.held(ctx, leases), err
}

func (t *Tenant) held(ctx context.Context, leases []market.Lease) []Held {
	var all []Held
	for _, l := range leases {
		for _, s := range t.Lease(ctx, l).Services {
			for _, a := range s.Addresses {
				h := Held{l.ID.DSeq, l.ID.GSeq, l.ID.Provider, a.Endpoint, a.IP}
				if !slices.Contains(all, h) {
					all = append(all, h)
				}
			}
		}
	}
	return all
}

// Exchangeable returns the addresses of other deployments of the tenant's for
// which one could give its own: of the same endpoint at the same provider.
func (t *Tenant) Exchangeable(ctx context.Context, dseq uint64) ([]Held, error) {
	mine, err := t.Held(ctx, dseq)
	if err != nil || len(mine) == 0 {
		return nil, err
	}
	others, err := t.leases(ctx, 0, 0, true) // of all deployments
	if err != nil {
		return nil, err
	}
	others = slices.DeleteFunc(others, func(l market.Lease) bool {
		return l.ID.DSeq == dseq || !slices.ContainsFunc(mine, func(m Held) bool { return m.Provider == l.ID.Provider })
	})
	return slices.DeleteFunc(t.held(ctx, others), func(h Held) bool {
		return !slices.ContainsFunc(mine, func(m Held) bool {
			return m.Provider == h.Provider && m.Endpoint == h.Endpoint && m.IP != h.IP
		})
	}), nil
}
