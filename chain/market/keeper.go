// Package market keeps the compute market: deployments with their groups,
// orders, bids and leases, the money that pays for them, providers with their
// deposits, and reports of non-delivery with the votes on them.
//
// It judges by the law of package market and counts money by market/escrow; it
// fetches, asks the law, and stores. Nothing is done per block and lease:
// whatever ends by itself stands in a queue by the height or the second at
// which it is due (agenda.go), and an account is settled in one step for all of
// its leases. Two things always hold, and [Keeper.Check] looks for them: what
// the module's account has is exactly what is in escrow, and no lease outlives
// its money. Start at [Keeper.EndBlock] and at CreateDeployment in
// deployments.go.
package market

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
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/proto"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/market"
)

// ModuleName names the module, its store and its account.
const ModuleName = "market"

// purse moves coins in and out of the module's account.
type purse interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
}

// balances tells what an account has.
type balances interface {
	GetAllBalances(ctx context.Context, account sdk.AccAddress) sdk.Coins
}

// Bank is what the keeper needs of the bank.
type Bank interface {
	purse
	balances
}

// Pool takes coins for the community.
type Pool interface {
	FundCommunityPool(ctx context.Context, amount sdk.Coins, from sdk.AccAddress) error
}

// Court knows who judges providers: the validators of a subnet, by their stake
// there.
type Court interface {
	Voters(ctx context.Context, netuid uint32) ([]sdk.AccAddress, []coin.Amount, error)
	Permitted(ctx context.Context, netuid uint32, account sdk.AccAddress) error
}

type (
	// A moment is a height or a second, with what is due then.
	moment = collections.Pair[uint64, []byte]
	// A word is what an auditor says of a provider.
	word = collections.Pair[[]byte, []byte]
	// A grant is a granter, a grantee and a denom.
	grant = collections.Triple[[]byte, []byte, string]
	// A ballot is an account's vote on a case.
	ballot = collections.Pair[uint64, []byte]
)

// A Keeper keeps the market.
type Keeper struct {
	bank      Bank
	pool      Pool
	court     Court
	addresses address.Codec
	authority string // governance

	schema      collections.Schema
	params      collections.Item[marketv1.Params]
	deployments collections.Map[[]byte, marketv1.Deployment] // by the keys of keys.go, as all that follows
	groups      collections.Map[[]byte, marketv1.Group]
	orders      collections.Map[[]byte, marketv1.Order] // without what they ask for, which is the group's
	bids        collections.Map[[]byte, marketv1.Bid]
	leases      collections.Map[[]byte, marketv1.Lease]
	accounts    collections.Map[[]byte, marketv1.Account]
	latest      collections.Map[[]byte, uint64]    // greatest dseq that an owner used
	open        collections.KeySet[[]byte]         // open orders
	offers      collections.KeySet[[]byte]         // bids by provider, see byProvider
	rentals     collections.KeySet[[]byte]         // leases by provider
	queues      [queues]collections.KeySet[moment] // see agenda.go
	providers   collections.Map[[]byte, marketv1.Provider]
	audits      collections.Map[word, marketv1.Audit] // by provider and auditor
	allowances  collections.Map[grant, marketv1.Allowance]
	cases       collections.Map[uint64, marketv1.Case]
	latestCase  collections.Sequence // number of the next case, less 1
	votes       collections.Map[ballot, marketv1.Vote]
}

