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
// as many as the parameters allow; the rest wait for the next block. Before
// that it winds up what was dissolved.
func (k *Keeper) EndBlock(ctx context.Context) error {
	if err := k.remember(ctx); err != nil {
		return err
	}
	if err := k.wind(ctx); err != nil {
		return err
	}
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
	failure := attempted(ctx, func(inner context.Context) error { return k.run(inner, netuid) })
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

// attempted runs f, and keeps nothing of what it did if it fails, even by a
// panic.
func attempted(ctx context.Context, f func(context.Context) error) (err error) {
	inner, keep := sdk.UnwrapSDKContext(ctx).CacheContext()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
		if err == nil {
			keep()
		}
	}()
	return f(inner)
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
	if err := k.adopt(ctx, netuid); err != nil {
		return err
	}
	if err := k.settle(ctx, &s); err != nil {
		return err
	}
	return k.close(ctx, &s)
}

// settle pays the pot of s and stores what the law decided: each mechanism has
// its part of the pot and an epoch of its own. What rounding leaves is pending
// again.
func (k *Keeper) settle(ctx context.Context, s *subnetv1.Subnet) error {
	pot := coin.Amount(s.Pending)
	s.Pending = 0
	if s.Neurons == 0 { // nobody to pay
		return k.emission.Return(ctx, pot)
	}
	latest, err := k.epoch(ctx, shelfOf(s.Netuid, 0))
	if err != nil {
		return err
	}
	for mechanism, part := range parts(s, pot) {
		at := shelfOf(s.Netuid, uint32(mechanism))
		left, err := k.settleOne(ctx, s, at, part, latest.Permit)
		if err != nil {
			return err
		}
		s.Pending += uint64(left)
	}
	return nil
}

// settleOne runs the law over one mechanism of s, and returns what rounding
// left of its part of the pot.
func (k *Keeper) settleOne(ctx context.Context, s *subnetv1.Subnet, at shelf, pot coin.Amount, permits []bool) (coin.Amount, error) {
	in, accounts, err := k.input(ctx, s, at, pot, permits)
	if err != nil {
		return 0, err
	}
	out, err := yuma.Epoch(in)
	if err != nil {
		return 0, err
	}
	returned, err := k.payOut(ctx, s, in, accounts, out)
	if err != nil {
		return 0, err
	}
	if err := k.storeBonds(ctx, at, out.Bonds); err != nil {
		return 0, err
	}
	record := record(s.Epoch+1, in, out)
	record.Returned = uint64(returned)
	if err := k.epochs.Set(ctx, uint32(at), record); err != nil {
		return 0, err
	}
	return out.Remainder, emit(ctx, &subnetv1.EventEpoch{Netuid: s.Netuid, Mechanism: at.mechanism(), Epoch: record})
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

// input gathers what the law needs of one mechanism of s, and the accounts by
// uid.
func (k *Keeper) input(ctx context.Context, s *subnetv1.Subnet, at shelf, pot coin.Amount, permits []bool) (*yuma.Input, []sdk.AccAddress, error) {
	n := int(s.Neurons)
	weights, set, err := rows(ctx, k.weights, at, n)
	if err != nil {
		return nil, nil, err
	}
	bonds, _, err := rows(ctx, k.bonds, at, n)
	if err != nil {
		return nil, nil, err
	}
	neurons, accounts, err := k.seats(ctx, s, at.mechanism(), set, permits)
	if err != nil {
		return nil, nil, err
	}
	return &yuma.Input{
		Block:    yuma.Height(height(ctx)),
		Previous: yuma.Height(s.LastEpoch),
		Tempo:    yuma.Blocks(s.Hyperparameters.Tempo),
		Emission: pot,
		Params:   law(s.Hyperparameters),
		Neurons:  neurons,
		Weights:  weights,
		Bonds:    bonds,
	}, accounts, nil
}

// seats returns the neurons of s as the law sees them in one mechanism, and
// their accounts, by uid. set is when each uid's weights were decided.
func (k *Keeper) seats(ctx context.Context, s *subnetv1.Subnet, mechanism uint32, set []yuma.Height, permits []bool) ([]yuma.Neuron, []sdk.AccAddress, error) {
	neurons := make([]yuma.Neuron, 0, s.Neurons)
	accounts := make([]sdk.AccAddress, 0, s.Neurons)
	votes, err := k.voters(ctx, s.Netuid)
	if err != nil {
		return nil, nil, err
	}
	err = k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		uid := len(neurons)
		if int(n.Uid) != uid || uid >= len(set) {
			return fmt.Errorf("subnet %d: uid %d stands where %d belongs", s.Netuid, n.Uid, uid)
		}
		account, err := k.bytes(n.Account)
		if err != nil {
			return err
		}
		stake, err := votes(account)
		if err != nil {
			return err
		}
		accounts = append(accounts, account)
		neurons = append(neurons, yuma.Neuron{
			Stake:      stake,
			Registered: yuma.Height(n.RegisteredAt),
			Updated:    yuma.Height(lastUpdate(n, mechanism)),
			Committed:  set[uid],
			Permit:     uid < len(permits) && permits[uid],
			Owner:      n.Account == s.Owner,
		})
		return nil
	})
	return neurons, accounts, err
}

