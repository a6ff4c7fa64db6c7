package escrow

import (
	"errors"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/market"
)

// rate reads a rate.
func rate(t testing.TB, s string) market.Exact {
	t.Helper()
	e, err := market.ParseExact(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// funded returns an account with one deposit at height 0.
func funded(t testing.TB, funds market.Amount) *Account {
	t.Helper()
	a := New(0)
	if err := a.Deposit(Deposit{Depositor: "tenant", Amount: funds}, 0); err != nil {
		t.Fatal(err)
	}
	return a
}

func pay(t testing.TB, a *Account, perBlock string, height market.Height) *Payment {
	t.Helper()
	p, err := a.Pay(rate(t, perBlock), height)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func end(t testing.TB, a *Account, p *Payment, height market.Height) market.Amount {
	t.Helper()
	due, err := a.End(p, height)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

// TestSettle goes through Akash's table of two leases at 10 per block, and past
// it: a shortage is shared, where Akash pays the first lease first.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		name          string
		funds         market.Amount
		rates         [2]string
		blocks        market.Height
		first, second market.Amount
		refund        market.Amount
		short         string
		state         State
	}{
		{"just enough", 100, [2]string{"10", "10"}, 5, 50, 50, 0, "0", Open},
		{"one block too long", 100, [2]string{"10", "10"}, 6, 50, 50, 0, "20", Overdrawn},
		{"a block in part", 210, [2]string{"10", "10"}, 11, 105, 105, 0, "10", Overdrawn},
		{"half a unit each stays", 105, [2]string{"10", "10"}, 6, 52, 52, 1, "15", Overdrawn},
		{"shared by rate", 104, [2]string{"30", "10"}, 3, 78, 26, 0, "16", Overdrawn},
		{"fractions add up", 10, [2]string{"0.3", "0.2"}, 10, 3, 2, 5, "0", Open},
		{"a fraction is cut at the end", 10, [2]string{"0.3", "0.25"}, 5, 1, 1, 8, "0", Open},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := funded(t, c.funds)
			p, q := pay(t, a, c.rates[0], 0), pay(t, a, c.rates[1], 0)
			if err := a.Settle(c.blocks); err != nil {
				t.Fatal(err)
			}
			if a.State != c.state || a.Short != rate(t, c.short) {
				t.Errorf("after %d blocks %v and %v short, want %v and %s", c.blocks, a.State, a.Short, c.state, c.short)
			}
			if got := end(t, a, p, c.blocks); got != c.first {
				t.Errorf("first lease got %d, want %d", got, c.first)
			}
			if got := end(t, a, q, c.blocks); got != c.second {
				t.Errorf("second lease got %d, want %d", got, c.second)
			}
			refunds, err := a.Close()
			if err != nil {
				t.Fatal(err)
			}
			var back market.Amount
			for _, r := range refunds {
				back += r.Amount
			}
			if back != c.refund {
				t.Errorf("refunded %d, want %d", back, c.refund)
			}
		})
	}
}

func TestDryAt(t *testing.T) {
	a := funded(t, 100)
	if h, ok := a.DryAt(); ok {
		t.Errorf("an account that pays nothing runs dry at %d", h)
	}
	p := pay(t, a, "7", 10)
	if h, ok := a.DryAt(); !ok || h != 24 {
		t.Errorf("100 at 7 per block from 10 lasts to %d, %v; want 24", h, ok)
	}
	if err := a.Settle(24); err != nil || a.State != Open {
		t.Fatalf("settled at the last paid block: %v, %v", a.State, err)
	}
	if h, _ := a.DryAt(); h != 24 {
		t.Errorf("settling moved the height to %d", h)
	}
	if err := a.Deposit(Deposit{Depositor: "friend", Amount: 5}, 24); err != nil {
		t.Fatal(err)
	}
	if h, _ := a.DryAt(); h != 25 {
		t.Errorf("after a top-up of 5 it lasts to %d, want 25", h)
	}
	if got := end(t, a, p, 25); got != 105 {
		t.Errorf("paid %d, want 105", got)
	}
	if h, ok := a.DryAt(); ok {
		t.Errorf("without payments it still runs dry at %d", h)
	}
	forever := funded(t, ^market.Amount(0))
	pay(t, forever, "0.000000000000000001", 10)
	if h, ok := forever.DryAt(); !ok || h != ^market.Height(0) {
		t.Errorf("a rate next to nothing lasts to %d, %v; want the last height there is", h, ok)
	}
}

