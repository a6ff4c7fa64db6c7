package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// Images fetches images; an [image.Store] does.
type Images interface {
	Pull(ctx context.Context, ref string, c image.Credentials) (image.Image, error)
}

// Options of a [Keeper]. Engine, Images and Books are needed.
type Options struct {
	Engine sandbox.Engine
	Images Images
	Books  *Books
	Domain string // of the ingress
	Log    *slog.Logger

	History *Histories               // where events outlive the daemon; nil keeps them in memory
	Began   func(took time.Duration) // called when all replicas of a manifest were started, with the time since it came; may be nil

	Poll  time.Duration // between looks at what runs; 0 means 5 s
	Grace time.Duration // from asking a replica to end to killing it; 0 means 10 s
	Calm  time.Duration // after which a replica that runs counts as well; 0 means 10 min
}

// The pauses before a replica that ended is started again, and before a step
// that failed is tried again.
const (
	firstPause = time.Second
	longPause  = 5 * time.Minute
)

// A Keeper keeps the replicas of one lease running. Start it by [Keeper.Run].
type Keeper struct {
	id  string
	opt Options

	wake chan struct{}
	past events

	mu       sync.Mutex
	record   *Record // nil before the manifest came
	checked  bool    // all that runs is what the record says
	replicas map[sandbox.ID]*replicaState
	trouble  time.Time // since when not all replicas have run; zero while they do
	pause    time.Duration
	why      string    // the last step failed; "" if it did not
	tries    time.Time // not before
	came     time.Time // when the latest manifest did; zero once its replicas were started, or if a run before had it
}

// replicaState is what a Keeper remembers of a replica.
type replicaState struct {
	status   sandbox.Status
	restarts int
	pause    time.Duration
	next     time.Time // not started again before
}

// NewKeeper returns a Keeper of the lease of that id. record is nil if its
// manifest has not come.
func NewKeeper(id string, record *Record, o Options) *Keeper {
	o.Poll, o.Grace, o.Calm = or(o.Poll, 5*time.Second), or(o.Grace, 10*time.Second), or(o.Calm, 10*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{id: id, opt: o, record: record, wake: make(chan struct{}, 1), replicas: map[sandbox.ID]*replicaState{}, trouble: time.Now()}
	if o.History != nil {
		disk, past, err := o.History.events(id)
		if err != nil {
			o.Log.Warn("events are kept in memory alone", "lease", id, "error", err)
		} else {
			k.past.open(disk, past)
		}
	}
	return k
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Run keeps the lease running until ctx ends. It stops nothing then.
func (k *Keeper) Run(ctx context.Context) {
	defer k.past.close()
	for {
		k.converge(ctx)
		timer := time.NewTimer(k.opt.Poll)
		if soon, ok := k.soon(); ok {
			timer.Reset(min(k.opt.Poll, max(time.Until(soon), 10*time.Millisecond)))
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// soon is when something is due before the next poll.
func (k *Keeper) soon() (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var first time.Time
	for _, r := range k.replicas {
		if r.status.State != sandbox.Running && !r.next.IsZero() && (first.IsZero() || r.next.Before(first)) {
			first = r.next
		}
	}
	if !k.tries.IsZero() && (first.IsZero() || k.tries.Before(first)) {
		first = k.tries
	}
	return first, !first.IsZero()
}

// Adopt makes a record, which is in the books, what is to run.
func (k *Keeper) Adopt(r *Record) {
	k.mu.Lock()
	k.record, k.checked, k.pause, k.tries, k.came = r, false, 0, time.Time{}, time.Now()
	for _, s := range k.replicas {
		s.pause, s.next = 0, time.Time{}
	}
	k.mu.Unlock()
	k.Event("", "manifest", "manifest "+r.Hash[:min(12, len(r.Hash))]+" is to run")
	k.Wake()
}

// Wake has the Keeper look at once.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Record returns what is to run, which is not to be changed, or nil.
func (k *Keeper) Record() *Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record
}

// Settled tells whether all that was started is what the latest manifest says.
func (k *Keeper) Settled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.checked
}

// Trouble returns since when not all replicas that should run have been
// started, or the zero time. A program that ends by itself is no trouble of
// the provider's; nor is a time in which the engine cannot be asked.
func (k *Keeper) Trouble() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}

// converge takes the steps from what runs to what should. Each can fail and
// be tried again.
func (k *Keeper) converge(ctx context.Context) {
	r := k.Record()
	k.mu.Lock()
	early := time.Now().Before(k.tries)
	k.mu.Unlock()
	if r == nil || early {
		return
	}
	err := k.step(ctx, r)
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.pause, k.tries, k.why = 0, time.Time{}, ""
		return
	}
	k.why = err.Error()
	switch {
	case errors.Is(err, sandbox.ErrUnavailable) && !k.trouble.IsZero():
		k.trouble = time.Now() // nobody knows that anything is amiss
	case !errors.Is(err, sandbox.ErrUnavailable) && k.trouble.IsZero():
		k.trouble = time.Now()
	}
	k.pause = min(max(2*k.pause, firstPause), longPause)
	k.tries = time.Now().Add(k.pause)
	k.Event("", "failed", fmt.Sprintf("%v; next try in %v", err, k.pause))
}

func (k *Keeper) step(ctx context.Context, r *Record) error {
	r, images, err := k.images(ctx, r)
	if err != nil {
		return err
	}
	wanted, err := Plan(r, images, k.opt.Domain)
	if err != nil {
		return err
	}
	if err := k.extras(ctx, wanted); err != nil {
		return err
	}
	var bad []error
	for _, w := range wanted {
		if err := k.keep(ctx, w); err != nil {
			bad = append(bad, err)
		}
	}
	if err := errors.Join(bad...); err != nil {
		return err
	}
	k.settled(r)
	return nil
}

// settled notes that all of a record was started.
func (k *Keeper) settled(r *Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.record != r {
		return
	}
	k.checked, k.trouble = true, time.Time{}
	if !k.came.IsZero() && k.opt.Began != nil {
		k.opt.Began(time.Since(k.came))
	}
	k.came = time.Time{}
}

// Restarts counts how often replicas were started again after they ended.
func (k *Keeper) Restarts() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, r := range k.replicas {
		n += r.restarts
	}
	return n
}

