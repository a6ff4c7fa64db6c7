package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits bound what visitors may take of the ingress. The zero Limits are
// those of the comments.
type Limits struct {
	Header     time.Duration // for the whole head of a request, and of TLS; 0 means 10 s
	Stall      time.Duration // for the next 512 bytes of a request's body, or for a write; 0 means 1 min
	Idle       time.Duration // between two requests on a connection; 0 means 2 min
	PerAddress int           // connections at a time, by an IPv4 address or an IPv6 /64; 0 means 256
	PerLease   int           // requests at a time, websockets too, to one lease; 0 means 2,048
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		to   *time.Duration
		none time.Duration
	}{{&l.Header, 10 * time.Second}, {&l.Stall, time.Minute}, {&l.Idle, 2 * time.Minute}} {
		if *d.to == 0 {
			*d.to = d.none
		}
	}
	for _, n := range []struct {
		to   *int
		none int
	}{{&l.PerAddress, 256}, {&l.PerLease, 2048}} {
		if *n.to == 0 {
			*n.to = n.none
		}
	}
	return l
}

// A Door takes in connections: it says who a visitor is, and ends what is too
// slow or too much. It is made by [NewDoor].
type Door struct {
	limits  Limits
	trusted []netip.Prefix
	present count[netip.Prefix] // connections, and requests by way of trusted proxies
}

// NewDoor returns a Door that believes the proxies of trusted networks, and
// nobody else, of whom they ask for.
func NewDoor(l Limits, trusted ...netip.Prefix) *Door {
	return &Door{limits: l.withDefaults(), trusted: trusted}
}

// trusts tells whether an address is an operator's own proxy's.
func (d *Door) trusts(a netip.Addr) bool {
	for _, p := range d.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Serve answers on a listener, over TLS if c is not nil, until ctx ends.
func (d *Door) Serve(ctx context.Context, l net.Listener, h http.Handler, c *tls.Config) error {
	s := &http.Server{
		Handler: d.take(h), TLSConfig: c, ReadHeaderTimeout: d.limits.Header, IdleTimeout: d.limits.Idle, MaxHeaderBytes: 64 << 10,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 100, SendPingTimeout: d.limits.Stall, PingTimeout: 15 * time.Second},
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() {
		if c == nil {
			ended <- s.Serve(listener{l, d})
			return
		}
		ended <- s.ServeTLS(listener{l, d}, "", "")
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := s.Close()
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

// take tells a handler who asks, and bounds the time of bodies and, where a
// connection carries many, of answers.
func (d *Door) take(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := d.visitor(r)
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
		out := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			body := &steady{ReadCloser: r.Body, limit: d.limits.Stall, left: d.limits.Stall, until: out.SetReadDeadline, alone: r.ProtoMajor == 1}
			if body.alone {
				body.set(time.Now().Add(d.limits.Stall))
			}
			defer body.end()
			r.Body = body
		}
		if r.ProtoMajor > 1 {
			w = &pushed{w, d.limits.Stall, out}
		}
		if v.proxied {
			if !d.present.enter(neighbourhood(v.addr), d.limits.PerAddress) {
				full(w, http.StatusTooManyRequests, fmt.Sprintf("%v has as many requests open here as one address may: %d", v.addr, d.limits.PerAddress))
				return
			}
			defer d.present.leave(neighbourhood(v.addr))
		}
		h.ServeHTTP(w, r)
	})
}

func full(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, text, status)
}

// piece is how many bytes of a body are progress.
const piece = 512

// A steady body ends if a piece of it takes longer than a limit of time. The
// time in which nobody reads does not count.
type steady struct {
	io.ReadCloser
	limit time.Duration
	until func(time.Time) error
	alone bool // on its connection: the time stays, and bounds what the server skips at the end

	left time.Duration // for the piece that comes
	got  int           // of it

	mu   sync.Mutex // a transport may read on while the handler returns
	over bool       // the connection is another request's
}

// Read implements [io.Reader].
func (s *steady) Read(p []byte) (int, error) {
	began := time.Now()
	s.set(began.Add(s.left))
	n, err := s.ReadCloser.Read(p)
	s.left -= time.Since(began)
	if s.got += n; s.got >= piece {
		s.left, s.got = s.limit, 0
	}
	if !s.alone || errors.Is(err, io.EOF) { // then the server listens for who hangs up
		s.set(time.Time{})
	}
	return n, err
}

func (s *steady) set(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		_ = s.until(t) // a writer without deadlines is a test's
	}
}

// end leaves the connection to the server.
func (s *steady) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// pushed bounds the time of each write of an answer on a connection that many
// share, where a visitor may stop taking one of them alone.
type pushed struct {
	http.ResponseWriter
	limit time.Duration
	out   *http.ResponseController
}

// Write implements [io.Writer].
func (p *pushed) Write(b []byte) (int, error) {
	defer p.bound()()
	return p.ResponseWriter.Write(b)
}

// FlushError is for [http.ResponseController].
func (p *pushed) FlushError() error {
	defer p.bound()()
	return p.out.Flush()
}

// Unwrap is for [http.ResponseController].
func (p *pushed) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *pushed) bound() func() {
	_ = p.out.SetWriteDeadline(time.Now().Add(p.limit)) // all of HTTP/2 has them
	return func() { _ = p.out.SetWriteDeadline(time.Time{}) }
}

// A count counts what is present, by key. The zero count works.
type count[K comparable] struct {
	mu  sync.Mutex
	all map[K]int
}

// enter counts one more, unless there are most already.
func (c *count[K]) enter(key K, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[K]int{}
	}
	if c.all[key] >= most {
		return false
	}
	c.all[key]++
	return true
}

func (c *count[K]) leave(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[key]--; c.all[key] <= 0 {
		delete(c.all, key)
	}
}
