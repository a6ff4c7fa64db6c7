package market

import (
	"errors"
	"fmt"
)

// Order puts a group up for bids.
type Order struct {
	ID      OrderID
	State   OrderState
	Spec    GroupSpec
	Reclaim Seconds // the shortest notice that the tenant accepts; 0 means that a provider need offer none
	Bids    uint32  // taken in so far, of any state
}

// Bid is a provider's offer for an order. Once taken it is the lease's terms.
type Bid struct {
	ID      BidID
	State   BidState
	Price   Price   // of the whole group per block
	Offer   []Offer // one per resource unit of the order
	Reclaim Seconds // the notice that the provider promises; 0 means none, and that it can never reclaim
	Deposit Amount  // in the order's denom
}

// Offer is what a provider would give for one resource unit: all that the order
// asks for, to the byte, and no other. Only of its GPUs may it say more than was
// asked, so that a tenant knows which device it gets: that of vendor/nvidia/
// model/h100/ram/80Gi where the order says vendor/nvidia/model/h100, or one of
// the two that the order allows. The offer of the bid that was taken is what the
// lease owes.
type Offer struct {
	Resources Resources
	Count     uint32
}

// Rules are the chain's parameters for bids.
type Rules struct {
	MaxBids                uint32  // per order, this many and no more
	MinDeposit             Amount  // of a bid
	MinReclaim, MaxReclaim Seconds // bounds of a provider's notice
}

// DefaultRules returns Akash's: 20 bids, a deposit of 500,000, and notices from
// an hour to 30 days.
func DefaultRules() Rules {
	return Rules{MaxBids: 20, MinDeposit: 500_000, MinReclaim: 3600, MaxReclaim: 720 * 3600}
}

// CheckReclaim tells whether window lies within the bounds of a notice, as a
// tenant's shortest and a provider's own must.
func (r Rules) CheckReclaim(window Seconds) error {
	if window < r.MinReclaim || window > r.MaxReclaim {
		return fmt.Errorf("%w: a notice of %d s is outside of %d to %d s", ErrReclaim, window, r.MinReclaim, r.MaxReclaim)
	}
	return nil
}

// ErrBid means that a bid does not fit its order.
var ErrBid = errors.New("market: bid refused")

// Consider tells why a bid of a provider with these attributes and audits is
// refused, or nil when the order may take it in. Unlike Akash's, the law counts
// bids without being off by one and compares what is offered with what was
// asked for. Where the provider is what does not fit, the error also is a
// [*Mismatch].
func (o Order) Consider(b Bid, rules Rules, attributes Attributes, audits []Audit) error {
	if o.State != OrderOpen {
		return fmt.Errorf("%w: the order is %v", ErrBid, o.State)
	}
	if o.Bids >= rules.MaxBids {
		return fmt.Errorf("%w: the order has %d bids already, and at most %d count", ErrBid, o.Bids, rules.MaxBids)
	}
	if b.ID.OrderID != o.ID {
		return fmt.Errorf("%w: it names order %v, not %v", ErrBid, b.ID.OrderID, o.ID)
	}
	if b.ID.Provider == o.ID.Owner {
		return fmt.Errorf("%w: a provider cannot bid on its own order", ErrBid)
	}
	if err := o.considerPrice(b, rules); err != nil {
		return err
	}
	if err := o.considerReclaim(b.Reclaim, rules); err != nil {
		return err
	}
	if err := o.considerOffer(b.Offer); err != nil {
		return err
	}
	if err := o.Spec.Match(attributes, audits); err != nil {
		return fmt.Errorf("%w: %w", ErrBid, err)
	}
	return o.considerGPUs(b.Offer, attributes)
}

func (o Order) considerPrice(b Bid, rules Rules) error {
	most := o.Spec.Price()
	switch {
	case b.Price.Denom != most.Denom:
		return fmt.Errorf("%w: it is in %s, and the order in %s", ErrBid, b.Price.Denom, most.Denom)
	case b.Price.Amount.IsZero():
		return fmt.Errorf("%w: its price is 0", ErrBid)
	case b.Price.Amount.Compare(most.Amount) > 0:
		return fmt.Errorf("%w: %s per block is above the order's %s", ErrBid, b.Price.Short(), most.Short())
	case b.Deposit < rules.MinDeposit:
		return fmt.Errorf("%w: a deposit of %d is below %d %s", ErrBid, b.Deposit, rules.MinDeposit, most.Denom)
	}
	return nil
}

func (o Order) considerReclaim(window Seconds, rules Rules) error {
	if window == 0 && o.Reclaim == 0 {
		return nil
	}
	if window < o.Reclaim {
		return fmt.Errorf("%w: a notice of %d s is shorter than the %d s that the tenant asks for", ErrBid, window, o.Reclaim)
	}
	if err := rules.CheckReclaim(window); err != nil {
		return fmt.Errorf("%w: %w", ErrBid, err)
	}
	return nil
}

func (o Order) considerOffer(offer []Offer) error {
	if len(offer) != len(o.Spec.Units) {
		return fmt.Errorf("%w: it offers %d resource units, and %d are asked for", ErrBid, len(offer), len(o.Spec.Units))
	}
	for i, u := range o.Spec.Units {
		if offer[i].Count != u.Count {
			return fmt.Errorf("%w: it offers %d replicas of unit %d, and %d are asked for", ErrBid, offer[i].Count, u.Resources.ID, u.Count)
		}
		if offered := offer[i].Resources; offered.ID != u.Resources.ID || !offered.butGPU().Equal(u.Resources.butGPU()) {
			return fmt.Errorf("%w: what it offers for unit %d is not what is asked for", ErrBid, u.Resources.ID)
		}
	}
	return nil
}

// considerGPUs compares the graphics processors of an offer whose other
// resources are right.
func (o Order) considerGPUs(offer []Offer, attributes Attributes) error {
	claims := attributes.below("capabilities/gpu/")
	for i, u := range o.Spec.Units {
		if err := considerGPU(offer[i].Resources.GPU, u.Resources.GPU, claims); err != nil {
			return fmt.Errorf("%w: it offers for unit %d %w", ErrBid, u.Resources.ID, err)
		}
	}
	return nil
}

// butGPU returns r without its graphics processors.
func (r Resources) butGPU() Resources {
	r.GPU = GPU{}
	return r
}
