// Package node is what runs in a process: it reads a home folder, builds the
// roles by plain constructors, starts them, and stops them in reverse order.
//
// [Up] is a whole network in one process. Nothing below this package knows of
// any role but its own.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// closing is how long everything together may take to stop.
const closing = 20 * time.Second

// stack holds what was opened, to be closed in reverse order.
type stack struct {
	log   *slog.Logger
	parts []part
}

type part struct {
	name  string
	close func() error
}

// push adds a part that is to be closed before all that were pushed earlier.
func (s *stack) push(name string, closer func() error) {
	s.parts = append(s.parts, part{name, closer})
}

// close closes all parts, newest first, and returns what went wrong. It gives
// up waiting for a part that hangs, and names it.
func (s *stack) close() error {
	deadline := time.NewTimer(closing)
	defer deadline.Stop()
	var all error
	for len(s.parts) > 0 {
		p := s.parts[len(s.parts)-1]
		s.parts = s.parts[:len(s.parts)-1]
		done := make(chan error, 1)
		go func() { done <- p.close() }()
		select {
		case err := <-done:
			if err != nil {
				all = errors.Join(all, fmt.Errorf("close %s: %w", p.name, err))
			}
			s.log.Debug("closed", "part", p.name)
		case <-deadline.C:
			return errors.Join(all, fmt.Errorf("close %s: still busy after %v", p.name, closing))
		}
	}
	return all
}

// service is a role that runs until its context ends.
type service struct {
	name string
	run  func(context.Context) error
}

// serve runs all services until ctx ends or the first of them fails, which
// ends the others. It returns that failure; the end of ctx is none.
func serve(ctx context.Context, log *slog.Logger, services []service) error {
	group, inner := errgroup.WithContext(ctx)
	for _, s := range services {
		group.Go(func() error {
			err := s.run(inner)
			if inner.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
				return nil
			}
			if err == nil {
				err = errors.New("ended by itself")
			}
			log.Error("a role failed", "role", s.name, "err", err)
			return fmt.Errorf("%s: %w", s.name, err)
		})
	}
	return group.Wait()
}
