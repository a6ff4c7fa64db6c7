package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/escrow"
)

// spec uses every field of a group.
func spec(t *testing.T) market.GroupSpec {
	t.Helper()
	amount, err := market.ParseExact("12.5")
	if err != nil {
		t.Fatal(err)
	}
	return market.GroupSpec{
		Name: "westcoast",
		Requirements: market.Requirements{
			SignedBy:   market.SignedBy{AllOf: []string{"a"}, AnyOf: []string{"b", "c"}},
			Attributes: market.Attributes{{Key: "region", Value: "us-west"}},
		},
		Units: []market.ResourceUnit{{
			Resources: market.Resources{
				ID:     1,
				CPU:    market.CPU{Units: 500, Attributes: market.Attributes{{Key: "arch", Value: "amd64"}}},
				Memory: market.Memory{Size: 1 << 30},
				Storage: []market.Volume{
					{Name: "default", Size: 1 << 30},
					{Name: "data", Size: 2 << 30, Attributes: market.Attributes{{Key: "class", Value: "beta2"}, {Key: "persistent", Value: "true"}}},
				},
				GPU: market.GPU{Units: 1, Attributes: market.Attributes{{Key: "vendor/nvidia/model/a100", Value: "true"}}},
				Endpoints: []market.Endpoint{
					{Kind: market.SharedHTTP}, {Kind: market.RandomPort}, {Kind: market.LeasedIP, Sequence: 3},
				},
			},
			Count: 2,
			Price: market.Price{Denom: "nplx", Amount: amount},
		}},
	}
}

func TestGroupSpecIsReadBack(t *testing.T) {
	want := spec(t)
	got, err := ReadGroupSpec(WriteGroupSpec(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwrote %+v", got, want)
	}
	if got, err := ReadGroupSpec(WriteGroupSpec(market.GroupSpec{})); err != nil || !reflect.DeepEqual(got, market.GroupSpec{}) {
		t.Errorf("an empty group is read as %+v, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*marketv1.GroupSpec)
		want   string
	}{
		"a price that is none":      {func(g *marketv1.GroupSpec) { g.Units[0].Price.Amount = "-1" }, `unit 1: price: market: not an amount: "-1"`},
		"an endpoint of no kind":    {func(g *marketv1.GroupSpec) { g.Units[0].Resources.Endpoints[0].Kind = 9 }, "endpoint of kind 9; kinds are 0 to 2"},
		"an endpoint below any":     {func(g *marketv1.GroupSpec) { g.Units[0].Resources.Endpoints[0].Kind = -1 }, "endpoint of kind -1"},
		"a price without an amount": {func(g *marketv1.GroupSpec) { g.Units[0].Price.Amount = "" }, "not an amount"},
	} {
		g := WriteGroupSpec(spec(t))
		c.change(&g)
		if _, err := ReadGroupSpec(g); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadOffers([]marketv1.Offer{{Resources: marketv1.Resources{Endpoints: []marketv1.Endpoint{{Kind: 7}}}}}); err == nil {
		t.Error("an offer with an endpoint of no kind is read")
	}
	if _, err := ReadAccount(marketv1.Account{Rate: "x"}); !errors.Is(err, market.ErrExact) {
		t.Errorf("an account with a rate of x: %v", err)
	}
}

func TestAccountAndLeaseAreReadBack(t *testing.T) {
	price := spec(t).Units[0].Price
	a := escrow.New(7)
	if err := a.Deposit(escrow.Deposit{Depositor: "x", Grant: true, Amount: 1000}, 7); err != nil {
		t.Fatal(err)
	}
	p, err := a.Pay(price.Amount, 7)
	if err != nil {
		t.Fatal(err)
	}
	l := market.Lease{
		ID:    market.BidID{OrderID: market.OrderID{GroupID: market.GroupID{DeploymentID: market.DeploymentID{Owner: "o", DSeq: 1}, GSeq: 2}, OSeq: 3}, Provider: "p"},
		State: market.LeaseReclaiming, Price: price, Opened: 7, Reclaim: 3600, Deadline: 99,
	}
	for _, height := range []market.Height{7, 50, 500} { // open, partly drawn, overdrawn
		if _, err := a.Withdraw(&p, height); err != nil {
			t.Fatal(err)
		}
		var m marketv1.Account
		WriteAccount(a, &m)
		back, err := ReadAccount(m)
		if err != nil || !reflect.DeepEqual(back, a) {
			t.Errorf("at %d: account %+v is read back as %+v, %v", height, a, back, err)
		}
		if dry, ok := a.DryAt(); ok && m.Dry != int64(dry) || !ok && m.Dry != 87 {
			t.Errorf("at %d: the message says dry at %d, the account at %d", height, m.Dry, dry)
		}
		var lm marketv1.Lease
		WriteLease(l, p, &lm)
		l2, p2, err := ReadLease(lm)
		if err != nil || l2 != l || p2 != p {
			t.Errorf("at %d: lease %+v, %+v is read back as %+v, %+v, %v", height, l, p, l2, p2, err)
		}
	}
}
