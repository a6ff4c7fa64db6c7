package provider

import (
	"context"
	"fmt"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// Kind is what the market calls a graphics processor.
func kind(g sandbox.GPU) market.GPUKind {
	return market.GPUKind{Vendor: g.Vendor, Model: g.Model, RAM: fmt.Sprintf("%dGi", g.Memory>>30), Interface: g.Interface}
}

// assign puts graphics processors aside for a lease's replicas. before are
// those that it has. The caller holds d.manifests.
func (d *Daemon) assign(ctx context.Context, id market.BidID, r *lease.Record, before []lease.Device) error {
	offers, ok := d.offer(id)
	if !ok {
		return fmt.Errorf("%w: the chain was not heard yet on what was offered for this lease; send the manifest again", api.ErrAway)
	}
	taken, err := d.devices(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrAway, err)
	}
	for _, b := range before {
		taken[b.GPU.Number] = r.ID
	}
	r.Claim = inventory.OfOffers(offers, d.o.Overhead)
	r.GPUs, err = lease.Assign(r.Group, offers, before, func(wanted string) (sandbox.GPU, error) {
		for _, g := range d.o.GPUs {
			if kind(g).Key() == wanted && taken[g.Number] == "" {
				taken[g.Number] = r.ID
				return g, nil
			}
		}
		return sandbox.GPU{}, fmt.Errorf("%w: no device %s is free now, though one was promised; it is freed when a lease that has ended is cleared away", api.ErrAway, wanted)
	})
	return err
}

// offer is what was offered for a lease.
func (d *Daemon) offer(id market.BidID) ([]market.Offer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		for _, b := range d.last.Bids {
			if b.ID == id {
				return b.Offer, true
			}
		}
	}
	p, ok := d.placed[id.String()]
	return p.offer, ok
}

// devices tells which devices other leases have: by their records, and by what
// runs, if a record was lost.
func (d *Daemon) devices(ctx context.Context, but string) (map[int]string, error) {
	taken := map[int]string{}
	add := func(r *lease.Record) {
		if r == nil || r.ID == but {
			return
		}
		for _, g := range r.GPUs {
			taken[g.GPU.Number] = r.ID
		}
	}
	for _, k := range d.all() {
		add(k.keeper.Record())
	}
	d.mu.Lock()
	for _, r := range d.stray {
		add(r)
	}
	d.mu.Unlock()
	all, err := d.o.Engine.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what runs: %w", err)
	}
	for _, s := range all {
		for _, g := range s.GPUs {
			if string(s.ID.Lease) != but {
				taken[g.Number] = string(s.ID.Lease)
			}
		}
	}
	return taken, nil
}
