// Package subnet keeps the subnets: who serves on them, what validators think
// of the miners, and what each of them earned.
//
// Accounts register neurons by burning a price; validators, which are the
// validators of x/staking, set weights on them; and once per tempo an epoch
// runs the law of package yuma over it all and pays: validators through
// x/distribution, miners and owners into what they can claim. Subnet 0, the
// root, has validators only, and their weights on the subnets decide how the
// emission is shared between these.
//
// The keeper fetches, calls a law, and stores; formulas are in packages coin
// and yuma. Start at [Keeper.EndBlock].
package subnet

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// ModuleName names the module and its store.
const ModuleName = "subnet"

// Root is the netuid of the root, and RootKind its kind.
const (
	Root     = 0
	RootKind = "root"
)

// source is where emission comes from.
type source interface {
	Unallocated(ctx context.Context) (coin.Amount, error)
	Allocate(ctx context.Context, amount coin.Amount) error
	Return(ctx context.Context, amount coin.Amount) error
}

// till pays and takes coins.
type till interface {
	Pay(ctx context.Context, to sdk.AccAddress, amount coin.Amount) error
	PayValidators(ctx context.Context, vals []sdk.ValAddress, amounts []coin.Amount) error
	Burn(ctx context.Context, from sdk.AccAddress, amount coin.Amount) error
}

// Emission is what the keeper needs of module emission: it takes what is
// unallocated, and it pays and burns.
type Emission interface {
	source
	till
}

// validators finds the validator that an account operates.
type validators interface {
	GetValidator(ctx context.Context, val sdk.ValAddress) (stakingtypes.Validator, error)
}

// A slot is a neuron's place: its subnet and uid.
type slot = collections.Pair[uint32, uint32]

// A seat is an account on a subnet.
type seat = collections.Pair[uint32, []byte]

// A Keeper keeps the subnets.
type Keeper struct {
	emission   Emission
	validators validators
	addresses  address.Codec
	authority  string // governance

	schema    collections.Schema
	params    collections.Item[subnetv1.Params]
	subnets   collections.Map[uint32, subnetv1.Subnet]
	neurons   collections.Map[slot, subnetv1.Neuron]
	uids      collections.Map[seat, uint32]
	weights   collections.Map[slot, subnetv1.Row] // by shelf and uid, as bonds
	bonds     collections.Map[slot, subnetv1.Row]
	commits   collections.Map[collections.Triple[uint32, uint32, uint64], subnetv1.Commit] // by shelf, uid, epoch
	epochs    collections.Map[uint32, subnetv1.Epoch]                                      // the latest of each shelf
	queue     collections.KeySet[collections.Pair[uint64, uint32]]                         // height, netuid
	claimable collections.Map[[]byte, uint64]                                              // by account
	price     collections.Item[uint64]                                                     // what the latest subnet cost; 0 before the first
	pricedAt  collections.Item[int64]
	burned    collections.Item[uint64]
	rides     collections.Map[collections.Triple[uint32, []byte, uint32], int64] // latest free transaction by shelf, account, lane

	work        collections.Map[uint32, subnetv1.WorkLane]
	hashes      collections.Map[uint64, []byte]                                // of the latest blocks, by height
	spent       collections.KeySet[collections.Triple[uint64, uint32, []byte]] // work that registered: height, subnet, account
	commitments collections.Map[slot, subnetv1.Commitment]                     // by subnet and uid
	families    collections.Map[seat, subnetv1.Family]
	parents     collections.KeySet[collections.Triple[uint32, []byte, []byte]] // subnet, child, parent

	earnings   collections.Map[earner, subnetv1.Earning]
	dissolving collections.Map[uint32, subnetv1.Subnet] // gone, but for what is left to sweep
	latest     collections.Item[uint32]                 // netuid of the subnet registered last
}

