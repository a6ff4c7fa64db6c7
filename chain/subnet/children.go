package subnet

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
	"github.com/plexus-network/plexus/yuma"
)

// Bounds of what is lent, as those of opentensor/subtensor.
const (
	maxChildren  = 5
	maxChildTake = 11_796 // 18 % of 65535
	childrenRest = 150    // blocks between two changes of one account
)

// family returns what an account lends on a subnet and takes there; nothing if
// it never said.
func (k *Keeper) family(ctx context.Context, netuid uint32, account sdk.AccAddress) (subnetv1.Family, error) {
	f, err := k.families.Get(ctx, collections.Join(netuid, []byte(account)))
	if errors.Is(err, collections.ErrNotFound) {
		return subnetv1.Family{Account: k.text(account)}, nil
	}
	return f, err
}

// setFamily stores a family, or removes it if it says nothing any more.
func (k *Keeper) setFamily(ctx context.Context, netuid uint32, account sdk.AccAddress, f subnetv1.Family) error {
	at := collections.Join(netuid, []byte(account))
	if len(f.Loans) == 0 && f.Due == 0 && f.Take == 0 {
		return k.families.Remove(ctx, at)
	}
	return k.families.Set(ctx, at, f)
}

// parentsOf is the range of the parents of an account on a subnet.
func parentsOf(netuid uint32, account sdk.AccAddress) collections.Ranger[collections.Triple[uint32, []byte, []byte]] {
	return collections.NewSuperPrefixedTripleRange[uint32, []byte, []byte](netuid, account)
}

// A kin is an account among those who lend it stake on a subnet and whom it
// lends. A loan counts while its child has a neuron there; until then, the
// parent votes with all of its stake itself. So the votes of all neurons
// together are never more than the stake of all who lend or vote.
type kin struct {
	own      coin.Amount // its validator's stake
	lent     fixed.Frac  // part of own that its children vote with
	votes    coin.Amount // what it votes with
	parents  []yuma.Parent
	accounts []sdk.AccAddress // of parents
}

// kin returns an account's place on a subnet. On the root nobody lends.
func (k *Keeper) kin(ctx context.Context, netuid uint32, account sdk.AccAddress) (kin, error) {
	var who kin
	var err error
	if who.own, err = k.stake(ctx, account); err != nil || netuid == Root {
		who.votes = who.own
		return who, err
	}
	who.votes = who.own
	f, err := k.family(ctx, netuid, account)
	if err != nil {
		return who, err
	}
	for _, loan := range f.Loans {
		seated, err := k.seated(ctx, netuid, loan.Child)
		if err != nil {
			return who, err
		}
		if part := fixed.FromU16(uint16(loan.Proportion)); seated {
			who.lent += part
			who.votes -= who.own.Mul(part)
		}
	}
	return who, k.borrow(ctx, netuid, account, &who)
}

// seated tells whether the account of an address has a neuron on a subnet.
func (k *Keeper) seated(ctx context.Context, netuid uint32, address string) (bool, error) {
	account, err := k.bytes(address)
	if err != nil {
		return false, err
	}
	return k.uids.Has(ctx, collections.Join(netuid, []byte(account)))
}

// borrow adds to who what the parents of account lend it, if it has a neuron.
func (k *Keeper) borrow(ctx context.Context, netuid uint32, account sdk.AccAddress, who *kin) error {
	text := k.text(account)
	if seated, err := k.seated(ctx, netuid, text); err != nil || !seated {
		return err
	}
	return k.parents.Walk(ctx, parentsOf(netuid, account), func(at collections.Triple[uint32, []byte, []byte]) (bool, error) {
		parent := sdk.AccAddress(at.K3())
		stake, err := k.stake(ctx, parent)
		if err != nil || stake == 0 {
			return err != nil, err
		}
		f, err := k.family(ctx, netuid, parent)
		if err != nil {
			return true, err
		}
		for _, loan := range f.Loans {
			if loan.Child == text {
				p := yuma.Parent{Stake: stake, Lent: fixed.FromU16(uint16(loan.Proportion))}
				who.votes += p.Stake.Mul(p.Lent)
				who.parents, who.accounts = append(who.parents, p), append(who.accounts, parent)
			}
		}
		return false, nil
	})
}

// votes returns what an account votes with on a subnet.
func (k *Keeper) votes(ctx context.Context, netuid uint32, account sdk.AccAddress) (coin.Amount, error) {
	who, err := k.kin(ctx, netuid, account)
	return who.votes, err
}

// voters returns what tells the votes of accounts on a subnet. Where nobody
// lends, these are their stakes.
func (k *Keeper) voters(ctx context.Context, netuid uint32) (func(sdk.AccAddress) (coin.Amount, error), error) {
	lent, err := k.lends(ctx, netuid)
	if err != nil {
		return nil, err
	}
	if !lent {
		return func(account sdk.AccAddress) (coin.Amount, error) { return k.stake(ctx, account) }, nil
	}
	return func(account sdk.AccAddress) (coin.Amount, error) { return k.votes(ctx, netuid, account) }, nil
}

