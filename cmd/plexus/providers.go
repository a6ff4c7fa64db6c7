package main

import (
	"context"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
)

// newProvidersCmd returns the command that lists who sells compute.
func newProvidersCmd() *cobra.Command {
	t := &tenant{}
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
			if t.chain, err = t.dial(ledger.Options{}); err != nil {
				return err
			}
			defer shut(t.chain)
			return t.hint(func(ctx context.Context) error {
				all, err := t.screen(ctx, "", group)
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
	t.flags(cmd)
	cmd.Flags().StringVar(&file, "sdl", "", "SDL file to be priced")
	return cmd
}

// sample is the group that providers are asked to price.
func sample(cmd *cobra.Command, file string) (market.GroupSpec, error) {
	if file == "" {
		return market.GroupSpec{Name: "sample", Units: []market.ResourceUnit{{
			Count: 1, Price: market.Price{Denom: coin.Denom, Amount: market.Whole(10_000_000)},
			Resources: market.Resources{
				ID: 1, CPU: market.CPU{Units: 1000}, Memory: market.Memory{Size: 1 << 30},
				Storage: []market.Volume{{Name: "default", Size: 10 << 30}}, Endpoints: []market.Endpoint{{}},
			},
		}}}, nil
	}
	parsed, err := readSDL(cmd, file)
	if err != nil {
		return market.GroupSpec{}, err
	}
	return parsed.Groups[0], nil
}

// screen asks every provider whether it would bid on a group of owner's.
func (t *tenant) screen(ctx context.Context, owner string, g market.GroupSpec) ([]screening, error) {
	providers, err := t.market().Providers(ctx, marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE})
	if err != nil {
		return nil, err
	}
	all := make([]screening, len(providers))
	var asked sync.WaitGroup
	turns := make(chan struct{}, 32)
	for i, p := range providers {
		all[i] = screening{Provider: p.Account, HostURI: p.HostUri}
		asked.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			c := api.NewClient(p.HostUri, p.TlsPin, "")
			status, err := c.Status(ctx)
			if err == nil {
				all[i].Status = &status
				all[i].Screening, err = c.Screen(ctx, owner, g)
			}
			if err != nil {
				all[i].Screening = api.Screening{Kind: "unreachable", Reason: "it does not answer"}
			}
		})
	}
	asked.Wait()
	return all, nil
}

func printProviders(cmd *cobra.Command, all []screening) error {
	if len(all) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "There are no providers on the market; plexus provider init makes this machine one.")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tAT\tCORES FREE\tMEMORY FREE\tDISK FREE\tGPUS FREE\tLEASES\tPRICE PER BLOCK")
	for _, s := range all {
		price := s.Screening.Kind + ": " + s.Screening.Reason
		if s.Screening.OK {
			price = trimPrice(s.Screening.Price)
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