// images pulls the services' images: by the digests that they had the first
// time, so that all replicas run the same, whenever they start.
func (k *Keeper) images(ctx context.Context, r *Record) (*Record, map[string]image.Image, error) {
	all := map[string]image.Image{}
	digests := maps.Clone(r.Images)
	if digests == nil {
		digests = map[string]string{}
	}
	for _, s := range r.Group.Services {
		ref := s.Image
		if digest := digests[s.Name]; digest != "" {
			ref = pinned(ref, digest)
		} else {
			k.Event(s.Name, "pull", "fetching image "+ref)
		}
		i, err := k.opt.Images.Pull(image.WithProgress(ctx, k.progress(s.Name)), ref, credentials(s))
		if err != nil {
			return r, nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		all[s.Name], digests[s.Name] = i, i.Digest
	}
	if maps.Equal(digests, r.Images) {
		return r, all, nil
	}
	r, err := k.remember(r, digests)
	return r, all, err
}

// progressEvery is the time between two events of one pull, so that a slow one
// does not push out all that happened before.
const progressEvery = 10 * time.Second

// progress tells the tenant how far the pull of a service's image is.
func (k *Keeper) progress(service string) image.Progress {
	began, said := time.Now(), time.Now()
	return func(done, total int64) {
		if done < total && time.Since(said) < progressEvery || done == total && time.Since(began) < time.Second {
			return
		}
		said = time.Now()
		k.Event(service, "pull", fmt.Sprintf("%d of %d MB fetched (%d %%) in %v", done/1e6, total/1e6, 100*done/max(total, 1), time.Since(began).Round(time.Second)))
	}
}

// failingPause is the pause before a start from which on a replica counts as
// failing: it has ended six times in a row.
const failingPause = time.Minute

// Failing says, in words, which replica ends or fails to start again and again;
// "" if none does.
func (k *Keeper) Failing() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.record != nil && k.pause >= failingPause {
		return "its replicas cannot be started: " + k.why
	}
	var worst string
	for id, r := range k.replicas {
		if text := fmt.Sprintf("%s has ended %d times, the last with code %d (%s)", where(id), r.restarts, r.status.Code, r.status.Reason); r.pause >= failingPause && (worst == "" || text < worst) {
			worst = text
		}
	}
	return worst
}

// pinned names an image by its digest.
func pinned(ref, digest string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return ref // Pull says why
	}
	return parsed.Context().Digest(digest).String()
}