func TestRefusals(t *testing.T) {
	a := funded(t, 100)
	if _, err := a.Pay(rate(t, "101"), 0); !errors.Is(err, ErrFunds) {
		t.Errorf("a lease that one block cannot be paid of: %v", err)
	}
	if _, err := a.Pay(market.Exact{}, 0); !errors.Is(err, ErrFunds) {
		t.Errorf("a lease for nothing: %v", err)
	}
	p := pay(t, a, "10", 5)
	if _, err := a.Close(); !errors.Is(err, ErrState) {
		t.Errorf("closed with a payment: %v", err)
	}
	if _, err := a.Withdraw(p, 4); !errors.Is(err, ErrHeight) {
		t.Errorf("withdrew in the past: %v", err)
	}
	if err := a.Deposit(Deposit{Depositor: "x", Amount: ^market.Amount(0)}, 6); !errors.Is(err, ErrFunds) {
		t.Errorf("deposit beyond 2⁶⁴: %v", err)
	}
	if err := a.Deposit(Deposit{Depositor: "x", Amount: 1}, 100); !errors.Is(err, ErrState) {
		t.Errorf("deposit after the money was gone: %v", err)
	}
	end(t, a, p, 100)
	if _, err := a.End(p, 100); !errors.Is(err, ErrState) {
		t.Errorf("closed a payment twice: %v", err)
	}
	if _, err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Close(); !errors.Is(err, ErrState) {
		t.Errorf("closed an account twice: %v", err)
	}
	crowd := New(0)
	for i := range MaxDeposits {
		if err := crowd.Deposit(Deposit{Depositor: string(rune('A' + i)), Amount: 1}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := crowd.Deposit(Deposit{Depositor: "late", Amount: 1}, 0); !errors.Is(err, ErrFull) {
		t.Errorf("one depositor too many: %v", err)
	}
	if err := crowd.Deposit(Deposit{Depositor: "A", Amount: 1}, 0); err != nil {
		t.Errorf("the first depositor was locked out: %v", err)
	}
}

func TestRefundsGoToTheLastDepositors(t *testing.T) {
	a := funded(t, 100)
	if err := a.Deposit(Deposit{Depositor: "friend", Grant: true, Amount: 50}, 0); err != nil {
		t.Fatal(err)
	}
	p := pay(t, a, "10", 0)
	end(t, a, p, 12)
	refunds, err := a.Close()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Deposit{"friend", true, 30}); len(refunds) != 1 || refunds[0] != want {
		t.Errorf("refunds = %v, want %v", refunds, want)
	}
}

func TestTake(t *testing.T) {
	most := ^market.Amount(0)
	for _, c := range []struct {
		paid, provider, network market.Amount
		part                    market.Part
	}{
		{1000, 800, 200, 2000},
		{100, 90, 10, 1000}, // to the unit, though a tenth is no binary fraction
		{1000, 1000, 0, 0},
		{1000, 0, 1000, market.All},
		{1000, 0, 1000, market.All + 1},
		{1, 1, 0, 9999},
		{9999, 9998, 1, 1 + 1},
		{most, 0, most, market.All},
		{most, most - most/2, most / 2, 5000},
	} {
		if p, n := Take(c.paid, c.part); p != c.provider || n != c.network {
			t.Errorf("Take(%d, %d) = %d, %d; want %d, %d", c.paid, c.part, p, n, c.provider, c.network)
		}
	}
}

// slowLease and slow are a reference that walks every block in rationals.
type slowLease struct {
	rate, earned *big.Rat
	opened       market.Height
	open         bool
}

type slow struct {
	left   *big.Rat
	leases []*slowLease
	over   bool
}

// block pays one block: all in full, or what is left by rate.
func (s *slow) block() {
	if s.over {
		return
	}
	due := new(big.Rat)
	for _, l := range s.leases {
		if l.open {
			due.Add(due, l.rate)
		}
	}
	part := big.NewRat(1, 1)
	if due.Cmp(s.left) > 0 {
		part.Quo(s.left, due)
		s.over = true
	}
	for _, l := range s.leases {
		if l.open {
			earned := new(big.Rat).Mul(l.rate, part)
			l.earned.Add(l.earned, earned)
			s.left.Sub(s.left, earned)
		}
	}
}

// end closes a lease and gives the part of a unit back.
func (s *slow) end(l *slowLease) *big.Int {
	l.open = false
	whole := new(big.Int).Quo(l.earned.Num(), l.earned.Denom())
	s.left.Add(s.left, new(big.Rat).Sub(l.earned, new(big.Rat).SetInt(whole)))
	return whole
}

// TestEscrow plays random histories against the reference: every lease gets
// what it earned whenever and however often one settles, the account never
// pays more than it holds, and all of it is paid or refunded.
func TestEscrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := New(0)
		ref := &slow{left: new(big.Rat)}
		var payments []*Payment
		var in, out market.Amount
		height := market.Height(0)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"deposit", "pay", "wait", "withdraw", "end"}).Draw(t, "step") {
			case "deposit":
				d := Deposit{Depositor: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who"), Amount: market.Amount(rapid.Uint64Range(1, 5000).Draw(t, "amount"))}
				if a.Deposit(d, height) == nil {
					in += d.Amount
					ref.left.Add(ref.left, new(big.Rat).SetUint64(uint64(d.Amount)))
				}
			case "pay":
				text := rapid.StringMatching(`(0|[1-9][0-9]{0,1})\.[0-9]{1,18}`).Draw(t, "rate")
				r, err := market.ParseExact(text)
				if err != nil {
					t.Fatal(err)
				}
				if p, err := a.Pay(r, height); err == nil {
					payments = append(payments, &p)
					exact, _ := new(big.Rat).SetString(text)
					ref.leases = append(ref.leases, &slowLease{exact, new(big.Rat), height, true})
				}
			case "wait":
				for range rapid.IntRange(1, 60).Draw(t, "blocks") {
					height++
					ref.block()
				}
			case "withdraw", "end":
				if len(payments) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(payments)-1).Draw(t, "which")
				if rapid.Bool().Draw(t, "end") {
					out += endLike(t, a, payments[i], ref, ref.leases[i], height)
				} else if due, err := a.Withdraw(payments[i], height); err == nil {
					out += due
				}
			}
			if a.Paid > a.Funds() || a.Paid != out || a.Funds() != in {
				t.Fatalf("paid %d of %d, want %d of %d", a.Paid, a.Funds(), out, in)
			}
		}
		for i, p := range payments {
			out += endLike(t, a, p, ref, ref.leases[i], height)
		}
		refunds, err := a.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refunds {
			out += r.Amount
		}
		if in != out {
			t.Fatalf("%d came in, %d went out", in, out)
		}
	})
}

