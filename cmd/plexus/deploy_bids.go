package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/tenant"
)

// bidTable shows bids for people, numbered from 1.
func bidTable(all []market.Bid) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for i, b := range all {
		fmt.Fprintf(w, "  %d\tgroup %d\t%s\t%s per block\n", i+1, b.ID.GSeq, b.ID.Provider, tenant.Money(b.Price.Amount.String(), b.Price.Denom))
	}
	w.Flush() //nolint:errcheck // a Builder takes all
	return text.String()
}

// askBids asks which bid to take of each group; the cheapest is offered.
func askBids(cmd *cobra.Command, all []market.Bid) ([]market.Bid, error) {
	chosen := tenant.Cheapest(all)
	in := bufio.NewScanner(cmd.InOrStdin())
	for i, b := range chosen {
		offered := slices.IndexFunc(all, func(a market.Bid) bool { return a.ID == b.ID }) + 1
		for {
			cmd.PrintErrf("Which bid for group %d? Its number, or nothing for %d: ", b.ID.GSeq, offered)
			if !in.Scan() {
				return nil, errors.New("no bid was chosen")
			}
			text := strings.TrimSpace(in.Text())
			if text == "" {
				break
			}
			if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(all) && all[n-1].ID.GSeq == b.ID.GSeq {
				chosen[i] = all[n-1]
				break
			}
			cmd.PrintErrf("%q is no number of a bid for group %d.\n", text, b.ID.GSeq)
		}
	}
	return chosen, nil
}
