package tenant

import (
	"context"
	"sync"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
)

// A Screening is what a provider says of a group.
type Screening struct {
	Provider   string            `json:"provider"`
	HostURI    string            `json:"host_uri"`
	Website    string            `json:"website,omitempty"`
	Attributes market.Attributes `json:"attributes,omitempty"`
	Screening  api.Screening     `json:"screening"`
	Status     *api.Status       `json:"status,omitempty"` // nil if it does not answer
}

// Sample is a group by which providers' prices can be compared: a core, 1 GiB
// of memory and 10 GiB of disk, at any price.
func Sample() market.GroupSpec {
	return market.GroupSpec{Name: "sample", Units: []market.ResourceUnit{{
		Count: 1, Price: market.Price{Denom: coin.Denom, Amount: market.Whole(10_000_000)},
		Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 1000}, Memory: market.Memory{Size: 1 << 30},
			Storage: []market.Volume{{Name: "default", Size: 10 << 30}}, Endpoints: []market.Endpoint{{}},
		},
	}}}
}

// Providers at once, and for how long each is waited for.
const (
	maxAsked = 32
	patience = 10 * time.Second
)

// Screen asks every provider on the market how it stands and whether it would
// bid on a group of the tenant's, in the chain's order of providers.
func (t *Tenant) Screen(ctx context.Context, g market.GroupSpec) ([]Screening, error) {
	providers, err := t.market().Providers(ctx, marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE})
	if err != nil {
		return nil, err
	}
	all := make([]Screening, len(providers))
	var asked sync.WaitGroup
	turns := make(chan struct{}, maxAsked)
	for i, p := range providers {
		asked.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			all[i] = t.screen(ctx, p, g)
		})
	}
	asked.Wait()
	return all, ctx.Err()
}

// screen asks one provider.
func (t *Tenant) screen(ctx context.Context, p marketv1.Provider, g market.GroupSpec) Screening {
	s := Screening{Provider: p.Account, HostURI: p.HostUri, Website: p.Website, Attributes: wire.ReadAttributes(p.Attributes)}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := api.NewClient(p.HostUri, p.TlsPin, "")
	status, err := c.Status(ctx)
	if err == nil {
		s.Status = &status
		s.Screening, err = c.Screen(ctx, t.Address(), g)
	}
	if err != nil {
		s.Screening = api.Screening{Kind: "unreachable", Reason: "it does not answer"}
	}
	return s
}
