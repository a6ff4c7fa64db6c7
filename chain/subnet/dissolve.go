package subnet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// maxNetuid is the highest number of a subnet: the root's weights name
// subnets as they name neurons.
const maxNetuid = yuma.MaxNeurons - 1

// sweepPerBlock is how many entries of dissolved subnets one block removes.
const sweepPerBlock = 1000

// freeNetuid returns the number of the next subnet. Numbers of dissolved
// subnets come round again as late as possible, so that who still speaks to
// one gets an error, not another subnet.
func (k *Keeper) freeNetuid(ctx context.Context) (uint32, error) {
	at, err := k.latest.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		var all []uint32
		if all, err = k.netuids(ctx); len(all) > 0 {
			at = all[len(all)-1]
		}
	}
	if err != nil {
		return 0, err
	}
	for range maxNetuid {
		at = at%maxNetuid + 1
		live, err := k.subnets.Has(ctx, at)
		if err != nil {
			return 0, err
		}
		ending, err := k.dissolving.Has(ctx, at)
		if err != nil {
			return 0, err
		}
		if !live && !ending {
			return at, nil
		}
	}
	return 0, fmt.Errorf("all %d netuids are taken", maxNetuid)
}

// makeRoom dissolves a subnet if there are as many as are allowed.
func (k *Keeper) makeRoom(ctx context.Context, p subnetv1.Params) error {
	all, err := k.netuids(ctx)
	if err != nil || len(all) < int(p.MaxSubnets) {
		return err
	}
	netuid, err := k.weakest(ctx, p, all)
	if err != nil {
		return err
	}
	return k.dissolve(ctx, netuid)
}

// weakest returns the subnet that makes room for a new one: of those that are
// not immune that with the least share of emission, and of equals the oldest.
func (k *Keeper) weakest(ctx context.Context, p subnetv1.Params, all []uint32) (uint32, error) {
	var candidates []yuma.Candidate
	at, wait := now(ctx), int64(0)
	for _, netuid := range all {
		s, err := k.subnets.Get(ctx, netuid)
		if err != nil {
			return 0, err
		}
		if left := s.RegisteredAt + int64(p.SubnetImmunity) - at; left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		candidates = append(candidates, yuma.Candidate{
			UID: yuma.UID(netuid), Registered: yuma.Height(s.RegisteredAt), Emission: coin.Amount(s.Share),
		})
	}
	netuid, ok := yuma.Prune(candidates, yuma.Height(at), 0, 0)
	if !ok {
		return 0, sdkerrors.ErrInvalidRequest.Wrapf("there are %d subnets, as many as are allowed, and all are immune: wait %s",
			len(all), blocks(wait))
	}
	return uint32(netuid), nil
}

// dissolve takes a subnet off the list, with what it earned until now. The end
// of the block splits that by a last epoch, and this and later blocks sweep
// away the rest. What accounts can claim is theirs, as ever.
func (k *Keeper) dissolve(ctx context.Context, netuid uint32) error {
	if err := k.allot(ctx); err != nil {
		return err
	}
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return err
	}
	return errors.Join(
		k.subnets.Remove(ctx, netuid),
		k.queue.Remove(ctx, collections.Join(uint64(s.NextEpoch), netuid)),
		k.dissolving.Set(ctx, netuid, s),
		k.unweigh(ctx, netuid),
	)
}

// unweigh removes the root's weights on a subnet.
func (k *Keeper) unweigh(ctx context.Context, netuid uint32) error {
	var changed []subnetv1.Row
	err := k.weights.Walk(ctx, rowsOf(shelfOf(Root, 0)), func(_ slot, r subnetv1.Row) (bool, error) {
		row, err := yuma.DecodeRow(r.Entries, yuma.MaxNeurons)
		if err != nil {
			return true, err
		}
		left := slices.DeleteFunc(row, func(e yuma.Entry) bool { return e.UID == yuma.UID(netuid) })
		if entries := yuma.AppendRow(nil, left); len(entries) < len(r.Entries) {
			r.Entries = entries
			changed = append(changed, r)
		}
		return false, nil
	})
	for _, r := range changed {
		err = errors.Join(err, k.weights.Set(ctx, shelfOf(Root, 0).slot(r.Uid), r))
	}
	return err
}