// NewKeeper returns the keeper of the market. authority is the bech32 address
// of governance.
func NewKeeper(cdc codec.BinaryCodec, s store.KVStoreService, bank Bank, pool Pool, court Court, a address.Codec, authority string) *Keeper {
	sb := collections.NewSchemaBuilder(s)
	k := &Keeper{
		bank: bank, pool: pool, court: court, addresses: a, authority: authority,
		params:      collections.NewItem(sb, collections.NewPrefix(0), "params", codec.CollValue[marketv1.Params](cdc)),
		deployments: collections.NewMap(sb, collections.NewPrefix(1), "deployments", collections.BytesKey, codec.CollValue[marketv1.Deployment](cdc)),
		groups:      collections.NewMap(sb, collections.NewPrefix(2), "groups", collections.BytesKey, codec.CollValue[marketv1.Group](cdc)),
		orders:      collections.NewMap(sb, collections.NewPrefix(3), "orders", collections.BytesKey, codec.CollValue[marketv1.Order](cdc)),
		bids:        collections.NewMap(sb, collections.NewPrefix(4), "bids", collections.BytesKey, codec.CollValue[marketv1.Bid](cdc)),
		leases:      collections.NewMap(sb, collections.NewPrefix(5), "leases", collections.BytesKey, codec.CollValue[marketv1.Lease](cdc)),
		accounts:    collections.NewMap(sb, collections.NewPrefix(6), "accounts", collections.BytesKey, codec.CollValue[marketv1.Account](cdc)),
		latest:      collections.NewMap(sb, collections.NewPrefix(7), "latest", collections.BytesKey, collections.Uint64Value),
		open:        collections.NewKeySet(sb, collections.NewPrefix(8), "open", collections.BytesKey),
		offers:      collections.NewKeySet(sb, collections.NewPrefix(9), "offers", collections.BytesKey),
		rentals:     collections.NewKeySet(sb, collections.NewPrefix(10), "rentals", collections.BytesKey),
		providers:   collections.NewMap(sb, collections.NewPrefix(11), "providers", collections.BytesKey, codec.CollValue[marketv1.Provider](cdc)),
		audits: collections.NewMap(sb, collections.NewPrefix(12), "audits",
			collections.PairKeyCodec(collections.BytesKey, collections.BytesKey), codec.CollValue[marketv1.Audit](cdc)),
		allowances: collections.NewMap(sb, collections.NewPrefix(13), "allowances",
			collections.TripleKeyCodec(collections.BytesKey, collections.BytesKey, collections.StringKey), codec.CollValue[marketv1.Allowance](cdc)),
		cases:      collections.NewMap(sb, collections.NewPrefix(14), "cases", collections.Uint64Key, codec.CollValue[marketv1.Case](cdc)),
		latestCase: collections.NewSequence(sb, collections.NewPrefix(15), "latest_case"),
		votes: collections.NewMap(sb, collections.NewPrefix(16), "votes",
			collections.PairKeyCodec(collections.Uint64Key, collections.BytesKey), codec.CollValue[marketv1.Vote](cdc)),
	}
	for q := range queues {
		k.queues[q] = collections.NewKeySet(sb, collections.NewPrefix(32+int(q)), "due_"+q.String(),
			collections.PairKeyCodec(collections.Uint64Key, collections.BytesKey))
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err) // two collections of one name: a bug, found by any test
	}
	k.schema = schema
	return k
}

// msgs serves the module's messages.
type msgs struct{ *Keeper }

// height returns the height of ctx.
func height(ctx context.Context) market.Height {
	return market.Height(sdk.UnwrapSDKContext(ctx).BlockHeight())
}

// now returns the time of ctx's block.
func now(ctx context.Context) market.Seconds {
	return market.Seconds(sdk.UnwrapSDKContext(ctx).BlockTime().Unix())
}

// emit adds an event to the block.
func emit(ctx context.Context, event proto.Message) error {
	return sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event)
}

// bytes returns the account of a bech32 address.
func (k *Keeper) bytes(text string) (sdk.AccAddress, error) {
	b, err := k.addresses.StringToBytes(text)
	if err != nil {
		return nil, sdkerrors.ErrInvalidAddress.Wrapf("%.100q: %v", text, err)
	}
	return b, nil
}

// missing turns "not found" into an error that says what is not there.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, collections.ErrNotFound) {
		return sdkerrors.ErrNotFound.Wrapf("there is no %s", fmt.Sprintf(format, args...))
	}
	return err
}

// refused makes an error of the law one of the message.
func refused(err error) error { return sdkerrors.ErrInvalidRequest.Wrap(err.Error()) }

// moduleAccount is the address of the module's account.
var moduleAccount = authtypes.NewModuleAddress(ModuleName)

// onlyGovernance returns an error unless authority is governance.
func (k *Keeper) onlyGovernance(authority string) error {
	if authority != k.authority {
		return govtypes.ErrInvalidSigner.Wrapf("only %s may change these parameters, not %s", k.authority, authority)
	}
	return nil
}
