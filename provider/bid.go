package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
)

// An opinion is what a Daemon thinks of an open order.
type opinion struct {
	price market.Exact // zero before it was made
	kinds string       // of GPUs, that it was made for
	said  string       // what was logged last
	kind  string       // of the reason for no bid that was counted last
	done  bool         // a bid was sent
	next  time.Time    // no bid before
}

// maxSending bounds how many bids are on their way at once.
const maxSending = 16

// bid bids on all open orders that this provider can serve.
func (d *Daemon) bid(ctx context.Context, s *Snapshot) error {
	if err := errors.Join(d.silent(s), d.measure(ctx)); err != nil {
		return err
	}
	mine := map[market.OrderID]bool{}
	for _, b := range s.Bids {
		mine[b.ID.OrderID] = true
	}
	open := map[market.OrderID]bool{}
	var sending errgroup.Group
	sending.SetLimit(maxSending)
	for _, o := range s.Orders {
		open[o.ID] = true
		if mine[o.ID] {
			continue
		}
		v := d.opinion(o.ID)
		if v.done || time.Now().Before(v.next) {
			continue
		}
		b, claim, no := d.decide(ctx, s, o, v)
		if no != nil {
			if v.kind != no.Kind {
				v.kind = no.Kind
				d.figures.declined.WithLabelValues(no.Kind).Inc()
			}
			d.tell(o.ID, v, no.Reason)
			continue
		}
		if d.o.DryRun {
			d.tell(o.ID, v, "would bid "+b.Price.Short())
			continue
		}
		if err := d.inventory.Claim(b.ID.String(), claim); err != nil {
			d.tell(o.ID, v, err.Error())
			continue
		}
		sending.Go(func() error { return d.send(ctx, b, claim, v) })
	}
	err := sending.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.orders {
		if !open[id] {
			delete(d.orders, id)
		}
	}
	return err
}

// A cluster is an engine whose capacity is of many machines, and changes.
type cluster interface {
	Capacity(ctx context.Context) (inventory.Amounts, error)
	Place(ctx context.Context, g market.GroupSpec, overhead int64) error
}

// measure has the inventory promise no more than a cluster has now.
func (d *Daemon) measure(ctx context.Context) error {
	c, ok := d.o.Engine.(cluster)
	if !ok {
		return nil
	}
	has, err := c.Capacity(ctx)
	if err == nil {
		d.inventory.Resize(d.o.Capacity.Within(has))
	}
	return err
}

// place tells why a group has no place on the machines of a cluster.
func (d *Daemon) place(ctx context.Context, g market.GroupSpec) error {
	if c, ok := d.o.Engine.(cluster); ok {
		return c.Place(ctx, g, d.o.Overhead)
	}
	return nil
}

// silent tells why no bids are made at all, or nil.
func (d *Daemon) silent(s *Snapshot) error {
	if s.Leaving {
		return errors.New("this provider is leaving the market, and bids no more")
	}
	d.mu.Lock()
	full := d.full
	d.mu.Unlock()
	if full != "" {
		return fmt.Errorf("the disk of %s cannot be written: %s: no bids until it can", d.o.Dir, full)
	}
	free, err := d.o.freeDisk(d.o.Dir)
	if err == nil && free < minDisk {
		err = fmt.Errorf("the disk of %s has %d bytes left, less than %d: no bids until there is more", d.o.Dir, free, int64(minDisk))
	}
	return err
}

func (d *Daemon) opinion(id market.OrderID) *opinion {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.orders[id] == nil {
		d.orders[id] = &opinion{}
	}
	return d.orders[id]
}

// tell logs what is thought of an order, once.
func (d *Daemon) tell(id market.OrderID, v *opinion, what string) {
	if v.said != what {
		v.said = what
		d.o.Log.Info("order", "order", id.String(), "decision", what)
	}
}

// spoken is why there is no bid, in words for the tenant.
func spoken(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), market.ErrBid.Error()+": "), "market: ")
}

// decide returns the bid for an order and what it claims, or why there is
// none.
func (d *Daemon) decide(ctx context.Context, s *Snapshot, o market.Order, v *opinion) (market.Bid, inventory.Amounts, *api.Screening) {
	no := func(kind string, err error) (market.Bid, inventory.Amounts, *api.Screening) {
		return market.Bid{}, inventory.Amounts{}, &api.Screening{Kind: kind, Reason: spoken(err)}
	}
	if err := lease.Servable(o.Spec, d.o.Capacity.Storage); err != nil {
		return no("ability", err)
	}
	offers, scarce := d.inventory.Offer(o.Spec)
	if errors.Is(scarce, inventory.ErrGPU) {
		return no("ability", scarce)
	}
	if err := o.Spec.Match(s.Attributes, s.Audits); err != nil {
		return no("attribute", err)
	}
	if scarce != nil {
		return no("resource", scarce)
	}
	claim := inventory.OfOffers(offers, d.o.Overhead)
	if err := d.inventory.Fits(claim); err != nil {
		return no("resource", err)
	}
	if err := d.place(ctx, o.Spec); err != nil {
		return no("resource", err)
	}
	denom := o.Spec.Price().Denom
	rules, ok := s.Rules[denom]
	if !ok {
		return no("price", fmt.Errorf("the market takes no %s", denom))
	}
	exact := offered(o.Spec, offers)
	if kinds := fmt.Sprint(claim.GPUs); v.price.IsZero() || v.kinds != kinds {
		price, err := d.o.Prices.Price(ctx, o.ID.Owner, exact)
		if err != nil {
			v.next = time.Now().Add(again)
			return no("price", err)
		}
		v.price, v.kinds = price, kinds
	}
	b := market.Bid{
		ID: market.BidID{OrderID: o.ID, Provider: d.o.Account}, State: market.BidOpen,
		Price: market.Price{Denom: denom, Amount: v.price}, Reclaim: o.Reclaim, Deposit: rules.MinDeposit,
		Offer: offers,
	}
	if err := o.Consider(b, rules, s.Attributes, s.Audits); err != nil {
		return no("price", err)
	}
	return b, claim, nil
}

// offered is a group with the GPUs that are offered for it, as it is priced.
func offered(spec market.GroupSpec, offers []market.Offer) market.GroupSpec {
	spec.Units = slices.Clone(spec.Units)
	for i, o := range offers {
		spec.Units[i].Resources = o.Resources
	}
	return spec
}

// send sends a bid, whose claim is made.
func (d *Daemon) send(ctx context.Context, b market.Bid, claim inventory.Amounts, v *opinion) error {
	height, err := d.o.Chain.Bid(ctx, b, d.o.BidLife)
	if err != nil {
		d.inventory.Drop(b.ID.String())
		v.next = time.Now().Add(again)
		var refused *ledger.TxError
		if errors.As(err, &refused) {
			d.figures.bids.WithLabelValues("refused").Inc()
			d.o.Log.Warn("bid refused", "order", b.ID.OrderID.String(), "error", err)
			return nil
		}
		d.figures.errors.WithLabelValues("bid").Inc()
		return err
	}
	v.done = true
	d.figures.bids.WithLabelValues("placed").Inc()
	d.mu.Lock()
	d.placed[b.ID.String()] = placement{claim, b.Offer, height}
	d.mu.Unlock()
	d.o.Log.Info("bid", "order", b.ID.OrderID.String(), "price", b.Price.Short(), "height", height)
	return nil
}
