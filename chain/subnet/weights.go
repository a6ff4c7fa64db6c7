package subnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/yuma"
)

// A voice is a validator that may set weights on a subnet now.
type voice struct {
	subnet  subnetv1.Subnet
	at      shelf // of the mechanism that it speaks in
	account sdk.AccAddress
	neuron  subnetv1.Neuron
}

// voice returns what an account sets weights with, or an error that says why
// it may not and from when it may.
func (k *Keeper) voice(ctx context.Context, netuid, mechanism uint32, account sdk.AccAddress) (voice, error) {
	v := voice{account: account}
	stake, err := k.votes(ctx, netuid, account)
	if err != nil {
		return v, err
	}
	if v.subnet, v.at, err = k.shelf(ctx, netuid, mechanism); err != nil {
		return v, err
	}
	if stake == 0 {
		return v, sdkerrors.ErrUnauthorized.Wrapf("account %s has no stake: weights are set by validators that are bonded and not jailed, and by who votes with their stake", k.text(account))
	}
	if netuid == Root {
		v.neuron, err = k.member(ctx, &v.subnet, account, stake)
	} else {
		v.neuron, err = k.neuron(ctx, netuid, account)
	}
	if err != nil {
		return v, err
	}
	return v, nil
}

// ready returns an error while the rate limit lasts.
func (v voice) ready(now int64) error {
	last := lastUpdate(v.neuron, v.at.mechanism())
	if last == 0 {
		return nil
	}
	return tooSoon("weights", last, v.subnet.Hyperparameters.WeightsRateLimit, now)
}

// tooSoon returns an error with the blocks to wait if limit blocks have not
// passed since last.
func tooSoon(what string, last int64, limit uint64, now int64) error {
	if wait := last + int64(limit) - now; wait > 0 {
		return sdkerrors.ErrInvalidRequest.Wrapf("%s: at most once in %s: wait %s", what, blocks(int64(limit)), blocks(wait))
	}
	return nil
}

// setWeights stores a validator's row, as of the height it was decided at.
func (k *Keeper) setWeights(ctx context.Context, v voice, row yuma.Row, at int64) error {
	entries := yuma.AppendRow(nil, row)
	if err := k.weights.Set(ctx, v.at.slot(v.neuron.Uid), subnetv1.Row{Uid: v.neuron.Uid, Entries: entries, Height: at}); err != nil {
		return err
	}
	return emit(ctx, &subnetv1.EventWeightsSet{Netuid: v.subnet.Netuid, Uid: v.neuron.Uid, Mechanism: v.at.mechanism()})
}

// touch notes that a validator spoke now.
func (k *Keeper) touch(ctx context.Context, v voice) error {
	update(&v.neuron, v.at.mechanism(), height(ctx))
	return k.neurons.Set(ctx, collections.Join(v.subnet.Netuid, v.neuron.Uid), v.neuron)
}

// row checks the weights of a message and packs them into a row.
func (k *Keeper) row(ctx context.Context, v voice, uids, values []uint32, version uint64) (yuma.Row, error) {
	h := v.subnet.Hyperparameters
	if version < h.WeightsVersion {
		return nil, sdkerrors.ErrInvalidVersion.Wrapf("weights of version %d, but subnet %d asks for %d: update your validator", version, v.subnet.Netuid, h.WeightsVersion)
	}
	n, from, least := int(v.subnet.Neurons), v.neuron.Uid, int(h.MinAllowedWeights)
	if v.subnet.Netuid == Root { // weights are on subnets
		all, err := k.netuids(ctx)
		if err != nil {
			return nil, err
		}
		n, from, least = 1, Root, 1
		if len(all) > 0 {
			n = int(all[len(all)-1]) + 1
		}
	}
	packed, err := pack(from, uids, values, n, least)
	if err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	if v.subnet.Netuid == Root {
		return packed, k.checkRootRow(ctx, packed)
	}
	return packed, nil
}

