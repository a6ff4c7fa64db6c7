// Package api is what a provider says and hears over the network, and both
// ends of it: HTTP with JSON over TLS, streams of JSON lines for logs and
// events, and a websocket for commands that run inside a replica.
//
// Who asks is told by a [pass.Claims], in the header Authorization; who
// answers by the certificate, whose key's SHA-256 stands on the chain, so that
// neither end needs an authority. [Server] is the provider's end, and [Client]
// everybody else's. What a provider knows comes from a [Desk]: package
// provider's daemon.
package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/lease"
)

// What callers test for. A Client returns them too.
var (
	ErrNoLease  = errors.New("api: no such lease here")
	ErrMismatch = errors.New("api: the chain says otherwise")
	ErrDenied   = errors.New("api: not allowed")
	ErrAway     = errors.New("api: not able to answer now")
)

// A Desk answers for a provider.
type Desk interface {
	// Status returns how the provider stands.
	Status(ctx context.Context) Status
	// Screen tells whether the provider would bid on a group, and why not.
	Screen(ctx context.Context, owner string, g market.GroupSpec) Screening
	// Manifest takes in the manifest of an owner's deployment, and returns the
	// leases that run it. It is [ErrNoLease], or [ErrMismatch] if the manifest
	// is not the one whose hash is on the chain.
	Manifest(ctx context.Context, owner string, dseq uint64, m manifest.Manifest) ([]string, error)
	// Lease returns how a lease stands, or [ErrNoLease].
	Lease(ctx context.Context, id market.BidID) (LeaseStatus, error)
	// Migrate has names that several of an owner's leases accept lead to one of
	// them. It is [ErrMismatch] if that lease does not accept them.
	Migrate(ctx context.Context, id market.BidID, hosts []string) error
	// MigrateIP exchanges the addresses that two leases of one owner have for an
	// endpoint. It is [ErrNoLease], or [ErrMismatch] where they cannot.
	MigrateIP(ctx context.Context, from, to market.BidID, endpoint string) error
	// Keeper returns who keeps a lease running, or [ErrNoLease].
	Keeper(id market.BidID) (*lease.Keeper, error)
	// Past returns a lease that has ended and is not forgotten, or [ErrNoLease].
	Past(id market.BidID) (*lease.Past, error)
}

// Status is how a provider stands.
type Status struct {
	Provider string            `json:"provider"` // address
	Engine   string            `json:"engine"`
	Missing  []string          `json:"missing,omitempty"` // limits that its machine cannot hold, in words
	Height   uint64            `json:"height"`            // of the latest block that it has seen
	Time     time.Time         `json:"time"`              // of that block
	Bidding  bool              `json:"bidding"`           // whether it bids now
	Reason   string            `json:"reason,omitempty"`  // why it does not
	Capacity inventory.Amounts `json:"capacity"`
	Free     inventory.Amounts `json:"free"` // of leases and open bids
	Sold     inventory.Amounts `json:"sold"` // to leases
	Used     Usage             `json:"used"` // by all leases, measured
	Leases   int               `json:"leases"`
	Bids     int               `json:"bids"` // that are open
}

// Usage is what replicas use, as it was measured.
type Usage struct {
	CPU    int64 `json:"cpu"`    // thousandths of a core, on average since the look before
	Memory int64 `json:"memory"` // bytes
	Disk   int64 `json:"disk"`   // bytes, of all classes
	In     int64 `json:"in"`     // bytes received since the replicas began
	Out    int64 `json:"out"`    // bytes sent

	Storage map[string]int64 `json:"storage,omitempty"` // bytes by class, as in [inventory.Amounts]
}

// Screening is whether a provider would bid.
type Screening struct {
	OK     bool   `json:"ok"`
	Price  string `json:"price,omitempty"`  // per block, with its denom
	Reason string `json:"reason,omitempty"` // in words, why it would not
	// Kind sorts reasons: attribute, resource, ability, price or bidding.
	Kind string `json:"kind,omitempty"`
}

// LeaseStatus is how a lease stands at its provider.
type LeaseStatus struct {
	ID       string    `json:"id"`
	Hash     string    `json:"manifest,omitempty"` // hexadecimal; "" before it came
	Ready    bool      `json:"ready"`              // all replicas run
	Trouble  time.Time `json:"trouble,omitzero"`   // since when they do not
	Services []Service `json:"services"`
}

// Service is how a service of a lease stands.
type Service struct {
	Name     string       `json:"name"`
	Total    int          `json:"total"`
	Running  int          `json:"running"`
	URLs     []string     `json:"urls,omitempty"`  // by the provider's ingress
	Ports    []lease.Port `json:"ports,omitempty"` // of the provider's host
	Replicas []Replica    `json:"replicas"`

	Addresses []Address `json:"addresses,omitempty"` // leased ones, and their ports
	Names     []Name    `json:"names,omitempty"`     // that the tenant chose
}

// Name is one that a tenant chose for a service.
type Name struct {
	Host string `json:"host"`
	Here bool   `json:"here"` // it leads to this lease, and not to another of the same tenant's
}

// Address is a port of a leased address.
type Address struct {
	Endpoint string     `json:"endpoint"` // as the SDL names it
	IP       netip.Addr `json:"ip"`
	Port     uint16     `json:"port"`
	UDP      bool       `json:"udp"`
}

// Replica is how a replica of a service stands.
type Replica struct {
	Number   int       `json:"number"`
	State    string    `json:"state"` // starting, running, exited, failed, or waiting
	Since    time.Time `json:"since,omitzero"`
	Restarts int       `json:"restarts"`
	Code     int       `json:"code,omitempty"`   // of its last exit
	Reason   string    `json:"reason,omitempty"` // why it does not run
	Used     Usage     `json:"used"`
}

// A LogLine is a line of a replica's output.
type LogLine struct {
	Service string    `json:"service"`
	Replica int       `json:"replica"`
	Time    time.Time `json:"time"`
	Stream  string    `json:"stream"` // stdout or stderr
	Text    string    `json:"text"`
}

// Kinds of frames on the websocket of a command: the first byte of each. What
// follows is what was written, a [sandbox.Size] or an Outcome in JSON, or
// nothing.
const (
	frameStdin  = 0
	frameStdout = 1
	frameStderr = 2
	frameResize = 3
	frameEOF    = 4 // no more of stdin
	frameEnd    = 5 // an outcome
)

// outcome is how a command ended.
type outcome struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// maxFrame bounds a frame, in bytes.
const maxFrame = 64 << 10
