package market

import (
	"context"
	"encoding/hex"
	"errors"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
)

// CreateDeployment opens a deployment and orders its groups.
func (m msgs) CreateDeployment(ctx context.Context, msg *marketv1.MsgCreateDeployment) (*marketv1.MsgCreateDeploymentResponse, error) {
	owner, err := m.bytes(msg.Owner)
	if err != nil {
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.checkDeployment(msg, params); err != nil {
		return nil, err
	}
	dseq, err := m.number(ctx, owner, msg.Dseq)
	if err != nil {
		return nil, err
	}
	d := marketv1.Deployment{
		Id: marketv1.DeploymentID{Owner: msg.Owner, Dseq: dseq}, State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE,
		Hash: msg.Hash, Reclaim: msg.Reclaim, Denom: msg.Deposit.Denom, Groups: uint32(len(msg.Groups)),
		Created: int64(height(ctx)), Updated: int64(height(ctx)),
	}
	key := deploymentKey(owner, dseq)
	t := &till{Account: escrow.New(height(ctx)), record: marketv1.Account{Id: d.Id, Denom: d.Denom}, key: key}
	if err := errors.Join(
		m.deployments.Set(ctx, key, d),
		emit(ctx, &marketv1.EventDeploymentCreated{Owner: msg.Owner, Dseq: dseq, Hash: hex.EncodeToString(msg.Hash)}),
		m.payIn(ctx, t, owner, msg.Granter, msg.Deposit),
	); err != nil {
		return nil, err
	}
	for i, spec := range msg.Groups {
		g := marketv1.Group{
			Id:    marketv1.GroupID{Owner: msg.Owner, Dseq: dseq, Gseq: uint32(i + 1)},
			State: marketv1.GroupState_GROUP_STATE_OPEN, Spec: spec,
		}
		if err := m.order(ctx, below(key, g.Id.Gseq), &g, d.Reclaim, params); err != nil {
			return nil, err
		}
	}
	return &marketv1.MsgCreateDeploymentResponse{Dseq: dseq}, nil
}

// maxDSeq is the greatest dseq: what every reader of JSON can count.
const maxDSeq = 1<<53 - 1

// number returns the dseq of an owner's new deployment, and notes it. They only
// grow, so that no name of a lease ever means another.
func (k *Keeper) number(ctx context.Context, owner []byte, dseq uint64) (uint64, error) {
	latest, err := k.latest.Get(ctx, owner)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return 0, err
	}
	if dseq == 0 {
		dseq = latest + 1
	}
	if dseq <= latest || dseq > maxDSeq {
		return 0, sdkerrors.ErrInvalidRequest.Wrapf("dseq %d; it must be above the latest of this owner, %d, and at most %d, or 0 for the next", dseq, latest, uint64(maxDSeq))
	}
	return dseq, k.latest.Set(ctx, owner, dseq)
}

// active returns an active deployment and its key.
func (k *Keeper) active(ctx context.Context, owner string, dseq uint64) (marketv1.Deployment, []byte, error) {
	key, err := k.deploymentKey(marketv1.DeploymentID{Owner: owner, Dseq: dseq})
	if err != nil {
		return marketv1.Deployment{}, nil, err
	}
	d, err := k.deployments.Get(ctx, key)
	if err != nil {
		return d, nil, missing(err, "deployment %s/%d", owner, dseq)
	}
	if d.State != marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE {
		return d, nil, sdkerrors.ErrInvalidRequest.Wrapf("deployment %s/%d closed at height %d: %v", owner, dseq, d.Closed, market.Reason(d.Reason))
	}
	return d, key, nil
}

// UpdateDeployment sets the hash of another manifest.
func (m msgs) UpdateDeployment(ctx context.Context, msg *marketv1.MsgUpdateDeployment) (*marketv1.MsgUpdateDeploymentResponse, error) {
	d, key, err := m.active(ctx, msg.Owner, msg.Dseq)
	if err != nil {
		return nil, err
	}
	if err := checkHash(msg.Hash); err != nil {
		return nil, err
	}
	if string(msg.Hash) == string(d.Hash) {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("deployment %s/%d has the manifest %x already", msg.Owner, msg.Dseq, d.Hash)
	}
	d.Hash, d.Updated = msg.Hash, int64(height(ctx))
	return &marketv1.MsgUpdateDeploymentResponse{}, errors.Join(
		m.deployments.Set(ctx, key, d),
		emit(ctx, &marketv1.EventDeploymentUpdated{Owner: msg.Owner, Dseq: msg.Dseq, Hash: hex.EncodeToString(msg.Hash)}),
	)
}

// CloseDeployment ends a deployment.
func (m msgs) CloseDeployment(ctx context.Context, msg *marketv1.MsgCloseDeployment) (*marketv1.MsgCloseDeploymentResponse, error) {
	d, key, err := m.active(ctx, msg.Owner, msg.Dseq)
	if err != nil {
		return nil, err
	}
	t, err := m.till(ctx, key)
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgCloseDeploymentResponse{}, m.closeDeployment(ctx, d, t, market.ByOwner)
}

