// Package shim watches one container, so that the provider's daemon need not
// live for it: it starts the OCI runtime, keeps what the container prints, and
// writes down how it ended.
//
// It runs in a process of its own, one per replica (see provider/warden/shim), in a
// session and a control group of its own. Everything between it and the daemon
// is in a folder: the daemon writes [Plan], the shim holds a lock on the folder
// while it lives and writes [Record]. [Alive] and [ReadRecord] look from
// outside.
package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The files of a shim's folder.
const (
	planFile   = "plan.json"
	recordFile = "record.json"
	lockFile   = "lock"
	pidFile    = "pid"
	errorFile  = "runtime.log"
)

// A Plan says what a shim is to do.
type Plan struct {
	Container string   // the runtime's name for it
	Runtime   []string // the runtime's command line before its subcommand
	Bundle    string   // the OCI bundle
	Cgroup    string   // the container's control group
	CPU       int64    // thousandths of a core that the group has; see goAhead
	LogBytes  int64    // of the journal, both files together

	// Files is how many files the runtime has room for from its start on; 0
	// means the kernel's own 64. A program with threads that opens more waits
	// for the whole machine, 10 ms and longer.
	Files int
}

// A Record is what became of a container.
type Record struct {
	Pid     int // of its first process, or of its sandbox, on this machine
	Started time.Time
	Ended   time.Time // zero while it runs
	Code    int       // 128 + n for a death by signal n
	Signal  int       // that killed it; 0 means it ended by itself
	OOM     int64     // processes that were killed for lack of memory
	Error   string    // why it could not be started
}

// WritePlan makes dir a shim's folder, for the next run.
func WritePlan(dir string, p Plan) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeJSON(filepath.Join(dir, planFile), p)
}

// ReadRecord returns what the last shim of dir wrote, or [fs.ErrNotExist].
func ReadRecord(dir string) (Record, error) {
	var r Record
	return r, readJSON(filepath.Join(dir, recordFile), &r)
}

// Alive tells whether a shim watches dir now. It asks the lock and not the
// process table, so that a number which the machine gave to another process
// deceives nobody.
func Alive(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// take locks dir for as long as this process lives.
func take(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// An Alive that looks at this moment holds the lock for a few microseconds.
	for range 100 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		time.Sleep(time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("another shim watches %s: %w", dir, err), f.Close())
}

// writeJSON replaces file whole or not at all.
func writeJSON(file string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// WriteFailure records in dir that nothing was started, and why.
func WriteFailure(dir, cause string) error {
	return writeJSON(filepath.Join(dir, recordFile), Record{Ended: time.Now(), Error: cause})
}
