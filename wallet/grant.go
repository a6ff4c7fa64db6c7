package wallet

import (
	"fmt"
	"time"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// HotkeyMessages returns the type URLs of what a hotkey may sign for its
// coldkey.
func HotkeyMessages() []string {
	return []string{
		sdk.MsgTypeURL(&subnetv1.MsgSetWeights{}),
		sdk.MsgTypeURL(&subnetv1.MsgSetWeightsBatch{}),
		sdk.MsgTypeURL(&subnetv1.MsgCommitWeights{}),
		sdk.MsgTypeURL(&subnetv1.MsgRevealWeights{}),
		sdk.MsgTypeURL(&subnetv1.MsgUpdateAxon{}),
		sdk.MsgTypeURL(&subnetv1.MsgSetCommitment{}),
		sdk.MsgTypeURL(&registryv1.MsgRegisterManifest{}),
		sdk.MsgTypeURL(&registryv1.MsgCommitAudit{}),
		sdk.MsgTypeURL(&registryv1.MsgRevealAudit{}),
		sdk.MsgTypeURL(&registryv1.MsgReportFraud{}),
		sdk.MsgTypeURL(&registryv1.MsgVoteFraud{}),
		sdk.MsgTypeURL(&registryv1.MsgPublishRoot{}),
	}
}

// Allowance bounds what a hotkey may spend of its coldkey's coins.
type Allowance struct {
	Until time.Time   // when the grants end; zero means never
	Fees  coin.Amount // for fees, in all; 0 grants none
}

// Grants returns the messages, to be signed by the coldkey, that let a hotkey
// act for it. Both are addresses; the hotkey needs no coins, and its account
// is made if it is new.
func Grants(coldkey, hotkey string, a Allowance) ([]sdk.Msg, error) {
	if err := distinct(coldkey, hotkey); err != nil {
		return nil, err
	}
	var until *time.Time
	if !a.Until.IsZero() {
		until = &a.Until
	}
	var msgs []sdk.Msg
	for _, url := range HotkeyMessages() {
		auth, err := codectypes.NewAnyWithValue(authz.NewGenericAuthorization(url))
		if err != nil {
			return nil, fmt.Errorf("grant %s: %w", url, err)
		}
		msgs = append(msgs, &authz.MsgGrant{
			Granter: coldkey,
			Grantee: hotkey,
			Grant:   authz.Grant{Authorization: auth, Expiration: until},
		})
	}
	if a.Fees == 0 {
		return msgs, nil
	}
	fees, err := feeGrant(coldkey, hotkey, a.Fees, until)
	if err != nil {
		return nil, err
	}
	return append(msgs, fees), nil
}

// feeGrant returns the message that lets a hotkey spend fees of a coldkey's
// coins, on acting for it and nothing else.
func feeGrant(coldkey, hotkey string, fees coin.Amount, until *time.Time) (sdk.Msg, error) {
	basic, err := codectypes.NewAnyWithValue(&feegrant.BasicAllowance{
		SpendLimit: sdk.NewCoins(sdk.NewInt64Coin(coin.Denom, int64(min(fees, coin.Cap)))),
		Expiration: until,
	})
	if err != nil {
		return nil, fmt.Errorf("grant fees: %w", err)
	}
	allowance, err := codectypes.NewAnyWithValue(&feegrant.AllowedMsgAllowance{
		Allowance:       basic,
		AllowedMessages: []string{sdk.MsgTypeURL(&authz.MsgExec{})},
	})
	if err != nil {
		return nil, fmt.Errorf("grant fees: %w", err)
	}
	return &feegrant.MsgGrantAllowance{Granter: coldkey, Grantee: hotkey, Allowance: allowance}, nil
}

// Revocation returns the messages, to be signed by the coldkey, that take back
// what [Grants] gave. fees tells whether fees were granted too: revoking what
// was never given fails.
func Revocation(coldkey, hotkey string, fees bool) ([]sdk.Msg, error) {
	if err := distinct(coldkey, hotkey); err != nil {
		return nil, err
	}
	var msgs []sdk.Msg
	for _, url := range HotkeyMessages() {
		msgs = append(msgs, &authz.MsgRevoke{Granter: coldkey, Grantee: hotkey, MsgTypeUrl: url})
	}
	if fees {
		msgs = append(msgs, &feegrant.MsgRevokeAllowance{Granter: coldkey, Grantee: hotkey})
	}
	return msgs, nil
}

// distinct tells whether two addresses are valid and not the same.
func distinct(coldkey, hotkey string) error {
	for _, a := range []string{coldkey, hotkey} {
		if _, err := ParseAddress(a); err != nil {
			return err
		}
	}
	if coldkey == hotkey {
		return fmt.Errorf("coldkey and hotkey are both %s: a key needs no grant of itself", coldkey)
	}
	return nil
}
