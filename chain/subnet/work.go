package subnet

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// workWindow is for how many blocks work can be bound to a block after it.
const workWindow = 100

// workGas is what looking at a seal costs, so that a block can hold only so
// many of them: a seal takes about as long as this much of other gas.
const workGas = 500_000

// workLaw returns the law of registration by work on s.
func workLaw(s *subnetv1.Subnet) coin.Work {
	h := s.Hyperparameters
	return coin.Work{Min: coin.Hashes(h.WorkMin), HalfLife: uint32(h.WorkHalfLife), Growth: h.WorkIncrease}
}

// difficulty returns what registration by work takes on s at a height.
func difficulty(s *subnetv1.Subnet, l subnetv1.WorkLane, at int64) coin.Hashes {
	return workLaw(s).Decay(coin.Hashes(l.Difficulty), uint64(max(at-l.Height, 0)))
}

// lane returns where the registration by work of a subnet stands.
func (k *Keeper) lane(ctx context.Context, netuid uint32) (subnetv1.WorkLane, error) {
	l, err := k.work.Get(ctx, netuid)
	if errors.Is(err, collections.ErrNotFound) {
		return subnetv1.WorkLane{}, nil
	}
	return l, err
}

// remember notes the hash of this block, which work can be bound to, and
// forgets the one whose time is over with all work that was bound to it.
func (k *Keeper) remember(ctx context.Context) error {
	at := uint64(height(ctx))
	if hash := sdk.UnwrapSDKContext(ctx).HeaderHash(); len(hash) > 0 {
		if err := k.hashes.Set(ctx, at, hash); err != nil {
			return err
		}
	}
	if at <= workWindow {
		return nil
	}
	old := at - workWindow
	return errors.Join(k.hashes.Remove(ctx, old),
		k.spent.Clear(ctx, collections.NewPrefixedTripleRange[uint64, uint32, []byte](old)))
}

// A job is a registration by work that was looked at and found good.
type job struct {
	account    sdk.AccAddress
	subnet     subnetv1.Subnet
	lane       subnetv1.WorkLane
	difficulty coin.Hashes
}

