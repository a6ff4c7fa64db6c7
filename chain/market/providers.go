package market

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// provider returns a provider's address and record.
func (k *Keeper) provider(ctx context.Context, text string) (sdk.AccAddress, marketv1.Provider, error) {
	address, err := k.bytes(text)
	if err != nil {
		return nil, marketv1.Provider{}, err
	}
	p, err := k.providers.Get(ctx, address)
	return address, p, missing(err, "provider %s", text)
}

// CreateProvider enters the market.
func (m msgs) CreateProvider(ctx context.Context, msg *marketv1.MsgCreateProvider) (*marketv1.MsgCreateProviderResponse, error) {
	address, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	switch p, err := m.providers.Get(ctx, address); {
	case err == nil && p.State == marketv1.ProviderState_PROVIDER_STATE_LEAVING:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%s is leaving the market until second %d; enter again after that", msg.Account, p.Leaves)
	case err == nil:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%s is a provider already: update-provider changes it", msg.Account)
	case !errors.Is(err, collections.ErrNotFound):
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkCoin("deposit", msg.Deposit, plx, params.ProviderDeposit); err != nil {
		return nil, err
	}
	p := marketv1.Provider{
		Account: msg.Account, State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE, HostUri: msg.HostUri, Attributes: msg.Attributes,
		Email: msg.Email, Website: msg.Website, TlsPin: msg.TlsPin, Deposit: msg.Deposit.Amount.Uint64(), Created: int64(height(ctx)),
	}
	if err := checkProvider(p); err != nil {
		return nil, err
	}
	if err := m.collect(ctx, address, msg.Deposit); err != nil {
		return nil, err
	}
	return &marketv1.MsgCreateProviderResponse{}, m.changed(ctx, address, p)
}

// changed stores a provider and says so.
func (k *Keeper) changed(ctx context.Context, address []byte, p marketv1.Provider) error {
	return errors.Join(
		k.providers.Set(ctx, address, p),
		emit(ctx, &marketv1.EventProviderChanged{Provider: p.Account, State: p.State}),
	)
}

// UpdateProvider replaces what a provider tells of itself. Leases go on as they
// were agreed on.
func (m msgs) UpdateProvider(ctx context.Context, msg *marketv1.MsgUpdateProvider) (*marketv1.MsgUpdateProviderResponse, error) {
	address, p, err := m.provider(ctx, msg.Account)
	if err != nil {
		return nil, err
	}
	p.HostUri, p.Attributes, p.Email, p.Website, p.TlsPin = msg.HostUri, msg.Attributes, msg.Email, msg.Website, msg.TlsPin
	if err := checkProvider(p); err != nil {
		return nil, err
	}
	if msg.Add > 0 {
		if p.Deposit+msg.Add < msg.Add {
			return nil, sdkerrors.ErrInvalidRequest.Wrapf("a deposit of %d and %d more exceeds 2⁶⁴−1", p.Deposit, msg.Add)
		}
		if err := m.collect(ctx, address, coins(plx, market.Amount(msg.Add))); err != nil {
			return nil, err
		}
		p.Deposit += msg.Add
	}
	return &marketv1.MsgUpdateProviderResponse{}, m.changed(ctx, address, p)
}

// DeleteProvider leaves the market. Open bids expire, leases may go on or be
// closed as agreed; what still runs at the end of the unbonding is closed then.
func (m msgs) DeleteProvider(ctx context.Context, msg *marketv1.MsgDeleteProvider) (*marketv1.MsgDeleteProviderResponse, error) {
	address, p, err := m.provider(ctx, msg.Account)
	if err != nil {
		return nil, err
	}
	if p.State != marketv1.ProviderState_PROVIDER_STATE_ACTIVE {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%s is leaving the market already, until second %d", msg.Account, p.Leaves)
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	p.State, p.Leaves = marketv1.ProviderState_PROVIDER_STATE_LEAVING, int64(now(ctx)+wire.Seconds(params.Unbonding))
	if p.Cases == 0 { // else the last of them queues it
		err = m.put(ctx, leavers, p.Leaves, address)
	}
	return &marketv1.MsgDeleteProviderResponse{Leaves: p.Leaves}, errors.Join(err, m.changed(ctx, address, p))
}

// leasesPerLeaver is how many leases of a leaving provider one block closes.
const leasesPerLeaver = 50

// endProvider closes what a leaving provider still runs, and gives its deposit
// back when nothing is left.
func (k *Keeper) endProvider(ctx context.Context, address []byte) error {
	p, err := k.providers.Get(ctx, address)
	if err != nil {
		return err
	}
	var due [][]byte
	err = k.rentals.Walk(ctx, starting(byProviderState(address, false)), func(index []byte) (bool, error) {
		due = append(due, indexed(index))
		return len(due) == leasesPerLeaver, nil
	})
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.release(ctx, cut(key, orderSize), market.ProviderLeft); err != nil {
			return err
		}
	}
	if len(due) == leasesPerLeaver { // there may be more
		return k.put(ctx, leavers, p.Leaves, address)
	}
	return errors.Join(
		k.disburse(ctx, address, plx, market.Amount(p.Deposit)),
		k.providers.Remove(ctx, address),
		emit(ctx, &marketv1.EventProviderLeft{Provider: p.Account, Refunded: coins(plx, market.Amount(p.Deposit)).String()}),
	)
}

// SignAttributes adds to what an auditor says of a provider.
func (m msgs) SignAttributes(ctx context.Context, msg *marketv1.MsgSignAttributes) (*marketv1.MsgSignAttributesResponse, error) {
	if _, _, err := m.provider(ctx, msg.Provider); err != nil {
		return nil, err
	}
	if len(msg.Attributes) == 0 {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("no attributes to sign")
	}
	if err := checkAttributes("attributes", msg.Attributes); err != nil {
		return nil, err
	}
	at, err := m.wordKey(msg.Provider, msg.Auditor)
	if err != nil {
		return nil, err
	}
	a, err := m.audits.Get(ctx, at)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	for _, signed := range msg.Attributes {
		if i := find(a.Attributes, signed.Key); i >= 0 {
			a.Attributes[i] = signed
		} else {
			a.Attributes = append(a.Attributes, signed)
		}
	}
	sorted := wire.ReadAttributes(a.Attributes)
	sorted.Sort()
	a.Provider, a.Auditor, a.Attributes = msg.Provider, msg.Auditor, wire.WriteAttributes(sorted)
	if err := checkAttributes("attributes with those signed before", a.Attributes); err != nil {
		return nil, err
	}
	return &marketv1.MsgSignAttributesResponse{}, errors.Join(m.audits.Set(ctx, at, a), signed(ctx, a))
}

// find returns where an attribute stands, or -1.
func find(list []marketv1.Attribute, key string) int {
	return slices.IndexFunc(list, func(a marketv1.Attribute) bool { return a.Key == key })
}

// signed tells of a change of an auditor's word.
func signed(ctx context.Context, a marketv1.Audit) error {
	return emit(ctx, &marketv1.EventAttributesSigned{Provider: a.Provider, Auditor: a.Auditor, Attributes: uint32(len(a.Attributes))})
}

// wordKey returns the key of what an auditor says of a provider.
func (k *Keeper) wordKey(provider, auditor string) (word, error) {
	p, err := k.bytes(provider)
	if err != nil {
		return word{}, err
	}
	a, err := k.bytes(auditor)
	return collections.Join([]byte(p), []byte(a)), err
}

// DeleteAttributes takes an auditor's word back, wholly or in part. It outlives
// a provider that leaves, so that can be done then too.
func (m msgs) DeleteAttributes(ctx context.Context, msg *marketv1.MsgDeleteAttributes) (*marketv1.MsgDeleteAttributesResponse, error) {
	at, err := m.wordKey(msg.Provider, msg.Auditor)
	if err != nil {
		return nil, err
	}
	a, err := m.audits.Get(ctx, at)
	if err != nil {
		return nil, missing(err, "signature of %s on attributes of %s", msg.Auditor, msg.Provider)
	}
	for _, key := range msg.Keys {
		i := find(a.Attributes, key)
		if i < 0 {
			return nil, sdkerrors.ErrNotFound.Wrapf("%s has not signed %.128q of %s", msg.Auditor, key, msg.Provider)
		}
		a.Attributes = slices.Delete(a.Attributes, i, i+1)
	}
	if len(msg.Keys) == 0 || len(a.Attributes) == 0 {
		a.Attributes = nil
		return &marketv1.MsgDeleteAttributesResponse{}, errors.Join(m.audits.Remove(ctx, at), signed(ctx, a))
	}
	return &marketv1.MsgDeleteAttributesResponse{}, errors.Join(m.audits.Set(ctx, at, a), signed(ctx, a))
}
