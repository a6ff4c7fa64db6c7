package chain

import (
	"strings"
	"testing"

	"github.com/cosmos/cosmos-sdk/types/query"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
)

func TestMarketIsListed(t *testing.T) {
	b := provided(t, nil)
	owner, p0, p1 := b.person("tenant").String(), b.person("p0").String(), b.person("p1").String()
	for range 3 {
		b.deploy(10_000, group("a", "10"), group("b", "10"))
	}
	other := b.deployment(1000, group("web", "10"))
	other.Owner = b.person("friend").String()
	b.must(b.person("friend"), other)
	b.rent("p0", 1, 1, 1, "10")
	b.rent("p0", 2, 1, 1, "10")
	b.rent("p1", 2, 2, 1, "10")
	b.must(b.person("p1"), b.bid("p1", 3, 1, 1, "10"))
	b.must(b.person("p0"), b.bid("p0", 3, 1, 1, "10"))
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: owner, Dseq: 1})

	for _, c := range []struct {
		r    marketv1.QueryDeploymentsRequest
		want int
	}{
		{marketv1.QueryDeploymentsRequest{}, 4},
		{marketv1.QueryDeploymentsRequest{Owner: owner}, 3},
		{marketv1.QueryDeploymentsRequest{Owner: owner, State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE}, 2},
		{marketv1.QueryDeploymentsRequest{State: marketv1.DeploymentState_DEPLOYMENT_STATE_CLOSED}, 1},
		{marketv1.QueryDeploymentsRequest{Owner: p0}, 0},
	} {
		var r marketv1.QueryDeploymentsResponse
		if b.query("/plexus.market.v1.Query/Deployments", &c.r, &r); len(r.Deployments) != c.want {
			t.Errorf("%v: %d deployments, want %d", &c.r, len(r.Deployments), c.want)
		}
	}
	for _, c := range []struct {
		r    marketv1.QueryOrdersRequest
		want int
	}{
		{marketv1.QueryOrdersRequest{}, 7},
		{marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_OPEN}, 3},
		{marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_OPEN, Owner: owner}, 2},
		{marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_ACTIVE}, 2},
		{marketv1.QueryOrdersRequest{Owner: owner, Dseq: 2}, 2},
		{marketv1.QueryOrdersRequest{Owner: owner, Dseq: 1, State: marketv1.OrderState_ORDER_STATE_CLOSED}, 2},
	} {
		var r marketv1.QueryOrdersResponse
		b.query("/plexus.market.v1.Query/Orders", &c.r, &r)
		if len(r.Orders) != c.want || r.Orders[0].Spec == nil || len(r.Orders[0].Spec.Units) != 1 {
			t.Errorf("%v: %d orders, want %d with what they ask for", &c.r, len(r.Orders), c.want)
		}
	}
	for _, c := range []struct {
		r    marketv1.QueryBidsRequest
		want int
	}{
		{marketv1.QueryBidsRequest{}, 5},
		{marketv1.QueryBidsRequest{Provider: p0}, 3},
		{marketv1.QueryBidsRequest{Provider: p0, State: marketv1.BidState_BID_STATE_OPEN}, 1},
		{marketv1.QueryBidsRequest{Provider: p0, State: marketv1.BidState_BID_STATE_ACTIVE}, 1},
		{marketv1.QueryBidsRequest{Provider: p0, State: marketv1.BidState_BID_STATE_CLOSED}, 1},
		{marketv1.QueryBidsRequest{Provider: p1, Owner: owner, Dseq: 2}, 1},
		{marketv1.QueryBidsRequest{Owner: owner, Dseq: 3, Gseq: 1, Oseq: 1}, 2},
		{marketv1.QueryBidsRequest{Owner: owner, Dseq: 3, Gseq: 2}, 0},
	} {
		var r marketv1.QueryBidsResponse
		if b.query("/plexus.market.v1.Query/Bids", &c.r, &r); len(r.Bids) != c.want {
			t.Errorf("%v: %d bids, want %d", &c.r, len(r.Bids), c.want)
		}
	}
	for _, c := range []struct {
		r    marketv1.QueryLeasesRequest
		want int
	}{
		{marketv1.QueryLeasesRequest{}, 3},
		{marketv1.QueryLeasesRequest{Provider: p0}, 2},
		{marketv1.QueryLeasesRequest{Provider: p0, State: marketv1.LeaseState_LEASE_STATE_ACTIVE}, 1},
		{marketv1.QueryLeasesRequest{Provider: p0, State: marketv1.LeaseState_LEASE_STATE_CLOSED}, 1},
		{marketv1.QueryLeasesRequest{Owner: owner, Dseq: 2}, 2},
		{marketv1.QueryLeasesRequest{Owner: owner, Dseq: 2, Provider: p1}, 1},
	} {
		var r marketv1.QueryLeasesResponse
		if b.query("/plexus.market.v1.Query/Leases", &c.r, &r); len(r.Leases) != c.want {
			t.Errorf("%v: %d leases, want %d", &c.r, len(r.Leases), c.want)
		}
	}
	var providers marketv1.QueryProvidersResponse
	if b.query("/plexus.market.v1.Query/Providers", &marketv1.QueryProvidersRequest{State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE}, &providers); len(providers.Providers) != 3 {
		t.Errorf("%d providers, want 3", len(providers.Providers))
	}
}

