// Package escrow is the money of the compute market: an account holds what was
// deposited for one deployment and pays its leases by the block.
//
// Nothing is computed per block. An [Account] knows the rate of all its
// payments together, so that settling costs the same for one lease and for a
// thousand, and says in advance at which height it runs dry ([Account.DryAt]);
// whoever keeps accounts closes them then, and no lease outlives its money.
// Sums are exact to 10⁻¹⁸ of a unit and counted from a payment's beginning, so
// the result does not depend on how often one settles. Only what is paid out is
// cut to whole units, and what is cut off stays with the depositors.
//
// Two promises hold whatever is done in whatever order: an account never pays
// more than was deposited, and what was deposited is paid or refunded to the
// unit. Start at [Account].
package escrow

import (
	"errors"
	"fmt"

	"github.com/plexus-network/plexus/market"
)

// State is where an account or a payment stands. The zero State is invalid.
type State uint8

// An account or payment is open until it is closed. It is overdrawn when it was
// settled only after the money had run out: the leases ran for blocks that
// nobody pays, and what was left is shared among them.
const (
	Open State = iota + 1
	Overdrawn
	Closed
)

// next lists every legal move; what is absent is forbidden.
var next = map[State][]State{
	Open:      {Overdrawn, Closed},
	Overdrawn: {Closed},
}

// String returns the name of s.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Overdrawn:
		return "overdrawn"
	case Closed:
		return "closed"
	}
	return "invalid"
}

// move goes to another state, or returns [ErrState].
func (s *State) move(to State) error {
	for _, legal := range next[*s] {
		if legal == to {
			*s = to
			return nil
		}
	}
	return fmt.Errorf("%w: it is %v and cannot become %v", ErrState, *s, to)
}

// Errors of this package.
var (
	ErrState  = errors.New("escrow: not in this state")
	ErrFunds  = errors.New("escrow: not enough funds")
	ErrHeight = errors.New("escrow: height lies in the past")
	ErrFull   = errors.New("escrow: too many depositors")
)

// MaxDeposits is how many depositors an account keeps apart. A depositor who
// pays in again takes no further place, so nobody can lock out its owner.
const MaxDeposits = 32

// Deposit is what one depositor paid into an account.
type Deposit struct {
	Depositor string // an address
	Grant     bool   // whether it was paid through the depositor's grant to another, to which refunds restore the limit
	Amount    market.Amount
}

// Account holds a deployment's money, all in one denom. It is made by [New].
//
// Invariant: Paid ≤ ⌊Drawn⌋ ≤ the sum of Deposits, which is below 2⁶⁴.
type Account struct {
	State    State
	Deposits []Deposit     // in the order of arrival, in which they are spent
	Rate     market.Exact  // of all open payments, per block
	Payments uint32        // that are not closed
	Settled  market.Height // the last block that Drawn counts
	Drawn    market.Exact  // what all payments earned through Settled
	Paid     market.Amount // what was paid out

	// Of an overdrawn account: what was left for the first block that could not
	// be paid in full, at which rate the leases ran in it, and what they earned
	// beyond all funds.
	Rest, RestRate, Short market.Exact
}

// Payment is what an account pays to one lease. It is made by [Account.Pay].
type Payment struct {
	State  State
	Rate   market.Exact  // per block
	Opened market.Height // the first block paid is the next
	Closed market.Height // the last block paid in full, once closed
	Paid   market.Amount // what was paid out
}

// New returns an account without funds, settled through height.
func New(height market.Height) *Account { return &Account{State: Open, Settled: height} }

// Funds returns the sum of all deposits.
func (a *Account) Funds() market.Amount {
	var sum market.Amount
	for _, d := range a.Deposits {
		sum += d.Amount // fits: Deposit sees to it
	}
	return sum
}

// Deposit adds to the funds at height. It settles first, and refuses money for
// an account that is already overdrawn or closed, as it would only come back.
func (a *Account) Deposit(d Deposit, height market.Height) error {
	if err := a.Settle(height); err != nil {
		return err
	}
	if a.State != Open {
		return fmt.Errorf("%w: the account is %v", ErrState, a.State)
	}
	if d.Amount == 0 {
		return fmt.Errorf("%w: a deposit of 0", ErrFunds)
	}
	if a.Funds()+d.Amount < d.Amount {
		return fmt.Errorf("%w: with %d more the account would exceed 2⁶⁴−1", ErrFunds, d.Amount)
	}
	for i := range a.Deposits {
		if a.Deposits[i].Depositor == d.Depositor && a.Deposits[i].Grant == d.Grant {
			a.Deposits[i].Amount += d.Amount
			return nil
		}
	}
	if len(a.Deposits) == MaxDeposits {
		return fmt.Errorf("%w: %d have paid in already", ErrFull, MaxDeposits)
	}
	a.Deposits = append(a.Deposits, d)
	return nil
}

// DryAt returns the last height at which every payment is paid in full. There
// is none when nothing is being paid, or when the account is not open.
func (a *Account) DryAt() (height market.Height, ok bool) {
	if a.State != Open || a.Rate.IsZero() {
		return 0, false
	}
	blocks, _ := a.left().Over(a.Rate)
	return a.Settled + min(market.Height(blocks), ^a.Settled), true
}

