package subnet

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// A mover moves one kind of what an account owns to another account, and counts
// it in the response if that tells of it.
type mover func(ctx context.Context, r *rotation) error

// A rotation moves all that one account owns on subnets to another.
type rotation struct {
	from, to         sdk.AccAddress
	fromText, toText string
	netuids          []uint32 // all, the root too
	moved            subnetv1.MsgRotateResponse
}

// movers lists everything that an account may own on subnets: a new kind is
// listed here, or stays behind. What a neuron has by its uid, as weights, bonds
// and commitments, goes with the slot. Work that was spent stays: it is of the
// account that did it, and is forgotten with its block.
func (k *Keeper) movers() []mover {
	return []mover{k.moveSubnets, k.moveSlots, k.moveFamilies, k.moveClaim, k.moveRides}
}

// Rotate moves everything that an account owns on subnets to another, on all
// subnets or on none. Stake stays: it is the validator's of x/staking, and so
// are grants, which are x/authz's.
func (m msgs) Rotate(ctx context.Context, msg *subnetv1.MsgRotate) (*subnetv1.MsgRotateResponse, error) {
	r := &rotation{fromText: msg.Account, toText: msg.To}
	var err error
	if r.from, err = m.bytes(msg.Account); err != nil {
		return nil, err
	}
	if r.to, err = m.bytes(msg.To); err != nil {
		return nil, err
	}
	if r.from.Equals(r.to) {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("an account is rotated to another, not to itself")
	}
	if r.netuids, err = m.netuids(ctx); err != nil {
		return nil, err
	}
	r.netuids = append([]uint32{Root}, r.netuids...)
	for _, move := range m.movers() {
		if err := move(ctx, r); err != nil {
			return nil, err
		}
	}
	return &r.moved, emit(ctx, &subnetv1.EventRotated{Account: msg.Account, To: msg.To})
}