// NewKeeper returns the keeper of the subnets. authority is the bech32 address
// of governance.
func NewKeeper(cdc codec.BinaryCodec, s store.KVStoreService, e Emission, v validators, a address.Codec, authority string) *Keeper {
	sb := collections.NewSchemaBuilder(s)
	pair := collections.PairKeyCodec(collections.Uint32Key, collections.Uint32Key)
	k := &Keeper{
		emission: e, validators: v, addresses: a, authority: authority,
		params:  collections.NewItem(sb, collections.NewPrefix(0), "params", codec.CollValue[subnetv1.Params](cdc)),
		subnets: collections.NewMap(sb, collections.NewPrefix(1), "subnets", collections.Uint32Key, codec.CollValue[subnetv1.Subnet](cdc)),
		neurons: collections.NewMap(sb, collections.NewPrefix(2), "neurons", pair, codec.CollValue[subnetv1.Neuron](cdc)),
		uids: collections.NewMap(sb, collections.NewPrefix(3), "uids",
			collections.PairKeyCodec(collections.Uint32Key, collections.BytesKey), collections.Uint32Value),
		weights: collections.NewMap(sb, collections.NewPrefix(4), "weights", pair, codec.CollValue[subnetv1.Row](cdc)),
		bonds:   collections.NewMap(sb, collections.NewPrefix(5), "bonds", pair, codec.CollValue[subnetv1.Row](cdc)),
		commits: collections.NewMap(sb, collections.NewPrefix(6), "commits",
			collections.TripleKeyCodec(collections.Uint32Key, collections.Uint32Key, collections.Uint64Key), codec.CollValue[subnetv1.Commit](cdc)),
		epochs: collections.NewMap(sb, collections.NewPrefix(7), "epochs", collections.Uint32Key, codec.CollValue[subnetv1.Epoch](cdc)),
		queue: collections.NewKeySet(sb, collections.NewPrefix(8), "queue",
			collections.PairKeyCodec(collections.Uint64Key, collections.Uint32Key)),
		claimable: collections.NewMap(sb, collections.NewPrefix(9), "claimable", collections.BytesKey, collections.Uint64Value),
		price:     collections.NewItem(sb, collections.NewPrefix(10), "price", collections.Uint64Value),
		pricedAt:  collections.NewItem(sb, collections.NewPrefix(11), "priced_at", collections.Int64Value),
		burned:    collections.NewItem(sb, collections.NewPrefix(12), "burned", collections.Uint64Value),
		rides: collections.NewMap(sb, collections.NewPrefix(13), "rides",
			collections.TripleKeyCodec(collections.Uint32Key, collections.BytesKey, collections.Uint32Key), collections.Int64Value),
		work:   collections.NewMap(sb, collections.NewPrefix(40), "work", collections.Uint32Key, codec.CollValue[subnetv1.WorkLane](cdc)),
		hashes: collections.NewMap(sb, collections.NewPrefix(41), "hashes", collections.Uint64Key, collections.BytesValue),
		spent: collections.NewKeySet(sb, collections.NewPrefix(42), "spent",
			collections.TripleKeyCodec(collections.Uint64Key, collections.Uint32Key, collections.BytesKey)),
		commitments: collections.NewMap(sb, collections.NewPrefix(43), "commitments", pair, codec.CollValue[subnetv1.Commitment](cdc)),
		families: collections.NewMap(sb, collections.NewPrefix(44), "families",
			collections.PairKeyCodec(collections.Uint32Key, collections.BytesKey), codec.CollValue[subnetv1.Family](cdc)),
		parents: collections.NewKeySet(sb, collections.NewPrefix(45), "parents",
			collections.TripleKeyCodec(collections.Uint32Key, collections.BytesKey, collections.BytesKey)),
		earnings: collections.NewMap(sb, collections.NewPrefix(16), "earnings",
			collections.PairKeyCodec(collections.BytesKey, collections.Uint32Key), codec.CollValue[subnetv1.Earning](cdc)),
		dissolving: collections.NewMap(sb, collections.NewPrefix(14), "dissolving", collections.Uint32Key, codec.CollValue[subnetv1.Subnet](cdc)),
		latest:     collections.NewItem(sb, collections.NewPrefix(15), "latest", collections.Uint32Value),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err) // two collections of one name: a bug, found by any test
	}
	k.schema = schema
	return k
}

// height returns the height of ctx.
func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// now returns the height that rate limits count from: that of the block a
// transaction is in, or, while a node only checks it, of the next.
func now(ctx context.Context) int64 {
	c := sdk.UnwrapSDKContext(ctx)
	if c.IsCheckTx() {
		return c.BlockHeight() + 1
	}
	return c.BlockHeight()
}

// subnet returns a subnet, or an error that names it.
func (k *Keeper) subnet(ctx context.Context, netuid uint32) (subnetv1.Subnet, error) {
	s, err := k.subnets.Get(ctx, netuid)
	if errors.Is(err, collections.ErrNotFound) {
		return s, sdkerrors.ErrNotFound.Wrapf("there is no subnet %d", netuid)
	}
	return s, err
}