// lends tells whether there may be anybody on a subnet who lends or borrows.
func (k *Keeper) lends(ctx context.Context, netuid uint32) (bool, error) {
	lent := false
	err := k.families.Walk(ctx, collections.NewPrefixedPairRange[uint32, []byte](netuid),
		func(seat, subnetv1.Family) (bool, error) { lent = true; return true, nil })
	return lent, err
}

// dropTake forgets what an account without a neuron takes as a child.
func (k *Keeper) dropTake(ctx context.Context, netuid uint32, account sdk.AccAddress) error {
	f, err := k.family(ctx, netuid, account)
	if err != nil || f.Take == 0 {
		return err
	}
	f.Take, f.TakenAt = 0, 0
	return k.setFamily(ctx, netuid, account, f)
}

// adopt puts the changes of children that are due on a subnet in force. It runs
// before the subnet's epoch, the only one to look at them.
func (k *Keeper) adopt(ctx context.Context, netuid uint32) error {
	var due []subnetv1.Family
	err := k.families.Walk(ctx, collections.NewPrefixedPairRange[uint32, []byte](netuid), func(_ seat, f subnetv1.Family) (bool, error) {
		if f.Due != 0 && f.Due <= height(ctx) {
			due = append(due, f)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, f := range due {
		parent, err := k.bytes(f.Account)
		if err != nil {
			return err
		}
		old := f.Loans
		f.Loans, f.Pending, f.Due = f.Pending, nil, 0
		if err := errors.Join(k.unlink(ctx, netuid, parent, old), k.link(ctx, netuid, parent, f.Loans), k.setFamily(ctx, netuid, parent, f)); err != nil {
			return err
		}
	}
	return nil
}

// link lets children find a parent, and unlink undoes it.
func (k *Keeper) link(ctx context.Context, netuid uint32, parent sdk.AccAddress, loans []subnetv1.Loan) error {
	for _, loan := range loans {
		child, err := k.bytes(loan.Child)
		if err != nil {
			return err
		}
		if err := k.parents.Set(ctx, collections.Join3(netuid, []byte(child), []byte(parent))); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) unlink(ctx context.Context, netuid uint32, parent sdk.AccAddress, loans []subnetv1.Loan) error {
	for _, loan := range loans {
		child, err := k.bytes(loan.Child)
		if err != nil {
			return err
		}
		if err := k.parents.Remove(ctx, collections.Join3(netuid, []byte(child), []byte(parent))); err != nil {
			return err
		}
	}
	return nil
}

// A payroll is what an epoch pays to validators, one entry for each.
type payroll struct {
	vals    []sdk.ValAddress
	amounts []coin.Amount
	at      map[string]int // only looked up
}

// add adds to what a validator is paid.
func (p *payroll) add(account sdk.AccAddress, amount coin.Amount) {
	if amount == 0 {
		return
	}
	if i, ok := p.at[string(account)]; ok {
		p.amounts[i] += amount
		return
	}
	if p.at == nil {
		p.at = map[string]int{}
	}
	p.at[string(account)] = len(p.vals)
	p.vals, p.amounts = append(p.vals, sdk.ValAddress(account)), append(p.amounts, amount)
}

// payDividend divides what an account earned as a validator between it and its
// parents. An account that operates no validator claims its part later.
func (k *Keeper) payDividend(ctx context.Context, netuid uint32, account sdk.AccAddress, who kin, earned coin.Amount, to *payroll) error {
	if len(who.parents) > 0 {
		f, err := k.family(ctx, netuid, account)
		if err != nil {
			return err
		}
		var shares []coin.Amount
		shares, earned = yuma.ChildDividends(earned, who.own, who.lent, who.parents, uint16(f.Take))
		for i, share := range shares {
			to.add(who.accounts[i], share)
		}
	}
	if who.own == 0 {
		return k.credit(ctx, account, earned)
	}
	to.add(account, earned)
	return nil
}

// SetChildren replaces what an account lends on a subnet, after a delay.
func (m msgs) SetChildren(ctx context.Context, msg *subnetv1.MsgSetChildren) (*subnetv1.MsgSetChildrenResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if _, err := m.subnet(ctx, msg.Netuid); err != nil {
		return nil, err
	}
	if err := m.checkLoans(ctx, msg.Netuid, account, msg.Loans); err != nil {
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	f, err := m.family(ctx, msg.Netuid, account)
	if err != nil {
		return nil, err
	}
	if f.ChangedAt != 0 {
		if err := tooSoon("changes of children", f.ChangedAt, min(childrenRest, params.ChildrenDelay), now(ctx)); err != nil {
			return nil, err
		}
	}
	f.ChangedAt = height(ctx)
	f.Pending, f.Due = msg.Loans, height(ctx)+int64(params.ChildrenDelay)
	return &subnetv1.MsgSetChildrenResponse{Due: f.Due}, m.setFamily(ctx, msg.Netuid, account, f)
}

// checkLoans tells what is wrong with what an account wants to lend, if
// anything.
func (k *Keeper) checkLoans(ctx context.Context, netuid uint32, account sdk.AccAddress, loans []subnetv1.Loan) error {
	if netuid == Root {
		return sdkerrors.ErrInvalidRequest.Wrap("no stake is lent on the root")
	}
	if err := k.validateLoans(account, loans); err != nil {
		return sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	stake, err := k.stake(ctx, account)
	if err == nil && stake == 0 && len(loans) > 0 {
		return sdkerrors.ErrUnauthorized.Wrapf("account %s has no stake to lend: it operates no validator that is bonded and not jailed", k.text(account))
	}
	return err
}

// validateLoans checks loans by themselves.
func (k *Keeper) validateLoans(account sdk.AccAddress, loans []subnetv1.Loan) error {
	if len(loans) > maxChildren {
		return fmt.Errorf("%d children; at most %d", len(loans), maxChildren)
	}
	var sum uint32
	for i, loan := range loans {
		child, err := k.bytes(loan.Child)
		if err != nil {
			return fmt.Errorf("child %d: %w", i, err)
		}
		if child.Equals(account) {
			return fmt.Errorf("child %d is the parent itself", i)
		}
		for _, other := range loans[:i] {
			if other.Child == loan.Child {
				return fmt.Errorf("child %s is named twice", loan.Child)
			}
		}
		if loan.Proportion == 0 || loan.Proportion > 65535-sum {
			return fmt.Errorf("child %d gets %d of 65535, but from 1 to %d is left", i, loan.Proportion, 65535-sum)
		}
		sum += loan.Proportion
	}
	return nil
}

// SetChildTake replaces what an account keeps of lent stake's dividends. It may
// fall at any time, and rise once per delay of children.
func (m msgs) SetChildTake(ctx context.Context, msg *subnetv1.MsgSetChildTake) (*subnetv1.MsgSetChildTakeResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if _, err := m.neuron(ctx, msg.Netuid, account); err != nil {
		return nil, err
	}
	if msg.Take > maxChildTake {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a take of %d of 65535; at most %d, 18 %%", msg.Take, maxChildTake)
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	f, err := m.family(ctx, msg.Netuid, account)
	if err != nil {
		return nil, err
	}
	if msg.Take > f.Take && f.TakenAt != 0 {
		if err := tooSoon("rises of a child's take", f.TakenAt, params.ChildrenDelay, now(ctx)); err != nil {
			return nil, err
		}
	}
	f.Take, f.TakenAt = msg.Take, height(ctx)
	return &subnetv1.MsgSetChildTakeResponse{}, m.setFamily(ctx, msg.Netuid, account, f)
}

// Family returns what an account lends on a subnet and is lent.
func (q queries) Family(ctx context.Context, r *subnetv1.QueryFamilyRequest) (*subnetv1.QueryFamilyResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	if _, err := q.subnet(ctx, r.Netuid); err != nil {
		return nil, err
	}
	f, err := q.family(ctx, r.Netuid, account)
	if err != nil {
		return nil, err
	}
	who, err := q.kin(ctx, r.Netuid, account)
	if err != nil {
		return nil, err
	}
	resp := &subnetv1.QueryFamilyResponse{Family: f, Stake: uint64(who.votes)}
	for i, p := range who.parents {
		resp.Parents = append(resp.Parents, subnetv1.Parent{Account: q.text(who.accounts[i]), Proportion: uint32(p.Lent.U16())})
	}
	return resp, nil
}

// checkFamilies returns an error unless the index of parents says what the
// families of a subnet say, and all of them are within bounds.
func (k *Keeper) checkFamilies(ctx context.Context, netuid uint32) error {
	links := 0
	err := k.families.Walk(ctx, collections.NewPrefixedPairRange[uint32, []byte](netuid), func(at seat, f subnetv1.Family) (bool, error) {
		parent := sdk.AccAddress(at.K2())
		if f.Account != k.text(parent) {
			return true, fmt.Errorf("subnet %d: the family of %s stands at %s", netuid, f.Account, k.text(parent))
		}
		for _, loans := range [][]subnetv1.Loan{f.Loans, f.Pending} {
			if err := k.validateLoans(parent, loans); err != nil {
				return true, fmt.Errorf("subnet %d: family of %s: %w", netuid, f.Account, err)
			}
		}
		for _, loan := range f.Loans {
			child, err := k.bytes(loan.Child)
			if err != nil {
				return true, err
			}
			has, err := k.parents.Has(ctx, collections.Join3(netuid, []byte(child), []byte(parent)))
			if err != nil || !has {
				return true, fmt.Errorf("subnet %d: %s does not know its parent %s: %w", netuid, loan.Child, f.Account, err)
			}
			links++
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.parents.Walk(ctx, collections.NewPrefixedTripleRange[uint32, []byte, []byte](netuid),
		func(at collections.Triple[uint32, []byte, []byte]) (bool, error) {
			if links--; links < 0 {
				return true, fmt.Errorf("subnet %d: %s has a parent %s that lends it nothing", netuid, k.text(at.K2()), k.text(at.K3()))
			}
			return false, nil
		})
}