// remember writes the digests of r's images, unless another manifest has come.
func (k *Keeper) remember(r *Record, digests map[string]string) (*Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.record != r {
		return r, nil
	}
	next := *r
	next.Images = digests
	if err := k.opt.Books.Put(&next); err != nil {
		return r, fmt.Errorf("remember the images: %w", err)
	}
	k.record = &next
	return &next, nil
}

// extras stops what runs for the lease and is not wanted, once per manifest.
func (k *Keeper) extras(ctx context.Context, wanted []sandbox.Workload) error {
	k.mu.Lock()
	checked := k.checked
	k.mu.Unlock()
	if checked {
		return nil
	}
	all, err := k.opt.Engine.List(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID.Lease != sandbox.Lease(k.id) || slices.ContainsFunc(wanted, func(w sandbox.Workload) bool { return w.ID == s.ID }) {
			continue
		}
		if s.State == sandbox.Running || s.State == sandbox.Starting {
			k.Event(where(s.ID), "stop", "no longer in the manifest")
			if err := k.opt.Engine.Stop(ctx, s.ID, k.opt.Grace); err != nil {
				return err
			}
		}
		k.mu.Lock()
		delete(k.replicas, s.ID)
		k.mu.Unlock()
	}
	return nil
}

// keep has one replica run as w says.
func (k *Keeper) keep(ctx context.Context, w sandbox.Workload) error {
	s, err := k.opt.Engine.Status(ctx, w.ID)
	if err != nil && !errors.Is(err, sandbox.ErrUnknown) {
		return err
	}
	known := err == nil
	next, checked := k.note(w.ID, s)
	switch {
	case s.State == sandbox.Running && checked:
		return nil
	case s.State == sandbox.Running:
		err := k.opt.Engine.Start(ctx, w)
		if !errors.Is(err, sandbox.ErrRunning) {
			return err // nil: the same runs
		}
		k.Event(where(w.ID), "replace", "the manifest changed")
		if err := k.opt.Engine.Stop(ctx, w.ID, k.opt.Grace); err != nil {
			return err
		}
	case time.Now().Before(next):
		return nil
	case known && s.State != sandbox.Starting:
		k.Event(where(w.ID), "ended", ending(s))
	}
	return k.start(ctx, w)
}

// note remembers how a replica stands, and sets when one that ended may start
// again.
func (k *Keeper) note(id sandbox.ID, s sandbox.Status) (next time.Time, checked bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.replicas[id]
	if r == nil {
		r = &replicaState{}
		k.replicas[id] = r
	}
	if s.State == sandbox.Running && time.Since(s.Started) > k.opt.Calm {
		r.pause = 0
	}
	if (s.State == sandbox.Exited || s.State == sandbox.Failed) && r.status.State == sandbox.Running && s.Started.Equal(r.status.Started) {
		if r.pause == 0 {
			r.pause = firstPause
		}
		r.next = time.Now().Add(r.pause)
		r.pause = min(2*r.pause, longPause)
	}
	r.status = s
	return r.next, k.checked
}

func (k *Keeper) start(ctx context.Context, w sandbox.Workload) error {
	err := k.opt.Engine.Start(ctx, w)
	if err != nil {
		return fmt.Errorf("start %s: %w", where(w.ID), err)
	}
	s, err := k.opt.Engine.Status(ctx, w.ID)
	if err != nil {
		return err
	}
	k.mu.Lock()
	r := k.replicas[w.ID]
	if !r.next.IsZero() {
		r.restarts++
	}
	r.status = s
	r.status.State = sandbox.Running // to see it end, if it has
	k.mu.Unlock()
	k.Event(where(w.ID), "started", "runs at "+s.Address.String())
	return nil
}

// ending says how a replica ended.
func ending(s sandbox.Status) string {
	text := fmt.Sprintf("%s with code %d (%s)", s.State, s.Code, s.Reason)
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

// where names a replica within its lease.
func where(id sandbox.ID) string { return fmt.Sprintf("%s/%d", id.Service, id.Replica) }

// A Replica is how a replica of a lease stands.
type Replica struct {
	sandbox.Status
	Restarts int
}

// Replicas returns how all replicas stood when they were looked at last, in
// order.
func (k *Keeper) Replicas() []Replica {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Replica
	for id, r := range k.replicas {
		s := r.status
		s.ID = id
		all = append(all, Replica{s, r.restarts})
	}
	slices.SortFunc(all, func(a, b Replica) int {
		if c := strings.Compare(a.ID.Service, b.ID.Service); c != 0 {
			return c
		}
		return a.ID.Replica - b.ID.Replica
	})
	return all
}
