package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/wallet"
)

// TestEndToEndRentStart measures what a tenant waits for: from the manifest,
// whose image the provider has, to the first byte through the ingress, for
// services with little and with much of a processor. It prints the times and
// holds them to nothing.
func TestEndToEndRentStart(t *testing.T) {
	const rounds = 5
	apart(t, func() {
		for _, engine := range rentEngines {
			t.Run(engine, func(t *testing.T) {
				r := newRental(t, engine)
				r.open("--cpu", fmt.Sprint(1000*min(2, runtime.NumCPU()))) // room for one beside the last, which is ending
				tn := tenant.New(r.client(), r.signer())
				t.Logf("%s: from manifest to first byte: %v with the image to fetch; then, with it cached:", engine, r.starts(tn, "first", "50m"))
				for _, cpu := range []string{"50m", "500m", "1"} {
					var took []time.Duration
					for i := range rounds {
						took = append(took, r.starts(tn, fmt.Sprint("start", cpu, "-", i), cpu))
					}
					slices.Sort(took)
					t.Logf("%s: cpu %s: %v at best, %v in the median, %v at worst of %d", engine, cpu, took[0], took[rounds/2], took[rounds-1], rounds)
				}
			})
		}
	})
}

// signer is the tenant's key.
func (r *rental) signer() *wallet.Key {
	r.t.Helper()
	ring, err := wallet.Open(wallet.Options{Home: r.home("tenant"), Backend: wallet.Test})
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := ring.Key("tenant")
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// starts rents a service, tells how long its start took, and ends it.
func (r *rental) starts(tn *tenant.Tenant, name, cpu string) time.Duration {
	t, ctx := r.t, r.t.Context()
	t.Helper()
	text, err := os.ReadFile(r.sized(name, cpu, 10000))
	if err != nil {
		t.Fatal(err)
	}
	file, err := sdl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	id := r.leased(tn, file)
	p, err := tn.Provider(ctx, id.Provider)
	if err != nil {
		t.Fatal(err)
	}
	r.wait("the provider to know of the lease", func() bool { _, err := p.Lease(ctx, id); return err == nil })
	began := time.Now()
	if _, err := p.SendManifest(ctx, id.DSeq, file.Manifest); err != nil {
		t.Fatal(err)
	}
	for !r.answers(name) {
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("%s does not answer after three minutes; the provider says:\n%s", name, r.said)
		}
		time.Sleep(10 * time.Millisecond) // asking takes of the processor, too
	}
	took := time.Since(began).Round(time.Millisecond)
	if err := tn.Close(ctx, id.DSeq); err != nil {
		t.Fatal(err)
	}
	return took
}

// leased deploys a file of one group and takes the first bid.
func (r *rental) leased(tn *tenant.Tenant, file *sdl.SDL) market.BidID {
	t, ctx := r.t, r.t.Context()
	t.Helper()
	dseq, _, err := tn.Deploy(ctx, file, ledger.Money{})
	if err != nil {
		t.Fatal(err)
	}
	for bids, err := range tn.Bids(ctx, dseq) {
		if err != nil {
			t.Fatal(err)
		}
		if len(bids) > 0 {
			if err := tn.Take(ctx, bids[0].ID); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	leases, err := tn.Leases(ctx, dseq)
	if err != nil {
		t.Fatal(err)
	}
	return leases[0].ID
}
