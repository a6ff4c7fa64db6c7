package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	id, err := s.asked(r, pass.Events)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	k, err := s.desk.Keeper(id)
	if errors.Is(err, ErrNoLease) {
		s.pastEvents(w, id)
		return
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	closed, err := s.open(id.Owner)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	defer closed()
	out, last := newLines(w), 0
	for {
		some, more := k.Events(last)
		for _, e := range some {
			if last = e.Number; out.write(e) != nil {
				return
			}
		}
		if r.FormValue("follow") != "true" {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// pastEvents answers with the events of a lease that has ended.
func (s *Server) pastEvents(w http.ResponseWriter, id market.BidID) {
	p, err := s.desk.Past(id)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	all, err := p.Events()
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	out := newLines(w)
	for _, e := range all {
		if out.write(e) != nil {
			return
		}
	}
}

// A replicaLog is what one replica printed.
type replicaLog struct {
	id    sandbox.ID
	until time.Time // lines before it alone; zero means all
	lines func(context.Context, sandbox.ID, sandbox.LogOptions) iter.Seq2[sandbox.Line, error]
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	id, err := s.asked(r, pass.Logs)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	which, o, err := s.wanted(r, id)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	closed, err := s.open(id.Owner)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	defer closed()
	out := newLines(w)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var all sync.WaitGroup
	for _, one := range which {
		show := func() {
			for line, err := range one.read(ctx, o) {
				if err != nil {
					s.log.Debug("logs", "replica", one.id, "error", err)
					return
				}
				if out.write(LogLine{one.id.Service, one.id.Replica, line.Time, line.Stream, line.Text}) != nil {
					cancel()
					return
				}
			}
		}
		if o.Follow {
			all.Go(show)
		} else {
			show()
		}
	}
	all.Wait()
}

// maxTail bounds how many lines are held to find the last ones of a run.
const maxTail = 10_000

// read yields the lines that o asks for.
func (l replicaLog) read(ctx context.Context, o sandbox.LogOptions) iter.Seq2[sandbox.Line, error] {
	if l.until.IsZero() {
		return l.lines(ctx, l.id, o)
	}
	return func(yield func(sandbox.Line, error) bool) {
		tail := min(o.Tail, maxTail)
		o.Tail, o.Follow = 0, false
		var held []sandbox.Line
		for line, err := range l.lines(ctx, l.id, o) {
			switch {
			case err != nil:
				yield(line, err)
				return
			case !line.Time.Before(l.until):
			case tail == 0:
				if !yield(line, nil) {
					return
				}
			default:
				if held = append(held, line); len(held) > tail {
					held = held[1:]
				}
			}
		}
		for _, line := range held {
			if !yield(line, nil) {
				return
			}
		}
	}
}

// wanted reads whose logs are asked for, and which lines.
func (s *Server) wanted(r *http.Request, id market.BidID) ([]replicaLog, sandbox.LogOptions, error) {
	o := sandbox.LogOptions{Follow: r.FormValue("follow") == "true"}
	var err error
	if text := r.FormValue("tail"); text != "" {
		if o.Tail, err = strconv.Atoi(text); err != nil || o.Tail < 0 {
			return nil, o, fmt.Errorf("tail %q is no number of lines", text)
		}
	}
	if text := r.FormValue("since"); text != "" {
		if o.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, o, fmt.Errorf("since %q is no time such as 2026-01-02T15:04:05Z", text)
		}
	}
	all, err := s.logsOf(id, r.FormValue("previous") == "true")
	if err != nil {
		return nil, o, err
	}
	var chosen []replicaLog
	for _, one := range all {
		if service := r.FormValue("service"); service != "" && service != one.id.Service {
			continue
		}
		if n := r.FormValue("replica"); n != "" && n != strconv.Itoa(one.id.Replica) {
			continue
		}
		chosen = append(chosen, one)
	}
	if len(chosen) == 0 {
		err = fmt.Errorf("%w: no %s has been started", ErrNoLease, described(r.FormValue("service"), r.FormValue("replica")))
	}
	return chosen, o, err
}

// described says which replica a service and a number name, either of which
// may be empty.
func described(service, number string) string {
	text := "replica"
	if number != "" {
		text += " " + number
	}
	if service != "" {
		text += fmt.Sprintf(" of a service %q", service)
	}
	return text
}

// logsOf returns the logs of a lease that runs, or that has ended: of all runs
// of a replica, or of those before the present one.
func (s *Server) logsOf(id market.BidID, previous bool) ([]replicaLog, error) {
	var all []replicaLog
	k, err := s.desk.Keeper(id)
	if err == nil {
		for _, replica := range k.Replicas() {
			one := replicaLog{id: replica.ID, lines: s.engine.Logs}
			if previous {
				one.until = replica.Started
			}
			all = append(all, one)
		}
		return all, nil
	}
	if !errors.Is(err, ErrNoLease) {
		return nil, err
	}
	past, err := s.desk.Past(id)
	if err != nil {
		return nil, err
	}
	ids, err := past.Replicas()
	for _, id := range ids {
		all = append(all, replicaLog{id: id, lines: past.Logs})
	}
	return all, err
}
