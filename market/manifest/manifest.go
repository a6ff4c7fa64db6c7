// Package manifest is what a tenant sends to the providers that won its
// orders: the services to run, with images, commands and environments, which
// never stand on the chain.
//
// The chain stores a manifest's [Manifest.Hash] instead, so that a provider
// knows the tenant's word from anybody else's; JSON and hash are those of
// Akash, byte for byte. [Manifest.Validate] holds for a manifest alone and
// [Manifest.Check] for one beside the groups on the chain. Start at [Manifest].
package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/plexus-network/plexus/market"
)

// Manifest is a deployment's groups, sorted by name.
type Manifest []Group

// Group is the services that one lease runs, sorted by name.
type Group struct {
	Name     string    `json:"name"`
	Services []Service `json:"services"`
}

// Service is a container image and how to run its replicas. Nil and empty
// lists are different JSON, and so different hashes.
type Service struct {
	Name        string           `json:"name"`
	Image       string           `json:"image"`
	Command     []string         `json:"command"` // nil means the image's own
	Args        []string         `json:"args"`
	Env         []string         `json:"env"`       // KEY=VALUE
	Resources   market.Resources `json:"resources"` // of one replica
	Count       uint32           `json:"count"`     // of replicas
	Expose      []Expose         `json:"expose"`
	Params      *Params          `json:"params,omitempty"`
	Credentials *Credentials     `json:"credentials"` // for the image's registry; nil means none
}

// Expose opens a port of a service to one receiver.
type Expose struct {
	Port         uint32      `json:"port"`         // that the container listens on
	ExternalPort uint32      `json:"externalPort"` // that others use; 0 means Port
	Proto        string      `json:"proto"`        // TCP or UDP
	Service      string      `json:"service"`      // the one service that may connect; "" means all of the group
	Global       bool        `json:"global"`       // whether the world may connect
	Hosts        []string    `json:"hosts"`        // names that the ingress answers to
	HTTP         HTTPOptions `json:"httpOptions"`
	IP           string      `json:"ip"` // the endpoint whose address is leased; "" means none
	Sequence     uint32      `json:"endpointSequenceNumber"`
}

// HTTPOptions tune the ingress of one [Expose]; times are milliseconds.
type HTTPOptions struct {
	MaxBodySize     uint32   `json:"maxBodySize"` // bytes
	ReadTimeout     uint32   `json:"readTimeout"`
	SendTimeout     uint32   `json:"sendTimeout"`
	NextTries       uint32   `json:"nextTries"`   // replicas to try
	NextTimeout     uint32   `json:"nextTimeout"` // for all tries; 0 means none
	NextCases       []string `json:"nextCases,omitempty"`
	ProxyBufferSize uint32   `json:"proxyBufferSize,omitempty"` // bytes; 0 means the provider's
}

// Params are a service's mounts and special wishes.
type Params struct {
	Storage     []Mount      `json:"storage"` // sorted by name
	TEE         *TEE         `json:"tee,omitempty"`
	Permissions *Permissions `json:"permissions,omitempty"`
}

// Mount is where a service finds one of its volumes.
type Mount struct {
	Name     string `json:"name"`
	Mount    string `json:"mount"` // an absolute path
	ReadOnly bool   `json:"readOnly"`
}

// TEE asks for a trusted execution environment: "cpu" or "cpu-gpu".
type TEE struct {
	Type        string `json:"type"`
	Attestation bool   `json:"attestation"`
}

// Permissions let a service read about its own lease: any of deployment, logs
// and events.
type Permissions struct {
	Read []string `json:"read"`
}

// Credentials open a private image registry.
type Credentials struct {
	Host     string `json:"host"`
	Email    string `json:"email"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// Hash is a manifest's fingerprint, which the chain stores.
type Hash [sha256.Size]byte

// String formats h in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%x", h[:]) }

// Hash returns the SHA-256 of m's canonical JSON: compact, keys sorted, with
// &, < and > escaped.
func (m Manifest) Hash() Hash {
	canonical, err := m.Canonical()
	if err != nil {
		panic(fmt.Sprintf("manifest: %v", err)) // strings and numbers always encode
	}
	return sha256.Sum256(canonical)
}

// Canonical returns the JSON that [Manifest.Hash] hashes. The error is that of
// encoding/json, which a Manifest does not give cause for.
func (m Manifest) Canonical() ([]byte, error) {
	ordered, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(ordered))
	decoder.UseNumber()
	var generic any
	if err := decoder.Decode(&generic); err != nil {
		return nil, err
	}
	return json.Marshal(generic) // sorts the keys of maps
}

// External returns the port that others connect to.
func (e Expose) External() uint32 {
	if e.ExternalPort == 0 {
		return e.Port
	}
	return e.ExternalPort
}

// Ingress tells whether e is served by the provider's HTTP ingress rather than
// by a port of its own: it is open to the world on TCP port 80.
func (e Expose) Ingress() bool { return e.Global && e.Proto == "TCP" && e.External() == 80 }

// Endpoints returns what e needs of a provider.
func (e Expose) Endpoints() []market.Endpoint {
	if !e.Global {
		return nil
	}
	way := market.Endpoint{Kind: market.RandomPort}
	if e.Ingress() {
		way.Kind = market.SharedHTTP
	}
	if e.IP == "" {
		return []market.Endpoint{way}
	}
	both := []market.Endpoint{{Kind: market.LeasedIP, Sequence: e.Sequence}, way}
	market.SortEndpoints(both)
	return both
}
