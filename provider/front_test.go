package provider

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/price"
)

// serve brings a lease to run whose service answers to app1.example.
func (s *site) same(owner string, dseq uint64) (market.BidID, error) {
	s.t.Helper()
	id := s.chain.orderOf(owner, dseq, spec(1))
	blocks(2)
	s.chain.take(id)
	m := webManifest("v1", 1)
	s.chain.change(func() { s.chain.hashes[id.DeploymentID] = m.Hash() })
	_, err := s.d.Manifest(s.t.Context(), owner, dseq, m)
	blocks(2)
	return id, err
}

// answers tells whether a lease's URLs have a name.
func (s *site) answers(id market.BidID, name string) bool {
	s.t.Helper()
	status, err := s.d.Lease(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.Contains(status.Services[0].URLs, "http://"+name)
}

func TestNameStaysWithWhoHadItFirst(t *testing.T) {
	virtual(t, func(s *site) {
		first := s.lease(1)
		if _, err := s.same("plx1thief", 1); !errors.Is(err, api.ErrMismatch) || !strings.Contains(err.Error(), "app1.example") {
			t.Errorf("a name that another tenant has: %v", err)
		}
		second, err := s.same("plx1tenant", 2)
		if err != nil || !s.answers(first, "app1.example") || s.answers(second, "app1.example") {
			t.Fatalf("a name that another lease of the tenant's has: %v", err)
		}
		s.stop()
		s.run()
		blocks(3)
		if !s.answers(first, "app1.example") || s.answers(second, "app1.example") {
			t.Error("a restart moved the name")
		}
		s.chain.change(func() { s.chain.end(first, market.ByOwner) })
		blocks(3)
		if !s.answers(second, "app1.example") {
			t.Error("the name did not move when the first lease ended")
		}
	})
}

func TestNameMigrates(t *testing.T) {
	virtual(t, func(s *site) {
		first := s.lease(1)
		second, err := s.same("plx1tenant", 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.d.Migrate(t.Context(), second, []string{"other.example"}); !errors.Is(err, api.ErrMismatch) {
			t.Errorf("a name that the manifest does not accept: %v", err)
		}
		if err := s.d.Migrate(t.Context(), second, []string{"app1.example"}); err != nil {
			t.Fatal(err)
		}
		blocks(2)
		s.stop()
		s.run()
		blocks(3)
		if s.answers(first, "app1.example") || !s.answers(second, "app1.example") {
			t.Error("the name did not migrate")
		}
	})
}

func TestURLsAreHTTPSWhereACertificateIsTrusted(t *testing.T) {
	dir := t.TempDir()
	self, _, err := Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Dir: dir, Account: me, Chain: newChain(), Engine: &memory.Engine{}, Images: images{}, Prices: price.DefaultScale(),
		Domain: "sells.example", Ingress: "127.0.0.1:80", IngressTLS: "127.0.0.1:24443", Certificate: self,
		ACME: ACME{Directory: "https://acme.example/directory"},
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.url("app.example"); got != "http://app.example" {
		t.Errorf("a name with the self-signed certificate alone: %s", got)
	}
	o.Ingress = ""
	if d, err = New(o); err != nil {
		t.Fatal(err)
	}
	if got := d.url("app.example"); got != "https://app.example:24443" {
		t.Errorf("where HTTPS is the only way: %s", got)
	}
	d.o.lookup = func(_ context.Context, host string) ([]string, error) {
		return map[string][]string{"sells.example": {"192.0.2.1", "2001:db8::1"}, "app.example": {"2001:db8::1"}, "far.example": {"192.0.2.9"}}[host], nil
	}
	if err := d.leadsHere(t.Context(), "app.example"); err != nil {
		t.Errorf("a name that leads here: %v", err)
	}
	if err := d.leadsHere(t.Context(), "far.example"); err == nil || !strings.Contains(err.Error(), "192.0.2.9") {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
	o.ACME.Directory = "http://plain.example"
	if _, err := New(o); err == nil {
		t.Error("an authority without TLS is taken")
	}
}
