package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// year is what yearly rates are of, and aprBlocks over how many blocks the time
// between two of them is measured.
const (
	year      = 365.25 * 24 * time.Hour
	aprBlocks = 100
)

// Stake is all that an account has at stake and earned.
type Stake struct {
	Account   string      `json:"account"`
	Balance   coin.Amount `json:"balance"`   // that it can spend
	Claimable coin.Amount `json:"claimable"` // earned as a miner or an owner
	Positions []Position  `json:"positions"` // by validator
}

// Position is what an account has with one validator.
type Position struct {
	Validator  Validator     `json:"validator"`
	Commission float64       `json:"commission"` // the validator's part of dividends, 0 to 1
	Staked     coin.Amount   `json:"staked"`     // delegated
	Dividends  coin.Amount   `json:"dividends"`  // earned and not withdrawn yet
	Unbonding  []Unbonding   `json:"unbonding"`  // by the time it ends
	APR        float64       `json:"apr"`        // yearly dividends per stake after commission, at the rate of the latest epochs
	Span       time.Duration `json:"span_ns"`    // the time between epochs that APR was measured over; 0 if there was none
}

// Unbonding is stake that is on its way back.
type Unbonding struct {
	Amount coin.Amount `json:"amount"`
	Ends   time.Time   `json:"ends"`
}

// Stake returns all that an account has at stake and earned.
func (c *Client) Stake(ctx context.Context, account string) (*Stake, error) {
	s := &Stake{Account: account}
	var err error
	if s.Balance, err = c.Balance(ctx, account); err != nil {
		return nil, err
	}
	if s.Claimable, err = c.Claimable(ctx, account); err != nil {
		return nil, err
	}
	found := map[string]*Position{}
	at := func(operator string) *Position {
		if found[operator] == nil {
			found[operator] = &Position{Validator: Validator{Operator: operator}}
		}
		return found[operator]
	}
	if err := c.positions(ctx, account, at); err != nil {
		return nil, err
	}
	if err := c.terms(ctx, found); err != nil {
		return nil, err
	}
	for _, p := range found {
		s.Positions = append(s.Positions, *p)
	}
	slices.SortFunc(s.Positions, func(a, b Position) int { return strings.Compare(a.Validator.Operator, b.Validator.Operator) })
	return s, nil
}

// positions reads what an account delegated, is getting back and earned.
func (c *Client) positions(ctx context.Context, account string, at func(string) *Position) error {
	page := &query.PageRequest{Limit: 1000}
	staking := stakingtypes.NewQueryClient(c.conn)
	delegations, err := staking.DelegatorDelegations(ctx, &stakingtypes.QueryDelegatorDelegationsRequest{DelegatorAddr: account, Pagination: page})
	if err != nil {
		return failed("delegations of "+account, err)
	}
	for _, d := range delegations.DelegationResponses {
		at(d.Delegation.ValidatorAddress).Staked = amount(d.Balance.Amount)
	}
	leaving, err := staking.DelegatorUnbondingDelegations(ctx, &stakingtypes.QueryDelegatorUnbondingDelegationsRequest{DelegatorAddr: account, Pagination: page})
	if err != nil {
		return failed("unbonding stake of "+account, err)
	}
	for _, u := range leaving.UnbondingResponses {
		p := at(u.ValidatorAddress)
		for _, e := range u.Entries {
			p.Unbonding = append(p.Unbonding, Unbonding{Amount: amount(e.Balance), Ends: e.CompletionTime})
		}
		slices.SortFunc(p.Unbonding, func(a, b Unbonding) int { return a.Ends.Compare(b.Ends) })
	}
	rewards, err := distrtypes.NewQueryClient(c.conn).DelegationTotalRewards(ctx, &distrtypes.QueryDelegationTotalRewardsRequest{DelegatorAddress: account})
	if err != nil {
		return failed("dividends of "+account, err)
	}
	for _, r := range rewards.Rewards {
		at(r.ValidatorAddress).Dividends = decAmount(r.Reward)
	}
	return nil
}

// decAmount returns the whole nplx of an amount with a fraction.
func decAmount(c sdk.DecCoins) coin.Amount { return amount(c.AmountOf(coin.Denom).TruncateInt()) }

// terms adds to positions what their validators take and yield.
func (c *Client) terms(ctx context.Context, found map[string]*Position) error {
	if len(found) == 0 {
		return nil
	}
	yields, span, err := c.yields(ctx)
	if err != nil {
		return err
	}
	for operator, p := range found {
		resp, err := stakingtypes.NewQueryClient(c.conn).Validator(ctx, &stakingtypes.QueryValidatorRequest{ValidatorAddr: operator})
		if err != nil {
			return failed("validator "+operator, err)
		}
		if p.Validator, err = validator(&resp.Validator); err != nil {
			return err
		}
		if p.Commission, err = float(resp.Validator.Commission.Rate); err != nil {
			return fmt.Errorf("commission of %s: %w", operator, err)
		}
		if p.Validator.Stake > 0 && span > 0 {
			p.APR = yields[p.Validator.Account] / float64(p.Validator.Stake) * (1 - p.Commission)
			p.Span = span
		}
	}
	return nil
}

// float reads a decimal of the chain.
func float(d sdkmath.LegacyDec) (float64, error) {
	if d.IsNil() {
		return 0, nil
	}
	return d.Float64()
}

// yields returns what each account earned as a validator in the latest epoch of
// every subnet, in nplx a year, and the longest time between two such epochs.
func (c *Client) yields(ctx context.Context) (map[string]float64, time.Duration, error) {
	block, err := c.blockTime(ctx)
	if err != nil {
		return nil, 0, err
	}
	subnets, err := c.Subnets(ctx)
	if err != nil {
		return nil, 0, err
	}
	yields, longest := map[string]float64{}, time.Duration(0)
	for _, s := range subnets {
		span := block * time.Duration(s.Hyperparameters.Tempo)
		if s.LastEpoch == 0 || s.Netuid == 0 || span <= 0 {
			continue
		}
		m, err := c.Metagraph(ctx, yuma.Netuid(u16(s.Netuid)))
		if err != nil {
			return nil, 0, err
		}
		for _, n := range m.Neurons {
			yields[n.Account] += float64(n.ValidatorEmission) * float64(year) / float64(span)
		}
		longest = max(longest, span)
	}
	return yields, longest, nil
}

// blockTime returns the mean time between the latest blocks.
func (c *Client) blockTime(ctx context.Context) (time.Duration, error) {
	head, err := c.Head(ctx)
	if err != nil || head.Height < 2 {
		return 0, err
	}
	back := min(aprBlocks, head.Height-1)
	old, err := c.Block(ctx, head.Height-back)
	if err != nil {
		return 0, err
	}
	return head.Time.Sub(old.Time) / time.Duration(back), nil
}