// endAccount closes the deployment of an account that is dry: it was paid in
// full through this block, or, if more were dry than one block ends, through an
// earlier one.
func (k *Keeper) endAccount(ctx context.Context, key []byte) error {
	t, err := k.till(ctx, key)
	if err != nil {
		return err
	}
	if t.record.Dry == 0 || t.record.Dry > int64(height(ctx)) {
		return nil
	}
	d, err := k.deployments.Get(ctx, key)
	if err != nil {
		return err
	}
	return k.closeDeployment(ctx, d, t, market.InsufficientFunds)
}

// closeDeployment ends an active deployment with all that it has, and refunds
// what it did not spend.
func (k *Keeper) closeDeployment(ctx context.Context, d marketv1.Deployment, t *till, reason market.Reason) error {
	state, err := market.DeploymentState(d.State).To(market.DeploymentClosed)
	if err != nil {
		return refused(err)
	}
	after := market.GroupClosed
	if reason == market.InsufficientFunds {
		after = market.GroupInsufficientFunds
	}
	for gseq := uint32(1); gseq <= d.Groups; gseq++ {
		key := below(t.key, gseq)
		g, err := k.groups.Get(ctx, key)
		if err != nil {
			return err
		}
		if over(g.State) {
			continue
		}
		if err := errors.Join(k.vacate(ctx, t, key, &g, reason), k.move(ctx, key, &g, after, reason)); err != nil {
			return err
		}
	}
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	d.State, d.Reason, d.Closed = marketv1.DeploymentState(state), marketv1.Reason(reason), int64(height(ctx))
	d.Until = later(height(ctx), params.Retention)
	return errors.Join(
		k.refund(ctx, t),
		k.deployments.Set(ctx, t.key, d),
		k.put(ctx, oblivion, d.Until, t.key),
		emit(ctx, &marketv1.EventDeploymentClosed{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Reason: d.Reason}),
	)
}

// over tells whether a group has ended for good.
func over(s marketv1.GroupState) bool {
	return s == marketv1.GroupState_GROUP_STATE_CLOSED || s == marketv1.GroupState_GROUP_STATE_INSUFFICIENT_FUNDS
}

// move brings a group to another state and stores it.
func (k *Keeper) move(ctx context.Context, key []byte, g *marketv1.Group, to market.GroupState, reason market.Reason) error {
	state, err := market.GroupState(g.State).To(to)
	if err != nil {
		return refused(err)
	}
	g.State, g.Reason = marketv1.GroupState(state), marketv1.Reason(reason)
	return errors.Join(k.groups.Set(ctx, key, *g), emit(ctx, &marketv1.EventGroupMoved{
		Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq, State: g.State, Reason: g.Reason,
	}))
}

// group returns a group of an active deployment, its key, and the deployment
// with its account.
func (k *Keeper) group(ctx context.Context, owner string, dseq uint64, gseq uint32) (g marketv1.Group, key []byte, d marketv1.Deployment, t *till, err error) {
	d, at, err := k.active(ctx, owner, dseq)
	if err != nil {
		return g, nil, d, nil, err
	}
	key = below(at, gseq)
	if g, err = k.groups.Get(ctx, key); err != nil {
		return g, nil, d, nil, missing(err, "group %d of deployment %s/%d, which has %d", gseq, owner, dseq, d.Groups)
	}
	t, err = k.till(ctx, at)
	return g, key, d, t, err
}

// stop ends what a group has and moves it, at its owner's wish.
func (k *Keeper) stop(ctx context.Context, owner string, dseq uint64, gseq uint32, to market.GroupState) error {
	g, key, _, t, err := k.group(ctx, owner, dseq, gseq)
	if err != nil {
		return err
	}
	if err := k.move(ctx, key, &g, to, market.ByOwner); err != nil {
		return err
	}
	return errors.Join(k.vacate(ctx, t, key, &g, market.ByOwner), k.keep(ctx, t))
}

// PauseGroup pauses a group.
func (m msgs) PauseGroup(ctx context.Context, msg *marketv1.MsgPauseGroup) (*marketv1.MsgPauseGroupResponse, error) {
	return &marketv1.MsgPauseGroupResponse{}, m.stop(ctx, msg.Owner, msg.Dseq, msg.Gseq, market.GroupPaused)
}

// CloseGroup ends a group. The deployment stays, for its other groups or until
// its owner closes it.
func (m msgs) CloseGroup(ctx context.Context, msg *marketv1.MsgCloseGroup) (*marketv1.MsgCloseGroupResponse, error) {
	return &marketv1.MsgCloseGroupResponse{}, m.stop(ctx, msg.Owner, msg.Dseq, msg.Gseq, market.GroupClosed)
}

// StartGroup orders a paused group again.
func (m msgs) StartGroup(ctx context.Context, msg *marketv1.MsgStartGroup) (*marketv1.MsgStartGroupResponse, error) {
	g, key, d, _, err := m.group(ctx, msg.Owner, msg.Dseq, msg.Gseq)
	if err != nil {
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.move(ctx, key, &g, market.GroupOpen, 0); err != nil {
		return nil, err
	}
	err = m.order(ctx, key, &g, d.Reclaim, params)
	return &marketv1.MsgStartGroupResponse{Oseq: g.Orders}, err
}
