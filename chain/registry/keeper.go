// Package registry keeps what those who serve on subnets are bound to:
// manifests of models by their hash, the secret seeds of validators' audits, the
// roots of their receipts, and accusations of fraud with the votes on them.
//
// It judges nothing itself. A case is decided by the stake of a subnet's
// validators, who re-check its evidence with their own engines; the law is
// yuma.Tally, and module subnet expels who is convicted. Everything is bounded:
// by account, by age or by a deadline that a queue keeps. Start at
// [Keeper.EndBlock] and at ReportFraud in cases.go.
package registry

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
	"github.com/cosmos/gogoproto/proto"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// ModuleName names the module and its store.
const ModuleName = "registry"

// court decides who may judge a subnet's miners, and carries out the verdict.
type court interface {
	Voters(ctx context.Context, netuid uint32) ([]sdk.AccAddress, []coin.Amount, error)
	Permitted(ctx context.Context, netuid uint32, account sdk.AccAddress) error
	Expel(ctx context.Context, netuid, uid uint32, since int64, accused sdk.AccAddress) (coin.Amount, error)
}

// seats knows the subnets and who has a slot there.
type seats interface {
	Tempo(ctx context.Context, netuid uint32) (yuma.Blocks, error)
	Seat(ctx context.Context, netuid uint32, account sdk.AccAddress) (uid uint32, since int64, err error)
}

// Subnets is what the keeper needs of module subnet.
type Subnets interface {
	court
	seats
}

type (
	// A seat is an account on a subnet.
	seat = collections.Pair[uint32, []byte]
	// A term is an epoch of an account on a subnet.
	term = collections.Triple[uint32, []byte, uint64]
	// A ballot is an account's vote on a case.
	ballot = collections.Pair[uint64, []byte]
)

// A Keeper keeps the registry.
type Keeper struct {
	subnets   Subnets
	addresses address.Codec
	authority string // governance

	schema    collections.Schema
	params    collections.Item[registryv1.Params]
	manifests collections.Map[[]byte, registryv1.Manifest] // by hash
	declared  collections.Map[[]byte, uint64]              // how many manifests, by account
	audits    collections.Map[term, registryv1.Audit]
	duties    collections.KeySet[collections.Pair[uint64, term]] // height at which an audit is missed or forgotten
	conducts  collections.Map[seat, registryv1.Conduct]
	roots     collections.Map[term, registryv1.Root]
	cases     collections.Map[uint64, registryv1.Case]
	latest    collections.Sequence                                 // number of the next case, less 1
	open      collections.Map[seat, uint64]                        // open case by subnet and miner
	bundles   collections.Map[seat, uint64]                        // case by subnet and hash of its evidence
	docket    collections.KeySet[collections.Pair[uint64, uint64]] // height at which a case ends or is forgotten, case
	votes     collections.Map[ballot, registryv1.Vote]
}

