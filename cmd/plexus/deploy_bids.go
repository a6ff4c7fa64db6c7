package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
)

// bids waits for bids on all groups of a deployment and returns the one that
// is taken of each.
func (d *deployer) bids(ctx context.Context, cmd *cobra.Command, dseq uint64, groups []market.GroupSpec) ([]market.Bid, error) {
	began := time.Now()
	var first time.Time // when all groups had a bid
	shown := 0
	for {
		all, err := d.openBids(ctx, dseq)
		if err != nil {
			return nil, err
		}
		if len(all) != shown {
			shown = len(all)
			cmd.PrintErrf("Bids after %.0f s:\n%s", time.Since(began).Seconds(), table(all))
		}
		lacking := d.lacking(all, len(groups))
		switch {
		case lacking == 0 && first.IsZero():
			first = time.Now()
		case lacking != 0 && time.Since(began) > d.wait:
			return nil, d.explain(ctx, groups[lacking-1], lacking)
		}
		enough := d.provider != "" || time.Since(first) > d.gather
		if lacking == 0 && (enough || shown >= d.bidders(ctx)*len(groups)) {
			return d.pick(cmd, all, len(groups))
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// bidders is how many providers there are to wait for.
func (d *deployer) bidders(ctx context.Context) int {
	all, err := d.market().Providers(ctx, marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE})
	if err != nil {
		return 1 << 20 // then the time decides
	}
	return len(all)
}

// openBids returns the bids that can be taken: those of the wanted provider,
// by group and price.
func (d *deployer) openBids(ctx context.Context, dseq uint64) ([]market.Bid, error) {
	all, err := d.market().Bids(ctx, marketv1.QueryBidsRequest{Owner: d.key.Address(), Dseq: dseq, State: marketv1.BidState_BID_STATE_OPEN})
	if err != nil {
		return nil, err
	}
	var bids []market.Bid
	for _, one := range all {
		b, err := wire.ReadBid(one)
		if err != nil {
			return nil, err
		}
		if d.provider == "" || b.ID.Provider == d.provider {
			bids = append(bids, b)
		}
	}
	slices.SortFunc(bids, func(a, b market.Bid) int {
		return cmp.Or(cmp.Compare(a.ID.GSeq, b.ID.GSeq), a.Price.Amount.Compare(b.Price.Amount), cmp.Compare(a.ID.Provider, b.ID.Provider))
	})
	return bids, nil
}

// lacking returns the gseq of the first group without a bid, or 0.
func (d *deployer) lacking(all []market.Bid, groups int) int {
	for g := 1; g <= groups; g++ {
		if !slices.ContainsFunc(all, func(b market.Bid) bool { return b.ID.GSeq == uint32(g) }) {
			return g
		}
	}
	return 0
}

// table shows bids for people, numbered from 1.
func table(all []market.Bid) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for i, b := range all {
		fmt.Fprintf(w, "  %d\tgroup %d\t%s\t%s per block\n", i+1, b.ID.GSeq, b.ID.Provider, money(b.Price.Amount.String(), b.Price.Denom))
	}
	w.Flush() //nolint:errcheck // a Builder takes all
	return text.String()
}

// pick takes the cheapest bid of each group, or asks which.
func (d *deployer) pick(cmd *cobra.Command, all []market.Bid, groups int) ([]market.Bid, error) {
	var chosen []market.Bid
	in := bufio.NewScanner(cmd.InOrStdin())
	for g := uint32(1); int(g) <= groups; g++ {
		i := slices.IndexFunc(all, func(b market.Bid) bool { return b.ID.GSeq == g })
		for d.choose {
			cmd.PrintErrf("Which bid for group %d? Its number, or nothing for %d: ", g, i+1)
			if !in.Scan() {
				return nil, errors.New("no bid was chosen")
			}
			text := strings.TrimSpace(in.Text())
			if text == "" {
				break
			}
			if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(all) && all[n-1].ID.GSeq == g {
				i = n - 1
				break
			}
			cmd.PrintErrf("%q is no number of a bid for group %d.\n", text, g)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// explain says why nobody bids on a group.
func (d *deployer) explain(ctx context.Context, g market.GroupSpec, gseq int) error {
	screened, err := d.screen(ctx, d.key.Address(), g)
	if err != nil {
		return err
	}
	if d.provider != "" {
		screened = slices.DeleteFunc(screened, func(s screening) bool { return s.Provider != d.provider })
	}
	text := fmt.Sprintf("no bid for group %d (%s) within %v", gseq, g.Name, d.wait)
	if len(screened) == 0 {
		return errors.New(text + ": there is no such provider on the market; plexus providers lists them")
	}
	count := map[string]int{}
	for _, s := range screened {
		why := s.Screening.Kind + ": " + s.Screening.Reason
		if s.Screening.OK {
			why = "would bid " + s.Screening.Price + ", and may do so yet"
		}
		count[why]++
	}
	reasons := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a, b))
	})
	for _, why := range reasons {
		text += fmt.Sprintf("\n  %d of %d providers: %s", count[why], len(screened), why)
	}
	return errors.New(text)
}

// screening is what a provider says of a group.
type screening struct {
	Provider  string        `json:"provider"`
	HostURI   string        `json:"host_uri"`
	Screening api.Screening `json:"screening"`
	Status    *api.Status   `json:"status,omitempty"` // nil if it does not answer
}
