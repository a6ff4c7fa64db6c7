package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-network/plexus/provider/journal"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// How much is kept: of one lease's events, of one replica's log after the
// lease's end, and of all of its logs then.
const (
	eventBytes   = 256 << 10
	replicaBytes = 1 << 20
	logBytes     = 32 << 20
)

// Histories are what happened to leases, and what those that ended had
// printed, a folder for each, bounded in bytes.
type Histories struct{ dir string }

// OpenHistories makes dir the folder of histories.
func OpenHistories(dir string) (*Histories, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Histories{dir}, nil
}

// end is the file that says when a lease ended.
type end struct {
	ID     string    `json:"id"`
	Ended  time.Time `json:"ended"`
	Reason string    `json:"reason"`
}

const endFile = "ended.json"

func (h *Histories) folder(id string) string { return filepath.Join(h.dir, fileKey(id)) }

// events are those of a lease, of earlier runs too, from memory and, as far as
// the disk allows, on it.
func (h *Histories) events(id string) (*journal.Writer, []Event, error) {
	dir := filepath.Join(h.folder(id), "events")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	past, err := readEvents(dir)
	if err != nil {
		return nil, nil, err
	}
	w, err := journal.Open(dir, eventBytes)
	return w, past, err
}

func readEvents(dir string) ([]Event, error) {
	var all []Event
	for line, err := range journal.Read(context.Background(), dir, sandbox.LogOptions{Tail: maxEvents}, nil) {
		if err != nil {
			return nil, err
		}
		var e Event
		if json.Unmarshal([]byte(line.Text), &e) == nil { // one that a power cut damaged is left out
			all = append(all, e)
		}
	}
	return all, nil
}

// Keep keeps the end of what a lease's replicas printed, before the engine
// forgets it. Done again, it does nothing.
func (h *Histories) Keep(ctx context.Context, engine sandbox.Engine, id, reason string) error {
	dir := h.folder(id)
	if _, err := os.Stat(filepath.Join(dir, endFile)); err == nil {
		return nil
	}
	all, err := engine.List(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s sandbox.Status) bool { return s.ID.Lease != sandbox.Lease(id) })
	if err := os.RemoveAll(filepath.Join(dir, "logs")); err != nil { // of a try that was cut off
		return err
	}
	for _, s := range all {
		if err := h.keepLog(ctx, engine, s.ID, min(replicaBytes, logBytes/int64(len(all)))); err != nil {
			return fmt.Errorf("keep the log of %s: %w", where(s.ID), err)
		}
	}
	text, err := json.Marshal(end{id, time.Now().UTC(), reason})
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, endFile), text)
}

func (h *Histories) keepLog(ctx context.Context, engine sandbox.Engine, id sandbox.ID, limit int64) (err error) {
	dir := h.logs(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w, err := journal.Open(dir, limit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for line, err := range engine.Logs(ctx, id, sandbox.LogOptions{}) {
		if err != nil {
			return err
		}
		if err := w.Append(line); err != nil {
			return err
		}
	}
	return nil
}

func (h *Histories) logs(id sandbox.ID) string {
	return filepath.Join(h.folder(string(id.Lease)), "logs", id.Service+"-"+strconv.Itoa(id.Replica))
}

// A Past is a lease that has ended.
type Past struct {
	Ended  time.Time
	Reason string

	id string
	h  *Histories
}

// Past returns a lease that has ended and is not forgotten, or
// [fs.ErrNotExist].
func (h *Histories) Past(id string) (*Past, error) {
	text, err := os.ReadFile(filepath.Join(h.folder(id), endFile))
	if err != nil {
		return nil, err
	}
	var e end
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("history of lease %s: %w", id, err)
	}
	return &Past{e.Ended, e.Reason, id, h}, nil
}

// Events returns the latest of the lease's events.
func (p *Past) Events() ([]Event, error) {
	return readEvents(filepath.Join(p.h.folder(p.id), "events"))
}

// Replicas returns those whose logs are kept.
func (p *Past) Replicas() ([]sandbox.ID, error) {
	entries, err := os.ReadDir(filepath.Join(p.h.folder(p.id), "logs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []sandbox.ID
	for _, e := range entries {
		at := strings.LastIndexByte(e.Name(), '-')
		if n, err := strconv.Atoi(e.Name()[at+1:]); err == nil && at > 0 {
			all = append(all, sandbox.ID{Lease: sandbox.Lease(p.id), Service: e.Name()[:at], Replica: n})
		}
	}
	return all, err
}

// Logs yields the end of what a replica had printed.
func (p *Past) Logs(ctx context.Context, id sandbox.ID, o sandbox.LogOptions) iter.Seq2[sandbox.Line, error] {
	o.Follow = false
	return journal.Read(ctx, p.h.logs(id), o, nil)
}

// Sweep forgets leases, but those that are live, by their ids: which ended
// longer ago than keep, and, the earliest first, those whose histories together
// have more than most bytes.
func (h *Histories) Sweep(live map[string]bool, keep time.Duration, most int64) error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	runs := map[string]bool{}
	for id := range live {
		runs[fileKey(id)] = true
	}
	type old struct {
		dir   string
		ended time.Time
		bytes int64
	}
	var all []old
	var sum int64
	for _, e := range entries {
		dir := filepath.Join(h.dir, e.Name())
		info, err := os.Stat(filepath.Join(dir, endFile))
		if err != nil {
			info, err = e.Info() // its end could not be written
		}
		if err != nil || runs[e.Name()] {
			continue
		}
		one := old{dir, info.ModTime(), bytesOf(dir)}
		all, sum = append(all, one), sum+one.bytes
	}
	slices.SortFunc(all, func(a, b old) int { return a.ended.Compare(b.ended) })
	for _, one := range all {
		if time.Since(one.ended) < keep && sum <= most {
			break
		}
		if err := os.RemoveAll(one.dir); err != nil {
			return err
		}
		sum -= one.bytes
	}
	return nil
}

// bytesOf sums the files below a folder. What goes meanwhile has none.
func bytesOf(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
