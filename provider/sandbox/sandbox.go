// Package sandbox says what a compute provider asks of the thing that runs a
// tenant's containers, and knows no way of doing it.
//
// An [Engine] runs replicas of services. It keeps no clock and makes no
// decisions: it does not restart what ended, nor stop what is no longer paid
// for. What it promises is that limits hold, that tenants see neither each
// other nor the host, and that workloads outlive it: an Engine opened again
// on the same folder finds what runs, and finds how the rest ended.
//
// The rooms beside this one are engines and what they are made of; every
// engine passes the kit in sandboxtest.
package sandbox

import (
	"context"
	"io"
	"iter"
	"net/netip"
	"time"
)

// An Engine runs workloads. Its methods may be called at the same time.
type Engine interface {
	// Check tells whether this machine can run workloads at all, and which
	// limits it cannot hold. An error says what to install or to permit.
	Check(ctx context.Context) (Report, error)

	// Start runs w and returns when its first process has started. If the
	// same workload runs already, Start does nothing; a different one under
	// the same ID is [ErrRunning]. A Start that fails leaves nothing behind but
	// the lease's volumes and logs.
	Start(ctx context.Context, w Workload) error

	// Stop asks the first process to end, kills it after grace, and frees its
	// network and ephemeral disk. Its logs and its exit remain. A workload
	// that does not run is not an error; one never started is [ErrUnknown].
	Stop(ctx context.Context, id ID, grace time.Duration) error

	// Release stops all of a lease and deletes its volumes, network and logs.
	// A lease that is not there is not an error.
	Release(ctx context.Context, l Lease) error

	// Status returns where one replica stands, or [ErrUnknown].
	Status(ctx context.Context, id ID) (Status, error)

	// List returns every replica that was started and not released, whoever
	// started it, ordered by ID.
	List(ctx context.Context) ([]Status, error)

	// Logs yields what a replica wrote, oldest first, also of its earlier
	// runs, within the engine's bound on disk. With Follow it goes on until
	// the replica ends or ctx does.
	Logs(ctx context.Context, id ID, o LogOptions) iter.Seq2[Line, error]

	// Exec runs a command inside a running replica and returns its exit code.
	// A replica that does not run is [ErrNotRunning].
	Exec(ctx context.Context, id ID, e Exec) (int, error)

	// Usage measures a running replica; one that does not run is
	// [ErrNotRunning].
	Usage(ctx context.Context, id ID) (Usage, error)
}

// A Lease names one tenant's rental, as the chain writes it. The engine takes
// it as an opaque name of at most 255 bytes.
type Lease string

// An ID names one replica of one service of a lease.
type ID struct {
	Lease   Lease
	Service string // a DNS label, as SDL demands
	Replica int    // from 0
}

// A Workload is one replica and what it may use. Zero limits are refused
// where they would mean "no limit".
type Workload struct {
	ID ID

	// Root is the unpacked image: a folder that many workloads share and none
	// may write. An engine whose machines fetch images themselves goes by Image
	// instead: one of the two is set. Process is what runs in it.
	Root    string
	Image   Image `json:",omitzero"`
	Process Process

	CPU    int64 // thousandths of a core; at least 10
	Memory int64 // bytes; at least 16 MiB
	Disk   int64 // bytes of ephemeral disk, lost when the replica ends; at least 1 MiB
	Shm    int64 // bytes of /dev/shm, in addition to Memory; 0 means none
	Pids   int64 // processes and threads; 0 means 1024

	Volumes []Volume
	Ports   []Port
	GPUs    []GPU `json:",omitempty"` // of this machine, whole ones that nobody else uses meanwhile
	Egress  int64 // bits per second that may leave, and that may enter; 0 means not shaped
}

// A GPU is a graphics processor of this machine.
type GPU struct {
	Number int // on this machine, from 0, as its driver numbers them

	// What it is, in the words of the market: "nvidia", "h100", bytes of its
	// own memory, and "sxm" or "pcie".
	Vendor    string
	Model     string
	Memory    int64
	Interface string
}

// An Image is one that a machine is to fetch by itself.
type Image struct {
	Ref      string // by digest, as ghcr.io/owner/image@sha256:…
	Username string // of a private registry; "" means nobody's
	Password string
}