// neuron returns the neuron of an account on a subnet, or an error that says
// how to get one.
func (k *Keeper) neuron(ctx context.Context, netuid uint32, account sdk.AccAddress) (subnetv1.Neuron, error) {
	uid, err := k.uids.Get(ctx, collections.Join(netuid, []byte(account)))
	if errors.Is(err, collections.ErrNotFound) {
		return subnetv1.Neuron{}, sdkerrors.ErrNotFound.Wrapf("account %s has no neuron on subnet %d: register one first", k.text(account), netuid)
	}
	if err != nil {
		return subnetv1.Neuron{}, err
	}
	return k.neurons.Get(ctx, collections.Join(netuid, uid))
}

// setNeuron stores a neuron under its uid and its account.
func (k *Keeper) setNeuron(ctx context.Context, netuid uint32, account sdk.AccAddress, n subnetv1.Neuron) error {
	if err := k.uids.Set(ctx, collections.Join(netuid, []byte(account)), n.Uid); err != nil {
		return err
	}
	return k.neurons.Set(ctx, collections.Join(netuid, n.Uid), n)
}

// stake returns what an account's validator has bonded: 0 unless the account
// operates a validator that is bonded and not jailed.
func (k *Keeper) stake(ctx context.Context, account sdk.AccAddress) (coin.Amount, error) {
	v, err := k.validators.GetValidator(ctx, sdk.ValAddress(account))
	if errors.Is(err, stakingtypes.ErrNoValidatorFound) {
		return 0, nil
	}
	if err != nil || !v.IsBonded() || v.IsJailed() {
		return 0, err
	}
	return coin.Amount(v.Tokens.Uint64()), nil
}

// credit adds amount to what an account can claim.
func (k *Keeper) credit(ctx context.Context, account sdk.AccAddress, amount coin.Amount) error {
	if amount == 0 {
		return nil
	}
	have, err := k.claim(ctx, account)
	if err != nil {
		return err
	}
	sum, err := have.Add(amount)
	if err != nil {
		return err
	}
	return k.claimable.Set(ctx, account, uint64(sum))
}

// claim returns what an account can claim.
func (k *Keeper) claim(ctx context.Context, account sdk.AccAddress) (coin.Amount, error) {
	amount, err := k.claimable.Get(ctx, account)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return coin.Amount(amount), err
}

// bytes returns the account of a bech32 address.
func (k *Keeper) bytes(text string) (sdk.AccAddress, error) {
	b, err := k.addresses.StringToBytes(text)
	if err != nil {
		return nil, sdkerrors.ErrInvalidAddress.Wrapf("%q: %v", text, err)
	}
	return b, nil
}

// text returns the bech32 address of an account.
func (k *Keeper) text(account sdk.AccAddress) string {
	s, err := k.addresses.BytesToString(account)
	if err != nil {
		return fmt.Sprintf("%x", []byte(account))
	}
	return s
}

// netuids returns all subnets but the root, in order.
func (k *Keeper) netuids(ctx context.Context) ([]uint32, error) {
	it, err := k.subnets.Iterate(ctx, new(collections.Range[uint32]).StartExclusive(Root))
	if err != nil {
		return nil, err
	}
	return it.Keys()
}

// rows returns the rows of a shelf in order of uid, unpacked for a law that
// knows n neurons.
func rows(ctx context.Context, m collections.Map[slot, subnetv1.Row], at shelf, n int) ([]yuma.Row, []yuma.Height, error) {
	unpacked, heights := make([]yuma.Row, n), make([]yuma.Height, n)
	err := m.Walk(ctx, rowsOf(at), func(where slot, r subnetv1.Row) (bool, error) {
		uid := where.K2()
		if int(uid) >= n {
			return true, fmt.Errorf("%v: row of uid %d, but only %d neurons", at, uid, n)
		}
		row, err := yuma.DecodeRow(r.Entries, yuma.MaxNeurons)
		if err != nil {
			return true, fmt.Errorf("%v: row of uid %d: %w", at, uid, err)
		}
		unpacked[uid], heights[uid] = row, yuma.Height(r.Height)
		return false, nil
	})
	return unpacked, heights, err
}
