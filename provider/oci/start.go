package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/provider/disk"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// The names in a replica's folder, beside those of package shim.
const (
	bundleName  = "bundle"
	rootName    = "root"
	scratchName = "scratch"
	volumesName = "volumes"
	netnsName   = "netns"
	stoppedName = "stopped"
)

// settling bounds how long a killed container may take to be gone.
const settling = 30 * time.Second

// Start implements [sandbox.Engine].
func (e *Engine) Start(ctx context.Context, w sandbox.Workload) error {
	if err := w.Check(); err != nil {
		return err
	}
	if w.Root == "" {
		return fmt.Errorf("%w: %s has no unpacked image", sandbox.ErrInvalid, w.ID)
	}
	defer e.turn(w.ID.Lease)()
	defer e.starting(w.ID)()
	dir := e.dir(w.ID)
	if shim.Alive(dir) {
		if r, err := shim.ReadRecord(dir); err != nil || r.Ended.IsZero() {
			return same(dir, w)
		}
		if err := e.gone(ctx, dir, settling); err != nil { // its shim is about to end
			return err
		}
	}
	if err := e.start(ctx, w, dir); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", w.ID, err), e.fail(w.ID, err))
	}
	return nil
}

// starting marks a replica whose Start is on its way; call the result at its
// end.
func (e *Engine) starting(id sandbox.ID) func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy[id] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.busy, id)
	}
}

// same returns nil if w is what runs in dir.
func same(dir string, w sandbox.Workload) error {
	was, err := os.ReadFile(filepath.Join(dir, workloadFile))
	if err != nil {
		return err
	}
	now, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if !bytes.Equal(was, now) {
		return fmt.Errorf("%w: stop %s before starting another", sandbox.ErrRunning, w.ID)
	}
	return nil
}

// start goes through the steps; each may find that it was done before.
func (e *Engine) start(ctx context.Context, w sandbox.Workload, dir string) error {
	b, err := e.book(w.ID)
	if err != nil {
		return err
	}
	if err := e.clear(ctx, w.ID); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, bundleName), 0o711); err != nil {
		return err
	}
	granted, err := e.grant(ctx, w, dir)
	if err != nil {
		return err
	}
	waiting, err := shim.Spawn(e.o.Shim, dir)
	if err != nil {
		return err
	}
	defer waiting.Close()
	var both errgroup.Group // each waits for programs and for the kernel
	both.Go(func() error { return e.disks(w, dir) })
	both.Go(func() error { return e.connect(w, b, dir) })
	if err := both.Wait(); err != nil {
		return err
	}
	if err := e.plan(w, granted, dir); err != nil {
		return err
	}
	return waiting.Go(ctx)
}

// plan writes down what the shim is to do.
func (e *Engine) plan(w sandbox.Workload, granted grant, dir string) error {
	if err := writeJSON(filepath.Join(dir, bundleName, "config.json"), e.spec(w, granted.Grant, dir)); err != nil {
		return err
	}
	scratch := filepath.Join(dir, scratchName)
	return shim.WritePlan(dir, shim.Plan{
		Container: container(w.ID),
		Runtime:   slices.Concat(e.global(), e.runtime.Flags(w, scratch), granted.flags),
		Bundle:    filepath.Join(dir, bundleName),
		Cgroup:    cgroupPath(w.ID),
		CPU:       w.CPU,
		LogBytes:  e.o.LogBytes,
		Files:     e.runtime.Files,
	})
}