// A Process is a program to run, with all that the image and the tenant said
// about it already merged.
type Process struct {
	Args   []string // the program and its arguments
	Env    []string // KEY=VALUE
	Dir    string   // working folder; "" means /
	UID    uint32
	GID    uint32
	Groups []uint32 // further groups

	// User is the image's own user as the image says it, if nobody has looked
	// it up: it is then in place of UID, GID and Groups, and only an engine
	// that goes by Image knows it.
	User string `json:",omitempty"`
}

// A Volume is a disk that lives as long as its lease. Replicas of one service
// do not share a volume: each has its own.
type Volume struct {
	Name     string // a DNS label, unique in its service
	Class    string // what kind of disk; the provider maps classes to folders
	Size     int64  // bytes; at least 4 MiB, fixed once made
	Path     string // where the container sees it, absolute
	ReadOnly bool
}

// A Port is one that the container listens on.
type Port struct {
	Container uint16
	Host      uint16 // that the world may connect to on this machine; 0 means the ingress alone
	UDP       bool
	IP        netip.Addr `json:",omitzero"` // that Host is a port of: a leased one; zero means all of this machine's own
}

// State is where a replica stands. The zero State is invalid.
type State uint8

// A replica is Starting until its first process has started, Running to that
// process's end, then Exited. It is Failed if it never started, or if what
// watched it was killed so that nobody knows how it ended.
const (
	Starting State = iota + 1
	Running
	Exited
	Failed
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Exited:
		return "exited"
	case Failed:
		return "failed"
	default:
		return "invalid"
	}
}

// A Status is where a replica stands and how it got there.
type Status struct {
	ID      ID
	State   State
	Address netip.Addr // of the replica, reachable from this machine
	Started time.Time
	Ended   time.Time // zero while it runs
	Code    int       // the exit code; 128 + n if signal n killed it
	Reason  Reason    // why it ended; "" while it runs
	Detail  string    // for people: what went wrong, if anything did
	GPUs    []GPU     // that it has, while it is starting or runs
}

// A Reason says why a replica does not run.
type Reason string

// The reasons for which replicas end.
const (
	ReasonDone      Reason = "done"          // it ended by itself, with any exit code
	ReasonStopped   Reason = "stopped"       // Stop ended it
	ReasonMemory    Reason = "out of memory" // it used more than its memory
	ReasonKilled    Reason = "killed"        // a signal that nobody here sent
	ReasonStart     Reason = "start failed"  // it never ran
	ReasonUnwatched Reason = "unwatched"     // the machine or its watcher died
)

// LogOptions choose lines of a log. The zero value means all that is kept.
type LogOptions struct {
	Tail   int       // the last lines only; 0 means all
	Since  time.Time // lines of this time and later
	Follow bool      // wait for more
}

// A Line is one line of a replica's output, without its newline. Lines longer
// than 16 KiB arrive in pieces.
type Line struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"
	Text   string
}

// An Exec is a command to run inside a replica.
type Exec struct {
	Args   []string
	Stdin  io.Reader // nil means none
	Stdout io.Writer // nil means it is thrown away
	Stderr io.Writer // unused with a TTY, which has one stream

	TTY    bool
	Size   Size        // of the TTY at first
	Resize <-chan Size // later sizes; nil means it never changes
}

// A Size is that of a terminal, in characters.
type Size struct{ Rows, Columns uint16 }

// Usage is what a replica has used since it started, and holds now.
type Usage struct {
	CPU    time.Duration // of one core, all processes together
	Memory int64         // bytes held now
	Disk   int64         // bytes of ephemeral disk and volumes held now
	Pids   int64         // as this machine counts them, the engine's own included
	In     int64         // bytes received over the network
	Out    int64         // bytes sent

	// Volumes are the bytes of Disk that volumes hold, by their class.
	Volumes map[string]int64
}

// A Report is what [Engine.Check] found.
type Report struct {
	Engine  string // its name, and its version where it has one
	Cgroups string // "v1" or "v2"

	// Missing lists limits that this machine cannot hold, in words for people.
	// An honest provider runs with none.
	Missing []string

	// GPUs are those that workloads can be given. Driver is the version of
	// what drives them; "" if there are none.
	GPUs   []GPU
	Driver string
}
