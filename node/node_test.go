package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestStackClosesInReverse(t *testing.T) {
	s := &stack{log: slog.New(slog.DiscardHandler)}
	var closed []string
	for _, name := range []string{"a", "b", "c"} {
		s.push(name, func() error {
			closed = append(closed, name)
			if name == "b" {
				return errors.New("stuck")
			}
			return nil
		})
	}
	err := s.close()
	if want := []string{"c", "b", "a"}; !slices.Equal(closed, want) {
		t.Errorf("closed %v, want %v", closed, want)
	}
	if err == nil || !strings.Contains(err.Error(), "close b: stuck") {
		t.Errorf("close returns %v, want what b said", err)
	}
}

func TestStackGivesUpOnWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stack{log: slog.New(slog.DiscardHandler)}
		let := make(chan struct{})
		s.push("mule", func() error { <-let; return nil })
		if err := s.close(); err == nil || !strings.Contains(err.Error(), "mule") {
			t.Errorf("close returns %v, want an error that names the mule", err)
		}
		close(let)
	})
}

func TestServeEndsAllWhenOneFails(t *testing.T) {
	ended := make(chan struct{})
	broken := errors.New("broken")
	err := serve(t.Context(), slog.New(slog.DiscardHandler), []service{
		{"waits", func(ctx context.Context) error { <-ctx.Done(); close(ended); return ctx.Err() }},
		{"fails", func(context.Context) error { return broken }},
	})
	<-ended
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "fails") {
		t.Errorf("serve returns %v, want the failure with its name", err)
	}
}

func TestServeEndsWithoutErrorWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, slog.New(slog.DiscardHandler), []service{
		{"waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	}); err != nil {
		t.Errorf("serve returns %v at the end of its context, want nil", err)
	}
}
