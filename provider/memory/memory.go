// Package memory is an engine without containers: it remembers what runs, and
// keeps every promise of package sandbox but that anything does run.
//
// It is for tests and simulations of what stands above an engine. A workload
// runs until it is stopped or [Engine.End] ends it. A new daemon that is given
// the same Engine finds what the one before left, as it would on a machine.
package memory

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// An Engine remembers workloads. The zero Engine is empty and works. It may be
// used from many goroutines.
type Engine struct {
	mu       sync.Mutex
	replicas map[sandbox.ID]*replica
	starts   int
	broken   error
}

type replica struct {
	workload sandbox.Workload
	status   sandbox.Status
	lines    []sandbox.Line
	more     chan struct{} // closed when there are more lines, or it ended
}

var _ sandbox.Engine = (*Engine)(nil)

// Break makes every Start fail with err, until it is nil.
func (e *Engine) Break(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = err
}

// Starts counts the workloads that were started.
func (e *Engine) Starts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.starts
}

// Workload returns what was started last under an ID.
func (e *Engine) Workload(id sandbox.ID) (sandbox.Workload, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.replicas[id]
	if r == nil {
		return sandbox.Workload{}, false
	}
	return r.workload, true
}

// End ends a replica as its own program would, with a code.
func (e *Engine) End(id sandbox.ID, code int) { e.end(id, code, sandbox.ReasonDone) }

// Print has a replica write a line to its standard output.
func (e *Engine) Print(id sandbox.ID, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.replicas[id]; r != nil {
		r.lines = append(r.lines, sandbox.Line{Time: time.Now(), Stream: "stdout", Text: text})
		close(r.more)
		r.more = make(chan struct{})
	}
}

func (e *Engine) end(id sandbox.ID, code int, why sandbox.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.replicas[id]
	if r == nil || r.status.State != sandbox.Running {
		return
	}
	r.status.State, r.status.Ended, r.status.Code, r.status.Reason = sandbox.Exited, time.Now(), code, why
	r.status.GPUs = nil
	close(r.more)
	r.more = make(chan struct{})
}

// Check implements [sandbox.Engine].
func (e *Engine) Check(context.Context) (sandbox.Report, error) {
	return sandbox.Report{Engine: "memory", Cgroups: "v2"}, nil
}

// Start implements [sandbox.Engine].
func (e *Engine) Start(_ context.Context, w sandbox.Workload) error {
	if err := w.Check(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	for id, other := range e.replicas {
		for _, g := range other.status.GPUs {
			if id != w.ID && slices.Contains(w.GPUs, g) {
				return fmt.Errorf("%w: GPU %d is in use by %s", sandbox.ErrInvalid, g.Number, id)
			}
		}
	}
	had := e.replicas[w.ID]
	if had != nil && had.status.State == sandbox.Running {
		if !reflect.DeepEqual(had.workload, w) {
			return fmt.Errorf("%w: %s", sandbox.ErrRunning, w.ID)
		}
		return nil
	}
	r := &replica{workload: w, more: make(chan struct{})}
	if had != nil {
		r.lines = had.lines
	}
	r.status = sandbox.Status{ID: w.ID, State: sandbox.Running, Started: time.Now(), GPUs: w.GPUs, Address: netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + w.ID.Replica)})}
	if e.replicas == nil {
		e.replicas = map[sandbox.ID]*replica{}
	}
	e.replicas[w.ID] = r
	e.starts++
	return nil
}

// Stop implements [sandbox.Engine].
func (e *Engine) Stop(_ context.Context, id sandbox.ID, _ time.Duration) error {
	if _, ok := e.Workload(id); !ok {
		return fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	e.end(id, 143, sandbox.ReasonStopped)
	return nil
}

// Release implements [sandbox.Engine].
func (e *Engine) Release(_ context.Context, l sandbox.Lease) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, r := range e.replicas {
		if id.Lease == l {
			close(r.more)
			delete(e.replicas, id)
		}
	}
	return nil
}

// Status implements [sandbox.Engine].
func (e *Engine) Status(_ context.Context, id sandbox.ID) (sandbox.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.replicas[id]
	if r == nil {
		return sandbox.Status{}, fmt.Errorf("%w: %s", sandbox.ErrUnknown, id)
	}
	return r.status, nil
}

// List implements [sandbox.Engine].
func (e *Engine) List(context.Context) ([]sandbox.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []sandbox.Status
	for _, r := range e.replicas {
		all = append(all, r.status)
	}
	slices.SortFunc(all, func(a, b sandbox.Status) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return all, nil
}

// Logs implements [sandbox.Engine].
func (e *Engine) Logs(ctx context.Context, id sandbox.ID, o sandbox.LogOptions) iter.Seq2[sandbox.Line, error] {
	return func(yield func(sandbox.Line, error) bool) {
		shown := 0
		for {
			e.mu.Lock()
			r := e.replicas[id]
			if r == nil {
				e.mu.Unlock()
				yield(sandbox.Line{}, fmt.Errorf("%w: %s", sandbox.ErrUnknown, id))
				return
			}
			if shown == 0 && o.Tail > 0 {
				shown = max(len(r.lines)-o.Tail, 0)
			}
			lines, more, runs := slices.Clone(r.lines[shown:]), r.more, r.status.State == sandbox.Running
			e.mu.Unlock()
			for _, l := range lines {
				if shown++; !l.Time.Before(o.Since) && !yield(l, nil) {
					return
				}
			}
			if !o.Follow || !runs {
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Exec implements [sandbox.Engine]: it runs nothing, writes the arguments and
// what it reads of the input to the output, and ends with code 0, or with 3 if
// the first argument is "false".
func (e *Engine) Exec(ctx context.Context, id sandbox.ID, x sandbox.Exec) (int, error) {
	s, err := e.Status(ctx, id)
	if err != nil {
		return 0, err
	}
	if s.State != sandbox.Running {
		return 0, fmt.Errorf("%w: %s", sandbox.ErrNotRunning, id)
	}
	if x.Args[0] == "false" {
		return 3, nil
	}
	if x.Stdout == nil {
		return 0, nil
	}
	if _, err := fmt.Fprintln(x.Stdout, strings.Join(x.Args, " ")); err != nil {
		return 0, err
	}
	return 0, copyAll(x)
}

// copyAll echoes the input, and tells of every new size of a terminal.
func copyAll(x sandbox.Exec) error {
	if x.Stdin == nil {
		return nil
	}
	text := make([]byte, 4096)
	for {
		n, err := x.Stdin.Read(text)
		if n > 0 {
			if _, err := x.Stdout.Write(text[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the input is over, however
		}
	}
}

// Usage implements [sandbox.Engine]: a replica uses one tenth of a core and
// half of its memory.
func (e *Engine) Usage(_ context.Context, id sandbox.ID) (sandbox.Usage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.replicas[id]
	if r == nil || r.status.State != sandbox.Running {
		return sandbox.Usage{}, fmt.Errorf("%w: %s", sandbox.ErrNotRunning, id)
	}
	return sandbox.Usage{CPU: time.Since(r.status.Started) / 10, Memory: r.workload.Memory / 2, Pids: 1}, nil
}
