package tenant

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
)

// A State is how a deployment of leases stands, by the chain's word and its
// providers'.
type State struct {
	Owner  string  `json:"owner"`
	DSeq   uint64  `json:"dseq"`
	Ready  bool    `json:"ready"` // all replicas run
	Runway Runway  `json:"runway"`
	Leases []Lease `json:"leases"`
}

// A Lease is one that runs, as the chain and its provider see it.
type Lease struct {
	api.LeaseStatus
	Provider string `json:"provider"`
	Price    string `json:"price"`           // per block
	Error    string `json:"error,omitempty"` // why the provider does not say how it stands

	Name market.BidID `json:"-"`
}

// A Runway is how long a deployment's money lasts.
type Runway struct {
	Blocks  int64  `json:"blocks"`  // -1 while nothing is paid
	Seconds int64  `json:"seconds"` // at the pace of the latest blocks; -1 as above
	Left    string `json:"left"`    // of its escrow, in words
}

// String says it for people.
func (r Runway) String() string {
	if r.Blocks < 0 {
		return r.Left + ", and nothing is paid now"
	}
	return fmt.Sprintf("%s, good for %s, about %s", r.Left, Count(r.Blocks, "block"), span(r.Seconds))
}

// Runway returns how long a deployment's money lasts.
func (t *Tenant) Runway(ctx context.Context, dseq uint64) (Runway, error) {
	got, err := t.market().Deployment(ctx, t.name(dseq))
	if err != nil {
		return Runway{}, err
	}
	block, err := t.chain.BlockTime(ctx)
	if err != nil {
		return Runway{}, err
	}
	return runway(got, block), nil
}

func runway(d *marketv1.QueryDeploymentResponse, block time.Duration) Runway {
	r := Runway{Blocks: d.Escrow.Runway, Seconds: -1, Left: Money(d.Escrow.Left, d.Escrow.Account.Denom)}
	if r.Blocks >= 0 {
		r.Seconds = int64(min(float64(r.Blocks)*block.Seconds(), math.MaxInt64/2))
	}
	return r
}

// Look asks the providers how a deployment's leases stand, those of one group
// or, with 0, of all. It is [ErrNoLease] if there are none.
func (t *Tenant) Look(ctx context.Context, dseq uint64, gseq uint32) (State, error) {
	out := State{Owner: t.Address(), DSeq: dseq, Ready: true}
	leases, err := t.Group(ctx, dseq, gseq)
	if err != nil {
		return out, err
	}
	for _, l := range leases {
		s := t.Lease(ctx, l)
		out.Ready = out.Ready && s.Ready
		out.Leases = append(out.Leases, s)
	}
	out.Runway, err = t.Runway(ctx, dseq)
	return out, err
}

// Lease asks a lease's provider how it stands.
func (t *Tenant) Lease(ctx context.Context, l market.Lease) Lease {
	out := Lease{Provider: l.ID.Provider, Price: Shorten(l.Price.String()), Name: l.ID}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	p, err := t.Provider(ctx, l.ID.Provider)
	if err == nil {
		out.LeaseStatus, err = p.Lease(ctx, l.ID)
	}
	out.ID = l.ID.String()
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// Serving returns the lease of a deployment that runs a service, and its
// provider's API; or [ErrNoLease].
func (t *Tenant) Serving(ctx context.Context, dseq uint64, gseq uint32, service string) (market.BidID, *api.Client, error) {
	all, err := t.Group(ctx, dseq, gseq)
	if err != nil {
		return market.BidID{}, nil, err
	}
	var names, silent []string
	for _, one := range all {
		l := t.Lease(ctx, one)
		for _, s := range l.Services {
			if s.Name == service {
				p, err := t.Provider(ctx, one.ID.Provider)
				return one.ID, p, err
			}
			names = append(names, s.Name)
		}
		if l.Error != "" {
			silent = append(silent, l.Error)
		}
	}
	if len(silent) > 0 {
		return market.BidID{}, nil, errors.New(strings.Join(silent, "\n"))
	}
	return market.BidID{}, nil, fmt.Errorf("%w of deployment %d runs a service %q; its services: %s", ErrNoLease, dseq, service, strings.Join(names, ", "))
}

// Await waits until all of a deployment runs, and hears meanwhile of each event
// of its leases once; tell may be nil. When ctx ends first, its error comes
// with the state of then.
func (t *Tenant) Await(ctx context.Context, dseq uint64, tell func(lease.Event)) (State, error) {
	last := map[string]int{}
	for {
		state, err := t.Look(ctx, dseq, 0)
		switch {
		case err == nil && state.Ready:
			return state, nil
		case ctx.Err() != nil:
			return state, ctx.Err() // whatever it broke on the way
		case err != nil:
			return state, err
		}
		if tell != nil {
			t.news(ctx, state, last, tell)
		}
		if !sleep(ctx, pace) {
			return state, ctx.Err()
		}
	}
}

// news tells of the events of leases that come after the last ones.
func (t *Tenant) news(ctx context.Context, state State, last map[string]int, tell func(lease.Event)) {
	for _, l := range state.Leases {
		p, err := t.Provider(ctx, l.Name.Provider)
		if err != nil {
			continue // Look has said so
		}
		for e, err := range p.Events(ctx, l.Name, false) {
			if err != nil {
				break
			}
			if e.Number > last[l.ID] {
				last[l.ID] = e.Number
				tell(e)
			}
		}
	}
}
