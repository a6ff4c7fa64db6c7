package subnet

import (
	"context"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// maxSets bounds the subnets of one batch of weights.
const maxSets = 64

// SetWeightsBatch replaces a validator's weights on several subnets: on all of
// them or, if one refuses them, on none.
func (m msgs) SetWeightsBatch(ctx context.Context, msg *subnetv1.MsgSetWeightsBatch) (*subnetv1.MsgSetWeightsBatchResponse, error) {
	if err := checkBatch(msg); err != nil {
		return nil, err
	}
	for i := range msg.Sets {
		set := msg.Sets[i]
		set.Account = msg.Account
		if _, err := m.SetWeights(ctx, &set); err != nil {
			return nil, sdkerrors.ErrInvalidRequest.Wrapf("weights %d of %d, of subnet %d: %v", i+1, len(msg.Sets), set.Netuid, err)
		}
	}
	return &subnetv1.MsgSetWeightsBatchResponse{}, nil
}

// checkBatch bounds a batch, and refuses the weights of others in it.
func checkBatch(msg *subnetv1.MsgSetWeightsBatch) error {
	if n := len(msg.Sets); n == 0 || n > maxSets {
		return sdkerrors.ErrInvalidRequest.Wrapf("a batch of weights on %d subnets; it must be of 1 to %d", n, maxSets)
	}
	for i, set := range msg.Sets {
		if set.Account != "" && set.Account != msg.Account {
			return sdkerrors.ErrUnauthorized.Wrapf("weights %d are of %s, but the batch is of %s", i+1, set.Account, msg.Account)
		}
	}
	return nil
}

// rideBatch lets a batch pass if each of its weights would.
func (k *Keeper) rideBatch(ctx context.Context, msg *subnetv1.MsgSetWeightsBatch) error {
	if err := checkBatch(msg); err != nil {
		return err
	}
	for i := range msg.Sets {
		set := msg.Sets[i]
		set.Account = msg.Account
		if err := k.Ride(ctx, &set); err != nil {
			return err
		}
	}
	return nil
}
