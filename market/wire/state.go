package wire

import (
	"fmt"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
)

// The states of messages have the numbers of the law's, and so do the reasons:
// a conversion does between them.

// ReadOrderID returns an order's name.
func ReadOrderID(id marketv1.OrderID) market.OrderID {
	return market.OrderID{
		GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: id.Owner, DSeq: id.Dseq}, GSeq: id.Gseq},
		OSeq:    id.Oseq,
	}
}

// ReadBidID returns the name of a bid or a lease.
func ReadBidID(id marketv1.BidID) market.BidID {
	return market.BidID{
		OrderID:  ReadOrderID(marketv1.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq, Oseq: id.Oseq}),
		Provider: id.Provider,
	}
}

// WriteBidID is the reverse of [ReadBidID].
func WriteBidID(id market.BidID) marketv1.BidID {
	return marketv1.BidID{Owner: id.Owner, Dseq: id.DSeq, Gseq: id.GSeq, Oseq: id.OSeq, Provider: id.Provider}
}

// ReadOrder returns an order for what its group asks for.
func ReadOrder(o marketv1.Order, spec marketv1.GroupSpec) (market.Order, error) {
	asked, err := ReadGroupSpec(spec)
	return market.Order{
		ID: ReadOrderID(o.Id), State: market.OrderState(o.State), Spec: asked, Reclaim: Seconds(o.Reclaim), Bids: o.Bids,
	}, err
}

// ReadBid returns a bid.
func ReadBid(b marketv1.Bid) (market.Bid, error) {
	bid := market.Bid{
		ID: ReadBidID(b.Id), State: market.BidState(b.State), Reclaim: Seconds(b.Reclaim), Deposit: market.Amount(b.Deposit),
	}
	var err error
	if bid.Price, err = ReadPrice(b.Price); err != nil {
		return bid, fmt.Errorf("price: %w", err)
	}
	bid.Offer, err = ReadOffers(b.Offers)
	return bid, err
}

// ReadLease returns a lease and its payment.
func ReadLease(l marketv1.Lease) (market.Lease, escrow.Payment, error) {
	price, err := ReadPrice(l.Price)
	lease := market.Lease{
		ID: ReadBidID(l.Id), State: market.LeaseState(l.State), Price: price,
		Opened: market.Height(l.Opened), Closed: market.Height(l.Closed), Reason: market.Reason(l.Reason),
		Reclaim: Seconds(l.Reclaim), Deadline: market.Seconds(l.Deadline),
	}
	return lease, escrow.Payment{
		State: escrow.State(l.Payment), Rate: price.Amount, Opened: lease.Opened, Closed: lease.Closed, Paid: market.Amount(l.Paid),
	}, err
}

// WriteLease sets what l and its payment p say in a message, and leaves the
// rest of it.
func WriteLease(l market.Lease, p escrow.Payment, to *marketv1.Lease) {
	to.Id, to.State, to.Price = WriteBidID(l.ID), marketv1.LeaseState(l.State), WritePrice(l.Price)
	to.Opened, to.Closed, to.Reason = int64(l.Opened), int64(l.Closed), marketv1.Reason(l.Reason)
	to.Reclaim, to.Deadline = uint64(l.Reclaim), int64(l.Deadline)
	to.Payment, to.Paid = marketv1.AccountState(p.State), uint64(p.Paid)
}

// ReadAccount returns an escrow account.
func ReadAccount(a marketv1.Account) (*escrow.Account, error) {
	account := &escrow.Account{
		State: escrow.State(a.State), Payments: a.Payments, Settled: market.Height(a.Settled), Paid: market.Amount(a.Paid),
	}
	for _, d := range a.Deposits {
		account.Deposits = append(account.Deposits, escrow.Deposit{Depositor: d.Depositor, Grant: d.Granted, Amount: market.Amount(d.Amount)})
	}
	for _, f := range []struct {
		name, text string
		to         *market.Exact
	}{
		{"rate", a.Rate, &account.Rate},
		{"drawn", a.Drawn, &account.Drawn},
		{"rest", a.Rest, &account.Rest},
		{"rest_rate", a.RestRate, &account.RestRate},
		{"short", a.Short, &account.Short},
	} {
		if f.text == "" {
			continue // nothing
		}
		var err error
		if *f.to, err = market.ParseExact(f.text); err != nil {
			return nil, fmt.Errorf("account: %s: %w", f.name, err)
		}
	}
	return account, nil
}

// WriteAccount is the reverse of [ReadAccount]. It leaves the name and denom of
// the message.
func WriteAccount(account *escrow.Account, to *marketv1.Account) {
	to.State, to.Payments = marketv1.AccountState(account.State), account.Payments
	to.Settled, to.Paid = int64(account.Settled), uint64(account.Paid)
	to.Deposits = nil
	for _, d := range account.Deposits {
		to.Deposits = append(to.Deposits, marketv1.Deposit{Depositor: d.Depositor, Granted: d.Grant, Amount: uint64(d.Amount)})
	}
	to.Rate, to.Drawn = text(account.Rate), text(account.Drawn)
	to.Rest, to.RestRate, to.Short = text(account.Rest), text(account.RestRate), text(account.Short)
	dry, _ := account.DryAt()
	if account.State == escrow.Overdrawn {
		dry = account.Settled // as it was when it was open
	}
	to.Dry = int64(min(dry, maxHeight))
}

// maxHeight is the greatest height of a message.
const maxHeight = 1<<63 - 1

// text returns e as a message has it: empty for nothing.
func text(e market.Exact) string {
	if e.IsZero() {
		return ""
	}
	return e.String()
}
