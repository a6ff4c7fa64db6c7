package tenant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/yuma"
)

// An Ended is a lease that has ended, as the chain tells it.
type Ended struct {
	ID       string    `json:"id"`
	Group    uint32    `json:"group"`
	Provider string    `json:"provider"`
	Price    string    `json:"price"`          // per block
	Opened   uint64    `json:"opened"`         // height
	Closed   uint64    `json:"closed"`         // the last height that was paid for
	Began    time.Time `json:"began,omitzero"` // of the block Opened; zero if no node has it any more
	Ended    time.Time `json:"ended,omitzero"` // of the block Closed; zero as above
	Reason   string    `json:"reason"`
	Cost     string    `json:"cost"` // all that it was paid

	Name market.BidID `json:"-"`
}

// Ended returns the leases of a deployment that have ended and that the chain
// has not forgotten, the latest first.
func (t *Tenant) Ended(ctx context.Context, dseq uint64) ([]Ended, error) {
	leases, err := t.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: t.Address(), Dseq: dseq})
	if err != nil {
		return nil, err
	}
	all := []Ended{}
	for _, one := range leases {
		l, paid, err := wire.ReadLease(one)
		if err != nil {
			return nil, err
		}
		if l.State.Runs() {
			continue
		}
		e := Ended{
			ID: l.ID.String(), Group: l.ID.GSeq, Provider: l.ID.Provider, Price: Money(l.Price.Amount.String(), l.Price.Denom),
			Opened: uint64(l.Opened), Closed: uint64(l.Closed), Reason: l.Reason.String(),
			Cost: Money(fmt.Sprint(uint64(paid.Paid)), l.Price.Denom), Name: l.ID,
		}
		if e.Began, err = t.when(ctx, l.Opened); err == nil {
			e.Ended, err = t.when(ctx, l.Closed)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b Ended) int { return cmp.Compare(b.Closed, a.Closed) })
	return all, nil
}

// maxTimes bounds how many blocks' times a Tenant remembers.
const maxTimes = 4096

// when returns the time of a block, or zero if the node has dropped it.
func (t *Tenant) when(ctx context.Context, height market.Height) (time.Time, error) {
	t.mu.Lock()
	at, known := t.times[height]
	t.mu.Unlock()
	if known || height == 0 {
		return at, nil
	}
	head, err := t.chain.HeadAt(ctx, yuma.Height(height))
	if err != nil && (ctx.Err() != nil || errors.Is(err, ledger.ErrUnreachable)) {
		return time.Time{}, err
	}
	if err != nil {
		return time.Time{}, nil // dropped, which a node says in many ways
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.times) >= maxTimes {
		clear(t.times)
	}
	t.times[height] = head.Time.UTC()
	return t.times[height], nil
}

// ended returns the provider of a lease of the tenant's that has ended, or
// [ErrNoLease].
func (t *Tenant) ended(ctx context.Context, id market.BidID) (*api.Client, error) {
	all, err := t.Past(ctx, id.DSeq, id.GSeq)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(l market.Lease) bool { return l.ID == id }) {
		return nil, fmt.Errorf("%w of the name %v has ended", ErrNoLease, id)
	}
	return t.Provider(ctx, id.Provider)
}

// PastLogs yields the end of what the replicas of a lease had printed that has
// ended, at most tail lines of each; its provider keeps that for some days. It
// is [ErrNoLease] if there is no such lease, and [api.ErrNoLease] if its
// provider has forgotten it.
func (t *Tenant) PastLogs(ctx context.Context, id market.BidID, tail int) iter.Seq2[api.LogLine, error] {
	return past(ctx, t, id, func(p *api.Client) iter.Seq2[api.LogLine, error] {
		return p.Logs(ctx, id, api.Selection{}, sandbox.LogOptions{Tail: tail})
	})
}

// PastEvents yields what had happened to a lease that has ended, oldest first,
// with errors as [Tenant.PastLogs].
func (t *Tenant) PastEvents(ctx context.Context, id market.BidID) iter.Seq2[lease.Event, error] {
	return past(ctx, t, id, func(p *api.Client) iter.Seq2[lease.Event, error] { return p.Events(ctx, id, false) })
}

func past[T any](ctx context.Context, t *Tenant, id market.BidID, of func(*api.Client) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		p, err := t.ended(ctx, id)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		of(p)(yield)
	}
}
