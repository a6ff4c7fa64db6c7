package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// endedFlag has a command mean leases that have ended.
func (l *lessee) endedFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.ended, "ended", false, "of leases that have ended; providers keep it for some days")
}

// past returns the tenant's leases of a deployment that have ended.
func (l *lessee) past(ctx context.Context, dseq uint64) ([]market.Lease, error) {
	all, err := l.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: l.key.Address(), Dseq: dseq})
	if err != nil {
		return nil, err
	}
	var ended []market.Lease
	for _, one := range all {
		lease, _, err := wire.ReadLease(one)
		if err != nil {
			return nil, err
		}
		if !lease.State.Runs() {
			ended = append(ended, lease)
		}
	}
	if len(ended) == 0 {
		return nil, fmt.Errorf("the chain knows no lease of deployment %d that has ended", dseq)
	}
	return ended, nil
}
