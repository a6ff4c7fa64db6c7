package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// Stop implements [sandbox.Engine].
func (e *Engine) Stop(ctx context.Context, id sandbox.ID, grace time.Duration) error {
	if err := id.Check(); err != nil {
		return err
	}
	if _, err := os.Stat(e.dir(id)); err != nil {
		return fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	defer e.turn(id.Lease)()
	return e.stop(ctx, id, grace)
}

func (e *Engine) stop(ctx context.Context, id sandbox.ID, grace time.Duration) error {
	dir := e.dir(id)
	stopped := shim.Alive(dir)
	if stopped {
		if err := e.ask(ctx, id, grace); err != nil {
			return fmt.Errorf("stop %s: %w", id, err)
		}
	}
	if err := e.clear(ctx, id); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	if !stopped {
		return nil
	}
	return e.mark(id)
}

// mark remembers that the end was ours.
func (e *Engine) mark(id sandbox.ID) error {
	return os.WriteFile(filepath.Join(e.dir(id), stoppedName), nil, 0o600)
}

// ask gives the first process the time grace to end by itself.
func (e *Engine) ask(ctx context.Context, id sandbox.ID, grace time.Duration) error {
	if err := e.mark(id); err != nil {
		return err
	}
	if grace <= 0 {
		return nil
	}
	if err := e.kill(ctx, id, "TERM"); err != nil {
		return err
	}
	if err := e.gone(ctx, e.dir(id), grace); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// Release implements [sandbox.Engine].
func (e *Engine) Release(ctx context.Context, l sandbox.Lease) error {
	defer e.turn(l)()
	b, err := e.lease(l)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range b.replicas() {
		if err := e.clear(ctx, replicaID(l, name)); err != nil {
			return fmt.Errorf("release %s: %w", l, err)
		}
	}
	if err := e.net.Close(b.Number); err != nil {
		return fmt.Errorf("release %s: %w", l, err)
	}
	if err := e.discard(b); err != nil {
		return fmt.Errorf("release %s: %w", l, err)
	}
	if err := e.forget(b.Number); err != nil {
		return fmt.Errorf("release %s: %w", l, err)
	}
	return nil
}

// discard deletes a lease's volumes and folder. The booking goes last: with it
// the lease can be released again.
func (e *Engine) discard(b booking) error {
	classes := append([]string{""}, slices.Sorted(maps.Keys(e.o.Classes))...)
	for _, class := range classes {
		dir, err := e.volumeDir(b.Lease, class)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	for _, name := range b.replicas() {
		if err := os.RemoveAll(e.replicaDir(b.Lease, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(e.leaseDir(b.Lease))
}
