package image

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// A Progress hears how many of an image's compressed bytes have come. It is
// called often, one call at a time, and must not block.
type Progress func(done, total int64)

type progressKey struct{}

// WithProgress has a Pull under the context report to p. An image that another
// caller fetches already, or that is here, reports nothing.
func WithProgress(ctx context.Context, p Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, &track{tell: p})
}

// track counts the layers' bytes of one pull.
type track struct {
	tell Progress

	mu          sync.Mutex
	done, total int64
}

func trackOf(ctx context.Context) *track {
	t, _ := ctx.Value(progressKey{}).(*track)
	return t
}

// begin tells how much will come.
func (t *track) begin(total int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.total = 0, total
}

func (t *track) add(n int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total > 0 { // its layers, not documents before them
		t.done = min(t.done+int64(n), t.total)
		t.tell(t.done, t.total)
	}
}

// Pulled is what a [Store] has fetched since it was opened.
type Pulled struct {
	Done, Failed int64         // pulls that fetched an image, and that could not
	Bytes        int64         // from registries
	Time         time.Duration // of those pulls together
}

// Pulled returns what was fetched.
func (s *Store) Pulled() Pulled {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pulled
}

// count notes a pull that began at a time.
func (s *Store) count(began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulled.Time += time.Since(began)
	if err != nil {
		s.pulled.Failed++
	} else {
		s.pulled.Done++
	}
}

// counted counts what comes from registries.
type counted struct {
	http.RoundTripper
	store *Store
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &counting{answer.Body, c.store, trackOf(r.Context())}
	}
	return answer, err
}

type counting struct {
	io.ReadCloser
	store *Store
	track *track
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.store.mu.Lock()
	c.store.pulled.Bytes += int64(n)
	c.store.mu.Unlock()
	c.track.add(n)
	return n, err
}