// endLike ends p here and in the reference, and compares what it got in all.
func endLike(t *rapid.T, a *Account, p *Payment, ref *slow, l *slowLease, height market.Height) market.Amount {
	due, err := a.End(p, height)
	if !l.open {
		if err == nil {
			t.Fatalf("a closed payment was closed again for %d", due)
		}
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if (a.State == Overdrawn) != ref.over {
		t.Fatalf("account is %v at %d, reference overdrawn = %v", a.State, height, ref.over)
	}
	if want := ref.end(l); want.Cmp(new(big.Int).SetUint64(uint64(p.Paid))) != 0 {
		t.Fatalf("lease from %d at %v got %d by %d, want %v", p.Opened, p.Rate, p.Paid, height, want)
	}
	return due
}

// BenchmarkSettle settles an account with few and with many leases: it costs
// the same.
func BenchmarkSettle(b *testing.B) {
	for _, leases := range []int{1, 1000, 100_000} {
		b.Run(strconv.Itoa(leases), func(b *testing.B) {
			a := funded(b, 1<<63)
			for range leases {
				pay(b, a, "0.000001", 0)
			}
			height := market.Height(0)
			for b.Loop() {
				height++
				if err := a.Settle(height); err != nil || a.State != Open {
					b.Fatal(a.State, err)
				}
			}
		})
	}
}
