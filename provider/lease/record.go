// Package lease keeps one lease running: from the manifest that its tenant
// sent to the replicas that an engine runs.
//
// A [Keeper] compares, again and again, what should run with what does, and
// does what is missing: it pulls images, starts, replaces, starts again what
// ended, with ever longer pauses. All that it must not forget is in a [Record]
// on disk, written whole or not at all, so that it can be killed at any moment
// and goes on where it was. Whether a lease still is one is not its business:
// the daemon in package provider tells it so by the chain's word.
package lease

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A Record is what a provider keeps of a lease.
type Record struct {
	ID     string            `json:"id"`     // of the bid: owner/dseq/gseq/oseq/provider
	Hash   string            `json:"hash"`   // of the manifest, hexadecimal
	Group  manifest.Group    `json:"group"`  // of the manifest
	Claim  inventory.Amounts `json:"claim"`  // of the inventory
	Images map[string]string `json:"images"` // service to the digest that its image had when it was first pulled
	Ports  []Port            `json:"ports"`  // that are published
	GPUs   []Device          `json:"gpus,omitempty"`

	Addresses []Address `json:"addresses,omitempty"` // that it has leased
}

// An Address is a public one that a lease has for one of its endpoints.
type Address struct {
	Endpoint string     `json:"endpoint"` // as the SDL names it
	IP       netip.Addr `json:"ip"`
}

// A Device is a graphics processor of the provider's machine that a replica
// has for itself.
type Device struct {
	Service string      `json:"service"`
	Replica int         `json:"replica"`
	GPU     sandbox.GPU `json:"gpu"`
}

// A Port is one of the provider's that leads to a replica.
type Port struct {
	Service   string `json:"service"`
	Replica   int    `json:"replica"`
	Container uint16 `json:"container"` // that the replica listens on
	External  uint16 `json:"external"`  // that the manifest wished for
	Host      uint16 `json:"host"`      // of the provider's machine
	UDP       bool   `json:"udp"`
}

// Books are the records of all leases, a file for each.
type Books struct {
	Write func(file string, content []byte) error // whole or not at all; nil means [WriteFile]

	dir string
}

// OpenBooks makes dir the folder of records.
func OpenBooks(dir string) (*Books, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Books{dir: dir}, nil
}

func (b *Books) file(id string) string { return filepath.Join(b.dir, fileKey(id)+".json") }

// fileKey names a lease in files.
func fileKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:12])
}

// Put writes a record, whole or not at all: on a full disk the one before it
// stays.
func (b *Books) Put(r *Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if b.Write != nil {
		return b.Write(b.file(r.ID), text)
	}
	return WriteFile(b.file(r.ID), text)
}

// Delete forgets a lease. One that is not there is no error.
func (b *Books) Delete(id string) error {
	if err := os.Remove(b.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// All reads every record. A damaged one is left out and told of in the error,
// beside the rest.
func (b *Books) All() ([]*Record, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*Record
	var bad []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		var r Record
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if _, e := market.ParseBidID(r.ID); err == nil {
			err = e
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("record %s: %w", file, err))
			continue
		}
		all = append(all, &r)
	}
	return all, errors.Join(bad...)
}

// WriteFile writes a file that only its owner reads, whole or not at all.
func WriteFile(file string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// label turns a name of the manifest into a DNS label, as engines want it.
func label(name string) string {
	if isLabel.MatchString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "v-" + hex.EncodeToString(sum[:8])
}

var isLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$`)

// HostName is the name under which the ingress of a provider serves a service,
// before its domain: the same for as long as the lease is.
func HostName(id, service string, port uint32) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", id, service, port))
	const letters = "0123456789abcdefghijklmnopqrstuv"
	var name strings.Builder
	for _, c := range sum[:20] {
		name.WriteByte(letters[c%32])
	}
	return name.String()
}