// wind settles the subnets that were dissolved in this block, and sweeps away
// a part of what dissolved subnets left.
func (k *Keeper) wind(ctx context.Context) error {
	it, err := k.dissolving.Iterate(ctx, nil)
	if err != nil {
		return err
	}
	ending, err := it.Values()
	if err != nil {
		return err
	}
	left := sweepPerBlock
	for _, s := range ending {
		if s.NextEpoch != 0 {
			if err := k.lastEpoch(ctx, &s); err != nil {
				return err
			}
		}
		if left, err = k.sweep(ctx, &s, left); err != nil {
			return err
		}
		if left > 0 { // nothing is left of it
			if err := k.dissolving.Remove(ctx, s.Netuid); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastEpoch splits what s has pending. If the law fails, even by a panic, all
// of it is unallocated again, and so is what rounding leaves. A subnet whose
// last epoch ran has none next.
func (k *Keeper) lastEpoch(ctx context.Context, s *subnetv1.Subnet) error {
	pot := s.Pending
	failure := attempted(ctx, func(inner context.Context) error {
		after := *s
		if err := k.settle(inner, &after); err != nil {
			return err
		}
		s.Pending = after.Pending
		return nil
	})
	if failure != nil {
		if err := emit(ctx, &subnetv1.EventEpochFailed{Netuid: s.Netuid, Error: failure.Error()}); err != nil {
			return err
		}
	}
	rest := s.Pending
	s.Pending, s.NextEpoch = 0, 0
	return errors.Join(
		k.emission.Return(ctx, coin.Amount(rest)),
		k.dissolving.Set(ctx, s.Netuid, *s),
		emit(ctx, &subnetv1.EventSubnetDissolved{Netuid: s.Netuid, Owner: s.Owner, Pot: pot, Returned: rest}),
	)
}

// sweep removes up to left entries of a dissolved subnet, and returns how many
// more it could have removed. It is done when that is more than 0.
func (k *Keeper) sweep(ctx context.Context, s *subnetv1.Subnet, left int) (int, error) {
	for _, b := range k.belongings(s) {
		var err error
		if left, err = b(ctx, left); err != nil || left == 0 {
			return left, err
		}
	}
	return left, nil
}

// A broom removes up to left entries of one kind, and returns how many more it
// could have removed.
type broom func(ctx context.Context, left int) (int, error)

// belongings returns a broom for each kind of entry that is kept by netuid or
// by shelf. A new kind is listed here, or outlives its subnet.
func (k *Keeper) belongings(s *subnetv1.Subnet) []broom {
	all := []broom{
		sweeper(k.neurons, collections.NewPrefixedPairRange[uint32, uint32](s.Netuid)),
		sweeper(k.uids, collections.NewPrefixedPairRange[uint32, []byte](s.Netuid)),
		sweeper(k.work, only(s.Netuid)),
		sweeper(k.commitments, collections.NewPrefixedPairRange[uint32, uint32](s.Netuid)),
		sweeper(k.families, collections.NewPrefixedPairRange[uint32, []byte](s.Netuid)),
		sweeper(collections.Map[collections.Triple[uint32, []byte, []byte], collections.NoValue](k.parents),
			collections.NewPrefixedTripleRange[uint32, []byte, []byte](s.Netuid)),
	}
	for _, at := range shelves(s) {
		all = append(all,
			sweeper(k.weights, rowsOf(at)),
			sweeper(k.bonds, rowsOf(at)),
			sweeper(k.commits, commitsOf(at)),
			sweeper(k.rides, ridesOf(at)),
			sweeper(k.epochs, only(uint32(at))),
		)
	}
	return all
}

// only ranges over one key.
func only(key uint32) collections.Ranger[uint32] {
	return new(collections.Range[uint32]).StartInclusive(key).EndInclusive(key)
}

// sweeper returns a broom for a range of a map.
func sweeper[K, V any](m collections.Map[K, V], r collections.Ranger[K]) broom {
	return func(ctx context.Context, left int) (int, error) {
		var keys []K
		err := m.Walk(ctx, r, func(key K, _ V) (bool, error) {
			if len(keys) == left {
				return true, nil
			}
			keys = append(keys, key)
			return false, nil
		})
		for _, key := range keys {
			err = errors.Join(err, m.Remove(ctx, key))
		}
		return left - len(keys), err
	}
}

// DissolveSubnet ends a subnet.
func (m msgs) DissolveSubnet(ctx context.Context, msg *subnetv1.MsgDissolveSubnet) (*subnetv1.MsgDissolveSubnetResponse, error) {
	if msg.Authority != m.authority {
		return nil, govtypes.ErrInvalidSigner.Wrapf("only %s may dissolve a subnet, not %s", m.authority, msg.Authority)
	}
	if msg.Netuid == Root {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("the root cannot be dissolved")
	}
	if err := m.dissolve(ctx, msg.Netuid); err != nil {
		return nil, err
	}
	return &subnetv1.MsgDissolveSubnetResponse{}, m.reshare(ctx)
}
