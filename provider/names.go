package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
)

// names says which lease serves a name that tenants chose, for those that
// several want: who had it first keeps it for as long as it wants it.
type names map[string]string

func namesFile(dir string) string { return filepath.Join(dir, "names.json") }

// readNames returns what an earlier run decided.
func readNames(dir string) (names, error) {
	n := names{}
	text, err := os.ReadFile(namesFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return nil, fmt.Errorf("provider: %s: %w; delete it if it is damaged", namesFile(dir), err)
	}
	return n, nil
}

// settle returns who serves each name when records, those who had theirs
// first before the others, want them.
func (n names) settle(records []*lease.Record) names {
	next := names{}
	for _, r := range records {
		for _, host := range hosts(r) {
			if n[host] == r.ID || next[host] == "" {
				next[host] = r.ID
			}
		}
	}
	return next
}

// records are those of all leases, whose names came first before the others.
func (d *Daemon) records() []*lease.Record {
	all := d.all()
	slices.SortFunc(all, func(a, b *kept) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.id.String(), b.id.String()))
	})
	var records []*lease.Record
	for _, k := range all {
		if r := k.keeper.Record(); r != nil {
			records = append(records, r)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(records, d.stray...)
}

// name decides who serves the tenants' names, and remembers it.
func (d *Daemon) name(records []*lease.Record) names {
	d.mu.Lock()
	before := d.names
	d.names = before.settle(records)
	now := d.names
	d.mu.Unlock()
	if !maps.Equal(before, now) {
		d.keepNames(now)
		for host, id := range now {
			if was := before[host]; was != "" && was != id {
				d.moved(host, id)
			}
		}
	}
	return now
}

func (d *Daemon) keepNames(n names) {
	text, err := json.Marshal(n)
	if err == nil {
		err = d.o.write(namesFile(d.o.Dir), text)
	}
	if err != nil {
		d.o.Log.Warn("who serves which name is not remembered", "error", err)
	}
}

// moved tells a lease's tenant that a name leads there now.
func (d *Daemon) moved(host, id string) {
	if k := d.keeperOf(id); k != nil {
		k.Event("", "name", host+" leads here now")
	}
}

// claim tells whether a lease may answer to the names that it asks for: to no
// name of the provider's own, and to none that another tenant's lease has. A
// name that another lease of the same tenant has waits until that ends.
func (d *Daemon) claim(id market.BidID, r *lease.Record) (waits []string, err error) {
	taken := map[string]market.BidID{}
	for _, had := range d.records() {
		other, err := market.ParseBidID(had.ID)
		if err != nil || other == id {
			continue // the books hold no such id
		}
		for _, host := range hosts(had) {
			taken[host] = other
		}
	}
	for _, host := range hosts(r) {
		if strings.HasSuffix(host, "."+d.o.Domain) || host == d.o.Domain {
			return nil, fmt.Errorf("%w: the name %s is the provider's own; accept names of your own domain", api.ErrMismatch, host)
		}
		other, has := taken[host]
		if has && other.Owner != id.Owner {
			return nil, fmt.Errorf("%w: the name %s is served for another tenant's lease here; accept another name, or send the manifest again when that lease has ended", api.ErrMismatch, host)
		}
		if has {
			waits = append(waits, host)
		}
	}
	return waits, nil
}

// Migrate implements [api.Desk].
func (d *Daemon) Migrate(_ context.Context, id market.BidID, wanted []string) error {
	k, err := d.Keeper(id)
	if err != nil {
		return err
	}
	r := k.Record()
	if r == nil {
		return fmt.Errorf("%w: its manifest has not come yet", api.ErrNoLease)
	}
	mine := hosts(r)
	for _, host := range wanted {
		if !slices.Contains(mine, host) {
			return fmt.Errorf("%w: the manifest of lease %v accepts no name %s, only %q", api.ErrMismatch, id, host, mine)
		}
	}
	d.manifests.Lock()
	defer d.manifests.Unlock()
	d.mu.Lock()
	next := maps.Clone(d.names)
	for _, host := range wanted {
		next[host] = r.ID // others that want it are the same tenant's
	}
	d.names = next
	d.mu.Unlock()
	d.keepNames(next)
	d.route()
	for _, host := range wanted {
		d.moved(host, r.ID)
	}
	return nil
}
