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
	"github.com/plexus-network/plexus/yuma"
)

// minFree is how many neurons must be out of immunity for one of them to be
// pruned rather than the worst of the immune.
const minFree = 10

// subnetPrice returns what a new subnet costs at the given height.
func (k *Keeper) subnetPrice(ctx context.Context, p subnetv1.Params, at int64) (coin.Amount, error) {
	law := coin.SubnetPrice{Min: coin.Amount(p.SubnetPriceMin), Interval: p.SubnetPriceDecay}
	last, err := k.price.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) || err == nil && last == 0 {
		return law.First(), nil
	}
	if err != nil {
		return 0, err
	}
	since, err := k.pricedAt.Get(ctx)
	if err != nil {
		return 0, err
	}
	return law.After(coin.Amount(last), uint64(max(at-since, 0)))
}

// burnPrice returns what a neuron costs on s at the given height.
func burnPrice(s *subnetv1.Subnet, at int64) coin.Amount {
	return priceLaw(s).Decay(coin.Amount(s.Burn), uint64(max(at-s.BurnAt, 0)))
}

// burn takes price from an account, unless it is above what the account
// agreed to.
func (k *Keeper) burn(ctx context.Context, from sdk.AccAddress, price coin.Amount, limit sdk.Coin) error {
	if limit.Denom != coin.Denom {
		return sdkerrors.ErrInvalidCoins.Wrapf("max_price is in %q; it must be in %s", limit.Denom, coin.Denom)
	}
	if limit.Amount.IsNil() || !limit.Amount.IsUint64() {
		return sdkerrors.ErrInvalidCoins.Wrapf("max_price %s is out of range", limit)
	}
	if most := coin.Amount(limit.Amount.Uint64()); price > most {
		return sdkerrors.ErrInsufficientFee.Wrapf("price is %v, above your max %v", price, most)
	}
	if price == 0 {
		return nil
	}
	if err := k.emission.Burn(ctx, from, price); err != nil {
		return err
	}
	sum, err := k.burned.Get(ctx)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	return k.burned.Set(ctx, sum+uint64(price))
}

// addSubnet stores a new subnet under the next free netuid, due for its first
// epoch a tempo from now.
func (k *Keeper) addSubnet(ctx context.Context, s subnetv1.Subnet) (subnetv1.Subnet, error) {
	var err error
	if s.Netuid, err = k.freeNetuid(ctx); err != nil {
		return s, err
	}
	if err := k.latest.Set(ctx, s.Netuid); err != nil {
		return s, err
	}
	s.RegisteredAt = height(ctx)
	s.Burn, s.BurnAt = s.Hyperparameters.BurnMin, s.RegisteredAt
	if err := k.schedule(ctx, &s); err != nil {
		return s, err
	}
	return s, k.subnets.Set(ctx, s.Netuid, s)
}

// schedule queues the next epoch of s, a tempo from now.
func (k *Keeper) schedule(ctx context.Context, s *subnetv1.Subnet) error {
	s.NextEpoch = height(ctx) + int64(s.Hyperparameters.Tempo)
	return k.queue.Set(ctx, collections.Join(uint64(s.NextEpoch), s.Netuid))
}

// addNeuron gives an account a slot on s: a free one, or that of the neuron to
// be pruned. It returns the slot and the account that lost it.
func (k *Keeper) addNeuron(ctx context.Context, s *subnetv1.Subnet, account sdk.AccAddress) (uid uint32, replaced string, err error) {
	has, err := k.uids.Has(ctx, collections.Join(s.Netuid, []byte(account)))
	if err != nil {
		return 0, "", err
	}
	if has {
		return 0, "", sdkerrors.ErrInvalidRequest.Wrapf("account %s has a neuron on subnet %d already", k.text(account), s.Netuid)
	}
	uid = s.Neurons
	if uid < s.Hyperparameters.MaxUids {
		s.Neurons++
	} else {
		if uid, err = k.prunable(ctx, s); err != nil {
			return 0, "", err
		}
		if replaced, err = k.vacate(ctx, s, uid); err != nil {
			return 0, "", err
		}
	}
	return uid, replaced, k.setNeuron(ctx, s.Netuid, account, subnetv1.Neuron{
		Uid:          uid,
		Account:      k.text(account),
		RegisteredAt: height(ctx),
	})
}

// prunable returns the uid that a full subnet gives away next.
func (k *Keeper) prunable(ctx context.Context, s *subnetv1.Subnet) (uint32, error) {
	earned, err := k.earned(ctx, s)
	if err != nil {
		return 0, err
	}
	var candidates []yuma.Candidate
	err = k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		c := yuma.Candidate{
			UID:        yuma.UID(n.Uid),
			Registered: yuma.Height(n.RegisteredAt),
			Protected:  n.Account == s.Owner,
			Convicted:  n.ExpelledAt != 0,
		}
		if int(n.Uid) < len(earned) {
			c.Emission = earned[n.Uid]
		}
		if s.Netuid == Root {
			account, err := k.bytes(n.Account)
			if err != nil {
				return err
			}
			if c.Emission, err = k.stake(ctx, account); err != nil {
				return err
			}
		}
		candidates = append(candidates, c)
		return nil
	})
	if err != nil {
		return 0, err
	}
	immunity, free := yuma.Blocks(s.Hyperparameters.ImmunityPeriod), minFree
	if s.Netuid == Root {
		immunity, free = 0, 0
	}
	uid, ok := yuma.Prune(candidates, yuma.Height(height(ctx)), immunity, free)
	if !ok {
		return 0, sdkerrors.ErrInvalidRequest.Wrapf("subnet %d is full: all of its %d neurons are protected", s.Netuid, s.Neurons)
	}
	return uint32(uid), nil
}

