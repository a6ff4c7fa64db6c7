package subnet

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// Tempo returns the number of blocks between two epochs of a subnet.
func (k *Keeper) Tempo(ctx context.Context, netuid uint32) (yuma.Blocks, error) {
	s, err := k.subnet(ctx, netuid)
	return yuma.Blocks(s.Hyperparameters.Tempo), err
}

// Seat returns the uid of an account's neuron on a subnet, and since which
// height it has that slot.
func (k *Keeper) Seat(ctx context.Context, netuid uint32, account sdk.AccAddress) (uid uint32, since int64, err error) {
	if _, err := k.subnet(ctx, netuid); err != nil {
		return 0, 0, err
	}
	n, err := k.neuron(ctx, netuid, account)
	return n.Uid, n.RegisteredAt, err
}

// Permitted returns an error unless an account has a validator permit on a
// subnet: the latest epoch gave it one.
func (k *Keeper) Permitted(ctx context.Context, netuid uint32, account sdk.AccAddress) error {
	uid, _, err := k.Seat(ctx, netuid, account)
	if err != nil || netuid == Root { // whose members all vote
		return err
	}
	epoch, err := k.epoch(ctx, shelfOf(netuid, 0))
	if err != nil {
		return err
	}
	if int(uid) >= len(epoch.Permit) || !epoch.Permit[uid] {
		return sdkerrors.ErrUnauthorized.Wrapf("account %s, uid %d of subnet %d, has no validator permit: the epochs give one to those with most stake", k.text(account), uid, netuid)
	}
	return nil
}

// Voters returns the accounts with a validator permit on a subnet, or all
// members of the root, in order of
// uid, and their stakes there as the epoch's law counts them.
func (k *Keeper) Voters(ctx context.Context, netuid uint32) ([]sdk.AccAddress, []coin.Amount, error) {
	at, err := k.subnet(ctx, netuid)
	if err != nil {
		return nil, nil, err
	}
	epoch, err := k.epoch(ctx, shelfOf(netuid, 0))
	if err != nil {
		return nil, nil, err
	}
	votes, err := k.voters(ctx, netuid)
	if err != nil {
		return nil, nil, err
	}
	var accounts []sdk.AccAddress
	var stakes []coin.Amount
	permits := epoch.Permit
	if netuid == Root { // whose members all vote
		permits = slices.Repeat([]bool{true}, int(at.Neurons))
	}
	for uid, permit := range permits {
		if !permit {
			continue
		}
		n, err := k.neurons.Get(ctx, collections.Join(netuid, uint32(uid)))
		if err != nil {
			return nil, nil, err
		}
		account, err := k.bytes(n.Account)
		if err != nil {
			return nil, nil, err
		}
		stake, err := votes(account)
		if err != nil {
			return nil, nil, err
		}
		accounts, stakes = append(accounts, account), append(stakes, stake)
	}
	return accounts, stakes, nil
}

// Expel ends a neuron that was convicted of fraud: uid of a subnet, if it is
// still the one that took that slot at height since. What it mined there and
// did not claim is unallocated again, and so is that of the account which was
// accused, should the neuron have moved to another since. Its axon is cleared
// for good, weights on it and of it count no more, and its slot is the next to
// be given away. It returns what was forfeited.
func (k *Keeper) Expel(ctx context.Context, netuid, uid uint32, since int64, accused sdk.AccAddress) (coin.Amount, error) {
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return 0, err
	}
	lost, err := k.forfeit(ctx, &s, accused)
	if err != nil {
		return 0, err
	}
	n, err := k.neurons.Get(ctx, collections.Join(netuid, uid))
	if errors.Is(err, collections.ErrNotFound) || err == nil && n.RegisteredAt != since {
		return lost, nil // the slot is another's
	}
	if err != nil {
		return 0, err
	}
	account, err := k.bytes(n.Account)
	if err != nil {
		return 0, err
	}
	more, err := k.forfeit(ctx, &s, account)
	if err != nil {
		return 0, err
	}
	for _, at := range shelves(&s) {
		if err := k.vacateShelf(ctx, at, uid); err != nil {
			return 0, err
		}
	}
	n.Axon, n.RegisteredAt, n.ExpelledAt = subnetv1.Axon{}, height(ctx), height(ctx)
	return lost + more, errors.Join(
		k.neurons.Set(ctx, collections.Join(netuid, uid), n),
		emit(ctx, &subnetv1.EventNeuronExpelled{Netuid: netuid, Uid: uid, Account: n.Account, Forfeited: uint64(lost + more)}),
	)
}