// TestPagesJoin reads lists page by page and finds every entry once.
func TestPagesJoin(t *testing.T) {
	b := provided(t, nil)
	for range 7 {
		b.deploy(1000, group("web", "10"))
	}
	for _, state := range []marketv1.OrderState{0, marketv1.OrderState_ORDER_STATE_OPEN} {
		for _, owner := range []string{"", b.person("tenant").String()} {
			seen := map[uint64]bool{}
			page := &query.PageRequest{Limit: 3}
			for range 3 {
				var r marketv1.QueryOrdersResponse
				b.query("/plexus.market.v1.Query/Orders", &marketv1.QueryOrdersRequest{Owner: owner, State: state, Pagination: page}, &r)
				for _, o := range r.Orders {
					seen[o.Id.Dseq] = true
				}
				page = &query.PageRequest{Limit: 3, Key: r.Pagination.NextKey}
			}
			if len(seen) != 7 || len(page.Key) != 0 {
				t.Errorf("state %v, owner %q: pages of 3 have %d orders and go on at %x; want 7 and an end", state, owner, len(seen), page.Key)
			}
		}
	}
	for want, r := range map[string]wire{
		"name the owner too": &marketv1.QueryOrdersRequest{Dseq: 1},
		`"nobody"`:           &marketv1.QueryOrdersRequest{Owner: "nobody"},
	} {
		if err := b.refused("/plexus.market.v1.Query/Orders", r); !strings.Contains(err, want) {
			t.Errorf("refused by %q, want %q", err, want)
		}
	}
}

func TestEscrowTellsTheRunway(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(1000, group("web", "10"))
	ask := func() marketv1.Escrow {
		var r marketv1.QueryEscrowResponse
		b.query("/plexus.market.v1.Query/Escrow", &marketv1.QueryEscrowRequest{Owner: b.person("tenant").String(), Dseq: dseq}, &r)
		return r.Escrow
	}
	if e := ask(); e.Runway != -1 || e.Funds != 1000 || e.Left != "1000.000000000000000000" {
		t.Errorf("with no lease: %+v", e)
	}
	b.rent("p0", dseq, 1, 1, "2.5")
	b.until(b.app.LastBlockHeight() + 3)
	e := ask()
	if e.Runway != 397 || e.Left != "992.500000000000000000" || e.Owed != "7.500000000000000000" || e.Height != b.app.LastBlockHeight() {
		t.Errorf("after 3 blocks of 2.5: %+v", e)
	}
	if l := b.leased("p0", dseq, 1, 1); l.Owed != 7 || l.Runway != 397 {
		t.Errorf("the lease: %+v", l)
	}
}
