// Package oci is an engine for every runtime that speaks the OCI command line:
// run, exec, kill, delete on a bundle. The rooms runc and gvisor say what is
// particular to theirs.
//
// All that the engine knows is in its folder, each replica in a folder of its
// own, and every step can be repeated; so there is nothing to recover after a
// crash, and an Engine that is opened again simply looks. What runs is watched
// by package shim, connected by package network, and keeps its disks by
// package disk. Start at [Open].
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/cgroup"
	"github.com/plexus-network/plexus/provider/disk"
	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// A Runtime is a program with an OCI command line.
type Runtime struct {
	Name    string   // for reports, with its version where known
	Command []string // its command line before the global flags

	// Flags are global flags for starting w, whose ephemeral disk, if the
	// runtime keeps it itself, goes into the folder disk.
	Flags func(w sandbox.Workload, disk string) []string

	// OwnDisk says that the runtime keeps ephemeral disks within their limit.
	// If it does not, the engine gives each replica a disk of its own.
	OwnDisk bool

	// Memory and Pids are what the runtime itself takes out of a replica's
	// control group; they are added to its limits.
	Memory, Pids int64

	// PerPid is how many of the host's tasks one of the tenant's takes.
	PerPid int64

	// GPU returns global flags for workloads with graphics processors of a kit,
	// or why the runtime cannot give them out. Nil means that it takes none and
	// that every driver will do.
	GPU func(ctx context.Context, k *gpu.Kit) ([]string, error)

	// Files is how many files it has open at most while it starts a container,
	// if that is more than 64: see [shim.Plan].
	Files int

	// TTY are the flags of its exec for a command on a terminal.
	TTY []string

	// Probe tells whether the runtime can work here.
	Probe func(ctx context.Context) error
}

// Options of an [Engine]. Dir is needed.
type Options struct {
	// Dir is the engine's folder. Ephemeral disks are in it, and volumes of
	// the class "".
	Dir string

	// Classes are the folders of the classes of volumes. A class that is not
	// here is refused, but for the class "".
	Classes map[string]string

	// Shim is the command that runs package shim; its folder is added.
	Shim []string

	// GPUs are the graphics processors that workloads can be given; nil means
	// none.
	GPUs *gpu.Kit

	Network   network.Options
	Resolvers []netip.Addr // name servers for tenants, public ones; nil means 1.1.1.1 and 9.9.9.9
	LogBytes  int64        // of one replica's log on disk; 0 means 16 MiB
}

// An Engine runs workloads by a Runtime. It is a [sandbox.Engine].
type Engine struct {
	runtime Runtime
	o       Options
	net     *network.Switch
	lock    *os.File

	mu       sync.Mutex
	busy     map[sandbox.ID]bool     // a Start is on its way
	turns    map[sandbox.Lease]*turn // one change of a lease at a time
	numbers  map[int]sandbox.Lease   // networks that are taken
	bookings sync.Mutex              // one new lease at a time
	gpus     sync.Mutex              // one workload with GPUs at a time
}

var _ sandbox.Engine = (*Engine)(nil)

// Open takes up what runs in o.Dir. A folder that another process has open is
// [sandbox.ErrBusy].
func Open(r Runtime, o Options) (*Engine, error) {
	if !filepath.IsAbs(o.Dir) || len(o.Shim) == 0 {
		return nil, fmt.Errorf("%w: an engine needs an absolute folder, not %q, and a shim", sandbox.ErrInvalid, o.Dir)
	}
	if o.LogBytes == 0 {
		o.LogBytes = 16 << 20
	}
	if o.Resolvers == nil {
		o.Resolvers = []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("9.9.9.9")}
	}
	e := &Engine{
		runtime: r, o: o,
		busy: map[sandbox.ID]bool{}, turns: map[sandbox.Lease]*turn{}, numbers: map[int]sandbox.Lease{},
	}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open() (err error) {
	if err := os.MkdirAll(filepath.Join(e.o.Dir, "leases"), 0o711); err != nil {
		return err
	}
	if e.lock, err = os.OpenFile(filepath.Join(e.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(e.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s", sandbox.ErrBusy, e.o.Dir)
	}
	var text string
	for _, r := range e.o.Resolvers {
		text += "nameserver " + r.String() + "\n"
	}
	if err := os.WriteFile(e.resolvers(), []byte(text), 0o644); err != nil {
		return err
	}
	if e.net, err = network.New(e.o.Network); err != nil {
		return err
	}
	return e.restore()
}

// restore tells the network of the leases that the folder knows.
func (e *Engine) restore() error {
	bookings, err := e.leases()
	if err != nil {
		return err
	}
	var taken []int
	forwards := network.Forwards{}
	for _, b := range bookings {
		taken = append(taken, b.Number)
		e.numbers[b.Number] = b.Lease
		for _, name := range b.replicas() {
			dir := e.replicaDir(b.Lease, name)
			w, err := readWorkload(dir)
			if err != nil || !shim.Alive(dir) {
				continue // nobody is there; a Start publishes anew
			}
			for f, to := range e.forwards(w, e.net.Address(b.Number, b.Hosts[name])) {
				forwards[f] = append(forwards[f], to...)
			}
		}
	}
	return e.net.Restore(taken, forwards)
}

// Close lets another process open the folder. What runs goes on running.
func (e *Engine) Close() error {
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}

// Destroy closes the Engine for good: it takes away the rules of its network
// and what its runtime has mounted. It is for a folder with no leases left.
func (e *Engine) Destroy() error {
	return errors.Join(e.net.Destroy(), disk.Unmount(e.shared()), e.Close())
}

// Check implements [sandbox.Engine].
func (e *Engine) Check(ctx context.Context) (sandbox.Report, error) {
	report := sandbox.Report{Engine: e.runtime.Name, Cgroups: cgroup.Version()}
	if os.Geteuid() != 0 {
		return report, errors.New("containers need root: start the provider as root, or sell other services than compute")
	}
	for program, debian := range map[string]string{"nft": "nftables", "mkfs.ext4": "e2fsprogs"} {
		if _, err := exec.LookPath(program); err != nil {
			return report, fmt.Errorf("the program %s is missing: install %s", program, debian)
		}
	}
	if err := e.runtime.Probe(ctx); err != nil {
		return report, fmt.Errorf("%s does not work here: %w", e.runtime.Name, err)
	}
	for _, c := range cgroup.Missing() {
		report.Missing = append(report.Missing, fmt.Sprintf("%s: the kernel's control groups (%s) have no %q controller", c, report.Cgroups, c))
	}
	return report, e.checkGPUs(ctx, &report)
}

type turn struct {
	sync.Mutex
	users int
}

// turn waits for this caller's turn to change a lease; call the result to end
// it.
func (e *Engine) turn(l sandbox.Lease) func() {
	e.mu.Lock()
	t := e.turns[l]
	if t == nil {
		t = &turn{}
		e.turns[l] = t
	}
	t.users++
	e.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(e.turns, l)
		}
	}
}

func (e *Engine) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append(e.global(), args...)
	return exec.CommandContext(ctx, all[0], all[1:]...)
}

// global is the runtime's command line before any subcommand.
func (e *Engine) global() []string {
	return append(append([]string{}, e.runtime.Command...), "--root", filepath.Join(e.o.Dir, "runtime"))
}
