package subnet

import (
	"context"
	"fmt"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/fixed"
	"github.com/plexus-network/plexus/yuma"
)

// share returns the part of emission that goes to s.
func share(s *subnetv1.Subnet) fixed.Frac { return fixed.Frac(s.Share) }

// reshare gives the subnets their shares of emission. The members of the root
// weigh the subnets, and the law of an epoch makes shares of it, as it makes
// incentive of weights on miners: by stake, clipped to what enough stake
// agrees on. While no weight counts, the subnets share equally.
//
// What was unallocated until now is allotted by the old shares.
func (k *Keeper) reshare(ctx context.Context) error {
	if err := k.allot(ctx); err != nil {
		return err
	}
	netuids, err := k.netuids(ctx)
	if err != nil || len(netuids) == 0 {
		return err
	}
	records := make([]subnetv1.Subnet, len(netuids))
	for i, netuid := range netuids {
		if records[i], err = k.subnets.Get(ctx, netuid); err != nil {
			return err
		}
	}
	shares, err := k.shares(ctx, records)
	if err != nil {
		return err
	}
	for i, s := range records {
		s.Share = uint64(shares[i])
		if err := k.subnets.Set(ctx, s.Netuid, s); err != nil {
			return err
		}
	}
	return nil
}

// shares returns the shares of the given subnets, by the root's weights.
func (k *Keeper) shares(ctx context.Context, subnets []subnetv1.Subnet) ([]fixed.Frac, error) {
	in, err := k.rootInput(ctx, subnets)
	if err != nil {
		return nil, err
	}
	out, err := yuma.Epoch(in)
	if err != nil {
		return nil, err
	}
	mined := make([]uint64, len(subnets))
	var sum uint64
	for i := range subnets {
		mined[i] = uint64(out.Neurons[len(in.Neurons)-len(subnets)+i].Mined)
		sum += mined[i]
	}
	shares := make([]fixed.Frac, len(subnets))
	for i := range shares {
		if sum == 0 {
			shares[i] = fixed.One / fixed.Frac(len(subnets))
		} else {
			shares[i] = fixed.Ratio(mined[i], sum)
		}
	}
	return shares, nil
}

// rootInput returns an epoch in which the members of the root are validators
// and the subnets, after them in uid, are miners.
func (k *Keeper) rootInput(ctx context.Context, subnets []subnetv1.Subnet) (*yuma.Input, error) {
	root, err := k.subnet(ctx, Root)
	if err != nil {
		return nil, err
	}
	members := int(root.Neurons)
	weights, set, err := rows(ctx, k.weights, shelfOf(Root, 0), members)
	if err != nil {
		return nil, err
	}
	neurons, _, err := k.seats(ctx, &root, 0, set, nil)
	if err != nil {
		return nil, err
	}
	uids := make(map[yuma.UID]yuma.UID, len(subnets)) // of netuids; only looked up
	for i, s := range subnets {
		uids[yuma.UID(s.Netuid)] = yuma.UID(members + i)
		neurons = append(neurons, yuma.Neuron{Registered: yuma.Height(s.RegisteredAt)})
	}
	for i, row := range weights {
		neurons[i].Permit = neurons[i].Stake > 0
		for j, e := range row {
			uid, ok := uids[e.UID]
			if !ok {
				return nil, fmt.Errorf("root: uid %d weighs subnet %d, which does not exist", i, e.UID)
			}
			row[j].UID = uid
		}
	}
	params := law(root.Hyperparameters)
	params.OwnerCut = 0
	return &yuma.Input{
		Block:    yuma.Height(height(ctx)),
		Tempo:    yuma.Blocks(root.Hyperparameters.Tempo),
		Emission: coin.Cap,
		Params:   params,
		Neurons:  neurons,
		Weights:  weights,
	}, nil
}
