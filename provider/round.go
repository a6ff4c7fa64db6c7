package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
	"github.com/plexus-network/plexus/provider/ingress"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/yuma"
)

// follow goes through a round at every block, or as many of them as Pace
// allows.
func (d *Daemon) follow(ctx context.Context) error {
	for head := range d.o.Chain.Heads(ctx) {
		began := time.Now()
		err := d.round(ctx, head)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.mu.Lock()
		if err != nil {
			d.figures.errors.WithLabelValues("round").Inc()
		}
		fresh := err != nil && d.trouble != err.Error()
		d.trouble = ""
		if err != nil {
			d.trouble = err.Error()
		}
		d.mu.Unlock()
		if fresh {
			d.o.Log.Warn("round", "height", head.Height, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(d.o.Pace - time.Since(began)):
		}
	}
	return ctx.Err()
}

// round brings what runs together with what the chain says at a height.
func (d *Daemon) round(ctx context.Context, head ledger.Head) error {
	if err := d.guard(ctx, head); err != nil {
		return err
	}
	s, err := d.o.Chain.Snapshot(ctx, head)
	if err != nil {
		return err
	}
	if err := d.settle(ctx, s); err != nil {
		return err
	}
	d.mu.Lock()
	d.figures.follow(d.last, s)
	d.last, d.answered = s, time.Now()
	d.mu.Unlock()
	d.account(s)
	d.route()
	d.charges(s)
	d.remember(head)
	return errors.Join(d.giveUp(ctx, s), d.withdraw(ctx, s), d.bid(ctx, s))
}

// guard refuses to follow another chain than before, or one that is behind
// what was seen of it: its word on what has ended would be worth nothing.
func (d *Daemon) guard(ctx context.Context, head ledger.Head) error {
	id, err := d.o.Chain.ID(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch at := d.position; {
	case at.Chain != "" && at.Chain != id:
		return fmt.Errorf("the node follows chain %s, and this provider's leases are of %s: name another node, or another home", id, at.Chain)
	case uint64(head.Height) < at.Height:
		return fmt.Errorf("the node is at block %d, and block %d was seen before: it has to catch up", head.Height, at.Height)
	}
	d.position.Chain = id
	return nil
}

// remembered is how many blocks may pass before the position is written.
const remembered = 10

// remember writes down how far the chain was followed. If it cannot, there are
// no bids until it can.
func (d *Daemon) remember(head ledger.Head) {
	d.mu.Lock()
	before := d.position.Height
	due := before == 0 || uint64(head.Height) >= before+remembered || d.news || d.full != ""
	if due {
		d.position.Height = uint64(head.Height)
	}
	now := d.position
	d.news = false
	d.mu.Unlock()
	if !due {
		return
	}
	text, err := json.Marshal(now)
	if err == nil {
		err = d.o.write(d.positionFile(), text)
	}
	d.written(err)
}

// settle begins to keep the leases that are new, and ends those that the chain
// says have ended.
func (d *Daemon) settle(ctx context.Context, s *Snapshot) error {
	known, err := d.known(ctx)
	if err != nil {
		return err
	}
	var bad []error
	for _, l := range s.Leases {
		delete(known, l.ID)
	}
	for id := range known {
		switch fate, err := d.o.Chain.Fate(ctx, id); {
		case err != nil:
			bad = append(bad, err)
		case !fate.Runs:
			bad = append(bad, d.end(ctx, id, fate.Reason))
		}
	}
	d.takeUp()
	d.welcome(s)
	for _, l := range s.Leases {
		d.keep(l.ID, nil)
	}
	return errors.Join(bad...)
}

// known are the leases of which anything is here.
func (d *Daemon) known(ctx context.Context) (map[market.BidID]bool, error) {
	all, err := d.o.Engine.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what runs: %w", err)
	}
	known := map[market.BidID]bool{}
	for _, r := range all {
		if id, err := market.ParseBidID(string(r.ID.Lease)); err == nil && id.Provider == d.o.Account {
			known[id] = true
		}
	}
	for _, k := range d.all() {
		known[k.id] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.stray {
		if id, err := market.ParseBidID(r.ID); err == nil {
			known[id] = true
		}
	}
	return known, nil
}

// end stops a lease for good and deletes its disks. Should it fail in the
// middle, the next round ends it.
func (d *Daemon) end(ctx context.Context, id market.BidID, reason market.Reason) error {
	name := id.String()
	d.mu.Lock()
	k := d.keepers[name]
	d.mu.Unlock()
	if k != nil {
		k.keeper.Event("", "closed", "the lease ended: "+reason.String())
		k.stop()
		<-k.done
	}
	d.keepPast(ctx, name, reason)
	if err := d.o.Engine.Release(ctx, sandbox.Lease(name)); err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	if err := d.books.Delete(name); err != nil {
		return fmt.Errorf("forget lease %s: %w", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if k != nil {
		d.restarts += k.keeper.Restarts()
	}
	d.figures.ended.WithLabelValues(reason.String()).Inc()
	delete(d.keepers, name)
	delete(d.later, name)
	d.stray = slices.DeleteFunc(d.stray, func(r *lease.Record) bool { return r.ID == name })
	d.o.Log.Info("lease ended", "lease", name, "reason", reason)
	d.post.Send(alert.Alert{Kind: alert.LeaseClosed, Subject: name, Text: "the lease was closed: " + reason.String()})
	return nil
}

// keepPast keeps what a lease had printed. That it cannot be kept holds up
// nothing.
func (d *Daemon) keepPast(ctx context.Context, name string, reason market.Reason) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := d.histories.Keep(ctx, d.o.Engine, name, reason.String()); err != nil {
		d.o.Log.Warn("what a lease had printed is not kept", "lease", name, "error", err)
	}
}

// A placement is a bid that was sent and that no snapshot shows yet.
type placement struct {
	claim  inventory.Amounts
	offer  []market.Offer
	height yuma.Height // of its block
}

// account makes the claims on the inventory anew: what the chain says was
// promised, what is still here of leases that ended, and bids on their way.
func (d *Daemon) account(s *Snapshot) {
	claims := map[string]inventory.Amounts{}
	for _, b := range s.Bids {
		claims[b.ID.String()] = inventory.OfOffers(b.Offer, d.o.Overhead)
	}
	for _, k := range d.all() {
		name := k.id.String()
		if _, has := claims[name]; has {
			continue
		}
		if r := k.keeper.Record(); r != nil {
			claims[name] = r.Claim
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, p := range d.placed {
		if p.height <= s.Height {
			delete(d.placed, name)
		} else if _, has := claims[name]; !has {
			claims[name] = p.claim
		}
	}
	d.inventory.Replace(claims)
	sold := inventory.Amounts{}
	for name := range d.keepers {
		sold = sold.Plus(claims[name])
	}
	d.sold = sold
}

// again is how long after a failure a bid is tried to be closed again.
const again = time.Minute

// giveUp closes the leases that this provider cannot serve: whose manifest
// does not come, and whose replicas cannot be started.
func (d *Daemon) giveUp(ctx context.Context, s *Snapshot) error {
	var bad []error
	for _, l := range s.Leases {
		name := l.ID.String()
		d.mu.Lock()
		k, later := d.keepers[name], d.later[name]
		d.mu.Unlock()
		if k == nil || time.Now().Before(later) {
			continue
		}
		reason := d.hopeless(k)
		if reason == 0 {
			continue
		}
		d.mu.Lock()
		d.later[name] = time.Now().Add(again)
		d.mu.Unlock()
		d.o.Log.Warn("lease is given up", "lease", name, "reason", reason)
		switch {
		case l.Reclaim == 0:
			err := d.o.Chain.Close(ctx, l.ID, reason)
			if err != nil {
				d.figures.errors.WithLabelValues("close").Inc()
			}
			bad = append(bad, err)
		case l.State == market.LeaseActive:
			bad = append(bad, d.o.Chain.Notice(ctx, l.ID))
		}
	}
	return errors.Join(bad...)
}

// hopeless tells why a lease should be closed, or 0.
func (d *Daemon) hopeless(k *kept) market.Reason {
	if k.keeper.Record() == nil {
		if time.Since(k.since) > d.o.ManifestTimeout && len(k.keeper.Replicas()) == 0 {
			return market.ManifestTimeout
		}
		return 0
	}
	if since := k.keeper.Trouble(); !since.IsZero() && time.Since(since) > d.o.Patience {
		return market.Unstable
	}
	return 0
}

// withdraw takes the pay of all leases, now and then.
func (d *Daemon) withdraw(ctx context.Context, s *Snapshot) error {
	if time.Since(d.paid) < d.o.Withdraw {
		return nil
	}
	d.paid = time.Now()
	var bad []error
	for _, l := range s.Leases {
		fate, err := d.o.Chain.Fate(ctx, l.ID)
		if err == nil && fate.Runs && fate.Owed >= d.o.WithdrawLeast {
			var paid string
			if paid, err = d.o.Chain.Withdraw(ctx, l.ID); err == nil {
				d.figures.paid(paid)
				d.o.Log.Info("paid", "lease", l.ID.String(), "amount", paid)
			}
		}
		if err != nil {
			d.figures.errors.WithLabelValues("withdraw").Inc()
		}
		bad = append(bad, err)
	}
	return errors.Join(bad...)
}

// route tells the ingress who serves which names.
func (d *Daemon) route() {
	records := d.records()
	serves := d.name(records)
	var routes []ingress.Route
	for _, r := range records {
		keeper := d.keeperOf(r.ID)
		if keeper == nil {
			continue // of a run before, and not taken up yet
		}
		for _, s := range r.Group.Services {
			for _, e := range s.Expose {
				if !e.Ingress() {
					continue
				}
				route := ingress.Route{
					Lease: r.ID,
					Hosts: []string{lease.HostName(r.ID, s.Name, e.Port) + "." + d.o.Domain}, HTTP: e.HTTP,
					Backends: func() []netip.AddrPort { return backends(keeper, s.Name, uint16(e.Port)) },
				}
				for _, host := range e.Hosts {
					if serves[host] == r.ID {
						route.Hosts = append(route.Hosts, host)
					}
				}
				routes = append(routes, route)
			}
		}
	}
	d.router.Set(routes)
	d.certify()
}

// keeperOf returns who keeps a lease, or nil.
func (d *Daemon) keeperOf(id string) *lease.Keeper {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keepers[id]; k != nil {
		return k.keeper
	}
	return nil
}

// backends are where the replicas of a service that run listen on a port.
func backends(k *lease.Keeper, service string, port uint16) []netip.AddrPort {
	var all []netip.AddrPort
	for _, r := range k.Replicas() {
		if r.ID.Service == service && r.State == sandbox.Running && r.Address.IsValid() {
			all = append(all, netip.AddrPortFrom(r.Address, port))
		}
	}
	return all
}
