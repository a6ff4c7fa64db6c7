// Package tenanttest is a compute market in one process, for tests of who rents
// on it: a chain of one validator, providers whose containers are only
// remembered (package memory), and a tenant with money. Start at [Open].
package tenanttest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/price"
	"github.com/plexus-network/plexus/wallet"
)

const seed = "market of make-believe"

// A Market is a chain with those who sell and rent on it.
type Market struct {
	Chain     *ledger.Client
	Tenant    *wallet.Key // has 1,000 PLX
	Providers []Provider
}

// A Provider sells compute that is only remembered.
type Provider struct {
	Key    *wallet.Key
	Engine *memory.Engine
}

// Open starts a Market with providers in regions, one of each name; it ends
// with the test. It returns once the chain makes blocks and all providers bid.
func Open(t *testing.T, regions ...string) *Market {
	t.Helper()
	m := &Market{Tenant: wallet.Derive(seed, "tenant")}
	accounts := []chain.GenesisAccount{{Address: m.Tenant.Address(), Balance: 1000 * coin.PLX}}
	for _, region := range regions {
		p := Provider{wallet.Derive(seed, region), &memory.Engine{}}
		m.Providers = append(m.Providers, p)
		accounts = append(accounts, chain.GenesisAccount{Address: p.Key.Address(), Balance: 100 * coin.PLX})
	}
	m.start(t, accounts)
	for i, region := range regions {
		m.provide(t, m.Providers[i], region)
	}
	return m
}

// start runs the chain.
func (m *Market) start(t *testing.T, accounts []chain.GenesisAccount) {
	t.Helper()
	home := t.TempDir()
	id, err := chain.LoadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := chain.Genesis(chain.GenesisOptions{
		ChainID: "tenant-test", Accounts: accounts,
		Validators: []chain.GenesisValidator{{Moniker: "v", Operator: wallet.Derive(seed, "validator").Address(), Key: id.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := chain.StartNode(context.WithoutCancel(t.Context()), chain.NodeConfig{
		Home: home, Genesis: doc, Local: true, BlockTime: 200 * time.Millisecond, GRPC: "127.0.0.1:0",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	m.Chain = ledger.New(node.GRPC(), ledger.Options{Poll: 20 * time.Millisecond})
	for range m.Chain.Heads(t.Context()) {
		return
	}
	t.Fatal("no block")
}

// images has every image.
type images struct{}

func (images) Pull(context.Context, string, image.Credentials) (image.Image, error) {
	return image.Image{Digest: "sha256:" + strings.Repeat("a", 64), Root: "/images/a", Config: v1.Config{Entrypoint: []string{"/run"}}}, nil
}

// provide registers a provider, runs it, and waits until it bids.
func (m *Market) provide(t *testing.T, p Provider, region string) {
	t.Helper()
	dir := t.TempDir()
	certificate, pin, err := provider.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	address := free(t)
	me := ledger.Actor{Key: p.Key}
	if err := m.Chain.Market().Enter(t.Context(), me, marketv1.Provider{
		HostUri: "https://" + address, TlsPin: pin, Deposit: uint64(10 * coin.PLX), Website: "https://" + region + ".example",
		Attributes: []marketv1.Attribute{{Key: "region", Value: region}},
	}); err != nil {
		t.Fatal(err)
	}
	d, err := provider.New(provider.Options{
		Dir: filepath.Join(dir, "state"), Account: p.Key.Address(), Chain: provider.Ledger{Client: m.Chain, Actor: me},
		Engine: p.Engine, Images: images{}, Prices: price.DefaultScale(), API: address, Certificate: certificate,
		Capacity:  inventory.Amounts{CPU: 8000, Memory: 16 << 30, Storage: map[string]int64{"": 100 << 30}, IPs: 4},
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/30")},
		Domain:    region + ".example", Pace: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	Wait(t, fmt.Sprintf("provider %s to bid", region), func() bool { return d.Status(ctx).Bidding })
}

// free returns an address on loopback that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// Wait waits half a minute until something is so.
func Wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// SDL is a file of two replicas of a service "web" that listens on port 80, in
// a region; "" means anywhere.
func SDL(region string) string {
	attributes := ""
	if region != "" {
		attributes = "\n      attributes: {region: " + region + "}"
	}
	return `version: "2.0"
services:
  web:
    image: example.com/app:v1
    expose:
      - {port: 80, to: [{global: true}]}
profiles:
  compute:
    small: {resources: {cpu: {units: 500m}, memory: {size: 256Mi}, storage: {size: 512Mi}}}
  placement:
    anywhere:` + attributes + `
      pricing: {small: {denom: nplx, amount: 1000000}}
deployment:
  web: {anywhere: {profile: small, count: 2}}
`
}
