package main

import (
	"github.com/spf13/cobra"
)

// newRootCmd returns the plexus command with all of its subcommands.
func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "plexus",
		Short: "An open network of machine intelligence",
		Long: `Plexus is an open network of machine intelligence: one chain, one token, one
binary. Miners serve models, validators check them, and the chain pays for
what they agree on.

  plexus up            a whole network on this machine, with a chat page
  plexus query ...     read the chain
  plexus tx ...        change it
  plexus epoch FILE    what would this epoch pay? the law on your own numbers`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a role:"},
		&cobra.Group{ID: "chain", Title: "The chain:"},
		&cobra.Group{ID: "tool", Title: "Tools:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", newUpCmd(), newMinerCmd(), newValidatorCmd())
	add("chain", newChainCmd(), newQueryCmd(), newTxCmd(), newKeysCmd())
	add("tool", newEpochCmd(), newSDLCmd(), newExplorerCmd())
	add("run", newLoginCmd(), newGatewayKeysCmd())
	add("tool", newReceiptCmd())
	add("tool", newCalibrateCmd(), newFraudCmd())
	add("tool", newModelCmd())
	add("run", newProviderCmd())
	add("tool", newDeployCmd(), newLeaseCmd(), newProvidersCmd())
	add("tool", newConsoleCmd())
	add("tool", newTemplatesCmd())
	root.AddCommand(newEngineWorkerCmd())
	return root
}
