package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// migrateHostCmd returns the command that moves names between leases.
func (l *lessee) migrateHostCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate-host DSEQ NAME...",
		Short: "Have names that several leases of yours accept lead to this deployment",
		Long: `Have names lead to this deployment, whose SDL accepts them too. A name that two
leases of yours accept at one provider stays with the first until that ends, or
until it is moved:

  plexus lease migrate-host 2 shop.example`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: l.deployments,
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return l.run(cmd, func(ctx context.Context) error { return l.migrate(ctx, cmd, dseq, args[1:]) })
		},
	}
}

func (l *lessee) migrate(ctx context.Context, cmd *cobra.Command, dseq uint64, hosts []string) error {
	id, err := l.tenant.MoveHosts(ctx, dseq, l.gseq, hosts...)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, map[string]any{"lease": id.String(), "hosts": hosts})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: now at deployment %d\n", strings.Join(hosts, ", "), dseq)
	return nil
}
