package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
)

var _ api.Desk = (*Daemon)(nil)

// Status implements [api.Desk].
func (d *Daemon) Status(context.Context) api.Status {
	d.mu.Lock()
	s := api.Status{
		Provider: d.o.Account, Engine: d.report.Engine, Missing: d.report.Missing, Leases: len(d.keepers), Reason: d.hindrance(),
	}
	s.Bidding = s.Reason == ""
	if d.last != nil {
		s.Height, s.Time = uint64(d.last.Height), d.last.Time
		for _, b := range d.last.Bids {
			if b.State == market.BidOpen {
				s.Bids++
			}
		}
	}
	s.Sold = d.sold
	d.mu.Unlock()
	s.Capacity, s.Free, s.Used = d.inventory.Capacity(), d.inventory.Free(), d.meter.total()
	return s
}

// still is how long after a round without a new one the chain is held to
// stand still.
const still = 30 * time.Second

// hindrance tells why there are no bids now, or "". The caller holds d.mu.
func (d *Daemon) hindrance() string {
	switch away := time.Since(d.answered); {
	case d.trouble != "":
		return d.trouble
	case away > still:
		return fmt.Sprintf("no block for %v: the chain stands still, or its node does not answer", away.Round(time.Second))
	case d.o.DryRun:
		return "dry run"
	}
	return ""
}

// Screen implements [api.Desk].
func (d *Daemon) Screen(ctx context.Context, owner string, g market.GroupSpec) api.Screening {
	d.mu.Lock()
	s, reason := d.last, d.hindrance()
	d.mu.Unlock()
	if reason != "" {
		return api.Screening{Kind: "bidding", Reason: reason}
	}
	o := market.Order{ID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: owner}}}, State: market.OrderOpen, Spec: g}
	b, _, no := d.decide(ctx, s, o, &opinion{})
	if no != nil {
		return *no
	}
	return api.Screening{OK: true, Price: b.Price.String()}
}

// Keeper implements [api.Desk].
func (d *Daemon) Keeper(id market.BidID) (*lease.Keeper, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keepers[id.String()]; k != nil {
		return k.keeper, nil
	}
	return nil, fmt.Errorf("%w: %v", api.ErrNoLease, id)
}

// Past implements [api.Desk].
func (d *Daemon) Past(id market.BidID) (*lease.Past, error) {
	p, err := d.histories.Past(id.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %v", api.ErrNoLease, id)
	}
	return p, err
}

// Manifest implements [api.Desk].
func (d *Daemon) Manifest(ctx context.Context, owner string, dseq uint64, m manifest.Manifest) ([]string, error) {
	id := market.DeploymentID{Owner: owner, DSeq: dseq}
	got, err := d.o.Chain.Deployment(ctx, id)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, fmt.Errorf("%w: the chain has no deployment %v", api.ErrNoLease, id)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", api.ErrAway, err)
	case len(got.Leases) == 0:
		return nil, fmt.Errorf("%w: no lease of deployment %v with this provider runs", api.ErrNoLease, id)
	case m.Hash() != got.Hash:
		return nil, fmt.Errorf("%w: this manifest's hash is %v, the deployment's on the chain %v; update the deployment first", api.ErrMismatch, m.Hash(), got.Hash)
	}
	var groups []market.GroupSpec
	for _, gseq := range slices.Sorted(maps.Keys(got.Groups)) {
		groups = append(groups, got.Groups[gseq])
	}
	if err := m.Check(groups); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrMismatch, err)
	}
	d.manifests.Lock()
	defer d.manifests.Unlock()
	var leases []string
	for _, l := range got.Leases {
		if err := d.adopt(ctx, l, got.Groups[l.GSeq], m); err != nil {
			return leases, err
		}
		leases = append(leases, l.String())
	}
	d.route()
	return leases, nil
}

// adopt takes in a lease's part of a manifest.
func (d *Daemon) adopt(ctx context.Context, id market.BidID, spec market.GroupSpec, m manifest.Manifest) error {
	i := slices.IndexFunc(m, func(g manifest.Group) bool { return g.Name == spec.Name })
	if i < 0 {
		return fmt.Errorf("%w: no group %q", api.ErrMismatch, spec.Name) // m.Check saw it
	}
	k := d.keep(id, nil)
	if k == nil {
		return fmt.Errorf("%w: the provider is stopping", api.ErrAway)
	}
	r := &lease.Record{ID: id.String(), Hash: m.Hash().String(), Group: m[i], Claim: inventory.Of(spec, d.o.Overhead)}
	var before []lease.Port
	var devices []lease.Device
	var addresses []lease.Address
	if had := k.keeper.Record(); had != nil {
		before, devices, addresses = had.Ports, had.GPUs, had.Addresses
		if had.Hash == r.Hash {
			return nil // it runs
		}
	}
	waits, err := d.claim(id, r)
	if err != nil {
		return err
	}
	if r.Ports, err = lease.Publish(m[i], before, d.ports(before)); err != nil {
		return err
	}
	if r.Claim.GPU > 0 {
		if err := d.assign(ctx, id, r, devices); err != nil {
			return err
		}
	}
	if err := d.lend(id.Owner, r, addresses); err != nil {
		return err
	}
	if err := d.books.Put(r); err != nil {
		d.written(err)
		return fmt.Errorf("%w: keep the manifest: %w", api.ErrAway, err)
	}
	k.keeper.Adopt(r)
	for _, host := range waits {
		k.keeper.Event("", "name", host+" still leads to another lease of yours; plexus lease migrate-host, or that lease's end, moves it here")
	}
	return nil
}

