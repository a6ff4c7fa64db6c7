package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/cgroup"
)

// Core is a core in thousandths.
const Core = 1000

// A program's start computes more than its run: one that has a hundredth of a
// core would begin to answer after ten seconds. So a replica with less than a
// core may go ahead of its limit at first, up to a core. It takes nothing from
// others by it: its weight is its own from its first moment.
//
// This is a loan and not a gift, or else a program would end again and again to
// be started for it. What a replica used beyond its limit is paid back through
// all its runs, at a twentieth of its limit: in any time it uses no more than
// its limit and a twentieth, one loan, and what it gets between two looks.
const (
	loan    = time.Second           // of processor time, at most
	ahead   = 5 * time.Second       // after its start it has its limit
	looks   = 10 * time.Millisecond // between two measurements
	payback = 20                    // the part of its limit
)

const loanFile = "loan.json"

// A debt is the processor time by which a replica was ahead of its limit.
type debt struct {
	Owed time.Duration
	At   time.Time
}

// left is what is not paid back at a time, by a replica with cpu thousandths
// of a core. A clock that was set back forgives nothing.
func (d debt) left(cpu int64, at time.Time) time.Duration {
	return max(d.Owed-share(max(at.Sub(d.At), 0), cpu)/payback, 0)
}

// share is the processor time that cpu thousandths of a core are in a time.
func share(of time.Duration, cpu int64) time.Duration {
	return time.Duration(float64(of) * float64(cpu) / Core)
}

// goAhead lets the container have up to a core until it owes a loan or stop is
// closed, and then sets its limit. A container whose limit cannot be set is
// killed.
func (s *watch) goAhead(stop <-chan struct{}) error {
	file := filepath.Join(s.dir, loanFile)
	var d debt
	_ = readJSON(file, &d) // the first run has none
	now := time.Now()
	owed := d.left(s.plan.CPU, now)
	// Whoever dies meanwhile had it all, and nobody has what is not written down.
	written := writeJSON(file, debt{max(owed, loan), now})
	if written == nil {
		used := func() (time.Duration, error) { return cgroup.CPU(s.plan.Cgroup) }
		owed = lend(owed, s.plan.CPU, used, stop)
	}
	if err := cgroup.Limit(s.plan.Cgroup, s.plan.CPU); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("limit the processor: %w", err), unix.Kill(s.record.Pid, unix.SIGKILL))
	}
	if written == nil {
		_ = writeJSON(file, debt{owed, time.Now()}) // else it owes more
	}
	return nil
}

// lend waits until a replica that owed so much when it started owes a loan,
// has run for long enough or is stopped, and returns what it owes. Of what
// cannot be measured it has used all.
func lend(before time.Duration, cpu int64, used func() (time.Duration, error), stop <-chan struct{}) time.Duration {
	began := time.Now()
	first, err := used()
	if err != nil || before >= loan {
		return max(before, loan)
	}
	tick := time.NewTicker(looks)
	defer tick.Stop()
	for stopped := false; ; {
		n, err := used()
		if err != nil {
			return loan
		}
		took := time.Since(began)
		owed := max(before+n-first-share(took, cpu), 0)
		if stopped || owed >= loan || took >= ahead {
			return owed
		}
		select {
		case <-stop:
			stopped = true
		case <-tick.C:
		}
	}
}
