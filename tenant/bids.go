package tenant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// ErrNoBid means that nobody bid on a group in time.
var ErrNoBid = errors.New("no bid")

// Bids yields the open bids on a deployment, sorted by group, price and
// provider: those of now, then those of later each time that they are others,
// until ctx ends or the caller stops. Two yields are half a second apart at
// least.
func (t *Tenant) Bids(ctx context.Context, dseq uint64) iter.Seq2[[]market.Bid, error] {
	return func(yield func([]market.Bid, error) bool) {
		var before []market.Bid
		for first := true; ; first = false {
			bids, err := t.open(ctx, dseq)
			if err != nil {
				yield(nil, err)
				return
			}
			same := slices.EqualFunc(before, bids, func(a, b market.Bid) bool { return a.ID == b.ID && a.Price == b.Price })
			if (first || !same) && !yield(bids, nil) {
				return
			}
			if before = bids; !sleep(ctx, pace) {
				return
			}
		}
	}
}

// open returns the bids that can be taken.
func (t *Tenant) open(ctx context.Context, dseq uint64) ([]market.Bid, error) {
	all, err := t.market().Bids(ctx, marketv1.QueryBidsRequest{Owner: t.Address(), Dseq: dseq, State: marketv1.BidState_BID_STATE_OPEN})
	if err != nil {
		return nil, err
	}
	bids := make([]market.Bid, 0, len(all))
	for _, one := range all {
		b, err := wire.ReadBid(one)
		if err != nil {
			return nil, err
		}
		bids = append(bids, b)
	}
	slices.SortFunc(bids, func(a, b market.Bid) int {
		return cmp.Or(cmp.Compare(a.ID.GSeq, b.ID.GSeq), a.Price.Amount.Compare(b.Price.Amount), cmp.Compare(a.ID.Provider, b.ID.Provider))
	})
	return bids, nil
}

// Cheapest returns the cheapest bid of each group, of bids sorted as
// [Tenant.Bids] sorts them.
func Cheapest(bids []market.Bid) []market.Bid {
	return slices.CompactFunc(slices.Clone(bids), func(a, b market.Bid) bool { return a.ID.GSeq == b.ID.GSeq })
}

// gather waits until all groups have a bid and there is no use in waiting for
// others.
func (t *Tenant) gather(ctx context.Context, dseq uint64, groups []market.GroupSpec, o Terms) ([]market.Bid, error) {
	began := time.Now()
	var first time.Time // when all groups had a bid
	shown := 0
	for {
		bids, err := t.open(ctx, dseq)
		if err != nil {
			return nil, err
		}
		bids = slices.DeleteFunc(bids, func(b market.Bid) bool { return o.Provider != "" && b.ID.Provider != o.Provider })
		if len(bids) != shown {
			shown = len(bids)
			o.Seen(bids)
		}
		lacking := lacking(bids, len(groups))
		switch {
		case lacking == 0 && first.IsZero():
			first = time.Now()
		case lacking != 0 && time.Since(began) > o.Wait:
			return nil, t.explain(ctx, groups[lacking-1], lacking, o)
		}
		enough := o.Provider != "" || time.Since(first) > o.Gather
		if lacking == 0 && (enough || shown >= t.bidders(ctx)*len(groups)) {
			return bids, nil
		}
		if !sleep(ctx, pace) {
			return nil, ctx.Err()
		}
	}
}

// bidders is how many providers there are to wait for.
func (t *Tenant) bidders(ctx context.Context) int {
	all, err := t.market().Providers(ctx, marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE})
	if err != nil {
		return 1 << 20 // then the time decides
	}
	return len(all)
}

// lacking returns the gseq of the first group without a bid, or 0.
func lacking(all []market.Bid, groups int) int {
	for g := 1; g <= groups; g++ {
		if !slices.ContainsFunc(all, func(b market.Bid) bool { return b.ID.GSeq == uint32(g) }) {
			return g
		}
	}
	return 0
}

// explain says why nobody bids on a group: an [ErrNoBid].
func (t *Tenant) explain(ctx context.Context, g market.GroupSpec, gseq int, o Terms) error {
	screened, err := t.Screen(ctx, g)
	if err != nil {
		return err
	}
	if o.Provider != "" {
		screened = slices.DeleteFunc(screened, func(s Screening) bool { return s.Provider != o.Provider })
	}
	text := fmt.Sprintf(" for group %d (%s) within %v", gseq, g.Name, o.Wait)
	if len(screened) == 0 {
		return fmt.Errorf("%w%s: there are no providers on the market", ErrNoBid, text)
	}
	return fmt.Errorf("%w%s%s", ErrNoBid, text, reasons(screened))
}

// reasons says how many providers would not serve a group, and why, in lines
// that begin with a line feed, the most frequent first.
func reasons(screened []Screening) (text string) {
	count := map[string]int{}
	for _, s := range screened {
		why := s.Screening.Kind + ": " + s.Screening.Reason
		if s.Screening.OK {
			why = "would bid " + Shorten(s.Screening.Price) + ", and may do so yet"
		}
		count[why]++
	}
	sorted := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a, b))
	})
	for _, why := range sorted {
		text += fmt.Sprintf("\n  %d of %d providers: %s", count[why], len(screened), why)
	}
	return text
}