// disks makes and mounts what the replica writes to.
func (e *Engine) disks(w sandbox.Workload, dir string) error {
	for _, v := range w.Volumes {
		at, err := e.volumeDir(w.ID.Lease, v.Class)
		if err != nil {
			return err
		}
		file := filepath.Join(at, volumeName(w.ID, v))
		if err := disk.Make(file, v.Size, disk.Options{UID: w.Process.UID, GID: w.Process.GID}); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		if err := disk.Mount(file, filepath.Join(dir, volumesName, v.Name)); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	scratch := filepath.Join(dir, scratchName)
	if e.runtime.OwnDisk {
		return os.MkdirAll(scratch, 0o700)
	}
	file := scratch + ".ext4"
	if err := disk.Make(file, w.Disk, disk.Options{Scratch: true}); err != nil {
		return fmt.Errorf("ephemeral disk: %w", err)
	}
	if err := disk.Mount(file, scratch); err != nil {
		return fmt.Errorf("ephemeral disk: %w", err)
	}
	return disk.Overlay(w.Root, scratch, filepath.Join(dir, rootName))
}

// connect makes the replica's network.
func (e *Engine) connect(w sandbox.Workload, b booking, dir string) error {
	host := b.Hosts[replica(w.ID)]
	if err := e.net.Prepare(b.Number); err != nil {
		return err
	}
	var both errgroup.Group
	both.Go(func() error { return e.net.Open(b.Number, e.forwards(w, e.net.Address(b.Number, host))) })
	both.Go(func() error {
		return e.net.Plug(network.Plug{Lease: b.Number, Host: host, Pin: filepath.Join(dir, netnsName), Rate: w.Egress})
	})
	return both.Wait()
}

// fail cleans up after a Start that failed for cause, which it writes down.
func (e *Engine) fail(id sandbox.ID, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	err := e.clear(ctx, id)
	if _, e := os.Stat(e.dir(id)); e != nil {
		return err
	}
	return errors.Join(err, shim.WriteFailure(e.dir(id), cause.Error()))
}

// clear takes away all of a replica that does not outlive a run. It kills
// what still runs.
func (e *Engine) clear(ctx context.Context, id sandbox.ID) error {
	dir := e.dir(id)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := e.end(ctx, id); err != nil {
		return err
	}
	b, err := e.lease(id.Lease)
	if err != nil {
		return err
	}
	host := b.Hosts[replica(id)]
	errs := []error{
		e.net.Withdraw(e.net.Address(b.Number, host)),
		e.net.Unplug(network.Plug{Lease: b.Number, Host: host, Pin: filepath.Join(dir, netnsName)}),
		disk.Unmount(filepath.Join(dir, rootName)),
		disk.Unmount(filepath.Join(dir, scratchName)),
	}
	volumes, err := os.ReadDir(filepath.Join(dir, volumesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, v := range volumes {
		errs = append(errs, disk.Unmount(filepath.Join(dir, volumesName, v.Name())))
	}
	for _, name := range []string{scratchName + ".ext4", stoppedName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// end makes sure that no container of id runs: neither a watched one nor one
// whose shim was killed.
func (e *Engine) end(ctx context.Context, id sandbox.ID) error {
	dir := e.dir(id)
	if shim.Alive(dir) {
		if err := e.kill(ctx, id, "KILL"); err != nil {
			return err
		}
		return e.gone(ctx, dir, settling)
	}
	if r, err := shim.ReadRecord(dir); errors.Is(err, fs.ErrNotExist) || !r.Ended.IsZero() {
		return nil // never started, or deleted by its shim
	}
	if out, err := e.command(ctx, "delete", "--force", container(id)).CombinedOutput(); err != nil {
		return fmt.Errorf("delete %s: %w: %s", container(id), err, bytes.TrimSpace(out))
	}
	return nil
}

// kill sends a signal to a container's first process. A container that is
// gone already is no error.
func (e *Engine) kill(ctx context.Context, id sandbox.ID, signal string) error {
	out, err := e.command(ctx, "kill", container(id), signal).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil // the caller looks whether it ended
	}
	if err != nil {
		return fmt.Errorf("kill %s: %w: %s", container(id), err, bytes.TrimSpace(out))
	}
	return nil
}

// gone waits until no shim watches dir.
func (e *Engine) gone(ctx context.Context, dir string, most time.Duration) error {
	late := time.NewTimer(most)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for shim.Alive(dir) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("the container still runs after %s", most)
		case <-tick.C:
		}
	}
	return nil
}
