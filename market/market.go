// Package market is the law of the compute market: who may rent what from
// whom, on which terms, and when a rental ends.
//
// A tenant's deployment has groups; each group is put up for bids by an order;
// providers bid; the tenant takes one bid, which becomes a lease. This package
// holds these objects, what a group may ask for ([GroupSpec.Validate]), what a
// provider must offer ([GroupSpec.Match], [Order.Consider]) and the tables of
// legal moves ([LeaseState.To] and its siblings). Its rooms hold the rest:
// market/sdl reads what tenants write, market/manifest is what providers run,
// and market/escrow is the money.
//
// Everything here is a pure function of its arguments. The objects are those
// of Akash, so that its files, hashes and habits carry over; where the law
// differs, a comment says so. Start at [GroupSpec] and [Order].
package market

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Height counts blocks of the chain.
type Height uint64

// Seconds is a span of the chain's time, or an instant as seconds since 1970.
type Seconds int64

// Amount is a sum of money in base units of a denom: nplx, or any other that
// the chain's parameters admit. Which denom it is stands beside it.
type Amount uint64

// Part is a proportion in hundredths of a percent, from 0 to [All].
type Part uint32

// All is the whole.
const All Part = 10_000

// Of returns p of a, rounded down. A p above [All] counts as that.
func (p Part) Of(a Amount) Amount {
	hi, lo := bits.Mul64(uint64(a), uint64(min(p, All)))
	q, _ := bits.Div64(hi, lo, uint64(All))
	return Amount(q)
}

// DeploymentID names a deployment: its owner's address and a sequence number
// of the owner's own choice, at least 1.
type DeploymentID struct {
	Owner string
	DSeq  uint64
}

// GroupID names a group of a deployment; GSeq counts from 1 in the order of
// the groups' names.
type GroupID struct {
	DeploymentID
	GSeq uint32
}

// OrderID names one of the orders of a group; OSeq counts from 1.
type OrderID struct {
	GroupID
	OSeq uint32
}

// BidID names a provider's bid on an order. There is one per provider and
// order; the lease that it becomes has the same name.
type BidID struct {
	OrderID
	Provider string
}

// ErrID means that a text names no object of the market.
var ErrID = errors.New("market: not an id")

// String formats id as owner/dseq.
func (id DeploymentID) String() string { return id.Owner + "/" + strconv.FormatUint(id.DSeq, 10) }

// String formats id as owner/dseq/gseq.
func (id GroupID) String() string {
	return id.DeploymentID.String() + "/" + strconv.FormatUint(uint64(id.GSeq), 10)
}

// String formats id as owner/dseq/gseq/oseq.
func (id OrderID) String() string {
	return id.GroupID.String() + "/" + strconv.FormatUint(uint64(id.OSeq), 10)
}

// String formats id as owner/dseq/gseq/oseq/provider.
func (id BidID) String() string { return id.OrderID.String() + "/" + id.Provider }

// ParseBidID reads what [BidID.String] writes, or returns [ErrID]. It checks
// the shape, not that the addresses are addresses.
func ParseBidID(s string) (BidID, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[0] == "" || parts[4] == "" {
		return BidID{}, fmt.Errorf("%w: %q; write owner/dseq/gseq/oseq/provider", ErrID, s)
	}
	dseq, err1 := strconv.ParseUint(parts[1], 10, 64)
	gseq, err2 := strconv.ParseUint(parts[2], 10, 32)
	oseq, err3 := strconv.ParseUint(parts[3], 10, 32)
	if err := errors.Join(err1, err2, err3); err != nil || dseq == 0 || gseq == 0 || oseq == 0 {
		return BidID{}, fmt.Errorf("%w: %q: dseq, gseq and oseq are numbers from 1", ErrID, s)
	}
	return BidID{
		OrderID: OrderID{
			GroupID: GroupID{DeploymentID: DeploymentID{Owner: parts[0], DSeq: dseq}, GSeq: uint32(gseq)},
			OSeq:    uint32(oseq),
		},
		Provider: parts[4],
	}, nil
}
