package console_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/tenanttest"
)

// addressed is an SDL whose service answers to shop.example and to a leased
// address.
func addressed() string {
	return strings.NewReplacer(
		"to: [{global: true}]}", "to: [{global: true}], accept: [shop.example]}\n      - {port: 8443, as: 443, to: [{global: true, ip: front}]}",
		"profiles:", "endpoints:\n  front: {kind: ip}\nprofiles:",
		`"2.0"`, `"2.1"`,
	).Replace(tenanttest.SDL(""))
}

// runs rents what an SDL asks for at the first provider, and waits until it
// runs.
func (d *desk) runs(t *testing.T, text string) (dseq uint64, at string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file, err := sdl.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tn := tenant.New(d.market.Chain, d.market.Tenant)
	if dseq, err = tn.Rent(ctx, file, tenant.Terms{Provider: d.market.Providers[0].Key.Address()}); err == nil {
		_, err = tn.Await(ctx, dseq, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dseq, fmt.Sprintf("deployments/%d", dseq)
}

// moves moves a name and an address from one deployment to another.
func (d *desk) moves(t *testing.T) {
	first, one := d.runs(t, addressed())
	second, two := d.runs(t, addressed())
	here := func(at string) bool {
		var s struct{ State tenant.State }
		d.get(&s, "GET", at, nil)
		names := s.State.Leases[0].Services[0].Names
		if len(names) != 1 || names[0].Host != "shop.example" {
			t.Fatalf("%s has the names %+v", at, names)
		}
		return names[0].Here
	}
	if !here(one) || here(two) {
		t.Errorf("before, the name leads to the first %v and to the second %v", here(one), here(two))
	}
	d.get(&struct{}{}, "POST", two+"/hosts", map[string]any{"hosts": []string{"SHOP.example"}})
	if here(one) || !here(two) {
		t.Errorf("then, the name leads to the first %v and to the second %v", here(one), here(two))
	}
	held := func(at string) (mine, other tenant.Held) {
		var a struct{ Held, Others []tenant.Held }
		d.get(&a, "GET", at+"/addresses", nil)
		if len(a.Held) != 1 || len(a.Others) != 1 || a.Held[0].IP == a.Others[0].IP {
			t.Fatalf("addresses of %s: %+v", at, a)
		}
		return a.Held[0], a.Others[0]
	}
	mine, other := held(one)
	if mine.DSeq != first || other.DSeq != second || mine.Endpoint != "front" {
		t.Errorf("the first holds %+v, the second %+v", mine, other)
	}
	d.get(&struct{}{}, "POST", two+"/addresses", map[string]any{"with": first, "endpoint": "front"})
	if now, _ := held(two); now.IP != mine.IP {
		t.Errorf("the second has %v, want that of the first, %v", now.IP, mine.IP)
	}
	d.refusesMoves(t, one, second)
	for _, at := range []string{one, two} {
		d.get(&struct{}{}, "DELETE", at, nil)
	}
}

func (d *desk) refusesMoves(t *testing.T, one string, second uint64) {
	t.Helper()
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		want   string
	}{
		"a_foreign_name": {"/hosts", map[string]any{"hosts": []string{"other.example"}}, http.StatusConflict, "accepts no name other.example"},
		"no_name":        {"/hosts", map[string]any{"hosts": []string{}}, http.StatusBadRequest, "no name"},
		"no_lease":       {"/hosts", map[string]any{"group": 9, "hosts": []string{"shop.example"}}, http.StatusNotFound, "group 9"},
		"no_endpoint":    {"/addresses", map[string]any{"with": second, "endpoint": "back"}, http.StatusConflict, `no endpoint \"back`},
		"nothing_named":  {"/addresses", map[string]any{"with": second}, http.StatusBadRequest, "an endpoint"},
		"nobody":         {"/addresses", map[string]any{"with": 99, "endpoint": "front"}, http.StatusNotFound, "deployment 99"},
	} {
		if status, text := d.ask("POST", one+c.path, c.body); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %.300s, want %d with %q", name, status, text, c.status, c.want)
		}
	}
}

// measures puts a provider on a compute subnet that has judged nobody yet.
func (d *desk) measures(t *testing.T) {
	east := ledger.Actor{Key: d.market.Providers[0].Key}
	netuid, _, err := d.market.Chain.RegisterSubnet(t.Context(), ledger.Actor{Key: d.market.Tenant}, "compute", "machines", nil, 500*coin.PLX)
	if err == nil {
		_, _, err = d.market.Chain.RegisterNeuron(t.Context(), east, netuid, 50*coin.PLX)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Providers []struct {
			Provider string
			Measured []tenant.Measure
		}
	}
	d.get(&all, "GET", "providers", nil)
	for _, p := range all.Providers {
		if on := p.Provider == east.Account(); on != (len(p.Measured) == 1) || on && (p.Measured[0].Subnet != "machines" || p.Measured[0].Place != 0) {
			t.Errorf("%s: %+v", p.Provider, p.Measured)
		}
	}
}