// NewKeeper returns the keeper of the registry. authority is the bech32 address
// of governance.
func NewKeeper(cdc codec.BinaryCodec, s store.KVStoreService, subnets Subnets, a address.Codec, authority string) *Keeper {
	sb := collections.NewSchemaBuilder(s)
	bySeat := collections.PairKeyCodec(collections.Uint32Key, collections.BytesKey)
	byTerm := collections.TripleKeyCodec(collections.Uint32Key, collections.BytesKey, collections.Uint64Key)
	k := &Keeper{
		subnets: subnets, addresses: a, authority: authority,
		params:    collections.NewItem(sb, collections.NewPrefix(0), "params", codec.CollValue[registryv1.Params](cdc)),
		manifests: collections.NewMap(sb, collections.NewPrefix(1), "manifests", collections.BytesKey, codec.CollValue[registryv1.Manifest](cdc)),
		declared:  collections.NewMap(sb, collections.NewPrefix(2), "declared", collections.BytesKey, collections.Uint64Value),
		audits:    collections.NewMap(sb, collections.NewPrefix(3), "audits", byTerm, codec.CollValue[registryv1.Audit](cdc)),
		duties:    collections.NewKeySet(sb, collections.NewPrefix(4), "duties", collections.PairKeyCodec(collections.Uint64Key, byTerm)),
		conducts:  collections.NewMap(sb, collections.NewPrefix(5), "conducts", bySeat, codec.CollValue[registryv1.Conduct](cdc)),
		roots:     collections.NewMap(sb, collections.NewPrefix(6), "roots", byTerm, codec.CollValue[registryv1.Root](cdc)),
		cases:     collections.NewMap(sb, collections.NewPrefix(7), "cases", collections.Uint64Key, codec.CollValue[registryv1.Case](cdc)),
		latest:    collections.NewSequence(sb, collections.NewPrefix(8), "latest"),
		open:      collections.NewMap(sb, collections.NewPrefix(9), "open", bySeat, collections.Uint64Value),
		bundles:   collections.NewMap(sb, collections.NewPrefix(10), "bundles", bySeat, collections.Uint64Value),
		docket: collections.NewKeySet(sb, collections.NewPrefix(11), "docket",
			collections.PairKeyCodec(collections.Uint64Key, collections.Uint64Key)),
		votes: collections.NewMap(sb, collections.NewPrefix(12), "votes",
			collections.PairKeyCodec(collections.Uint64Key, collections.BytesKey), codec.CollValue[registryv1.Vote](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err) // two collections of one name: a bug, found by any test
	}
	k.schema = schema
	return k
}

// What one block does at most; the rest waits for the next.
const (
	dutiesPerBlock = 256
	casesPerBlock  = 16
)

// EndBlock counts the audits whose seed was due and not shown, ends the cases
// whose deadline has come, and forgets what was kept long enough.
func (k *Keeper) EndBlock(ctx context.Context) error {
	return errors.Join(k.endDuties(ctx), k.endCases(ctx))
}

// come returns the entries of a queue that are due, at most n of them.
func come[K any](ctx context.Context, queue collections.KeySet[collections.Pair[uint64, K]], n int) ([]K, error) {
	now := uint64(height(ctx))
	var due []collections.Pair[uint64, K]
	err := queue.Walk(ctx, nil, func(at collections.Pair[uint64, K]) (bool, error) {
		if at.K1() > now || len(due) == n {
			return true, nil
		}
		due = append(due, at)
		return false, nil
	})
	keys := make([]K, len(due))
	for i, at := range due {
		keys[i] = at.K2()
		err = errors.Join(err, queue.Remove(ctx, at))
	}
	return keys, err
}

// height returns the height of ctx.
func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// next returns the height of the block that a message is in, or, while a node
// only checks it, would be in.
func next(ctx context.Context) int64 {
	c := sdk.UnwrapSDKContext(ctx)
	if c.IsCheckTx() {
		return c.BlockHeight() + 1
	}
	return c.BlockHeight()
}

// emit adds an event to the block.
func emit(ctx context.Context, event proto.Message) error {
	return sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event)
}

// bytes returns the account of a bech32 address.
func (k *Keeper) bytes(text string) (sdk.AccAddress, error) {
	b, err := k.addresses.StringToBytes(text)
	if err != nil {
		return nil, sdkerrors.ErrInvalidAddress.Wrapf("%q: %v", text, err)
	}
	return b, nil
}

// conduct returns what an account did on a subnet: nothing yet if the record is
// new.
func (k *Keeper) conduct(ctx context.Context, netuid uint32, account sdk.AccAddress) (registryv1.Conduct, error) {
	c, err := k.conducts.Get(ctx, collections.Join(netuid, []byte(account)))
	if errors.Is(err, collections.ErrNotFound) {
		text, err := k.addresses.BytesToString(account)
		return registryv1.Conduct{Netuid: netuid, Account: text}, err
	}
	return c, err
}

// amend changes what is counted of an account on a subnet.
func (k *Keeper) amend(ctx context.Context, netuid uint32, account sdk.AccAddress, change func(*registryv1.Conduct)) error {
	c, err := k.conduct(ctx, netuid, account)
	if err != nil {
		return err
	}
	change(&c)
	return k.conducts.Set(ctx, collections.Join(netuid, []byte(account)), c)
}

// sized returns an error unless b has the given length.
func sized(what string, b []byte, n int) error {
	if len(b) != n {
		return sdkerrors.ErrInvalidRequest.Wrapf("%s of %d bytes; it must have %d", what, len(b), n)
	}
	return nil
}

// missing turns "not found" into an error that says what is not there.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, collections.ErrNotFound) {
		return sdkerrors.ErrNotFound.Wrapf("there is no %s", fmt.Sprintf(format, args...))
	}
	return err
}
