package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// migrateIPCmd returns the command that hands an address on.
func (l *lessee) migrateIPCmd() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "migrate-ip DSEQ --to DSEQ ENDPOINT",
		Short: "Exchange the leased addresses of two deployments of yours",
		Long: `Hand the address that a deployment leases for an endpoint over to another
deployment of yours with the same provider, which gives its own for it. Their
replicas start again. A new version of a service so takes over the old one's
address:

  plexus lease migrate-ip 7 --to 9 front`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			target, err := dseqArg(to)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			return l.run(cmd, func(ctx context.Context) error { return l.migrateIP(ctx, cmd, from, target, args[1]) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "number of the deployment that gets the address")
	_ = cmd.MarkFlagRequired("to") // the flag is there
	return cmd
}

// migrateIP asks the provider that both deployments have.
func (l *lessee) migrateIP(ctx context.Context, cmd *cobra.Command, from, to uint64, endpoint string) error {
	a, b, err := l.tenant.MoveAddress(ctx, from, l.gseq, to, endpoint)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, map[string]string{"from": a.String(), "to": b.String(), "endpoint": endpoint})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Deployment %d has the address of endpoint %s now, and deployment %d the other's; plexus lease status shows them.\n", to, endpoint, from)
	return nil
}
