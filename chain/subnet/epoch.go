package subnet

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// EndBlock runs the epochs that are due, the longest overdue first and at most
// as many as the parameters allow; the rest wait for the next block.
func (k *Keeper) EndBlock(ctx context.Context) error {
	due, err := k.due(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	if err := k.allot(ctx); err != nil {
		return err
	}
	for _, at := range due {
		if err := k.queue.Remove(ctx, at); err != nil {
			return err
		}
		if err := k.attempt(ctx, at.K2()); err != nil {
			return err
		}
	}
	return nil
}

// due returns the epochs to run in this block.
func (k *Keeper) due(ctx context.Context) ([]collections.Pair[uint64, uint32], error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	now := uint64(height(ctx))
	var due []collections.Pair[uint64, uint32]
	err = k.queue.Walk(ctx, nil, func(at collections.Pair[uint64, uint32]) (bool, error) {
		if at.K1() > now || len(due) == int(params.EpochsPerBlock) {
			return true, nil
		}
		due = append(due, at)
		return false, nil
	})
	return due, err
}

// allot promises what is unallocated to the subnets by their shares. What
// rounding leaves, and all of it while there is no subnet, stays unallocated.
func (k *Keeper) allot(ctx context.Context) error {
	have, err := k.emission.Unallocated(ctx)
	if err != nil || have == 0 {
		return err
	}
	netuids, err := k.netuids(ctx)
	if err != nil {
		return err
	}
	var given coin.Amount
	for _, netuid := range netuids {
		s, err := k.subnets.Get(ctx, netuid)
		if err != nil {
			return err
		}
		part := min(have.Mul(share(&s)), have-given)
		if part == 0 {
			continue
		}
		given += part
		s.Pending += uint64(part)
		if err := k.subnets.Set(ctx, netuid, s); err != nil {
			return err
		}
	}
	return k.emission.Allocate(ctx, given)
}

// attempt runs the epoch of one subnet and queues its next. If it fails, even
// by a panic, the subnet is skipped: nothing of the epoch is kept, its pot
// stays pending, and an event tells why. An error is the chain's, not the
// subnet's.
func (k *Keeper) attempt(ctx context.Context, netuid uint32) error {
	inner, keep := sdk.UnwrapSDKContext(ctx).CacheContext()
	failure := guard(func() error { return k.run(inner, netuid) })
	if failure == nil {
		keep()
	}
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return err
	}
	if err := k.schedule(ctx, &s); err != nil {
		return err
	}
	if err := k.subnets.Set(ctx, netuid, s); err != nil {
		return err
	}
	if failure != nil {
		return emit(ctx, &subnetv1.EventEpochFailed{Netuid: netuid, Error: failure.Error()})
	}
	return nil
}

// guard turns a panic of f into an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// run runs one epoch: it pays the pot and stores what the law decided.
func (k *Keeper) run(ctx context.Context, netuid uint32) error {
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return err
	}
	if netuid == Root {
		if err := k.reshare(ctx); err != nil {
			return err
		}
		return k.close(ctx, &s)
	}
	if s.Neurons == 0 { // nobody to pay
		if err := k.emission.Return(ctx, coin.Amount(s.Pending)); err != nil {
			return err
		}
		s.Pending = 0
		return k.close(ctx, &s)
	}
	in, accounts, err := k.input(ctx, &s)
	if err != nil {
		return err
	}
	out, err := yuma.Epoch(in)
	if err != nil {
		return err
	}
	if err := k.payOut(ctx, &s, in, accounts, out); err != nil {
		return err
	}
	if err := k.storeBonds(ctx, netuid, out.Bonds); err != nil {
		return err
	}
	if err := k.close(ctx, &s); err != nil {
		return err
	}
	record := record(s.Epoch, in, out)
	if err := k.epochs.Set(ctx, netuid, record); err != nil {
		return err
	}
	return emit(ctx, &subnetv1.EventEpoch{Netuid: netuid, Epoch: record})
}

// close counts an epoch that ran.
func (k *Keeper) close(ctx context.Context, s *subnetv1.Subnet) error {
	s.Epoch++
	s.LastEpoch = height(ctx)
	if err := k.expire(ctx, s); err != nil {
		return err
	}
	return k.subnets.Set(ctx, s.Netuid, *s)
}

// input gathers what the law needs of s, and the accounts by uid.
func (k *Keeper) input(ctx context.Context, s *subnetv1.Subnet) (*yuma.Input, []sdk.AccAddress, error) {
	latest, err := k.epoch(ctx, s.Netuid)
	if err != nil {
		return nil, nil, err
	}
	n := int(s.Neurons)
	weights, set, err := rows(ctx, k.weights, s.Netuid, n)
	if err != nil {
		return nil, nil, err
	}
	bonds, _, err := rows(ctx, k.bonds, s.Netuid, n)
	if err != nil {
		return nil, nil, err
	}
	neurons, accounts, err := k.seats(ctx, s, set, latest.Permit)
	if err != nil {
		return nil, nil, err
	}
	return &yuma.Input{
		Block:    yuma.Height(height(ctx)),
		Previous: yuma.Height(s.LastEpoch),
		Tempo:    yuma.Blocks(s.Hyperparameters.Tempo),
		Emission: coin.Amount(s.Pending),
		Params:   law(s.Hyperparameters),
		Neurons:  neurons,
		Weights:  weights,
		Bonds:    bonds,
	}, accounts, nil
}

