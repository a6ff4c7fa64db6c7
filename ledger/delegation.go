package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos/cosmos-sdk/types/bech32"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	gogoproto "github.com/cosmos/gogoproto/proto"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// bootstrapModule is the module whose account holds the bootstrap stake, which
// nobody owns (chain/emission).
const bootstrapModule = "emission"

// Delegated returns what an account has delegated to the validator that another
// account runs; 0 if nothing.
func (c *Client) Delegated(ctx context.Context, account, validator string) (coin.Amount, error) {
	operator, err := operatorOf(validator)
	if err != nil {
		return 0, err
	}
	what := fmt.Sprintf("delegation of %s to %s", account, operator)
	resp, err := stakingtypes.NewQueryClient(c.conn).Delegation(ctx, &stakingtypes.QueryDelegationRequest{
		DelegatorAddr: account, ValidatorAddr: operator,
	})
	if err != nil {
		if err = failed(what, err); errors.Is(err, ErrNotFound) {
			return 0, nil
		}
		return 0, err
	}
	if resp.DelegationResponse == nil {
		return 0, nil
	}
	return amount(resp.DelegationResponse.Balance.Amount), nil
}

// Organic returns the stake of the validator that an account runs, without the
// bootstrap stake that nobody owns.
func (c *Client) Organic(ctx context.Context, validator string) (coin.Amount, error) {
	operator, err := operatorOf(validator)
	if err != nil {
		return 0, err
	}
	resp, err := stakingtypes.NewQueryClient(c.conn).Validator(ctx, &stakingtypes.QueryValidatorRequest{ValidatorAddr: operator})
	if err != nil {
		return 0, failed("validator "+operator, err)
	}
	bootstrap, err := c.Delegated(ctx, wallet.FormatAddress(authtypes.NewModuleAddress(bootstrapModule)), validator)
	if err != nil {
		return 0, err
	}
	all := amount(resp.Validator.Tokens)
	return all - min(all, bootstrap), nil
}

// operatorOf returns the bech32 address, "plxvaloper1…", of the validator that
// an account runs.
func operatorOf(account string) (string, error) {
	b, err := wallet.ParseAddress(account)
	if err != nil {
		return "", err
	}
	return bech32.ConvertAndEncode(wallet.Prefix+"valoper", b)
}

// BlockTime returns the mean time between the latest blocks, at most 100; 0 on
// a chain of one block.
func (c *Client) BlockTime(ctx context.Context) (time.Duration, error) { return c.blockTime(ctx) }

// A Send is a payment from one account to another.
type Send struct {
	From, To string
	Amount   coin.Amount
	Memo     string // of the transaction
}

// Sends returns the payments of a transaction that did what it should: its
// messages of the kind bank send, in order. What other messages move is not
// among them.
func (t Tx) Sends() ([]Send, error) {
	if t.Code != 0 {
		return nil, nil
	}
	var tx txtypes.Tx
	if err := tx.Unmarshal(t.Raw); err != nil {
		return nil, fmt.Errorf("transaction: %w", err)
	}
	if tx.Body == nil {
		return nil, errors.New("transaction: it has no body")
	}
	var all []Send
	for _, m := range tx.Body.Messages {
		if m.TypeUrl != "/cosmos.bank.v1beta1.MsgSend" {
			continue
		}
		var s banktypes.MsgSend
		if err := gogoproto.Unmarshal(m.Value, &s); err != nil {
			return nil, fmt.Errorf("transaction: %w", err)
		}
		all = append(all, Send{From: s.FromAddress, To: s.ToAddress, Amount: amount(s.Amount.AmountOf(coin.Denom)), Memo: tx.Body.Memo})
	}
	return all, nil
}

// SetCommitment replaces the public metadata of an account's neuron, at most
// 4 KiB. The chain limits how often.
func (c *Client) SetCommitment(ctx context.Context, a Actor, netuid yuma.Netuid, data []byte) error {
	_, err := c.Submit(ctx, a, &subnetv1.MsgSetCommitment{Account: a.Account(), Netuid: uint32(netuid), Data: data})
	return acted(err, "set the commitment on subnet %d", netuid)
}
