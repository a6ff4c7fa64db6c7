package ledger

import (
	"context"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/yuma"
)

// A Mechanism is the chain as one mechanism of each subnet sees it: its
// outcomes, and weights for it. All else is the client's.
type Mechanism struct {
	*Client
	number uint16
}

// Mechanism returns the chain as the mechanism of that number sees it, counted
// from 0. What a Client itself says of weights is of mechanism 0.
func (c *Client) Mechanism(number uint16) Mechanism { return Mechanism{c, number} }

// Metagraph returns a subnet's state with the outcomes of the mechanism: the
// latest, or that of [At].
func (m Mechanism) Metagraph(ctx context.Context, netuid yuma.Netuid) (*Metagraph, error) {
	return m.metagraph(ctx, netuid, m.number)
}

// SetWeights replaces a validator's weights on a subnet. version is the
// subnet's WeightsVersion, or later.
func (m Mechanism) SetWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64) error {
	uids, values := columns(row)
	_, err := m.Submit(ctx, a, &subnetv1.MsgSetWeights{
		Account:   a.Account(),
		Netuid:    uint32(netuid),
		Mechanism: uint32(m.number),
		Uids:      uids,
		Weights:   values,
		Version:   version,
	})
	return acted(err, "set weights on subnet %d", netuid)
}

// CommitWeights hides a validator's weights behind a hash, and returns the
// number of the epoch in which to reveal them. The caller keeps row, version
// and salt until then.
func (m Mechanism) CommitWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) (uint64, error) {
	hash, err := CommitHash(a.Account(), netuid, m.number, row, version, salt)
	if err != nil {
		return 0, err
	}
	r, err := m.Submit(ctx, a, &subnetv1.MsgCommitWeights{
		Account:   a.Account(),
		Netuid:    uint32(netuid),
		Mechanism: uint32(m.number),
		Hash:      hash[:],
	})
	var resp subnetv1.MsgCommitWeightsResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return resp.RevealEpoch, acted(err, "commit weights on subnet %d", netuid)
}

// RevealWeights shows the weights of the last commit.
func (m Mechanism) RevealWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) error {
	uids, values := columns(row)
	_, err := m.Submit(ctx, a, &subnetv1.MsgRevealWeights{
		Account:   a.Account(),
		Netuid:    uint32(netuid),
		Mechanism: uint32(m.number),
		Uids:      uids,
		Weights:   values,
		Version:   version,
		Salt:      salt,
	})
	return acted(err, "reveal weights on subnet %d", netuid)
}

// SetWeights is that of mechanism 0.
func (c *Client) SetWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64) error {
	return c.Mechanism(0).SetWeights(ctx, a, netuid, row, version)
}

// CommitWeights is that of mechanism 0.
func (c *Client) CommitWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) (uint64, error) {
	return c.Mechanism(0).CommitWeights(ctx, a, netuid, row, version, salt)
}

// RevealWeights is that of mechanism 0.
func (c *Client) RevealWeights(ctx context.Context, a Actor, netuid yuma.Netuid, row yuma.Row, version uint64, salt []byte) error {
	return c.Mechanism(0).RevealWeights(ctx, a, netuid, row, version, salt)
}

// Metagraph is that of mechanism 0.
func (c *Client) Metagraph(ctx context.Context, netuid yuma.Netuid) (*Metagraph, error) {
	return c.metagraph(ctx, netuid, 0)
}
