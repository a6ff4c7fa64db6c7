package main

import (
	"context"
	"fmt"
	"strings"
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
the first group of your file, and if it would not serve that, why. Measured is
what compute subnets saw who rented there, beside the best of the subnet.

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
				all, err := tenant.New(chain, nil).Candidates(ctx, group)
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

// measuredWords says what compute subnets made of a provider.
func measuredWords(all []tenant.Measure) string {
	var parts []string
	for _, m := range all {
		if m.Place == 0 {
			parts = append(parts, fmt.Sprintf("nothing yet (subnet %d)", m.Netuid))
			continue
		}
		parts = append(parts, fmt.Sprintf("%.1f %%, %d of %d (subnet %d)", 100*m.Score, m.Place, m.Of, m.Netuid))
	}
	if parts == nil {
		return "no"
	}
	return strings.Join(parts, ", ")
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

func printProviders(cmd *cobra.Command, all []tenant.Candidate) error {
	if len(all) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "There are no providers on the market; plexus provider init makes this machine one.")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tAT\tCORES FREE\tMEMORY FREE\tDISK FREE\tGPUS FREE\tLEASES\tMEASURED\tPRICE PER BLOCK")
	for _, s := range all {
		said := s.Screening.Screening
		price := said.Kind + ": " + said.Reason
		if said.OK {
			price = tenant.Shorten(said.Price)
		}
		if s.Status == nil {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\t-\t%s\t%s\n", s.Provider, s.HostURI, measuredWords(s.Measured), price)
			continue
		}
		free, all := s.Status.Free, s.Status.Capacity
		fmt.Fprintf(w, "%s\t%s\t%s of %s\t%s of %s\t%s of %s\t%s\t%d\t%s\t%s\n", s.Provider, s.HostURI,
			cores(uint64(free.CPU)), cores(uint64(all.CPU)), bytesize(uint64(free.Memory)), bytesize(uint64(all.Memory)),
			bytesize(uint64(free.Storage[""])), bytesize(uint64(all.Storage[""])), gpusFree(free.GPUs, all.GPUs), s.Status.Leases, measuredWords(s.Measured), price)
	}
	return w.Flush()
}
