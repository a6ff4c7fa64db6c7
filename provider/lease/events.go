package lease

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/provider/journal"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// An Event is something that happened to a lease.
type Event struct {
	Number int       `json:"number"` // counts from 1
	Time   time.Time `json:"time"`
	Where  string    `json:"where,omitempty"` // a service, or a replica as service/number; "" is the lease
	Kind   string    `json:"kind"`            // pull, started, ended, replace, stop, failed, manifest, …
	Text   string    `json:"text"`
}

// maxEvents is how many events of a lease are kept.
const maxEvents = 200

// events are the latest of a lease. The zero value works.
type events struct {
	mu    sync.Mutex
	all   []Event
	count int
	more  chan struct{}   // closed when there are more
	disk  *journal.Writer // nil keeps them in memory alone
}

// open goes on where an earlier run stopped.
func (e *events) open(disk *journal.Writer, past []Event) {
	e.disk, e.all = disk, past
	for _, ev := range past {
		e.count = max(e.count, ev.Number)
	}
}

// close leaves what is on disk.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.disk != nil {
		_ = e.disk.Close() // every event was written by itself
		e.disk = nil
	}
}

// write puts an event on disk. If it cannot, as on a full disk, the event is
// in memory as before.
func (e *events) write(ev Event) {
	if e.disk == nil {
		return
	}
	if text, err := json.Marshal(ev); err == nil {
		_ = e.disk.Append(sandbox.Line{Time: ev.Time, Stream: "stdout", Text: string(text)})
	}
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	ev.Number = e.count
	e.write(ev)
	if len(e.all) == maxEvents {
		e.all = slices.Delete(e.all, 0, 1)
	}
	e.all = append(e.all, ev)
	if e.more != nil {
		close(e.more)
		e.more = nil
	}
}

// after returns the events that follow one, and what is closed when there are
// more.
func (e *events) after(number int) ([]Event, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.more == nil {
		e.more = make(chan struct{})
	}
	i := slices.IndexFunc(e.all, func(ev Event) bool { return ev.Number > number })
	if i < 0 {
		return nil, e.more
	}
	return slices.Clone(e.all[i:]), e.more
}

// Event records something that happened to the lease.
func (k *Keeper) Event(where, kind, text string) {
	k.opt.Log.Info("lease", "lease", k.id, "where", where, "kind", kind, "text", text)
	k.past.add(Event{Time: time.Now(), Where: where, Kind: kind, Text: text})
}

// Events returns the latest events that follow the one of a number, 0 for all
// that are kept, and a channel that is closed when there are more.
func (k *Keeper) Events(after int) ([]Event, <-chan struct{}) { return k.past.after(after) }