// earned returns what each uid of s earned in the latest epoch of all
// mechanisms.
func (k *Keeper) earned(ctx context.Context, s *subnetv1.Subnet) ([]coin.Amount, error) {
	sums := make([]coin.Amount, s.Neurons)
	for _, at := range shelves(s) {
		e, err := k.epoch(ctx, at)
		if err != nil {
			return nil, err
		}
		for uid := range min(len(sums), len(e.ServerEmission)) {
			sums[uid] += coin.Amount(e.ServerEmission[uid] + e.ValidatorEmission[uid])
		}
	}
	return sums, nil
}

// vacate removes all that the neuron of a slot left behind, so that its
// successor inherits nothing, and returns its account.
func (k *Keeper) vacate(ctx context.Context, s *subnetv1.Subnet, uid uint32) (string, error) {
	n, err := k.neurons.Get(ctx, collections.Join(s.Netuid, uid))
	if err != nil {
		return "", err
	}
	account, err := k.bytes(n.Account)
	if err != nil {
		return "", err
	}
	err = errors.Join(
		k.uids.Remove(ctx, collections.Join(s.Netuid, []byte(account))),
		k.commitments.Remove(ctx, collections.Join(s.Netuid, uid)),
		k.dropTake(ctx, s.Netuid, account),
	)
	for _, at := range shelves(s) {
		err = errors.Join(err, k.vacateShelf(ctx, at, uid))
	}
	return n.Account, err
}

// vacateShelf removes what a uid left behind in one mechanism.
func (k *Keeper) vacateShelf(ctx context.Context, at shelf, uid uint32) error {
	err := errors.Join(
		k.weights.Remove(ctx, at.slot(uid)),
		k.bonds.Remove(ctx, at.slot(uid)),
		k.commits.Clear(ctx, collections.NewSuperPrefixedTripleRange[uint32, uint32, uint64](uint32(at), uid)),
	)
	if err != nil {
		return err
	}
	epoch, err := k.epoch(ctx, at)
	if err != nil || int(uid) >= len(epoch.Permit) {
		return err
	}
	forget(&epoch, int(uid))
	return k.epochs.Set(ctx, uint32(at), epoch)
}

// forget clears what the latest epoch said of a uid.
func forget(e *subnetv1.Epoch, uid int) {
	e.Stake[uid], e.Active[uid], e.Permit[uid] = 0, false, false
	for _, list := range [][]uint32{e.Rank, e.Trust, e.Consensus, e.Incentive, e.Dividends, e.ValidatorTrust} {
		list[uid] = 0
	}
	e.ServerEmission[uid], e.ValidatorEmission[uid] = 0, 0
}

// epoch returns the latest epoch of a mechanism; the zero value before the
// first.
func (k *Keeper) epoch(ctx context.Context, at shelf) (subnetv1.Epoch, error) {
	e, err := k.epochs.Get(ctx, uint32(at))
	if errors.Is(err, collections.ErrNotFound) {
		return subnetv1.Epoch{}, nil
	}
	return e, err
}

// eachNeuron calls f for the neurons of a subnet in order of uid.
func (k *Keeper) eachNeuron(ctx context.Context, netuid uint32, f func(subnetv1.Neuron) error) error {
	return k.neurons.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint32](netuid),
		func(_ slot, n subnetv1.Neuron) (bool, error) { return false, f(n) })
}

// member returns the slot on the root of an account, and gives it one if its
// validator is bonded and there is room or a member with less stake. A slot on
// the root costs nothing.
func (k *Keeper) member(ctx context.Context, root *subnetv1.Subnet, account sdk.AccAddress, stake coin.Amount) (subnetv1.Neuron, error) {
	n, err := k.neuron(ctx, Root, account)
	if !errors.Is(err, sdkerrors.ErrNotFound) {
		return n, err
	}
	if root.Neurons >= root.Hyperparameters.MaxUids {
		if err := k.outweighs(ctx, root, stake); err != nil {
			return n, err
		}
	}
	if _, _, err := k.addNeuron(ctx, root, account); err != nil {
		return n, err
	}
	if err := k.subnets.Set(ctx, Root, *root); err != nil {
		return n, err
	}
	return k.neuron(ctx, Root, account)
}

// outweighs returns an error unless stake is more than that of the least
// member of the full root.
func (k *Keeper) outweighs(ctx context.Context, root *subnetv1.Subnet, stake coin.Amount) error {
	uid, err := k.prunable(ctx, root)
	if err != nil {
		return err
	}
	least, err := k.neurons.Get(ctx, collections.Join(uint32(Root), uid))
	if err != nil {
		return err
	}
	account, err := k.bytes(least.Account)
	if err != nil {
		return err
	}
	have, err := k.stake(ctx, account)
	if err != nil {
		return err
	}
	if stake <= have {
		return sdkerrors.ErrUnauthorized.Wrapf("the root has %d members and the least of them %v of stake, you have %v", root.Neurons, have, stake)
	}
	return nil
}

// blocks formats a number of blocks.
func blocks(n int64) string {
	if n == 1 {
		return "1 block"
	}
	return fmt.Sprintf("%d blocks", n)
}
