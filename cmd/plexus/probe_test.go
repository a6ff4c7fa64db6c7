package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/trial"
)

// TestEndToEndRentProbes is a probe in a real container, from the rent to the
// score.
func TestEndToEndRentProbes(t *testing.T) {
	apart(t, func() {
		r := newRental(t, "gvisor")
		r.image = r.pushed("subnet/compute/probe")
		r.probes()
	})
}

// probes lets a validator's mechanism of a compute subnet rent from the
// provider, measure it in a real container, and score it.
func (r *rental) probes() {
	t := r.t
	r.open("--cpu", "2000", "--memory", "1Gi", "--storage", "1Gi")

	manifest, err := compute.ParseManifest(fmt.Appendf(nil, `{"image": %q, "cpu_milli": 500, "memory_mib": 64, "storage_mib": 64,
		"volume_mib": 64, "hashes_per_core": 100000, "disk_mb_s": 1, "net_mbit_s": 1, "start_s": 60, "every_s": 60, "keep_s": 20,
		"most": 2, "full_milli": 500, "max_price_nplx": 10000}`, r.digest()))
	if err != nil {
		t.Fatal(err)
	}
	chain := r.client()
	renter := trial.New(chain, tenant.New(chain, r.signer()), filepath.Join(r.dir, "probes.json"), trial.Options{
		Life: manifest.Life(), Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, r.door)
		},
	})
	defer renter.CloseIdle()
	m, err := compute.New(manifest, compute.Options{Renter: renter})
	if err != nil {
		t.Fatal(err)
	}
	before := r.balances(chain)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	var last subnet.Score
	r.wait("the provider to be measured", func() bool {
		last = presenceOf(t, m, r.seller)
		return last.Checked && !strings.Contains(last.Reason, "not probed")
	})
	t.Logf("the provider is worth %.2f: %s", last.Value, last.Reason)
	if last.Value < 0.5 || last.Reject || strings.Contains(last.Reason, "visit") {
		t.Errorf("score %+v", last)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := renter.Recover(t.Context()); err != nil {
		t.Error(err)
	}
	var open []tenant.Listed
	r.json(&open, "tenant", "deploy", "list")
	if len(open) != 0 {
		t.Errorf("probes are left open: %+v", open)
	}
	t.Logf("balances before %v, after %v", before, r.balances(chain))
}

// presenceOf gives a miner a task, which it answers, and returns the score.
func presenceOf(t *testing.T, m *compute.Mechanism, account string) subnet.Score {
	t.Helper()
	body, err := m.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trial := subnet.Trial{Task: subnet.Task{Netuid: 1, Miner: subnet.Peer{UID: 3, Account: account, PeerID: "miner"}, Body: body}}
	err = m.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	trial.Answer.Received = time.Now()
	scores, err := m.Score(t.Context(), []subnet.Trial{trial})
	if err != nil {
		t.Fatal(err)
	}
	return scores[0]
}

// digest is the tenant's image by what it holds.
func (r *rental) digest() string {
	r.t.Helper()
	ref, err := name.ParseReference(r.image, name.Insecure)
	if err != nil {
		r.t.Fatal(err)
	}
	head, err := remote.Head(ref)
	if err != nil {
		r.t.Fatal(err)
	}
	return ref.Context().Name() + "@" + head.Digest.String()
}
