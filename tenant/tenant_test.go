package tenant_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/tenanttest"
)

func parse(t *testing.T, text string) *sdl.SDL {
	t.Helper()
	f, err := sdl.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTenant is a rental from an SDL to its end.
func TestTenant(t *testing.T) {
	m := tenanttest.Open(t, "east", "west")
	tn := tenant.New(m.Chain, m.Tenant)
	ctx := t.Context()

	t.Run("says why nobody bids, and has its money back", func(t *testing.T) {
		dseq, err := tn.Rent(ctx, parse(t, tenanttest.SDL("moon")), tenant.Terms{Wait: time.Second})
		if !errors.Is(err, tenant.ErrNoBid) || !strings.Contains(err.Error(), "2 of 2 providers: attribute") || !strings.Contains(err.Error(), "refunded") || dseq != 0 {
			t.Errorf("%d, %v", dseq, err)
		}
		if open, err := tn.List(ctx, false); err != nil || len(open) != 0 {
			t.Errorf("open: %+v, %v", open, err)
		}
	})
	t.Run("waits for the wanted provider alone", func(t *testing.T) {
		dseq, err := tn.Rent(ctx, parse(t, tenanttest.SDL("east")), tenant.Terms{Wait: time.Second, Provider: m.Providers[1].Key.Address(), Keep: true})
		if !errors.Is(err, tenant.ErrNoBid) || !strings.Contains(err.Error(), "1 of 1 providers") || dseq == 0 {
			t.Fatalf("%d, %v", dseq, err)
		}
		if _, err := tn.Look(ctx, dseq, 0); !errors.Is(err, tenant.ErrNoLease) {
			t.Errorf("a deployment without a lease: %v", err)
		}
		if err := tn.Close(ctx, dseq); err != nil {
			t.Error(err)
		}
	})

	var said []string
	dseq, err := tn.Rent(ctx, parse(t, tenanttest.SDL("")), tenant.Terms{
		Deposit: ledger.Money{Denom: coin.Denom, Amount: market.Amount(2 * coin.PLX)}, Provider: m.Providers[1].Key.Address(),
		Tell: func(text string) { said = append(said, text) },
	})
	if err != nil || len(said) != 3 || !strings.Contains(said[0], "2plx") {
		t.Fatalf("%v, said %q", err, said)
	}
	var happened []lease.Event
	state, err := tn.Await(ctx, dseq, func(e lease.Event) { happened = append(happened, e) })
	if err != nil || !state.Ready || len(state.Leases) != 1 || state.Leases[0].Services[0].Running != 2 || state.Runway.Blocks <= 0 {
		t.Fatalf("%+v, %v, after %+v", state, err, happened)
	}
	inside(t, m, tn, dseq)

	other := strings.ReplaceAll(tenanttest.SDL(""), "app:v1", "app:v2")
	if err := tn.Update(ctx, dseq, parse(t, other), nil); err != nil {
		t.Error(err)
	}
	more := strings.ReplaceAll(other, "500m", "600m")
	if err := tn.Update(ctx, dseq, parse(t, more), nil); err == nil || !strings.Contains(err.Error(), "cannot be changed") {
		t.Errorf("an update that asks for more: %v", err)
	}
	before, err := tn.Runway(ctx, dseq)
	if err != nil {
		t.Fatal(err)
	}
	if err := tn.TopUp(ctx, dseq, ledger.Money{Amount: market.Amount(coin.PLX)}); err != nil {
		t.Error(err)
	}
	if after, err := tn.Runway(ctx, dseq); err != nil || after.Blocks <= before.Blocks || after.Seconds <= 0 {
		t.Errorf("runway %v, then %v, %v", before, after, err)
	}
	watched(t, tn, dseq)
	if err := tn.Close(ctx, dseq); err != nil {
		t.Fatal(err)
	}
	one, err := tn.Listed(ctx, dseq)
	if err != nil || one.State != "closed" || one.Leases != 0 || one.Spent == "0 nplx" || one.Runway.Blocks != -1 {
		t.Errorf("after its end %+v, %v", one, err)
	}
}

// watched looks after the money of a deployment into which 3 PLX were paid,
// and may bring that to 4.5.
func watched(t *testing.T, tn *tenant.Tenant, dseq uint64) {
	t.Helper()
	var kinds []string
	w, err := tn.NewWatch(tenant.WatchOptions{
		Less: 10_000 * time.Hour, TopUp: coin.PLX, AtMost: 4*coin.PLX + coin.PLX/2,
		Tell: func(n tenant.Notice) { kinds = append(kinds, string(n.Kind)+" "+n.Paid) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if short, err := w.Look(t.Context()); err != nil || short != 1 {
			t.Errorf("%d are short, %v", short, err)
		}
	}
	if want := []string{"topped-up 1plx", "topped-up 0.5plx", "runway-low "}; !slices.Equal(kinds, want) {
		t.Errorf("told %q, want %q", kinds, want)
	}
	all, err := tn.Purses(t.Context())
	if err != nil || len(all) != 1 || all[0].DSeq != dseq || coin.Amount(all[0].PaidIn.Amount) != 4*coin.PLX+coin.PLX/2 {
		t.Errorf("purses %+v, %v", all, err)
	}
}

// inside looks at what runs.
func inside(t *testing.T, m *tenanttest.Market, tn *tenant.Tenant, dseq uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	id, p, err := tn.Serving(ctx, dseq, 0, "web")
	if err != nil || id.Provider != m.Providers[1].Key.Address() {
		t.Fatalf("lease %v, %v", id, err)
	}
	m.Providers[1].Engine.Print(sandbox.ID{Lease: sandbox.Lease(id.String()), Service: "web"}, "hello")
	for line, err := range p.Logs(ctx, id, api.Selection{}, sandbox.LogOptions{}) {
		if err != nil || line.Text != "hello" {
			t.Errorf("%+v, %v", line, err)
		}
	}
	var out strings.Builder
	if code, err := p.Exec(ctx, id, api.Selection{Service: "web"}, sandbox.Exec{Args: []string{"echo", "hi"}, Stdout: &out}); err != nil || code != 0 || out.String() != "echo hi\n" {
		t.Errorf("exec: %d, %v, %q", code, err, out.String())
	}
	if _, _, err := tn.Serving(ctx, dseq, 0, "db"); !errors.Is(err, tenant.ErrNoLease) {
		t.Errorf("a service that is not there: %v", err)
	}
	if _, err := tn.Group(ctx, dseq, 7); !errors.Is(err, tenant.ErrNoLease) {
		t.Errorf("a group that is not there: %v", err)
	}
	if all, err := tn.List(ctx, false); err != nil || len(all) != 1 || all[0].Leases != 1 || all[0].Runway.Blocks <= 0 {
		t.Errorf("list %+v, %v", all, err)
	}
	screened, err := tenant.New(m.Chain, nil).Screen(ctx, tenant.Sample())
	if err != nil || len(screened) != 2 {
		t.Fatalf("screened %+v, %v", screened, err)
	}
	for _, s := range screened {
		if region, _ := s.Attributes.Get("region"); !s.Screening.OK || s.Status == nil || region == "" {
			t.Errorf("screening %+v", s)
		}
	}
}

func TestMoney(t *testing.T) {
	for _, c := range []struct{ exact, denom, want string }{
		{"0", "nplx", "0 nplx"},
		{"12.500000000000000000", "nplx", "12.5 nplx"},
		{"2500000000", "nplx", "2.5plx"},
		{"3000", "uact", "3000 uact"},
		{"3000.100000000000000000", "uact", "3000.1 uact"},
	} {
		if got := tenant.Money(c.exact, c.denom); got != c.want {
			t.Errorf("Money(%q, %q) = %q, want %q", c.exact, c.denom, got, c.want)
		}
	}
}

func TestRunwaySpeaks(t *testing.T) {
	for _, c := range []struct {
		runway tenant.Runway
		want   string
	}{
		{tenant.Runway{Blocks: -1, Left: "2plx"}, "2plx, and nothing is paid now"},
		{tenant.Runway{Blocks: 90, Seconds: 90, Left: "2plx"}, "2plx, good for 90 blocks, about 90 s"},
		{tenant.Runway{Blocks: 1, Seconds: 600, Left: "2plx"}, "2plx, good for 1 block, about 10 min"},
		{tenant.Runway{Blocks: 1, Seconds: 9000, Left: "2plx"}, "2plx, good for 1 block, about 2 h 30 min"},
		{tenant.Runway{Blocks: 1, Seconds: 200_000, Left: "2plx"}, "2plx, good for 1 block, about 2 days 7 h"},
		{tenant.Runway{Blocks: 1, Seconds: 365 * 86400 * 2, Left: "2plx"}, "2plx, good for 1 block, about 2.0 years"},
	} {
		if got := c.runway.String(); got != c.want {
			t.Errorf("%+v says %q, want %q", c.runway, got, c.want)
		}
	}
}
