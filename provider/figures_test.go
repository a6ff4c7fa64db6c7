package provider

import (
	"context"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// figuresOf is what Prometheus would read.
func (s *site) figuresOf() map[string]bool {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(s.d.figures.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	all := map[string]bool{}
	for line := range strings.Lines(w.Body.String()) {
		all[strings.TrimPrefix(strings.TrimSpace(line), "plexus_provider_")] = true
	}
	return all
}

func (s *site) wantFigures(wanted ...string) {
	s.t.Helper()
	all := s.figuresOf()
	for _, want := range wanted {
		if !all[want] {
			name, _, _ := strings.Cut(want, "{")
			s.t.Errorf("no %q; there are %q", want, slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(line string) bool {
				return !strings.HasPrefix(line, strings.Fields(name)[0])
			}))
		}
	}
}

func TestFiguresTellWhatHappens(t *testing.T) {
	virtual(t, func(s *site) {
		id := s.lease(1)
		lost := s.chain.order(2, spec(1))
		elsewhere := spec(1)
		elsewhere.Requirements.Attributes[0].Value = "there"
		s.chain.order(3, elsewhere)
		time.Sleep(20 * time.Second)
		s.wantFigures(
			`cpu_cores{of="capacity"} 1`, `cpu_cores{of="sold"} 0.4`, `cpu_cores{of="free"} 0.2`, `cpu_cores{of="used"} 0.1`,
			`storage_bytes{class="",of="capacity"} 1.073741824e+09`, `leases 1`, `bids_open 1`, `bidding 1`,
			`bids_total{result="placed"} 2`, `bids_total{result="won"} 1`, `orders_declined_total{kind="attribute"} 1`,
			`replicas{state="running"} 1`, `restarts_total 0`, `manifest_to_running_seconds_count 1`,
		)
		s.chain.change(func() {
			b := s.chain.bids[lost]
			b.State = market.BidClosed
			s.chain.bids[lost] = b
			s.chain.orders = nil
		})
		s.engine.End(sandbox.ID{Lease: sandbox.Lease(id.String()), Service: "web"}, 1)
		time.Sleep(time.Hour + time.Minute)
		s.wantFigures(
			`bids_total{result="lost"} 1`, `restarts_total 1`, `withdrawals_total 1`, `withdrawn_total{denom="nplx"} 1`,
		)
		s.chain.change(func() { s.chain.away = true; s.chain.end(id, market.InsufficientFunds) })
		time.Sleep(100 * time.Second)
		if !s.figuresOf()["chain_age_seconds 100"] && !s.figuresOf()["chain_age_seconds 101"] {
			s.wantFigures("chain_age_seconds 100")
		}
		s.chain.change(func() { s.chain.away = false })
		blocks(3)
		s.wantFigures(`leases 0`, `restarts_total 1`, `leases_ended_total{reason="insufficient funds"} 1`)
	})
}

// hoard is a store of images that notes what it is asked to delete.
type hoard struct {
	images
	inUse []string
	calls int
}

func (h *hoard) Prune(_ context.Context, inUse map[string]bool, enough func(time.Duration) bool) ([]string, error) {
	h.calls++
	h.inUse = slices.Sorted(maps.Keys(inUse))
	if enough(48 * time.Hour) {
		return nil, nil
	}
	return []string{"sha256:gone"}, nil
}

func TestImagesAreDeletedWhenTheDiskFillsAndDaily(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &hoard{}
		free := int64(100 << 30)
		s := &site{t: t, dir: dir, chain: newChain(), engine: &memory.Engine{}}
		s.run(func(o *Options) {
			o.Images = h
			o.freeDisk = func(string) (int64, error) { return free, nil }
		})
		s.lease(1)
		s.chain.change(func() { s.chain.away = true }) // which makes the days short
		time.Sleep(time.Hour)
		if h.calls != 0 {
			t.Errorf("%d times in an hour with a disk that is not full", h.calls)
		}
		time.Sleep(24 * time.Hour)
		if h.calls != 1 || len(h.inUse) != 1 || !strings.HasPrefix(h.inUse[0], "sha256:aaa") {
			t.Errorf("%d times in a day, in use %q", h.calls, h.inUse)
		}
		free = 3 << 30
		time.Sleep(3 * time.Minute)
		if h.calls != 4 {
			t.Errorf("%d times while the disk is full, want each minute", h.calls-1)
		}
		s.stop()
	})
}