// left returns what no payment has earned yet.
func (a *Account) left() market.Exact { return market.Whole(a.Funds()).Sub(a.Drawn) }

// Settle counts what the payments earned through height. An account that could
// not pay that long becomes overdrawn, settled through the last block that it
// could. Settling again changes nothing.
func (a *Account) Settle(height market.Height) error {
	if a.State != Open {
		return nil
	}
	if height < a.Settled {
		return fmt.Errorf("%w: %d, but the account is settled through %d", ErrHeight, height, a.Settled)
	}
	dry, pays := a.DryAt()
	if !pays || height <= dry {
		due, _ := a.Rate.Times(uint64(height - a.Settled)) // fits: the funds cover it
		a.Drawn, _ = a.Drawn.Add(due)
		a.Settled = height
		return nil
	}
	a.overdraw(dry, height)
	return nil
}

// overdraw ends an account whose money was gone after dry, at height.
func (a *Account) overdraw(dry, height market.Height) {
	due, _ := a.Rate.Times(uint64(dry - a.Settled))
	a.Drawn, _ = a.Drawn.Add(due)
	a.Rest, a.RestRate, a.Settled = a.left(), a.Rate, dry
	owed, fits := a.Rate.Times(uint64(height - dry))
	if !fits {
		owed = market.Whole(^market.Amount(0)) // far more than anybody holds
	}
	a.Short = owed.Sub(a.Rest)
	a.State = Overdrawn
}

// Pay begins to pay rate per block, from the block after height. It refuses
// what the account could not pay for a single block.
func (a *Account) Pay(rate market.Exact, height market.Height) (Payment, error) {
	if err := a.Settle(height); err != nil {
		return Payment{}, err
	}
	if a.State != Open {
		return Payment{}, fmt.Errorf("%w: the account is %v", ErrState, a.State)
	}
	all, fits := a.Rate.Add(rate)
	if left := a.left(); rate.IsZero() || !fits || all.Compare(left) > 0 {
		return Payment{}, fmt.Errorf("%w: %v is left, and all leases would cost %v per block", ErrFunds, left, all)
	}
	a.Rate = all
	a.Payments++
	return Payment{State: Open, Rate: rate, Opened: height}, nil
}

// Withdraw pays out what p earned through height in whole units, and returns
// how many. p must be one of a's own.
func (a *Account) Withdraw(p *Payment, height market.Height) (market.Amount, error) {
	if err := a.Settle(height); err != nil {
		return 0, err
	}
	if p.State == Closed {
		return 0, fmt.Errorf("%w: the payment is %v", ErrState, p.State)
	}
	return a.payOut(p), nil
}

// payOut pays what p earned through a.Settled.
func (a *Account) payOut(p *Payment) market.Amount {
	due := a.earned(*p).Floor() - p.Paid
	p.Paid += due
	a.Paid += due
	if a.State == Overdrawn {
		p.State = Overdrawn
	}
	return due
}

// earned returns what p earned since it began: every block in full and, of a
// block that the account could pay only in part, its share by rate.
func (a *Account) earned(p Payment) market.Exact {
	sum, _ := p.Rate.Times(uint64(a.Settled - p.Opened)) // fits: it is a part of Drawn
	if a.State == Overdrawn {
		sum, _ = sum.Add(a.Rest.Share(p.Rate, a.RestRate))
	}
	return sum
}

// End closes p at height and pays out what it still has to get. The part of a
// unit that cannot be paid stays with the account.
func (a *Account) End(p *Payment, height market.Height) (market.Amount, error) {
	due, err := a.Withdraw(p, height)
	if err != nil {
		return 0, err
	}
	if err := p.State.move(Closed); err != nil {
		return 0, err
	}
	if a.State == Open {
		a.Drawn = a.Drawn.Sub(a.earned(*p).Sub(market.Whole(p.Paid)))
	}
	p.Closed = a.Settled
	a.Rate = a.Rate.Sub(p.Rate)
	a.Payments--
	return due, nil
}

// Close ends an account whose payments are closed, and returns what goes back
// to each depositor. Deposits were spent in the order of their arrival. The
// account is then spent: its deposits are what was paid out.
func (a *Account) Close() ([]Deposit, error) {
	if a.Payments > 0 {
		return nil, fmt.Errorf("%w: %d payments are not closed", ErrState, a.Payments)
	}
	if err := a.State.move(Closed); err != nil {
		return nil, err
	}
	spent := a.Paid
	var refunds []Deposit
	for i := range a.Deposits {
		d := &a.Deposits[i]
		used := min(spent, d.Amount)
		spent -= used
		if back := d.Amount - used; back > 0 {
			refunds = append(refunds, Deposit{d.Depositor, d.Grant, back})
		}
		d.Amount = used
	}
	return refunds, nil
}

// Take divides what a payment paid out between its provider and the network,
// whose part is rounded down.
func Take(paid market.Amount, part market.Part) (provider, network market.Amount) {
	network = part.Of(paid)
	return paid - network, network
}
