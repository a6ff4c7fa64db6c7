package market

import (
	"errors"
	"fmt"
	"slices"
)

// ErrMove means that an object cannot go from the state it is in to the one
// asked for.
var ErrMove = errors.New("market: move not allowed")

// states is the part that the objects' states share: their names, and which
// move to which. What is absent is forbidden, and so is staying.
type states[S comparable] struct {
	object string
	names  map[S]string
	next   map[S][]S // never written to
}

func (t states[S]) move(from, to S) (S, error) {
	if slices.Contains(t.next[from], to) {
		return to, nil
	}
	return from, fmt.Errorf("%w: %s is %s and cannot become %s", ErrMove, t.object, t.name(from), t.name(to))
}

func (t states[S]) name(s S) string {
	if name, ok := t.names[s]; ok {
		return name
	}
	return "invalid"
}

// DeploymentState is where a deployment stands. The zero state is invalid.
type DeploymentState uint8

// A deployment is active until it is closed, by its owner or because its
// escrow ran dry.
const (
	DeploymentActive DeploymentState = iota + 1
	DeploymentClosed
)

var deploymentStates = states[DeploymentState]{
	"deployment",
	map[DeploymentState]string{DeploymentActive: "active", DeploymentClosed: "closed"},
	map[DeploymentState][]DeploymentState{DeploymentActive: {DeploymentClosed}},
}

// To returns the state after a move, or s and [ErrMove].
func (s DeploymentState) To(to DeploymentState) (DeploymentState, error) {
	return deploymentStates.move(s, to)
}

// String returns the name of s.
func (s DeploymentState) String() string { return deploymentStates.name(s) }

// GroupState is where a group stands. The zero state is invalid.
type GroupState uint8

// A group is open while it is ordered or leased. Its owner pauses it, and so
// does a provider that closes its lease; the owner may start it again. It ends
// with insufficient funds, or closed.
const (
	GroupOpen GroupState = iota + 1
	GroupPaused
	GroupInsufficientFunds
	GroupClosed
)

var groupStates = states[GroupState]{
	"group",
	map[GroupState]string{
		GroupOpen: "open", GroupPaused: "paused",
		GroupInsufficientFunds: "insufficient_funds", GroupClosed: "closed",
	},
	map[GroupState][]GroupState{
		GroupOpen:              {GroupPaused, GroupInsufficientFunds, GroupClosed},
		GroupPaused:            {GroupOpen, GroupInsufficientFunds, GroupClosed},
		GroupInsufficientFunds: {GroupClosed},
	},
}

// To returns the state after a move, or s and [ErrMove].
func (s GroupState) To(to GroupState) (GroupState, error) { return groupStates.move(s, to) }

// String returns the name of s.
func (s GroupState) String() string { return groupStates.name(s) }

// OrderState is where an order stands. The zero state is invalid.
type OrderState uint8

// An order is open for bids, active once one was taken, and closed with its
// lease or without ever having had one.
const (
	OrderOpen OrderState = iota + 1
	OrderActive
	OrderClosed
)

var orderStates = states[OrderState]{
	"order",
	map[OrderState]string{OrderOpen: "open", OrderActive: "active", OrderClosed: "closed"},
	map[OrderState][]OrderState{OrderOpen: {OrderActive, OrderClosed}, OrderActive: {OrderClosed}},
}

// To returns the state after a move, or s and [ErrMove].
func (s OrderState) To(to OrderState) (OrderState, error) { return orderStates.move(s, to) }

// String returns the name of s.
func (s OrderState) String() string { return orderStates.name(s) }

// BidState is where a bid stands. The zero state is invalid.
type BidState uint8

// A bid is open until its order takes it, or another and it is lost. An active
// bid has a lease and closes with it; an open one is closed by its provider or
// with its order.
const (
	BidOpen BidState = iota + 1
	BidActive
	BidLost
	BidClosed
)

var bidStates = states[BidState]{
	"bid",
	map[BidState]string{BidOpen: "open", BidActive: "active", BidLost: "lost", BidClosed: "closed"},
	map[BidState][]BidState{BidOpen: {BidActive, BidLost, BidClosed}, BidActive: {BidClosed}},
}

// To returns the state after a move, or s and [ErrMove].
func (s BidState) To(to BidState) (BidState, error) { return bidStates.move(s, to) }

// String returns the name of s.
func (s BidState) String() string { return bidStates.name(s) }

// LeaseState is where a lease stands. The zero state is invalid.
type LeaseState uint8

// A lease is active while it runs and is paid for. It is reclaiming once its
// provider has given notice, and still runs. It ends closed, or with
// insufficient funds when the escrow is empty.
const (
	LeaseActive LeaseState = iota + 1
	LeaseReclaiming
	LeaseInsufficientFunds
	LeaseClosed
)

var leaseStates = states[LeaseState]{
	"lease",
	map[LeaseState]string{
		LeaseActive: "active", LeaseReclaiming: "reclaiming",
		LeaseInsufficientFunds: "insufficient_funds", LeaseClosed: "closed",
	},
	map[LeaseState][]LeaseState{
		LeaseActive:     {LeaseReclaiming, LeaseInsufficientFunds, LeaseClosed},
		LeaseReclaiming: {LeaseInsufficientFunds, LeaseClosed},
	},
}

// To returns the state after a move, or s and [ErrMove].
func (s LeaseState) To(to LeaseState) (LeaseState, error) { return leaseStates.move(s, to) }

// String returns the name of s.
func (s LeaseState) String() string { return leaseStates.name(s) }

// Runs tells whether the provider owes the tenant a running workload.
func (s LeaseState) Runs() bool { return s == LeaseActive || s == LeaseReclaiming }

// Reason is why a lease, or what leads to one, closed. The numbers are Akash's:
// below 10,000 the tenant's, below 20,000 the provider's, above that the
// chain's. The zero Reason is that of a lease which is not closed.
type Reason uint32

// Who closed a lease, and why.
const (
	ByOwner           Reason = 1
	Unstable          Reason = 10_000 // the workload does not run well
	Decommission      Reason = 10_001 // the machine goes away, after notice
	Unspecified       Reason = 10_002
	ManifestTimeout   Reason = 10_003 // the tenant never sent its manifest
	InsufficientFunds Reason = 20_000 // the escrow ran dry
	NonDelivery       Reason = 20_001 // proven against the provider, whose deposit is slashed
	ReclaimDeadline   Reason = 20_002 // the provider's notice is over
	ProviderLeft      Reason = 20_003 // the provider left the market
	Expired           Reason = 20_004 // of an order or a bid: nobody took it in time
	Outbid            Reason = 20_005 // of a bid: its order took another
)

// ByProvider tells whether a provider may give r as its own reason.
func (r Reason) ByProvider() bool { return r >= Unstable && r <= ManifestTimeout }

// String returns the name of r in small letters.
func (r Reason) String() string {
	switch r {
	case 0:
		return "none"
	case ByOwner:
		return "owner"
	case Unstable:
		return "unstable"
	case Decommission:
		return "decommission"
	case Unspecified:
		return "unspecified"
	case ManifestTimeout:
		return "manifest timeout"
	case InsufficientFunds:
		return "insufficient funds"
	case NonDelivery:
		return "non-delivery"
	case ReclaimDeadline:
		return "reclaim deadline"
	case ProviderLeft:
		return "provider deregistered"
	case Expired:
		return "expired"
	case Outbid:
		return "outbid"
	}
	return fmt.Sprintf("reason %d", uint32(r))
}
