package console

import (
	"context"
	"net/http"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
)

// past lists the leases of a deployment that have ended.
func (c *Console) past(r *http.Request) (any, error) {
	n, err := dseq(r)
	if err != nil {
		return nil, err
	}
	all, err := c.o.Tenant.Ended(r.Context(), n)
	return map[string]any{"leases": all}, err
}

// ended reads which lease that has ended a request means.
func (c *Console) ended(r *http.Request) (market.BidID, error) {
	n, err := dseq(r)
	if err != nil {
		return market.BidID{}, err
	}
	return c.bidOn(n, r.FormValue("lease"))
}

// pastLogs sends what a lease had printed that has ended.
func (c *Console) pastLogs(ctx context.Context, r *http.Request, send func(any) error) error {
	id, err := c.ended(r)
	if err != nil {
		return err
	}
	tail, err := number(r, "tail", 500, maxTail)
	if err != nil {
		return err
	}
	return each(c.o.Tenant.PastLogs(ctx, id, tail), func(l api.LogLine) error {
		return send(map[string]any{"group": id.GSeq, "line": l})
	})
}

// pastEvents sends what had happened to a lease that has ended.
func (c *Console) pastEvents(ctx context.Context, r *http.Request, send func(any) error) error {
	id, err := c.ended(r)
	if err != nil {
		return err
	}
	return each(c.o.Tenant.PastEvents(ctx, id), func(e lease.Event) error {
		return send(map[string]any{"group": id.GSeq, "event": e})
	})
}
