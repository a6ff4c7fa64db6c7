package compute

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
)

// Errors of a [Renter] for which the provider is to blame. Any other is
// nobody's fault, and judges nobody.
var (
	// ErrRefused means that a provider does not bid though it is there.
	ErrRefused = errors.New("compute: no bid")
	// ErrUndelivered means that a provider bid and then did not serve. It is an
	// [*Undelivered] where the bid was taken.
	ErrUndelivered = errors.New("compute: not delivered")
	// ErrNoProvider means that the account is no provider on the market, or
	// does not answer.
	ErrNoProvider = errors.New("compute: no provider")
)

// A Renter rents on the market. Its methods may be called from many goroutines.
type Renter interface {
	// Offer tells what a provider says of itself, and whether it would bid on
	// a group; or [ErrNoProvider].
	Offer(ctx context.Context, provider string, g market.GroupSpec) (Offer, error)
	// Rent takes that provider's bid on what a file asks for, and returns when
	// the provider has the manifest. With an error nothing is left open.
	Rent(ctx context.Context, provider string, file *sdl.SDL) (*Lease, error)
	// Block is how long a block takes.
	Block(ctx context.Context) (time.Duration, error)
}

// An Offer is what a provider says it has free.
type Offer struct {
	CPU    int64  // thousandths of a core
	Memory int64  // bytes
	Disk   int64  // bytes, of its own disk
	Bids   bool   // it would bid on the group that was asked about
	Reason string // why it would not
}

// A Lease is a probe that a provider runs.
type Lease struct {
	ID     market.BidID      // on the chain
	Taken  time.Time         // when the bid was taken
	Doors  map[string]string // URLs by service
	Client *http.Client      // reaches them
	// Close ends the lease, and gets back what it did not cost.
	Close func(ctx context.Context) error
}

// A probe is what is rented: its services by name, and the key that they ask
// for.
type probe struct {
	names []string
	key   string
	text  string // SDL
	file  *sdl.SDL
}

// words are what services are called, as tenants call theirs.
var words = [...]string{
	"admin", "agent", "alpha", "api", "app", "auth", "backend", "blog", "bot", "build", "cache", "chat",
	"core", "cron", "data", "demo", "dev", "docs", "edge", "feed", "files", "front", "game", "gate",
	"graph", "hook", "hub", "index", "jobs", "live", "log", "mail", "main", "media", "model", "node",
	"notes", "page", "portal", "prod", "proxy", "queue", "relay", "runner", "search", "server", "shop", "site",
	"stage", "stats", "store", "stream", "sync", "task", "test", "tool", "track", "ui", "web", "wiki", "worker",
}

// newProbe writes the SDL of a probe of so many services. Its names are drawn,
// so that it looks like nobody's and everybody's.
func (m Manifest) newProbe(image string, services int, key string) (*probe, error) {
	order := rand.Perm(len(words))
	p := &probe{key: key}
	profile, place := words[order[services]], words[order[services+1]]
	var run, deploy strings.Builder
	for _, i := range order[:services] {
		name := words[i]
		p.names = append(p.names, name)
		fmt.Fprintf(&run, `  %s:
    image: %s
    env: ["KEY=%s"%s]
    expose:
      - port: 8080
        as: 80
        http_options: {max_body_size: 104857600}
        to: [{global: true}]
`, name, image, key, map[bool]string{true: `, "DATA=/data"`}[m.Volume > 0])
		if m.Volume > 0 {
			run.WriteString("    params: {storage: {data: {mount: /data}}}\n")
		}
		fmt.Fprintf(&deploy, "  %s: {%s: {profile: %s, count: 1}}\n", name, place, profile)
	}
	volume := ""
	if m.Volume > 0 {
		volume = fmt.Sprintf("\n          - {name: data, size: %dMi, attributes: {persistent: true, class: %s}}", m.Volume, m.Class)
	}
	p.text = fmt.Sprintf(`version: "2.0"
services:
%sprofiles:
  compute:
    %s:
      resources:
        cpu: {units: %dm}
        memory: {size: %dMi}
        storage:
          - {size: %dMi}%s
  placement:
    %s:
      pricing: {%s: {denom: nplx, amount: %d}}
deployment:
%s`, &run, profile, m.CPU, m.Memory, m.Storage, volume, place, profile, m.MaxPrice, &deploy)
	var err error
	if p.file, err = sdl.Parse([]byte(p.text)); err != nil {
		return nil, fmt.Errorf("compute: the SDL of a probe: %w", err)
	}
	return p, nil
}
