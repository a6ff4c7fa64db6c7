package subnet

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// What an account can claim is one sum over all subnets. Earnings say which
// part of it was mined where, so that a subnet can take back no more than it
// gave. They are kept until the account claims.

// An earner is an account and the subnet that it mined on.
type earner = collections.Pair[[]byte, uint32]

// earningsOf ranges over what an account mined, by subnet.
func earningsOf(account sdk.AccAddress) collections.Ranger[earner] {
	return collections.NewPrefixedPairRange[[]byte, uint32](account)
}

// creditMined adds amount to what an account can claim, as mined on s.
func (k *Keeper) creditMined(ctx context.Context, s *subnetv1.Subnet, account sdk.AccAddress, amount coin.Amount) error {
	if amount == 0 {
		return nil
	}
	return errors.Join(k.credit(ctx, account, amount), k.noteMined(ctx, account, subnetv1.Earning{
		Netuid: s.Netuid, Amount: uint64(amount), RegisteredAt: s.RegisteredAt,
	}))
}

// noteMined adds e to what an account mined. What was mined on an earlier subnet
// of that netuid is not told apart from the rest of a claim any more.
func (k *Keeper) noteMined(ctx context.Context, account sdk.AccAddress, e subnetv1.Earning) error {
	have, err := k.earning(ctx, account, e.Netuid)
	if err != nil {
		return err
	}
	switch {
	case have.RegisteredAt > e.RegisteredAt:
		return nil
	case have.RegisteredAt == e.RegisteredAt:
		e.Amount += have.Amount
	}
	e.Account = k.text(account)
	return k.earnings.Set(ctx, collections.Join([]byte(account), e.Netuid), e)
}

// earning returns what an account mined under a netuid and did not claim.
func (k *Keeper) earning(ctx context.Context, account sdk.AccAddress, netuid uint32) (subnetv1.Earning, error) {
	e, err := k.earnings.Get(ctx, collections.Join([]byte(account), netuid))
	if errors.Is(err, collections.ErrNotFound) {
		return subnetv1.Earning{}, nil
	}
	return e, err
}

// moveEarnings makes what one account mined another's.
func (k *Keeper) moveEarnings(ctx context.Context, from, to sdk.AccAddress) error {
	it, err := k.earnings.Iterate(ctx, earningsOf(from))
	if err != nil {
		return err
	}
	all, err := it.Values()
	if err != nil {
		return err
	}
	for _, e := range all {
		err = errors.Join(err, k.noteMined(ctx, to, e))
	}
	return errors.Join(err, k.earnings.Clear(ctx, earningsOf(from)))
}

// forfeit takes back what an account mined on s and did not claim: it is
// unallocated again. It returns how much that was.
func (k *Keeper) forfeit(ctx context.Context, s *subnetv1.Subnet, account sdk.AccAddress) (coin.Amount, error) {
	e, err := k.earning(ctx, account, s.Netuid)
	if err != nil || e.Amount == 0 || e.RegisteredAt != s.RegisteredAt {
		return 0, err
	}
	have, err := k.claim(ctx, account)
	if err != nil {
		return 0, err
	}
	lost := coin.Amount(e.Amount)
	left, err := have.Sub(lost)
	if err != nil {
		return 0, fmt.Errorf("forfeit %v of %s: %w", lost, k.text(account), err)
	}
	if left == 0 {
		err = k.claimable.Remove(ctx, account)
	} else {
		err = k.claimable.Set(ctx, account, uint64(left))
	}
	return lost, errors.Join(err,
		k.earnings.Remove(ctx, collections.Join([]byte(account), s.Netuid)),
		k.emission.Return(ctx, lost),
	)
}

// initEarnings sets what accounts mined, after what they can claim.
func (k *Keeper) initEarnings(ctx context.Context, all []subnetv1.Earning) error {
	for _, e := range all {
		account, err := k.bytes(e.Account)
		if err == nil {
			err = k.earnings.Set(ctx, collections.Join([]byte(account), e.Netuid), e)
		}
		if err != nil {
			return fmt.Errorf("earning of %q on subnet %d: %w", e.Account, e.Netuid, err)
		}
	}
	return k.checkEarnings(ctx)
}

// checkEarnings returns an error for an account that mined more than it can
// claim.
func (k *Keeper) checkEarnings(ctx context.Context) error {
	var account []byte
	var sum coin.Amount
	return k.earnings.Walk(ctx, nil, func(at earner, e subnetv1.Earning) (bool, error) {
		if string(at.K1()) != string(account) {
			account, sum = at.K1(), 0
		}
		sum += coin.Amount(e.Amount)
		most, err := k.claim(ctx, account)
		if err != nil {
			return true, err
		}
		if sum > most || e.Account != k.text(account) || e.Netuid != at.K2() {
			return true, fmt.Errorf("account %s mined %v up to subnet %d by the entry of %s, but can claim %v", k.text(account), sum, at.K2(), e.Account, most)
		}
		return false, nil
	})
}
