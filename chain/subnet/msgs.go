package subnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/proto"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// msgs serves the module's messages.
type msgs struct{ *Keeper }

// emit adds an event to the block.
func emit(ctx context.Context, event proto.Message) error {
	return sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event)
}

// RegisterSubnet makes a subnet by burning its price. If there are as many as
// are allowed, the weakest makes room.
func (m msgs) RegisterSubnet(ctx context.Context, msg *subnetv1.MsgRegisterSubnet) (*subnetv1.MsgRegisterSubnetResponse, error) {
	owner, err := m.bytes(msg.Owner)
	if err != nil {
		return nil, err
	}
	if err := validateText(msg.Kind, msg.Name, msg.KindParams); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	if msg.Kind == RootKind {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("kind %q is that of subnet 0 alone", RootKind)
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	price, err := m.subnetPrice(ctx, params, now(ctx))
	if err != nil {
		return nil, err
	}
	if err := m.burn(ctx, owner, price, msg.MaxPrice); err != nil {
		return nil, err
	}
	if err := errors.Join(m.price.Set(ctx, uint64(price)), m.pricedAt.Set(ctx, height(ctx))); err != nil {
		return nil, err
	}
	if err := m.makeRoom(ctx, params); err != nil {
		return nil, err
	}
	s, err := m.addSubnet(ctx, subnetv1.Subnet{
		Owner: msg.Owner, Kind: msg.Kind, Name: msg.Name, KindParams: msg.KindParams,
		Hyperparameters: DefaultHyperparameters(),
	})
	if err != nil {
		return nil, err
	}
	if err := m.reshare(ctx); err != nil {
		return nil, err
	}
	return &subnetv1.MsgRegisterSubnetResponse{Netuid: s.Netuid, Burned: nplx(price)}, emit(ctx, &subnetv1.EventSubnetRegistered{
		Netuid: s.Netuid, Owner: s.Owner, Kind: s.Kind, Burned: uint64(price),
	})
}

// RegisterNeuron takes a slot on a subnet by burning its price.
func (m msgs) RegisterNeuron(ctx context.Context, msg *subnetv1.MsgRegisterNeuron) (*subnetv1.MsgRegisterNeuronResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	s, err := m.subnet(ctx, msg.Netuid)
	if err != nil {
		return nil, err
	}
	if s.Netuid == Root {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("nobody registers on the root: a bonded validator gets its slot with its first weights there")
	}
	if !s.Hyperparameters.RegistrationOpen {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("registration on subnet %d is closed by its owner", s.Netuid)
	}
	uid, replaced, err := m.addNeuron(ctx, &s, account)
	if err != nil {
		return nil, err
	}
	price := burnPrice(&s, now(ctx))
	if err := m.burn(ctx, account, price, msg.MaxPrice); err != nil {
		return nil, err
	}
	s.Burn, s.BurnAt = uint64(priceLaw(&s).Bump(price)), height(ctx)
	if err := m.subnets.Set(ctx, s.Netuid, s); err != nil {
		return nil, err
	}
	return &subnetv1.MsgRegisterNeuronResponse{Uid: uid, Burned: nplx(price)}, emit(ctx, &subnetv1.EventNeuronRegistered{
		Netuid: s.Netuid, Uid: uid, Account: msg.Account, Burned: uint64(price), Replaced: replaced,
	})
}

// UpdateAxon binds a peer id to a neuron.
func (m msgs) UpdateAxon(ctx context.Context, msg *subnetv1.MsgUpdateAxon) (*subnetv1.MsgUpdateAxonResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	s, err := m.subnet(ctx, msg.Netuid)
	if err != nil {
		return nil, err
	}
	n, err := m.neuron(ctx, s.Netuid, account)
	if err != nil {
		return nil, err
	}
	if n.ExpelledAt != 0 {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("uid %d of subnet %d was convicted of fraud at height %d and serves no more: register anew when the slot is given away", n.Uid, s.Netuid, n.ExpelledAt)
	}
	if err := axonReady(n, s.Hyperparameters, now(ctx)); err != nil {
		return nil, err
	}
	if err := checkProtocols(msg.Protocols); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	statement := AxonStatement(sdk.UnwrapSDKContext(ctx).ChainID(), s.Netuid, account)
	if err := checkPeer(msg.PeerId, statement, msg.Proof); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	n.Axon = subnetv1.Axon{PeerId: msg.PeerId, Protocols: msg.Protocols, UpdatedAt: height(ctx)}
	return &subnetv1.MsgUpdateAxonResponse{}, m.neurons.Set(ctx, collections.Join(s.Netuid, n.Uid), n)
}

// SetWeights replaces a validator's weights.
func (m msgs) SetWeights(ctx context.Context, msg *subnetv1.MsgSetWeights) (*subnetv1.MsgSetWeightsResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	v, err := m.voice(ctx, msg.Netuid, msg.Mechanism, account)
	if err != nil {
		return nil, err
	}
	if err := v.ready(now(ctx)); err != nil {
		return nil, err
	}
	if v.subnet.Hyperparameters.CommitReveal {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("subnet %d asks for hidden weights: commit them, and reveal them later", msg.Netuid)
	}
	row, err := m.row(ctx, v, msg.Uids, msg.Weights, msg.Version)
	if err != nil {
		return nil, err
	}
	if err := m.touch(ctx, v); err != nil {
		return nil, err
	}
	return &subnetv1.MsgSetWeightsResponse{}, m.setWeights(ctx, v, row, height(ctx))
}

// CommitWeights hides weights behind their hash.
func (m msgs) CommitWeights(ctx context.Context, msg *subnetv1.MsgCommitWeights) (*subnetv1.MsgCommitWeightsResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	v, err := m.voice(ctx, msg.Netuid, msg.Mechanism, account)
	if err != nil {
		return nil, err
	}
	if err := v.ready(now(ctx)); err != nil {
		return nil, err
	}
	if !v.subnet.Hyperparameters.CommitReveal {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("subnet %d takes weights in the open: set them", msg.Netuid)
	}
	if len(msg.Hash) != sha256.Size {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("hash of %d bytes; it must have %d", len(msg.Hash), sha256.Size)
	}
	due, err := m.addCommit(ctx, v, msg.Hash)
	if err != nil {
		return nil, err
	}
	return &subnetv1.MsgCommitWeightsResponse{RevealEpoch: due}, m.touch(ctx, v)
}

// RevealWeights shows the weights of a commit that is due.
func (m msgs) RevealWeights(ctx context.Context, msg *subnetv1.MsgRevealWeights) (*subnetv1.MsgRevealWeightsResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	v, err := m.voice(ctx, msg.Netuid, msg.Mechanism, account)
	if err != nil {
		return nil, err
	}
	c, err := m.dueCommit(ctx, v.subnet, v.at, v.neuron.Uid)
	if err != nil {
		return nil, err
	}
	row, err := m.row(ctx, v, msg.Uids, msg.Weights, msg.Version)
	if err != nil {
		return nil, err
	}
	if len(msg.Salt) > maxSalt {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("salt of %d bytes; at most %d", len(msg.Salt), maxSalt)
	}
	if c.Account != "" { // the neuron was rotated since
		if account, err = m.bytes(c.Account); err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(commitHash(account, v.at, row, msg.Version, msg.Salt), c.Hash) {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("these weights, version and salt are not what was committed at height %d", c.Height)
	}
	if err := m.commits.Remove(ctx, collections.Join3(uint32(v.at), c.Uid, c.Epoch)); err != nil {
		return nil, err
	}
	return &subnetv1.MsgRevealWeightsResponse{}, m.setWeights(ctx, v, row, c.Height)
}

// Claim pays out all that the account earned on all subnets.
func (m msgs) Claim(ctx context.Context, msg *subnetv1.MsgClaim) (*subnetv1.MsgClaimResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	amount, err := m.claim(ctx, account)
	if err != nil {
		return nil, err
	}
	if amount == 0 {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("account %s has nothing to claim", msg.Account)
	}
	if err := errors.Join(m.claimable.Remove(ctx, account), m.earnings.Clear(ctx, earningsOf(account))); err != nil {
		return nil, err
	}
	if err := m.emission.Pay(ctx, account, amount); err != nil {
		return nil, err
	}
	return &subnetv1.MsgClaimResponse{Paid: nplx(amount)}, emit(ctx, &subnetv1.EventClaimed{Account: msg.Account, Amount: uint64(amount)})
}

// UpdateSubnet changes hyperparameters, name and kind parameters.
func (m msgs) UpdateSubnet(ctx context.Context, msg *subnetv1.MsgUpdateSubnet) (*subnetv1.MsgUpdateSubnetResponse, error) {
	s, params, err := m.owned(ctx, msg.Netuid, msg.Authority)
	if err != nil {
		return nil, err
	}
	if msg.Hyperparameters != "" {
		if err := m.amend(ctx, &s, params, msg.Hyperparameters); err != nil {
			return nil, err
		}
	}
	if msg.Name != "" {
		s.Name = msg.Name
	}
	if len(msg.KindParams) > 0 {
		s.KindParams = msg.KindParams
	}
	if err := validateText(s.Kind, s.Name, s.KindParams); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	s.UpdatedAt = height(ctx)
	return &subnetv1.MsgUpdateSubnetResponse{}, m.subnets.Set(ctx, s.Netuid, s)
}

// amend changes the hyperparameters of s, unless an epoch is near. A new tempo
// counts from the next epoch on.
func (m msgs) amend(ctx context.Context, s *subnetv1.Subnet, params subnetv1.Params, bulk string) error {
	if err := thawed(s, params, now(ctx)); err != nil {
		return err
	}
	h, err := amend(s.Hyperparameters, bulk)
	if err == nil {
		err = validate(h, params)
	}
	if err != nil {
		return sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	s.Burn, s.BurnAt = uint64(burnPrice(s, height(ctx))), height(ctx) // as the old law has it
	s.Hyperparameters = h
	if err := checkMechanisms(s, params); err != nil {
		return sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	return nil
}

// UpdateParams replaces the module's parameters.
func (m msgs) UpdateParams(ctx context.Context, msg *subnetv1.MsgUpdateParams) (*subnetv1.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.authority {
		return nil, govtypes.ErrInvalidSigner.Wrapf("only %s may change these parameters, not %s", m.authority, msg.Authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	return &subnetv1.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}

// nplx returns a as a coin of the SDK.
func nplx(a coin.Amount) sdk.Coin {
	return sdk.NewCoin(coin.Denom, sdkInt(a))
}
