package market

import (
	"errors"
	"fmt"
)

// Lease is a tenant's running rental of a provider's machine: a bid that was
// taken.
//
// Invariant: Deadline is set exactly when the lease has been reclaiming, and
// Closed and Reason exactly when it no longer runs.
type Lease struct {
	ID       BidID
	State    LeaseState
	Price    Price   // of the group per block
	Opened   Height  // the block in which the bid was taken; the first to be paid is the next
	Closed   Height  // the last block that was paid for
	Reason   Reason  // why it closed
	Reclaim  Seconds // the notice that was agreed on; 0 means none, and no reclaiming
	Deadline Seconds // when the notice ends, as seconds since 1970
}

// ErrReclaim means that a provider may not take its machine back, or not yet.
var ErrReclaim = errors.New("market: reclaim refused")

// Take makes a lease of an open bid at height: order and bid become active. The
// caller turns the order's other open bids to [BidLost] and opens the payment.
func (o *Order) Take(b *Bid, height Height) (Lease, error) {
	order, err := o.State.To(OrderActive)
	if err != nil {
		return Lease{}, fmt.Errorf("order %v: %w", o.ID, err)
	}
	bid, err := b.State.To(BidActive)
	if err != nil {
		return Lease{}, fmt.Errorf("bid %v: %w", b.ID, err)
	}
	if b.ID.OrderID != o.ID {
		return Lease{}, fmt.Errorf("%w: bid %v is for another order than %v", ErrBid, b.ID, o.ID)
	}
	o.State, b.State = order, bid
	return Lease{ID: b.ID, State: LeaseActive, Price: b.Price, Opened: height, Reclaim: b.Reclaim}, nil
}

// GiveNotice begins the time after which the provider may close l. now is the
// block's time.
func (l *Lease) GiveNotice(now Seconds) error {
	if l.Reclaim == 0 {
		return fmt.Errorf("%w: lease %v was agreed on without", ErrReclaim, l.ID)
	}
	state, err := l.State.To(LeaseReclaiming)
	if err != nil {
		return fmt.Errorf("lease %v: %w", l.ID, err)
	}
	l.State, l.Deadline = state, now+l.Reclaim
	return nil
}

// CloseBy ends l for reason at a height and time. The tenant may always close,
// the chain when it says so; a provider that promised notice must have given it
// and waited.
func (l *Lease) CloseBy(reason Reason, height Height, now Seconds) error {
	to := LeaseClosed
	if reason == InsufficientFunds {
		to = LeaseInsufficientFunds
	}
	state, err := l.State.To(to)
	if err != nil {
		return fmt.Errorf("lease %v: %w", l.ID, err)
	}
	promised := l.Reclaim > 0 && reason.ByProvider() || reason == ReclaimDeadline
	switch {
	case reason == 0:
		return fmt.Errorf("lease %v: %w: a lease closes for a reason", l.ID, ErrMove)
	case promised && l.State != LeaseReclaiming:
		return fmt.Errorf("%w: lease %v promises a notice of %d s; give it first", ErrReclaim, l.ID, l.Reclaim)
	case promised && now < l.Deadline:
		return fmt.Errorf("%w: the notice of lease %v ends in %d s", ErrReclaim, l.ID, l.Deadline-now)
	}
	l.State, l.Reason, l.Closed = state, reason, height
	return nil
}

// GroupAfter tells what becomes of an open group when its lease or its order
// ends for r: it is put up for bids again when the tenant or the chain closed
// the lease, paused when the provider did or nobody took its order, and ends for
// want of funds.
func (r Reason) GroupAfter() GroupState {
	switch r {
	case InsufficientFunds:
		return GroupInsufficientFunds
	case ByOwner, NonDelivery, ProviderLeft, ReclaimDeadline:
		return GroupOpen
	case Unstable, Decommission, Unspecified, ManifestTimeout, Expired, Outbid:
		return GroupPaused
	}
	return GroupPaused // a reason that a later version knows
}
