package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/cgroup"
	"github.com/plexus-network/plexus/provider/disk"
	"github.com/plexus-network/plexus/provider/journal"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// Status implements [sandbox.Engine].
func (e *Engine) Status(_ context.Context, id sandbox.ID) (sandbox.Status, error) {
	b, err := e.lease(id.Lease)
	if errors.Is(err, fs.ErrNotExist) {
		return sandbox.Status{}, fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	if err != nil {
		return sandbox.Status{}, err
	}
	if _, ok := b.Hosts[replica(id)]; !ok {
		return sandbox.Status{}, fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	return e.status(b, id), nil
}

// List implements [sandbox.Engine].
func (e *Engine) List(context.Context) ([]sandbox.Status, error) {
	bookings, err := e.leases()
	if err != nil {
		return nil, err
	}
	var all []sandbox.Status
	for _, b := range bookings {
		for _, name := range b.replicas() {
			all = append(all, e.status(b, replicaID(b.Lease, name)))
		}
	}
	slices.SortFunc(all, func(a, b sandbox.Status) int {
		return cmp.Or(cmp.Compare(a.ID.Lease, b.ID.Lease), cmp.Compare(a.ID.Service, b.ID.Service), a.ID.Replica-b.ID.Replica)
	})
	return all, nil
}

func (e *Engine) status(b booking, id sandbox.ID) sandbox.Status {
	dir := e.dir(id)
	s := sandbox.Status{ID: id, Address: e.net.Address(b.Number, b.Hosts[replica(id)])}
	e.mu.Lock()
	starting := e.busy[id]
	e.mu.Unlock()
	alive := shim.Alive(dir) // before the record: a shim writes it and then dies
	r, err := shim.ReadRecord(dir)
	s.Started, s.Ended = r.Started, r.Ended
	switch {
	case starting, alive && err != nil:
		s.State = sandbox.Starting
	case alive && r.Ended.IsZero():
		s.State = sandbox.Running
	case err != nil:
		s.State, s.Reason, s.Detail = sandbox.Failed, sandbox.ReasonStart, "the provider died while starting it"
	case r.Error != "":
		s.State, s.Reason, s.Detail = sandbox.Failed, sandbox.ReasonStart, r.Error
	case r.Ended.IsZero():
		s.State, s.Reason, s.Detail = sandbox.Failed, sandbox.ReasonUnwatched, "the machine or the replica's warden died"
	default:
		s.State, s.Code, s.Reason = sandbox.Exited, r.Code, reason(dir, r)
	}
	if e.o.GPUs != nil && (s.State == sandbox.Starting || s.State == sandbox.Running) {
		if w, err := readWorkload(dir); err == nil {
			s.GPUs = w.GPUs
		}
	}
	return s
}

// reason tells why a replica ended.
func reason(dir string, r shim.Record) sandbox.Reason {
	killed := r.Signal == int(unix.SIGKILL) || r.Code == 128+int(unix.SIGKILL)
	if r.OOM > 0 && r.Code != 0 {
		return sandbox.ReasonMemory
	}
	if _, err := os.Stat(filepath.Join(dir, stoppedName)); err == nil {
		return sandbox.ReasonStopped
	}
	if killed {
		return sandbox.ReasonKilled
	}
	return sandbox.ReasonDone
}

// Logs implements [sandbox.Engine].
func (e *Engine) Logs(ctx context.Context, id sandbox.ID, o sandbox.LogOptions) iter.Seq2[sandbox.Line, error] {
	if _, err := e.Status(ctx, id); err != nil {
		return func(yield func(sandbox.Line, error) bool) { yield(sandbox.Line{}, err) }
	}
	live := func() bool {
		s, err := e.Status(ctx, id)
		return err == nil && (s.State == sandbox.Starting || s.State == sandbox.Running)
	}
	return journal.Read(ctx, e.dir(id), o, live)
}

// running returns the record of a replica that runs.
func (e *Engine) running(ctx context.Context, id sandbox.ID) (shim.Record, error) {
	s, err := e.Status(ctx, id)
	if err != nil {
		return shim.Record{}, err
	}
	if s.State != sandbox.Running {
		return shim.Record{}, fmt.Errorf("%w: %s is %s", sandbox.ErrNotRunning, id, s.State)
	}
	return shim.ReadRecord(e.dir(id))
}

// Usage implements [sandbox.Engine].
func (e *Engine) Usage(ctx context.Context, id sandbox.ID) (sandbox.Usage, error) {
	r, err := e.running(ctx, id)
	if err != nil {
		return sandbox.Usage{}, err
	}
	b, err := e.lease(id.Lease)
	if err != nil {
		return sandbox.Usage{}, err
	}
	group, err := cgroup.Read(cgroupPath(id))
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of %s: %w", id, err)
	}
	u := sandbox.Usage{CPU: group.CPU, Memory: group.Memory, Pids: group.Pids}
	if u.In, u.Out, err = e.net.Traffic(b.Number, b.Hosts[replica(id)]); err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of %s: %w", id, err)
	}
	if u.Disk, u.Volumes, err = e.used(id, r.Pid); err != nil {
		return sandbox.Usage{}, fmt.Errorf("usage of %s: %w", id, err)
	}
	return u, nil
}

// used sums a replica's disks, and its volumes by class.
func (e *Engine) used(id sandbox.ID, pid int) (sum int64, volumes map[string]int64, err error) {
	dir := e.dir(id)
	w, err := readWorkload(dir)
	if err != nil {
		return 0, nil, err
	}
	volumes = map[string]int64{}
	for _, v := range w.Volumes {
		n, err := disk.Used(filepath.Join(dir, volumesName, v.Name))
		if err != nil {
			return 0, nil, err
		}
		volumes[v.Class] += n
		sum += n
	}
	if e.runtime.OwnDisk {
		return sum + openBytes(pid, filepath.Join(dir, scratchName)), volumes, nil
	}
	n, err := disk.Used(filepath.Join(dir, scratchName))
	return sum + n, volumes, err
}

// openBytes measures the files below dir that a process keeps open and that
// have no name any more: so gVisor keeps its overlays.
func openBytes(pid int, dir string) int64 {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return 0
	}
	var sum int64
	seen := map[uint64]bool{}
	for _, fd := range fds {
		name, err := os.Readlink(fd)
		if err != nil || !strings.Contains(name, dir) && !strings.Contains(name, "runsc-filestore-") {
			continue
		}
		info, err := os.Stat(fd)
		if err != nil {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && !seen[s.Ino] {
			seen[s.Ino] = true
			sum += s.Blocks * 512
		}
	}
	return sum
}
