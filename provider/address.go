package provider

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
)

// others are records but those of some leases.
func others(records []*lease.Record, but ...string) []*lease.Record {
	return slices.DeleteFunc(records, func(r *lease.Record) bool { return slices.Contains(but, r.ID) })
}

// siblings are those of records that are of one owner.
func siblings(owner string, records []*lease.Record) []*lease.Record {
	return slices.DeleteFunc(slices.Clone(records), func(r *lease.Record) bool {
		id, err := market.ParseBidID(r.ID)
		return err != nil || id.Owner != owner
	})
}

// lend gives a lease the addresses that its manifest asks for. before are
// those that it has. The caller holds d.manifests.
func (d *Daemon) lend(owner string, r *lease.Record, before []lease.Address) error {
	rest := others(d.records(), r.ID)
	taken := map[netip.Addr]bool{}
	for _, o := range rest {
		for _, a := range o.Addresses {
			taken[a.IP] = true
		}
	}
	for _, a := range before {
		taken[a.IP] = true
	}
	err := r.Lend(before, siblings(owner, rest), func() (netip.Addr, error) {
		for _, pool := range d.o.Addresses {
			for ip := pool.Addr(); pool.Contains(ip); ip = ip.Next() {
				if !taken[ip] {
					taken[ip] = true
					return ip, nil
				}
			}
		}
		return netip.Addr{}, fmt.Errorf("%w: none of the %d addresses for lease is free", api.ErrAway, len(taken))
	})
	if err != nil {
		return fmt.Errorf("lease an address: %w", err)
	}
	return nil
}

// MigrateIP implements [api.Desk].
func (d *Daemon) MigrateIP(_ context.Context, from, to market.BidID, endpoint string) error {
	if from.Owner != to.Owner || from == to {
		return fmt.Errorf("%w: an address goes from one lease to another of the same owner", api.ErrMismatch)
	}
	d.manifests.Lock()
	defer d.manifests.Unlock()
	var keepers []*lease.Keeper
	var had []*lease.Record
	for _, id := range []market.BidID{from, to} {
		k, err := d.Keeper(id)
		if err != nil {
			return err
		}
		r := k.Record()
		if r == nil {
			return fmt.Errorf("%w: the manifest of lease %v has not come yet", api.ErrMismatch, id)
		}
		keepers, had = append(keepers, k), append(had, r)
	}
	a, b, err := lease.Swap(had[0], had[1], endpoint, others(d.records(), had[0].ID, had[1].ID))
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrMismatch, err)
	}
	for i, r := range []*lease.Record{a, b} {
		if err := d.books.Put(r); err != nil {
			return fmt.Errorf("%w: keep lease %s: %w", api.ErrAway, r.ID, err)
		}
		keepers[i].Adopt(r)
	}
	return nil
}
