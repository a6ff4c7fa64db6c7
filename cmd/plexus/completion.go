package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/templates"
	"github.com/plexus-network/plexus/wallet"
)

// completing is how long who presses the tab key waits for the chain.
const completing = 2 * time.Second

// offer returns those of all that begin with part. Each is a word, a tab and
// what it is.
func offer(all []string, part string) ([]string, cobra.ShellCompDirective) {
	var fitting []string
	for _, one := range all {
		if strings.HasPrefix(one, part) {
			fitting = append(fitting, one)
		}
	}
	return fitting, cobra.ShellCompDirectiveNoFileComp
}

// keyNames offers the keys of the home folder. A keyring that would ask for a
// passphrase offers none.
func (c *client) keyNames(cmd *cobra.Command, _ []string, part string) ([]string, cobra.ShellCompDirective) {
	if c.load() != nil || c.config.Keyring == wallet.File {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ring, err := c.keys(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := ring.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, k := range all {
		names = append(names, k.Name()+"\t"+k.Address())
	}
	return offer(names, part)
}

// providers offers the providers on the market.
func (c *client) providers(cmd *cobra.Command, _ []string, part string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completing)
	defer cancel()
	chain, err := c.dial(ledger.Options{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer shut(chain)
	all, err := chain.Market().Providers(ctx, marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []string
	for _, p := range all {
		found = append(found, p.Account+"\t"+p.HostUri)
	}
	return offer(found, part)
}

// deployments offers a tenant's deployments by number at the first argument,
// and files at those after it.
func (r *renter) deployments(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || r.load() == nil && r.config.Keyring == wallet.File {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var found []string
	err := r.run(cmd, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, completing)
		defer cancel()
		all, err := r.tenant.List(ctx, false)
		for _, d := range all {
			found = append(found, fmt.Sprintf("%d\t%s, %d leases, %s per block", d.DSeq, d.State, d.Leases, d.Price))
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return offer(found, part)
}

// templateNames offers the templates.
func templateNames(_ *cobra.Command, _ []string, part string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, t := range templates.All() {
		names = append(names, t.Name+"\t"+t.Title)
	}
	return offer(names, part)
}

// completed says what the shell offers for a flag that a command has.
func completed(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, by) // it fails for no other flag than one that is not there
}
