package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// gpuConfig sells two H100 and an A100.
func gpuConfig(t *testing.T) Config {
	t.Helper()
	c := Config{CPU: 10_000, Memory: 1 << 40, Storage: 1 << 40}
	for _, text := range []string{"0=nvidia/h100/80Gi/sxm", "1=nvidia/a100/40Gi/pcie", "2=nvidia/h100/80Gi/sxm"} {
		var d gpu.Device
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		c.GPUs = append(c.GPUs, d)
	}
	return c
}

// gpuOrder asks for one GPU for each of count replicas.
func gpuOrder(count uint32, key string) (market.GroupSpec, manifest.Manifest) {
	g, m := spec(count), webManifest("v1", 1)
	g.Units[0].Resources.GPU = market.GPU{Units: 1, Attributes: market.Attributes{{Key: "vendor/nvidia/model/" + key, Value: "true"}}}
	m[0].Services[0].Resources, m[0].Services[0].Count, m[0].Services[0].Expose[0].Hosts = g.Units[0].Resources, count, nil
	return g, m
}

// gpuLease brings a lease with GPUs to run, and returns its devices.
func (s *site) gpuLease(dseq uint64, count uint32, key string) (market.BidID, []int) {
	s.t.Helper()
	g, m := gpuOrder(count, key)
	id := s.chain.order(dseq, g)
	blocks(2)
	s.chain.take(id)
	s.chain.change(func() { s.chain.hashes[id.DeploymentID] = m.Hash() })
	if _, err := s.d.Manifest(s.t.Context(), "plx1tenant", dseq, m); err != nil {
		s.t.Fatalf("deployment %d: %v", dseq, err)
	}
	blocks(2)
	return id, s.devices(id)
}

// devices are those with which a lease's replicas run.
func (s *site) devices(id market.BidID) []int {
	var all []int
	list, _ := s.engine.List(s.t.Context())
	for _, r := range list {
		if string(r.ID.Lease) == id.String() && r.State == sandbox.Running {
			for _, g := range r.GPUs {
				all = append(all, g.Number)
			}
		}
	}
	return all
}

func TestGPUsAreOneLeasesAtATime(t *testing.T) {
	c := gpuConfig(t)
	sell := func(o *Options) { o.Capacity, o.GPUs = c.Capacity(), c.Devices() }
	virtual(t, func(s *site) {
		s.stop()
		s.chain.change(func() { s.chain.has = c.Capabilities() })
		s.run(sell)
		first, devices := s.gpuLease(1, 1, "h100")
		if !slices.Equal(devices, []int{0}) {
			t.Errorf("the first lease has devices %v, want 0", devices)
		}
		offer := s.chain.bids[first].Offer[0].Resources.GPU.Attributes
		if want := "vendor/nvidia/model/h100/ram/80Gi/interface/sxm"; len(offer) != 1 || offer[0].Key != want {
			t.Errorf("the chain has the offer %v, want %s", offer, want)
		}
		s.stop()
		s.run(sell) // all that it knows is on disk and on the chain
		_, devices = s.gpuLease(2, 1, "h*")
		if !slices.Equal(devices, []int{2}) {
			t.Errorf("the second lease has devices %v, want 2", devices)
		}
		if free := s.d.Status(t.Context()).Free; free.GPU != 1 || free.GPUs[kind(c.GPUs[0].GPU).Key()] != 0 {
			t.Errorf("free %+v, want the A100 alone", free)
		}
		none, _ := gpuOrder(1, "h100")
		if got := s.d.Screen(t.Context(), "", none); got.OK || got.Kind != "resource" || !strings.Contains(got.Reason, "nvidia/h100/80Gi/sxm: 1 asked for, 0 free") {
			t.Errorf("a third: %+v", got)
		}
		b200, _ := gpuOrder(1, "b200")
		if got := s.d.Screen(t.Context(), "", b200); got.OK || got.Kind != "ability" || !strings.Contains(got.Reason, "here are 1 × nvidia/a100/40Gi/pcie and 2 × nvidia/h100/80Gi/sxm: the model differs") {
			t.Errorf("a model that is not here: %+v", got)
		}
		s.chain.change(func() { s.chain.end(first, market.ByOwner) })
		blocks(3)
		if _, devices = s.gpuLease(3, 1, "h100"); !slices.Equal(devices, []int{0}) {
			t.Errorf("once it is free, the third lease has devices %v, want 0", devices)
		}
	})
}

func TestGPUsOfALostRecordAreNotGivenAway(t *testing.T) {
	c := gpuConfig(t)
	sell := func(o *Options) { o.Capacity, o.GPUs = c.Capacity(), c.Devices() }
	virtual(t, func(s *site) {
		s.stop()
		s.chain.change(func() { s.chain.has = c.Capabilities() })
		s.run(sell)
		first, _ := s.gpuLease(1, 1, "h100")
		s.stop()
		if err := s.d.books.Delete(first.String()); err != nil {
			t.Fatal(err)
		}
		s.run(sell)
		if _, devices := s.gpuLease(2, 1, "h100"); !slices.Equal(devices, []int{2}) {
			t.Errorf("the second lease has devices %v, want 2", devices)
		}
		if devices := s.devices(first); !slices.Equal(devices, []int{0}) {
			t.Errorf("the first lease has devices %v, want 0 still", devices)
		}
	})
}

func TestManifestBeforeTheOfferIsKnownIsAskedForAgain(t *testing.T) {
	c := gpuConfig(t)
	virtual(t, func(s *site) {
		s.stop()
		s.run(func(o *Options) { o.Capacity, o.GPUs = c.Capacity(), c.Devices() })
		g, m := gpuOrder(1, "h100")
		id := s.chain.order(1, g)
		s.chain.change(func() { s.chain.away = true })
		blocks(1)
		s.chain.take(id)
		s.chain.change(func() {
			s.chain.away, s.chain.hashes[id.DeploymentID] = false, m.Hash()
			delete(s.chain.bids, id)
		})
		if _, err := s.d.Manifest(t.Context(), "plx1tenant", 1, m); err == nil || !strings.Contains(err.Error(), "send the manifest again") {
			t.Errorf("without an offer: %v", err)
		}
	})
}

func TestCapabilitiesSayAllThatTenantsAskFor(t *testing.T) {
	has := gpuConfig(t).Capabilities()
	if err := has.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"*", "h100", "h100/ram/80Gi", "h100/interface/sxm", "h100/ram/80Gi/interface/sxm", "a100/ram/40Gi"} {
		g, _ := gpuOrder(1, key)
		g.Requirements.Attributes = nil
		if err := g.Match(has, nil); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, key := range []string{"a100/ram/80Gi", "h100/interface/pcie", "b200"} {
		g, _ := gpuOrder(1, key)
		g.Requirements.Attributes = nil
		if err := g.Match(has, nil); err == nil {
			t.Errorf("%s matches", key)
		}
	}
}
