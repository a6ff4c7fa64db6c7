package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/yuma"
)

// price reads a price in nplx.
func price(t *testing.T, amount string) market.Price {
	t.Helper()
	e, err := market.ParseExact(amount)
	if err != nil {
		t.Fatal(err)
	}
	return market.Price{Denom: coin.Denom, Amount: e}
}

// Alice rents from the validator, who is given coins for that: deploy, bid,
// lease, pay, withdraw, close, with a follower who sees it all.
func testMarket(t *testing.T, c *ledger.Client) {
	ctx, m := t.Context(), c.Market()
	tenant, seller := ledger.Actor{Key: alice}, ledger.Actor{Key: validator}
	if _, err := c.Submit(ctx, tenant, banktypes.NewMsgSend(alice.Account(), validator.Account(), sdk.NewCoins(sdk.NewInt64Coin(coin.Denom, int64(20*coin.PLX))))); err != nil {
		t.Fatal(err)
	}
	head, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Enter(ctx, seller, marketv1.Provider{
		HostUri: "https://provider.example:8443", Deposit: uint64(10 * coin.PLX), Attributes: []marketv1.Attribute{{Key: "region", Value: "east"}},
	}); err != nil {
		t.Fatal(err)
	}
	group := market.GroupSpec{Name: "web", Units: []market.ResourceUnit{{
		Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 100}, Memory: market.Memory{Size: 1 << 27}, Storage: []market.Volume{{Name: "default", Size: 1 << 28}},
		},
		Count: 1, Price: price(t, "100"),
	}}}
	group.Requirements.Attributes = market.Attributes{{Key: "region", Value: "east"}}
	id, err := m.Deploy(ctx, tenant, ledger.Deployment{
		Hash: sha256.Sum256([]byte("manifest")), Groups: []market.GroupSpec{group}, Deposit: ledger.Money{Amount: market.Amount(coin.PLX)},
	})
	if err != nil {
		t.Fatal(err)
	}
	orders, err := m.Orders(ctx, marketv1.QueryOrdersRequest{State: marketv1.OrderState_ORDER_STATE_OPEN})
	if err != nil || len(orders) != 1 {
		t.Fatalf("orders %v, %v", orders, err)
	}
	order, err := m.Order(ctx, market.OrderID{GroupID: market.GroupID{DeploymentID: id, GSeq: 1}, OSeq: 1})
	if err != nil || order.Spec.Units[0].Price != price(t, "100") {
		t.Fatalf("order %+v, %v", order, err)
	}
	bid := market.Bid{
		ID: market.BidID{OrderID: order.ID, Provider: validator.Address()}, Price: price(t, "12.5"), Deposit: market.Amount(coin.PLX / 2),
		Offer: []market.Offer{{Resources: order.Spec.Units[0].Resources, Count: 1}},
	}
	at, expires, err := m.Bid(ctx, seller, bid, 100)
	if err != nil || expires != at+100 {
		t.Fatalf("bid in block %d, expires at %d, %v", at, expires, err)
	}
	for height, want := range map[yuma.Height]int{at - 1: 0, at: 1} {
		if all, err := m.Bids(ledger.At(ctx, height), marketv1.QueryBidsRequest{Provider: validator.Address()}); err != nil || len(all) != want {
			t.Errorf("at %d, of a bid in block %d: %d bids, %v", height, at, len(all), err)
		}
	}
	_, _, err = m.Bid(ctx, seller, bid, 100)
	wantError(t, err, "bid 12.500000000000000000nplx on order", "already")
	dry, err := m.Take(ctx, tenant, bid.ID)
	if err != nil || dry == 0 {
		t.Fatalf("taken until %d, %v", dry, err)
	}
	later, err := m.TopUp(ctx, tenant, id, ledger.Money{Amount: 1250}, "")
	if err != nil || later != dry+100 {
		t.Errorf("100 blocks more: %d, then %d, %v", dry, later, err)
	}
	lease, err := m.Lease(ctx, bid.ID)
	if err != nil || lease.Lease.State != marketv1.LeaseState_LEASE_STATE_ACTIVE || lease.Runway <= 0 {
		t.Errorf("lease %+v, %v", lease, err)
	}
	if _, _, err := m.Withdraw(ctx, seller, order.ID); err != nil {
		t.Error(err)
	}
	if err := m.Close(ctx, tenant, id.DSeq); err != nil {
		t.Fatal(err)
	}
	if d, err := m.Deployment(ctx, id); err != nil || d.Deployment.State != marketv1.DeploymentState_DEPLOYMENT_STATE_CLOSED {
		t.Errorf("deployment %+v, %v", d, err)
	}
	if leases, err := m.Leases(ctx, marketv1.QueryLeasesRequest{Provider: validator.Address(), State: marketv1.LeaseState_LEASE_STATE_CLOSED}); err != nil || len(leases) != 1 {
		t.Errorf("leases %v, %v", leases, err)
	}
	if _, err := m.Lease(ctx, market.BidID{OrderID: order.ID, Provider: alice.Address()}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a lease that never was: %v", err)
	}
	followed(t, m, head.Height, id)
}

// followed reads the market's events from a height on, up to the end of a
// deployment.
func followed(t *testing.T, m ledger.Market, from yuma.Height, id market.DeploymentID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var bid, leased, paid bool
	next := from
	for h, err := range m.Follow(ctx, from) {
		if err != nil || h.Height != next {
			t.Fatalf("followed to %d, %v; want %d", h.Height, err, next)
		}
		next++
		for _, e := range h.Events {
			switch e := e.(type) {
			case *marketv1.EventBidCreated:
				bid = e.Price == "12.500000000000000000nplx"
			case *marketv1.EventLeaseCreated:
				leased = e.Dseq == id.DSeq
			case *marketv1.EventLeaseClosed:
				paid = e.Reason == marketv1.Reason_REASON_OWNER
			case *marketv1.EventDeploymentClosed:
				if !bid || !leased || !paid {
					t.Errorf("before the end of the deployment: bid %v, leased %v, paid %v", bid, leased, paid)
				}
				return
			}
		}
	}
	t.Error("the deployment never closed")
}