// checkRootRow tells whether all subnets that a row of the root weighs exist.
func (k *Keeper) checkRootRow(ctx context.Context, row yuma.Row) error {
	for _, e := range row {
		if e.UID == Root {
			return sdkerrors.ErrInvalidRequest.Wrap("a weight on the root itself: weights of the root are on the other subnets")
		}
		if _, err := k.subnet(ctx, uint32(e.UID)); err != nil {
			return err
		}
	}
	return nil
}

// pack checks weights as they are on the wire and makes a row of them.
func pack(from uint32, uids, values []uint32, n, least int) (yuma.Row, error) {
	if len(uids) > yuma.MaxNeurons || len(values) > yuma.MaxNeurons {
		return nil, fmt.Errorf("%d uids and %d weights; at most %d", len(uids), len(values), yuma.MaxNeurons)
	}
	narrowUIDs, narrow := make([]yuma.UID, len(uids)), make([]uint16, len(values))
	for i, uid := range uids {
		if uid > math.MaxUint16 {
			return nil, fmt.Errorf("there is no uid %d", uid)
		}
		narrowUIDs[i] = yuma.UID(uid)
	}
	for i, w := range values {
		if w > math.MaxUint16 {
			return nil, fmt.Errorf("weight %d is %d; at most %d", i, w, math.MaxUint16)
		}
		narrow[i] = uint16(w)
	}
	return yuma.NewWeights(yuma.UID(from), narrowUIDs, narrow, n, least)
}

// commitHash returns what a validator commits to.
func commitHash(account sdk.AccAddress, at shelf, row yuma.Row, version uint64, salt []byte) []byte {
	b := binary.BigEndian.AppendUint32(bytes.Clone(account), uint32(at))
	b = yuma.AppendRow(b, row)
	b = binary.BigEndian.AppendUint64(b, version)
	sum := sha256.Sum256(append(b, salt...))
	return sum[:]
}

// addCommit stores a commit; there is one per validator and epoch. It returns
// the epoch in which it can be revealed.
func (k *Keeper) addCommit(ctx context.Context, v voice, hash []byte) (uint64, error) {
	c := subnetv1.Commit{Uid: v.neuron.Uid, Hash: hash, Height: height(ctx), Epoch: v.subnet.Epoch}
	at := collections.Join3(uint32(v.at), v.neuron.Uid, c.Epoch)
	has, err := k.commits.Has(ctx, at)
	if err != nil {
		return 0, err
	}
	if has {
		return 0, sdkerrors.ErrInvalidRequest.Wrapf(
			"weights were committed in this epoch already: wait %s for the next", blocks(v.subnet.NextEpoch-c.Height))
	}
	return c.Epoch + uint64(v.subnet.Hyperparameters.RevealEpochs), k.commits.Set(ctx, at, c)
}

// dueCommit returns the commit of a validator that is to be revealed in the
// present epoch.
func (k *Keeper) dueCommit(ctx context.Context, s subnetv1.Subnet, at shelf, uid uint32) (subnetv1.Commit, error) {
	wait := uint64(s.Hyperparameters.RevealEpochs)
	if s.Epoch >= wait {
		c, err := k.commits.Get(ctx, collections.Join3(uint32(at), uid, s.Epoch-wait))
		if !errors.Is(err, collections.ErrNotFound) {
			return c, err
		}
	}
	return subnetv1.Commit{}, sdkerrors.ErrNotFound.Wrapf(
		"no commit is due: weights are revealed %d epochs after they are committed, and epoch %d is on", wait, s.Epoch)
}

// expire drops the commits of s that can no longer be revealed.
func (k *Keeper) expire(ctx context.Context, s *subnetv1.Subnet) error {
	var gone []collections.Triple[uint32, uint32, uint64]
	var err error
	for _, at := range shelves(s) {
		err = errors.Join(err, k.commits.Walk(ctx, commitsOf(at),
			func(where collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
				if c.Epoch+uint64(s.Hyperparameters.RevealEpochs) < s.Epoch {
					gone = append(gone, where)
				}
				return false, nil
			}))
	}
	for _, at := range gone {
		err = errors.Join(err, k.commits.Remove(ctx, at))
	}
	return err
}