// payOut pays a part of the pot of s as the law decided, but for what rounding
// left. Miners and the owner claim theirs later. So does an account that earned
// as a validator but operates none, as a subnet's owner may. It returns what
// the owner's neuron mined: that is unallocated again.
func (k *Keeper) payOut(ctx context.Context, s *subnetv1.Subnet, in *yuma.Input, accounts []sdk.AccAddress, out *yuma.Result) (coin.Amount, error) {
	var returned coin.Amount
	var pay payroll
	lent, err := k.lends(ctx, s.Netuid)
	if err != nil {
		return 0, err
	}
	for uid, o := range out.Neurons {
		claimable := o.Mined
		if in.Neurons[uid].Owner {
			returned, claimable = o.Mined, 0
		}
		if o.Validated > 0 {
			who := kin{own: in.Neurons[uid].Stake} // where nobody lends, all vote with their own stake
			if lent {
				if who, err = k.kin(ctx, s.Netuid, accounts[uid]); err != nil {
					return 0, err
				}
			}
			if err := k.payDividend(ctx, s.Netuid, accounts[uid], who, o.Validated, &pay); err != nil {
				return 0, err
			}
		}
		if err := k.creditMined(ctx, s, accounts[uid], claimable); err != nil {
			return 0, err
		}
	}
	if err := k.emission.PayValidators(ctx, pay.vals, pay.amounts); err != nil {
		return 0, err
	}
	if err := k.emission.Return(ctx, returned); err != nil {
		return 0, err
	}
	owner, err := k.bytes(s.Owner)
	if err != nil {
		return 0, err
	}
	return returned, k.credit(ctx, owner, out.OwnerCut)
}

// storeBonds replaces the bonds of a mechanism.
func (k *Keeper) storeBonds(ctx context.Context, at shelf, bonds []yuma.Row) error {
	old, err := k.bonds.Iterate(ctx, rowsOf(at))
	if err != nil {
		return err
	}
	had, err := old.Keys()
	if err != nil {
		return err
	}
	for _, where := range had {
		if uid := int(where.K2()); uid >= len(bonds) || len(bonds[uid]) == 0 {
			err = errors.Join(err, k.bonds.Remove(ctx, where))
		}
	}
	for uid, row := range bonds {
		if len(row) == 0 {
			continue
		}
		r := subnetv1.Row{Uid: uint32(uid), Entries: yuma.AppendRow(nil, row)}
		err = errors.Join(err, k.bonds.Set(ctx, at.slot(r.Uid), r))
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
