package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/tenant"
)

// A stream says something at least this often, and gives up on a reader who
// takes nothing for that long.
const (
	ping     = 15 * time.Second
	maxStall = 30 * time.Second
)

// An sse sends objects as server-sent events. Several may send at once.
type sse struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	out  *http.ResponseController
	stop context.CancelFunc // once nobody reads
}

func (s *sse) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.out.SetWriteDeadline(time.Now().Add(maxStall))
	if err == nil {
		_, err = s.w.Write([]byte(text))
	}
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		s.stop()
	}
	return err
}

func (s *sse) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write("data: " + string(text) + "\n\n")
}

// open counts a stream; call the result at its end.
func (c *Console) open() (func(), error) {
	select {
	case c.streams <- struct{}{}:
		return func() { <-c.streams }, nil
	default:
		return nil, fmt.Errorf("%w: %d streams are open, which is the most; close a page of the console", errFull, maxStreams)
	}
}

// follows serves a path with what do sends until it returns or the reader goes
// away. Its end is told: {"end": true}, or {"error": …}.
func (c *Console) follows(path string, do func(ctx context.Context, r *http.Request, send func(any) error) error) {
	c.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		closed, err := c.open()
		if err != nil {
			c.answer(w, nil, err)
			return
		}
		defer closed()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		s := &sse{w: w, out: http.NewResponseController(w), stop: cancel}
		if s.write(": here\n\n") != nil {
			return
		}
		beat := make(chan struct{})
		go func() { defer close(beat); s.beat(ctx) }()
		defer func() { cancel(); <-beat }()
		last := any(map[string]bool{"end": true})
		if err := do(ctx, r, s.send); err != nil {
			_, no := refused(err)
			last = map[string]refusal{"error": no}
		}
		if ctx.Err() == nil {
			_ = s.send(last) // a reader that went away hears nothing
		}
	})
}

// beat says that the stream lives, until ctx ends.
func (s *sse) beat(ctx context.Context) {
	for t := time.NewTicker(ping); ; {
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			if s.write(": ping\n\n") != nil {
				return
			}
		}
	}
}

// gseq reads the group that a request means; 0 is all.
func gseq(r *http.Request) (uint32, error) {
	n, err := number(r, "group", 0, 1<<31)
	return uint32(n), err
}

// number reads a number of a query, or what stands for none.
func number(r *http.Request, name string, none, most int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return none, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s is %q, want a number up to %d", errRequest, name, text, most)
	}
	return n, nil
}

// maxTail is how many lines of each replica a page may ask for.
const maxTail = 10_000

// logs follows what replicas print, also of those that start later.
func (c *Console) logs(ctx context.Context, r *http.Request, send func(any) error) error {
	tail, err := number(r, "tail", 500, maxTail)
	if err != nil {
		return err
	}
	replica, err := number(r, "replica", -1, 1<<20)
	if err != nil {
		return err
	}
	which := api.Selection{Service: r.FormValue("service"), Replica: replica}
	return c.leases(ctx, r, func(id market.BidID, p *api.Client) func(context.Context) error {
		o := sandbox.LogOptions{Follow: true, Tail: tail}
		seen := map[string]time.Time{} // of each replica, the time of its latest line
		return func(ctx context.Context) error {
			before := maps.Clone(seen) // a provider that is asked again repeats the last second
			return each(p.Logs(ctx, id, which, o), func(l api.LogLine) error {
				of := fmt.Sprint(l.Service, "/", l.Replica)
				if !l.Time.After(before[of]) {
					return nil
				}
				seen[of], o.Since, o.Tail = l.Time, l.Time, 0
				return send(map[string]any{"group": id.GSeq, "line": l})
			})
		}
	})
}

// events follows what happens to a deployment's leases.
func (c *Console) events(ctx context.Context, r *http.Request, send func(any) error) error {
	return c.leases(ctx, r, func(id market.BidID, p *api.Client) func(context.Context) error {
		var last time.Time
		return func(ctx context.Context) error {
			before := last // a provider that is asked again repeats all
			return each(p.Events(ctx, id, true), func(e lease.Event) error {
				if !e.Time.After(before) {
					return nil
				}
				last = e.Time
				return send(map[string]any{"group": id.GSeq, "event": e})
			})
		}
	})
}

// each hands on what is yielded, until the first error.
func each[T any](all iter.Seq2[T, error], do func(T) error) error {
	for one, err := range all {
		if err != nil {
			return err
		}
		if err := do(one); err != nil {
			return err
		}
	}
	return nil
}

// leases follows all leases that a request means, at the same time.
func (c *Console) leases(ctx context.Context, r *http.Request, of func(market.BidID, *api.Client) func(context.Context) error) error {
	n, err := dseq(r)
	if err != nil {
		return err
	}
	g, err := gseq(r)
	if err != nil {
		return err
	}
	all, err := c.o.Tenant.Group(ctx, n, g)
	if err != nil {
		return err
	}
	ended := make(chan error, len(all))
	for _, l := range all {
		p, err := c.o.Tenant.Provider(ctx, l.ID.Provider)
		if err != nil {
			return err
		}
		follow := of(l.ID, p)
		go func() { ended <- c.persist(ctx, l.ID, follow) }()
	}
	var bad error
	for range all {
		bad = errors.Join(bad, <-ended)
	}
	return bad
}

// again is the pause before a lease is followed again.
const again = 2 * time.Second

// persist follows a lease for as long as it runs: a provider that starts
// again, or replicas that have not started yet, end nothing.
func (c *Console) persist(ctx context.Context, id market.BidID, follow func(context.Context) error) error {
	for {
		err := follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, api.ErrNoLease) {
			c.o.Log.Debug("follow a lease", "lease", id, "error", err)
		}
		if _, err := c.o.Tenant.Group(ctx, id.DSeq, id.GSeq); errors.Is(err, tenant.ErrNoLease) || errors.Is(err, ledger.ErrNotFound) {
			return nil // it is over
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
}