// moveSlots moves neurons. Commits keep the account that their hashes cover.
func (k *Keeper) moveSlots(ctx context.Context, r *rotation) error {
	for _, netuid := range r.netuids {
		n, err := k.neuron(ctx, netuid, r.from)
		if errors.Is(err, sdkerrors.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		taken, err := k.uids.Has(ctx, collections.Join(netuid, []byte(r.to)))
		if err != nil {
			return err
		}
		if taken {
			return sdkerrors.ErrInvalidRequest.Wrapf("account %s has a neuron on subnet %d already: rotate to an account that has none", r.toText, netuid)
		}
		n.Account = r.toText
		if err := errors.Join(
			k.uids.Remove(ctx, collections.Join(netuid, []byte(r.from))),
			k.setNeuron(ctx, netuid, r.to, n),
			k.moveCommits(ctx, netuid, n.Uid, r.fromText),
		); err != nil {
			return err
		}
		r.moved.Neurons++
	}
	return nil
}

// moveCommits notes in the commits of a uid whose account's bytes their hashes
// cover.
func (k *Keeper) moveCommits(ctx context.Context, netuid, uid uint32, account string) error {
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return err
	}
	for _, at := range shelves(&s) {
		var open []subnetv1.Commit
		err := k.commits.Walk(ctx, collections.NewSuperPrefixedTripleRange[uint32, uint32, uint64](uint32(at), uid),
			func(_ collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
				if c.Account == "" {
					open = append(open, c)
				}
				return false, nil
			})
		for _, c := range open {
			c.Account = account
			err = errors.Join(err, k.commits.Set(ctx, collections.Join3(uint32(at), uid, c.Epoch), c))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveSubnets moves subnets that are owned, and offers of subnets. It comes
// before slots move: what an owner's neuron mines is not paid, so nobody who
// mines on a subnet is made its owner without having accepted it.
func (k *Keeper) moveSubnets(ctx context.Context, r *rotation) error {
	for _, netuid := range r.netuids {
		s, err := k.subnets.Get(ctx, netuid)
		if err != nil {
			return err
		}
		if s.Owner != r.fromText && s.Heir != r.fromText {
			continue
		}
		if s.Heir == r.fromText {
			s.Heir = r.toText
		}
		if s.Owner == r.fromText {
			mines, err := k.uids.Has(ctx, collections.Join(netuid, []byte(r.to)))
			if err != nil {
				return err
			}
			if mines {
				return sdkerrors.ErrInvalidRequest.Wrapf("account %s has a neuron on subnet %d, which %s owns: offer it the subnet first", r.toText, netuid, r.fromText)
			}
			s.Owner = r.toText
			r.moved.Subnets++
		}
		if s.Heir == s.Owner { // who was offered it has it
			s.Heir = ""
		}
		if err := k.subnets.Set(ctx, netuid, s); err != nil {
			return err
		}
	}
	return nil
}

// moveFamilies moves what the account lends and what is lent to it, in force or
// pending.
func (k *Keeper) moveFamilies(ctx context.Context, r *rotation) error {
	for _, netuid := range r.netuids {
		var changed []subnetv1.Family
		clash := false
		err := k.families.Walk(ctx, collections.NewPrefixedPairRange[uint32, []byte](netuid), func(_ seat, f subnetv1.Family) (bool, error) {
			clash = clash || names(f, r.toText)
			if names(f, r.fromText) {
				changed = append(changed, f)
			}
			return false, nil
		})
		if err != nil {
			return err
		}
		if clash && len(changed) > 0 {
			return sdkerrors.ErrInvalidRequest.Wrapf("account %s lends stake, or is lent some, on subnet %d already: rotate to an account without", r.toText, netuid)
		}
		for _, f := range changed {
			if err := k.moveFamily(ctx, netuid, f, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// names tells whether a family is that of an account or lends to it.
func names(f subnetv1.Family, account string) bool {
	if f.Account == account {
		return true
	}
	for _, loans := range [][]subnetv1.Loan{f.Loans, f.Pending} {
		for _, loan := range loans {
			if loan.Child == account {
				return true
			}
		}
	}
	return false
}

// moveFamily renames an account in one family.
func (k *Keeper) moveFamily(ctx context.Context, netuid uint32, f subnetv1.Family, r *rotation) error {
	parent, err := k.bytes(f.Account)
	if err != nil {
		return err
	}
	if err := errors.Join(k.unlink(ctx, netuid, parent, f.Loans), k.families.Remove(ctx, collections.Join(netuid, []byte(parent)))); err != nil {
		return err
	}
	if f.Account == r.fromText {
		f.Account, parent = r.toText, r.to
	}
	for _, loans := range [][]subnetv1.Loan{f.Loans, f.Pending} {
		for i := range loans {
			if loans[i].Child == r.fromText {
				loans[i].Child = r.toText
			}
		}
	}
	return errors.Join(k.link(ctx, netuid, parent, f.Loans), k.setFamily(ctx, netuid, parent, f))
}

// moveClaim moves what the account can claim.
func (k *Keeper) moveClaim(ctx context.Context, r *rotation) error {
	amount, err := k.claim(ctx, r.from)
	if err != nil {
		return err
	}
	return errors.Join(k.claimable.Remove(ctx, r.from), k.credit(ctx, r.to, amount), k.moveEarnings(ctx, r.from, r.to))
}

// moveRides moves the latest free messages, so that a rotation earns no more of
// them.
func (k *Keeper) moveRides(ctx context.Context, r *rotation) error {
	for _, netuid := range r.netuids {
		s, err := k.subnets.Get(ctx, netuid)
		if err != nil {
			return err
		}
		for _, at := range shelves(&s) {
			if err := k.moveRidesOf(ctx, at, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *Keeper) moveRidesOf(ctx context.Context, at shelf, r *rotation) error {
	taken := map[lane]int64{} // only looked up
	err := k.rides.Walk(ctx, collections.NewSuperPrefixedTripleRange[uint32, []byte, uint32](uint32(at), r.from),
		func(where collections.Triple[uint32, []byte, uint32], height int64) (bool, error) {
			taken[lane(where.K3())] = height
			return false, nil
		})
	if err != nil || len(taken) == 0 {
		return err
	}
	for l := weightsLane; l <= workLane; l++ {
		last, ok := taken[l]
		if !ok {
			continue
		}
		where := collections.Join3(uint32(at), []byte(r.to), uint32(l))
		other, err := k.rides.Get(ctx, where)
		if err != nil && !errors.Is(err, collections.ErrNotFound) {
			return err
		}
		if err := errors.Join(
			k.rides.Remove(ctx, collections.Join3(uint32(at), []byte(r.from), uint32(l))),
			k.rides.Set(ctx, where, max(last, other)),
		); err != nil {
			return err
		}
	}
	return nil
}
