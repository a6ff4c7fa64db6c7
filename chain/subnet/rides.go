package subnet

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// A lane is a kind of free transaction, limited apart from the others.
type lane uint32

const (
	weightsLane lane = iota + 1
	revealLane
	axonLane
	claimLane
	workLane
)

// Free claims are of at least minFreeClaim, once in claimRest blocks.
const (
	minFreeClaim = coin.PLX / 100
	claimRest    = 10
)

// errPaid means that a message is not free.
var errPaid = errors.New("subnet: this message pays its fee")

// Ride lets a message pass without a fee, or returns an error that says why it
// must pay. Free are weights, commits, reveals and axons as often as their
// rate limits allow them, claims worth more than a fee, and registrations by
// work.
//
// A ride counts from when it is taken, whether its message succeeds or not, so
// that what fails is no more often than what is allowed.
func (k *Keeper) Ride(ctx context.Context, msg sdk.Msg) error {
	switch m := msg.(type) {
	case *subnetv1.MsgSetWeights:
		return k.rideVoice(ctx, m.Account, m.Netuid, m.Mechanism)
	case *subnetv1.MsgCommitWeights:
		return k.rideVoice(ctx, m.Account, m.Netuid, m.Mechanism)
	case *subnetv1.MsgRevealWeights:
		return k.rideReveal(ctx, m.Account, m.Netuid, m.Mechanism)
	case *subnetv1.MsgUpdateAxon:
		return k.rideAxon(ctx, m.Account, m.Netuid)
	case *subnetv1.MsgClaim:
		return k.rideClaim(ctx, m.Account)
	case *subnetv1.MsgSetWeightsBatch:
		return k.rideBatch(ctx, m)
	case *subnetv1.MsgRegisterByWork:
		return k.rideWork(ctx, m)
	}
	return errPaid
}

// rideVoice lets a validator set or commit weights.
func (k *Keeper) rideVoice(ctx context.Context, text string, netuid, mechanism uint32) error {
	account, err := k.bytes(text)
	if err != nil {
		return err
	}
	stake, err := k.votes(ctx, netuid, account)
	if err != nil {
		return err
	}
	s, at, err := k.shelf(ctx, netuid, mechanism)
	if err != nil {
		return err
	}
	if stake == 0 {
		return errPaid
	}
	v := voice{subnet: s, at: at}
	if v.neuron, err = k.neuron(ctx, netuid, account); err != nil && netuid != Root {
		return err
	}
	if err := v.ready(now(ctx)); err != nil {
		return err
	}
	return k.ride(ctx, at, account, weightsLane, s.Hyperparameters.WeightsRateLimit)
}

// rideReveal lets a validator reveal a commit that is due.
func (k *Keeper) rideReveal(ctx context.Context, text string, netuid, mechanism uint32) error {
	_, at, err := k.shelf(ctx, netuid, mechanism)
	if err != nil {
		return err
	}
	account, s, n, err := k.rider(ctx, text, netuid)
	if err != nil {
		return err
	}
	if _, err := k.dueCommit(ctx, s, at, n.Uid); err != nil {
		return err
	}
	return k.ride(ctx, at, account, revealLane, 1)
}

// rideAxon lets a neuron update its axon.
func (k *Keeper) rideAxon(ctx context.Context, text string, netuid uint32) error {
	account, s, n, err := k.rider(ctx, text, netuid)
	if err != nil {
		return err
	}
	if err := axonReady(n, s.Hyperparameters, now(ctx)); err != nil {
		return err
	}
	return k.ride(ctx, shelfOf(netuid, 0), account, axonLane, s.Hyperparameters.AxonRateLimit)
}

// rideClaim lets an account claim what is worth more than a fee.
func (k *Keeper) rideClaim(ctx context.Context, text string) error {
	account, err := k.bytes(text)
	if err != nil {
		return err
	}
	amount, err := k.claim(ctx, account)
	if err != nil {
		return err
	}
	if amount < minFreeClaim {
		return errPaid
	}
	return k.RideAlong(ctx, account)
}

// RideAlong counts a free payout of another module against the free claims of
// an account.
func (k *Keeper) RideAlong(ctx context.Context, account sdk.AccAddress) error {
	return k.ride(ctx, shelfOf(Root, 0), account, claimLane, claimRest)
}

// rider returns an account, its subnet and its neuron there.
func (k *Keeper) rider(ctx context.Context, text string, netuid uint32) (sdk.AccAddress, subnetv1.Subnet, subnetv1.Neuron, error) {
	account, err := k.bytes(text)
	if err != nil {
		return nil, subnetv1.Subnet{}, subnetv1.Neuron{}, err
	}
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return nil, s, subnetv1.Neuron{}, err
	}
	n, err := k.neuron(ctx, netuid, account)
	return account, s, n, err
}

// ride takes a ride unless the latest in its lane is less than rest blocks ago.
func (k *Keeper) ride(ctx context.Context, at shelf, account sdk.AccAddress, l lane, rest uint64) error {
	where := collections.Join3(uint32(at), []byte(account), uint32(l))
	last, err := k.rides.Get(ctx, where)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default:
		if err := tooSoon("free messages of this kind", last, rest, now(ctx)); err != nil {
			return err
		}
	}
	return k.rides.Set(ctx, where, now(ctx))
}

// ridesOf ranges over the rides of a shelf.
func ridesOf(at shelf) collections.Ranger[collections.Triple[uint32, []byte, uint32]] {
	return collections.NewPrefixedTripleRange[uint32, []byte, uint32](uint32(at))
}
