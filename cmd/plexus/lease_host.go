package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/provider/api"
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
		ValidArgsFunction: cobra.NoFileCompletions,
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
	all, err := l.selected(ctx, dseq)
	if err != nil {
		return err
	}
	if len(all) != 1 {
		return fmt.Errorf("deployment %d has %d leases that run; name one by --group", dseq, len(all))
	}
	for i, host := range hosts {
		hosts[i] = strings.ToLower(host)
	}
	var p *api.Client
	if p, err = l.tenant.Provider(ctx, all[0].ID.Provider); err == nil {
		err = p.Migrate(ctx, all[0].ID, hosts)
	}
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, map[string]any{"lease": all[0].ID.String(), "hosts": hosts})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: now at deployment %d\n", strings.Join(hosts, ", "), dseq)
	return nil
}
