package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/tenant"
)

// newProvidersCmd returns the command that lists who sells compute.
func newProvidersCmd() *cobra.Command {
	c := &client{}
	var file string
	cmd := &cobra.Command{
		Use:   "providers",
		Short: "List the providers of compute, with prices and what is free",
		Long: `List the providers on the market. Each is asked what is free and what it would
take per block for a core, 1 GiB of memory and 10 GiB of disk, or with --sdl for
the first group of your file, and if it would not serve that, why.

  plexus providers
  plexus providers --sdl web.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			group, err := sample(cmd, file)
			if err != nil {
				return err
			}
			chain, err := c.dial(ledger.Options{})
			if err != nil {
				return err
			}
			defer shut(chain)
			return c.hint(func(ctx context.Context) error {
				all, err := tenant.New(chain, nil).Screen(ctx, group)
				if err != nil {
					return err
				}
				if asJSON(cmd) {
					return printJSON(cmd, all)
				}
				return printProviders(cmd, all)
			}(cmd.Context()))
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&file, "sdl", "", "SDL file to be priced")
	return cmd
}

// sample is the group that providers are asked to price.
func sample(cmd *cobra.Command, file string) (market.GroupSpec, error) {
	if file == "" {
		return tenant.Sample(), nil
	}
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return market.GroupSpec{}, err
	}
	return parsed.Groups[0], nil
}

func printProviders(cmd *cobra.Command, all []tenant.Screening) error {
	if len(all) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "There are no providers on the market; plexus provider init makes this machine one.")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tAT\tCORES FREE\tMEMORY FREE\tDISK FREE\tGPUS FREE\tLEASES\tPRICE PER BLOCK")
	for _, s := range all {
		price := s.Screening.Kind + ": " + s.Screening.Reason
		if s.Screening.OK {
			price = tenant.Shorten(s.Screening.Price)
		}
		if s.Status == nil {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\t-\t%s\n", s.Provider, s.HostURI, price)
			continue
		}
		free, all := s.Status.Free, s.Status.Capacity
		fmt.Fprintf(w, "%s\t%s\t%s of %s\t%s of %s\t%s of %s\t%s\t%d\t%s\n", s.Provider, s.HostURI,
			cores(uint64(free.CPU)), cores(uint64(all.CPU)), bytesize(uint64(free.Memory)), bytesize(uint64(all.Memory)),
			bytesize(uint64(free.Storage[""])), bytesize(uint64(all.Storage[""])), gpusFree(free.GPUs, all.GPUs), s.Status.Leases, price)
	}
	return w.Flush()
}
