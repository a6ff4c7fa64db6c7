package main

import (
	"fmt"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
)

// hotkeyCmd returns the commands by which a coldkey lets a hotkey act for it.
func hotkeyCmd(c *txClient) *cobra.Command {
	cmd := &cobra.Command{Use: "hotkey", Short: "Let a hotkey act for a coldkey, or no longer"}
	var fees string
	var lasts time.Duration
	grant := c.act("grant HOTKEY", "Let a hotkey set weights, update axons and do the registry's duties for the coldkey that signs", cobra.ExactArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			hot, err := c.address(cmd, args[0])
			if err != nil {
				return nil, err
			}
			allowance := wallet.Allowance{}
			if fees != "" {
				if allowance.Fees, err = coin.Parse(fees); err != nil {
					return nil, fmt.Errorf("--fees: %w", err)
				}
			}
			if lasts > 0 {
				allowance.Until = time.Now().Add(lasts)
			}
			return wallet.Grants(a.Account(), hot, allowance)
		})
	grant.Flags().StringVar(&fees, "fees", "", "also let it spend as much of the coldkey's coins on fees, as 1plx")
	grant.Flags().DurationVar(&lasts, "lasts", 0, "end the grant after this time (default never)")
	var withFees bool
	revoke := c.act("revoke HOTKEY", "Take back what grant gave", cobra.ExactArgs(1),
		func(cmd *cobra.Command, a ledger.Actor, args []string) ([]sdk.Msg, error) {
			hot, err := c.address(cmd, args[0])
			if err != nil {
				return nil, err
			}
			return wallet.Revocation(a.Account(), hot, withFees)
		})
	revoke.Flags().BoolVar(&withFees, "fees", false, "fees were granted too")
	cmd.AddCommand(grant, revoke)
	return cmd
}

// address returns the address of a key of the keyring, or s if it is one.
func (c *txClient) address(cmd *cobra.Command, s string) (string, error) {
	if _, err := wallet.ParseAddress(s); err == nil {
		return s, nil
	}
	ring, err := c.keys(cmd)
	if err != nil {
		return "", err
	}
	k, err := ring.Key(s)
	if err != nil {
		return "", err
	}
	return k.Address(), nil
}