// seats returns the neurons of s as the law sees them, and their accounts, by
// uid. set is when each uid's weights were decided.
func (k *Keeper) seats(ctx context.Context, s *subnetv1.Subnet, set []yuma.Height, permits []bool) ([]yuma.Neuron, []sdk.AccAddress, error) {
	neurons := make([]yuma.Neuron, 0, s.Neurons)
	accounts := make([]sdk.AccAddress, 0, s.Neurons)
	err := k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		uid := len(neurons)
		if int(n.Uid) != uid || uid >= len(set) {
			return fmt.Errorf("subnet %d: uid %d stands where %d belongs", s.Netuid, n.Uid, uid)
		}
		account, err := k.bytes(n.Account)
		if err != nil {
			return err
		}
		stake, err := k.stake(ctx, account)
		if err != nil {
			return err
		}
		accounts = append(accounts, account)
		neurons = append(neurons, yuma.Neuron{
			Stake:      stake,
			Registered: yuma.Height(n.RegisteredAt),
			Updated:    yuma.Height(n.LastUpdate),
			Committed:  set[uid],
			Permit:     uid < len(permits) && permits[uid],
			Owner:      n.Account == s.Owner,
		})
		return nil
	})
	return neurons, accounts, err
}

// payOut pays the pot of s as the law decided. Miners and the owner claim
// theirs later. So does an account that earned as a validator but operates
// none, as a subnet's owner may. What rounding left stays pending.
func (k *Keeper) payOut(ctx context.Context, s *subnetv1.Subnet, in *yuma.Input, accounts []sdk.AccAddress, out *yuma.Result) error {
	var vals []sdk.ValAddress
	var amounts []coin.Amount
	for uid, o := range out.Neurons {
		claimable := o.Mined
		if in.Neurons[uid].Stake == 0 {
			claimable += o.Validated
		} else if o.Validated > 0 {
			vals, amounts = append(vals, sdk.ValAddress(accounts[uid])), append(amounts, o.Validated)
		}
		if err := k.credit(ctx, accounts[uid], claimable); err != nil {
			return err
		}
	}
	if err := k.emission.PayValidators(ctx, vals, amounts); err != nil {
		return err
	}
	owner, err := k.bytes(s.Owner)
	if err != nil {
		return err
	}
	s.Pending = uint64(out.Remainder)
	return k.credit(ctx, owner, out.OwnerCut)
}

// storeBonds replaces the bonds of a subnet.
func (k *Keeper) storeBonds(ctx context.Context, netuid uint32, bonds []yuma.Row) error {
	old, err := k.bonds.Iterate(ctx, collections.NewPrefixedPairRange[uint32, uint32](netuid))
	if err != nil {
		return err
	}
	had, err := old.Keys()
	if err != nil {
		return err
	}
	for _, at := range had {
		if uid := int(at.K2()); uid >= len(bonds) || len(bonds[uid]) == 0 {
			err = errors.Join(err, k.bonds.Remove(ctx, at))
		}
	}
	for uid, row := range bonds {
		if len(row) == 0 {
			continue
		}
		r := subnetv1.Row{Uid: uint32(uid), Entries: yuma.AppendRow(nil, row)}
		err = errors.Join(err, k.bonds.Set(ctx, collections.Join(netuid, r.Uid), r))
	}
	return err
}

// record packs what an epoch decided.
func record(number uint64, in *yuma.Input, out *yuma.Result) subnetv1.Epoch {
	n := len(out.Neurons)
	e := subnetv1.Epoch{
		Height: int64(in.Block), Number: number, Pot: uint64(in.Emission),
		Stake: make([]uint64, n), Active: make([]bool, n), Permit: make([]bool, n),
		Rank: make([]uint32, n), Trust: make([]uint32, n), Consensus: make([]uint32, n),
		Incentive: make([]uint32, n), Dividends: make([]uint32, n), ValidatorTrust: make([]uint32, n),
		ServerEmission: make([]uint64, n), ValidatorEmission: make([]uint64, n),
	}
	for i, o := range out.Neurons {
		e.Stake[i], e.Active[i], e.Permit[i] = uint64(in.Neurons[i].Stake), o.Active, o.Permit
		e.Rank[i], e.Trust[i], e.Consensus[i] = uint32(o.Incentive), uint32(o.Trust), uint32(o.Consensus)
		e.Incentive[i], e.Dividends[i], e.ValidatorTrust[i] = uint32(o.Incentive), uint32(o.Dividends), uint32(o.ValidatorTrust)
		e.ServerEmission[i], e.ValidatorEmission[i] = uint64(o.Mined), uint64(o.Validated)
	}
	return e
}
