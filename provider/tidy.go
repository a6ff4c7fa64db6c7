package provider

import (
	"context"
	"time"
)

// A pruner is a store of images that deletes what nobody needs; see
// [image.Store.Prune].
type pruner interface {
	Prune(ctx context.Context, inUse map[string]bool, enough func(unused time.Duration) bool) ([]string, error)
}

// How often the disk is looked at, and when images that no lease needs go: once
// a day those that were not used for as long.
const (
	tidyEvery = time.Minute
	stale     = 24 * time.Hour
)

// pastBytes is what the histories of leases that have ended may take.
const pastBytes = 1 << 30

// tidy deletes images that nobody needs, and forgets old leases, until ctx ends.
func (d *Daemon) tidy(ctx context.Context) {
	next, sweep := time.Now().Add(stale), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(tidyEvery):
		}
		if time.Now().After(sweep) {
			sweep = time.Now().Add(time.Hour)
			d.sweep()
		}
		free, err := d.o.freeDisk(d.o.Dir)
		switch {
		case err == nil && free < d.o.KeepFree:
			d.prune(ctx, func(time.Duration) bool {
				free, err := d.o.freeDisk(d.o.Dir)
				return err != nil || free >= d.o.KeepFree
			})
		case time.Now().After(next):
			next = time.Now().Add(stale)
			d.prune(ctx, func(unused time.Duration) bool { return unused < stale })
		}
	}
}

// sweep forgets leases that ended long ago.
func (d *Daemon) sweep() {
	live := map[string]bool{}
	for _, k := range d.all() {
		live[k.id.String()] = true
	}
	for _, r := range d.records() {
		live[r.ID] = true
	}
	if err := d.histories.Sweep(live, d.o.KeepPast, pastBytes); err != nil {
		d.o.Log.Warn("histories of leases cannot be deleted", "error", err)
	}
}

// prune deletes images that no lease's manifest needs, until it is enough.
func (d *Daemon) prune(ctx context.Context, enough func(unused time.Duration) bool) {
	images, ok := d.o.Images.(pruner)
	if !ok {
		return
	}
	d.mu.Lock()
	unread := d.unread
	d.mu.Unlock()
	if unread {
		return
	}
	inUse := map[string]bool{}
	for _, r := range d.records() {
		for _, digest := range r.Images {
			inUse[digest] = true
		}
	}
	gone, err := images.Prune(ctx, inUse, enough)
	if err != nil {
		d.o.Log.Warn("images cannot be deleted", "error", err)
	}
	if len(gone) > 0 {
		d.o.Log.Info("images deleted that no lease needs", "images", gone)
	}
}