// hosts are the names that a tenant chose.
func hosts(r *lease.Record) []string {
	var all []string
	for _, s := range r.Group.Services {
		for _, e := range s.Expose {
			if e.Ingress() {
				all = append(all, e.Hosts...)
			}
		}
	}
	return all
}

// ports returns what finds a port of this machine that no lease has, nor
// before.
func (d *Daemon) ports(before []lease.Port) func(udp bool) (uint16, error) {
	type port struct {
		number uint16
		udp    bool
	}
	taken := map[port]bool{}
	add := func(all []lease.Port) {
		for _, p := range all {
			taken[port{p.Host, p.UDP}] = true
		}
	}
	add(before)
	for _, k := range d.all() {
		if r := k.keeper.Record(); r != nil {
			add(r.Ports)
		}
	}
	return func(udp bool) (uint16, error) {
		for n := int(d.o.Ports[0]); n <= int(d.o.Ports[1]); n++ {
			if p := (port{uint16(n), udp}); !taken[p] {
				taken[p] = true
				return p.number, nil
			}
		}
		return 0, fmt.Errorf("%w: no port of %d to %d is free", api.ErrAway, d.o.Ports[0], d.o.Ports[1])
	}
}

// Lease implements [api.Desk].
func (d *Daemon) Lease(_ context.Context, id market.BidID) (api.LeaseStatus, error) {
	k, err := d.Keeper(id)
	if err != nil {
		return api.LeaseStatus{}, err
	}
	s := api.LeaseStatus{ID: id.String(), Services: []api.Service{}}
	r := k.Record()
	if r == nil {
		return s, nil
	}
	s.Hash, s.Trouble, s.Ready = r.Hash, k.Trouble(), k.Settled()
	replicas := k.Replicas()
	for _, service := range r.Group.Services {
		one := api.Service{Name: service.Name, Total: int(service.Count), Replicas: []api.Replica{}}
		for _, p := range r.Ports {
			if p.Service == service.Name {
				one.Ports = append(one.Ports, p)
			}
		}
		one.URLs, one.Names = d.urls(r, service)
		one.Addresses = addresses(r, service)
		for _, replica := range replicas {
			if replica.ID.Service != service.Name || replica.ID.Replica >= one.Total {
				continue
			}
			one.Replicas = append(one.Replicas, d.replica(replica))
			if replica.State == sandbox.Running {
				one.Running++
			}
		}
		s.Ready = s.Ready && one.Running == one.Total
		s.Services = append(s.Services, one)
	}
	return s, nil
}

func (d *Daemon) replica(r lease.Replica) api.Replica {
	out := api.Replica{Number: r.ID.Replica, State: "waiting", Since: r.Started, Restarts: r.Restarts, Used: d.meter.of(r.ID)}
	if r.State != 0 {
		out.State = r.State.String()
	}
	if r.State == sandbox.Exited || r.State == sandbox.Failed {
		out.Since, out.Code, out.Reason = r.Ended, r.Code, string(r.Reason)
		if r.Detail != "" {
			out.Reason += ": " + r.Detail
		}
	}
	return out
}

// addresses are the ports of leased addresses that lead to a service.
func addresses(r *lease.Record, s manifest.Service) []api.Address {
	var all []api.Address
	for _, e := range s.Expose {
		for _, a := range r.Addresses {
			if e.Global && e.IP == a.Endpoint {
				all = append(all, api.Address{Endpoint: a.Endpoint, IP: a.IP, Port: uint16(e.External()), UDP: e.Proto == "UDP"})
			}
		}
	}
	return all
}

// urls are where the world finds a service by the ingress, and the names that
// its tenant chose.
func (d *Daemon) urls(r *lease.Record, s manifest.Service) (all []string, chosen []api.Name) {
	d.mu.Lock()
	serves := d.names
	d.mu.Unlock()
	for _, e := range s.Expose {
		if !e.Ingress() {
			continue
		}
		all = append(all, d.url(lease.HostName(r.ID, s.Name, e.Port)+"."+d.o.Domain))
		for _, host := range e.Hosts {
			here := serves[host] == r.ID
			if chosen = append(chosen, api.Name{Host: host, Here: here}); here {
				all = append(all, d.url(host))
			}
		}
	}
	return all, chosen
}
