package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// queryStake returns the command that shows all that an account has at stake.
func queryStake(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "stake ADDRESS",
		Short: "Show an account's stake, dividends, unbonding stake and yields",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := wallet.ParseAddress(args[0]); err != nil {
				return err
			}
			l, err := c.dial(ledger.Options{})
			if err != nil {
				return err
			}
			defer shut(l)
			s, err := l.Stake(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd, s)
			}
			return printStake(cmd, s)
		},
	}
}

// printStake shows s for people.
func printStake(cmd *cobra.Command, s *ledger.Stake) error {
	fmt.Fprintf(cmd.OutOrStdout(), "Account %s has %v to spend and %v to claim.\n", s.Account, s.Balance, s.Claimable)
	if len(s.Positions) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "It has nothing at stake: plexus tx staking delegate puts coins there.")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "VALIDATOR\tSTATE\tSTAKED\tDIVIDENDS\tUNBONDING\tCOMMISSION\tAPR\t")
	for _, p := range s.Positions {
		var leaving coin.Amount
		for _, u := range p.Unbonding {
			leaving += u.Amount
		}
		apr := "-"
		if p.Span > 0 {
			apr = fmt.Sprintf("%.2f%%", 100*p.APR)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.2f%%\t%s\t\n", p.Validator.Moniker, validatorState(p.Validator),
			plx(p.Staked), plx(p.Dividends), plx(leaving), 100*p.Commission, apr)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range s.Positions {
		for _, u := range p.Unbonding {
			fmt.Fprintf(cmd.OutOrStdout(), "%v come back from %s on %s.\n", u.Amount, p.Validator.Moniker, u.Ends.UTC().Format(time.DateTime))
		}
	}
	return nil
}

// compoundCmd returns the command that stakes dividends where they were earned.
func compoundCmd(c *txClient) *cobra.Command {
	least := coinValue{}
	cmd := c.act("compound", "Withdraw dividends and stake them where they were earned", cobra.NoArgs,
		func(cmd *cobra.Command, a ledger.Actor, _ []string) ([]sdk.Msg, error) {
			l, err := c.dial(ledger.Options{})
			if err != nil {
				return nil, err
			}
			defer shut(l)
			s, err := l.Stake(cmd.Context(), a.Account())
			if err != nil {
				return nil, err
			}
			floor := coin.PLX / 100
			if least.amount != nil {
				floor = *least.amount
			}
			return compound(s, floor)
		})
	cmd.Long = `Withdraw dividends and stake them with the validators that they came from.

Another key can do it day by day, without a right to move a coin elsewhere:

  plexus tx authz grant BOT generic --msg-type /cosmos.distribution.v1beta1.MsgWithdrawDelegatorReward --from alice
  plexus tx authz grant BOT delegate --spend-limit 1000000000000nplx --allowed-validators plxvaloper1... --from alice
  plexus tx compound --from bot --for alice`
	cmd.Flags().Var(&least, "least", "leave dividends below this where they are (default 0.01plx)")
	return cmd
}

// compound returns the messages that stake the dividends of s of at least
// floor.
func compound(s *ledger.Stake, floor coin.Amount) ([]sdk.Msg, error) {
	var msgs []sdk.Msg
	for _, p := range s.Positions {
		if p.Dividends == 0 || p.Dividends < floor || p.Staked == 0 {
			continue
		}
		msgs = append(msgs, distrtypes.NewMsgWithdrawDelegatorReward(s.Account, p.Validator.Operator),
			stakingtypes.NewMsgDelegate(s.Account, p.Validator.Operator, sdk.NewInt64Coin(coin.Denom, int64(p.Dividends))))
	}
	if len(msgs) == 0 {
		return nil, errors.New("no validator owes dividends of at least " + floor.String() + ": lower that with --least, or wait")
	}
	return msgs, nil
}
