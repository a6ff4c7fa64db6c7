package subnet

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// maxCommitment bounds a neuron's metadata, in bytes.
const maxCommitment = 4 << 10

// SetCommitment replaces a neuron's public metadata. It belongs to the neuron:
// who takes the slot later does not inherit it.
func (m msgs) SetCommitment(ctx context.Context, msg *subnetv1.MsgSetCommitment) (*subnetv1.MsgSetCommitmentResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if _, err := m.subnet(ctx, msg.Netuid); err != nil {
		return nil, err
	}
	n, err := m.neuron(ctx, msg.Netuid, account)
	if err != nil {
		return nil, err
	}
	if len(msg.Data) > maxCommitment {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a commitment of %d bytes; at most %d", len(msg.Data), maxCommitment)
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	at := collections.Join(msg.Netuid, n.Uid)
	old, err := m.commitments.Get(ctx, at)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if err := tooSoon("commitments of a neuron", old.Height, params.CommitmentInterval, now(ctx)); err != nil {
			return nil, err
		}
	}
	// An empty one stays, so that its height limits the next.
	return &subnetv1.MsgSetCommitmentResponse{}, m.commitments.Set(ctx, at,
		subnetv1.Commitment{Uid: n.Uid, Data: msg.Data, Height: height(ctx)})
}

// Commitments returns the metadata of a subnet's neurons, or of one account's.
func (q queries) Commitments(ctx context.Context, r *subnetv1.QueryCommitmentsRequest) (*subnetv1.QueryCommitmentsResponse, error) {
	if _, err := q.subnet(ctx, r.Netuid); err != nil {
		return nil, err
	}
	if r.Account != "" {
		return q.commitment(ctx, r.Netuid, r.Account)
	}
	list, page, err := query.CollectionPaginate(ctx, q.commitments, r.Pagination,
		func(_ slot, c subnetv1.Commitment) (subnetv1.Commitment, error) { return c, nil },
		query.WithCollectionPaginationPairPrefix[uint32, uint32](r.Netuid))
	return &subnetv1.QueryCommitmentsResponse{Commitments: list, Pagination: page}, err
}

// commitment returns the metadata of one account's neuron; none if it set none.
func (q queries) commitment(ctx context.Context, netuid uint32, text string) (*subnetv1.QueryCommitmentsResponse, error) {
	account, err := q.bytes(text)
	if err != nil {
		return nil, err
	}
	n, err := q.neuron(ctx, netuid, account)
	if err != nil {
		return nil, err
	}
	resp := &subnetv1.QueryCommitmentsResponse{}
	c, err := q.commitments.Get(ctx, collections.Join(netuid, n.Uid))
	if errors.Is(err, collections.ErrNotFound) {
		return resp, nil
	}
	resp.Commitments = append(resp.Commitments, c)
	return resp, err
}

// checkCommitments returns an error for metadata of no neuron.
func (k *Keeper) checkCommitments(ctx context.Context, s subnetv1.Subnet) error {
	return k.commitments.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint32](s.Netuid),
		func(at slot, c subnetv1.Commitment) (bool, error) {
			if at.K2() != c.Uid || c.Uid >= s.Neurons {
				return true, fmt.Errorf("subnet %d: a commitment of uid %d at %d, but only %d neurons", s.Netuid, c.Uid, at.K2(), s.Neurons)
			}
			return false, nil
		})
}