// job checks a registration by work. What is cheap to check comes first.
func (k *Keeper) job(ctx context.Context, msg *subnetv1.MsgRegisterByWork) (job, error) {
	var j job
	var err error
	if j.account, err = k.bytes(msg.Account); err != nil {
		return j, err
	}
	if j.subnet, err = k.subnet(ctx, msg.Netuid); err != nil {
		return j, err
	}
	if err := k.open(ctx, &j); err != nil {
		return j, err
	}
	has, err := k.uids.Has(ctx, collections.Join(msg.Netuid, []byte(j.account)))
	if err != nil {
		return j, err
	}
	if has {
		return j, sdkerrors.ErrInvalidRequest.Wrapf("account %s has a neuron on subnet %d already", msg.Account, msg.Netuid)
	}
	block, err := k.fresh(ctx, msg, j.account)
	if err != nil {
		return j, err
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(workGas, "seal")
	j.difficulty = difficulty(&j.subnet, j.lane, now(ctx))
	if !j.difficulty.Meets(coin.Seal(j.account, msg.Netuid, block, msg.Nonce)) {
		return j, sdkerrors.ErrUnauthorized.Wrapf("nonce %d of block %d does not meet the difficulty of %d on subnet %d: "+
			"it is no work of this account, or the difficulty rose meanwhile", msg.Nonce, msg.Height, j.difficulty, msg.Netuid)
	}
	return j, nil
}

// open returns an error unless the subnet of j takes a registration by work in
// this block.
func (k *Keeper) open(ctx context.Context, j *job) error {
	h := j.subnet.Hyperparameters
	if j.subnet.Netuid == Root || !h.RegistrationOpen || h.WorkQuota == 0 {
		return sdkerrors.ErrUnauthorized.Wrapf("subnet %d takes no registration by work", j.subnet.Netuid)
	}
	var err error
	if j.lane, err = k.lane(ctx, j.subnet.Netuid); err != nil {
		return err
	}
	if j.lane.Height == now(ctx) && j.lane.Used >= h.WorkQuota {
		return sdkerrors.ErrInvalidRequest.Wrapf("subnet %d takes %d by work in one block, and this one is full: try the next",
			j.subnet.Netuid, h.WorkQuota)
	}
	return nil
}

// fresh returns the hash of the block that work is bound to, or an error if
// that is too old or the work was used.
func (k *Keeper) fresh(ctx context.Context, msg *subnetv1.MsgRegisterByWork, account sdk.AccAddress) ([]byte, error) {
	block, err := k.hashes.Get(ctx, uint64(max(msg.Height, 0)))
	if errors.Is(err, collections.ErrNotFound) {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("work is bound to block %d; bind it to one of the %d before block %d",
			msg.Height, workWindow-1, now(ctx))
	}
	if err != nil {
		return nil, err
	}
	used, err := k.spent.Has(ctx, collections.Join3(uint64(msg.Height), msg.Netuid, []byte(account)))
	if err != nil {
		return nil, err
	}
	if used {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("work of block %d registered this account already: work anew", msg.Height)
	}
	return block, nil
}

// RegisterByWork takes a slot on a subnet by proof of work.
func (m msgs) RegisterByWork(ctx context.Context, msg *subnetv1.MsgRegisterByWork) (*subnetv1.MsgRegisterByWorkResponse, error) {
	j, err := m.job(ctx, msg)
	if err != nil {
		return nil, err
	}
	uid, replaced, err := m.addNeuron(ctx, &j.subnet, j.account)
	if err != nil {
		return nil, err
	}
	if j.lane.Height != height(ctx) {
		j.lane.Used = 0
	}
	j.lane.Used++
	j.lane.Height, j.lane.Difficulty = height(ctx), uint64(workLaw(&j.subnet).Bump(j.difficulty))
	if err := errors.Join(
		m.work.Set(ctx, msg.Netuid, j.lane),
		m.spent.Set(ctx, collections.Join3(uint64(msg.Height), msg.Netuid, []byte(j.account))),
		m.subnets.Set(ctx, msg.Netuid, j.subnet),
	); err != nil {
		return nil, err
	}
	return &subnetv1.MsgRegisterByWorkResponse{Uid: uid, Difficulty: uint64(j.difficulty)}, emit(ctx, &subnetv1.EventNeuronWorked{
		Netuid: msg.Netuid, Uid: uid, Account: msg.Account, Difficulty: uint64(j.difficulty), Replaced: replaced,
	})
}

// rideWork lets good work pass, once per block and subnet of an account.
func (k *Keeper) rideWork(ctx context.Context, msg *subnetv1.MsgRegisterByWork) error {
	j, err := k.job(ctx, msg)
	if err != nil {
		return err
	}
	return k.ride(ctx, shelfOf(msg.Netuid, 0), j.account, workLane, 1)
}

// Work says what registration by work takes in the next block.
func (q queries) Work(ctx context.Context, r *subnetv1.QueryWorkRequest) (*subnetv1.QueryWorkResponse, error) {
	s, err := q.subnet(ctx, r.Netuid)
	if err != nil {
		return nil, err
	}
	l, err := q.lane(ctx, r.Netuid)
	if err != nil {
		return nil, err
	}
	d := difficulty(&s, l, height(ctx)+1)
	resp := &subnetv1.QueryWorkResponse{
		Difficulty: uint64(d),
		After:      uint64(workLaw(&s).Bump(d)),
		Floor:      s.Hyperparameters.WorkMin,
		HalfLife:   s.Hyperparameters.WorkHalfLife,
		Window:     workWindow,
	}
	if s.Netuid != Root && s.Hyperparameters.RegistrationOpen {
		resp.Quota = s.Hyperparameters.WorkQuota
	}
	err = q.hashes.Walk(ctx, new(collections.Range[uint64]).Descending(), func(at uint64, hash []byte) (bool, error) {
		resp.Height, resp.Hash = int64(at), hash
		return true, nil // the latest is enough
	})
	return resp, err
}
