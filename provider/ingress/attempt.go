package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

var errNoReplica = errors.New("no replica of the service runs")

// connections makes what connects to a route's replicas.
func (t *route) connections() *http.Transport {
	send := milliseconds(t.HTTP.SendTimeout, time.Minute)
	d := net.Dialer{Timeout: min(send, 10*time.Second)}
	return &http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		ResponseHeaderTimeout: milliseconds(t.HTTP.ReadTimeout, time.Minute),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return sender{c, send}, nil
		},
	}
}

// A sender gives each write a time.
type sender struct {
	net.Conn
	limit time.Duration
}

func (s sender) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// RoundTrip asks the replicas in turn, and goes on to the next in the cases
// that the manifest names, as nginx's proxy_next_upstream does: as long as
// tries and time are left, nothing of the body was sent, and a request that
// changes something has not reached a replica.
func (t *route) RoundTrip(req *http.Request) (*http.Response, error) {
	all := t.Backends()
	if len(all) == 0 {
		return nil, errNoReplica
	}
	body := &unread{ReadCloser: req.Body}
	first, began := t.next.Add(1), time.Now()
	tries := uint64(min(len(all), int(max(t.HTTP.NextTries, 1))))
	for i := uint64(1); ; i++ {
		resp, err := t.try(req, body, all[(first+i)%uint64(len(all))])
		last := i >= tries || body.touched.Load() || t.HTTP.NextTimeout > 0 && time.Since(began) >= time.Duration(t.HTTP.NextTimeout)*time.Millisecond
		if last || req.Context().Err() != nil || !t.goesOn(req, resp, err) {
			return resp, err
		}
		if resp != nil {
			_ = resp.Body.Close() // another replica answers
		}
	}
}

// goesOn tells whether another replica is to be asked after such an answer.
func (t *route) goesOn(req *http.Request, resp *http.Response, err error) bool {
	cases := t.HTTP.NextCases
	if len(cases) == 0 {
		cases = []string{"error", "timeout"}
	}
	var one string
	var late net.Error
	var dial *net.OpError
	switch {
	case err == nil:
		one = strconv.Itoa(resp.StatusCode)
	case errors.As(err, &late) && late.Timeout():
		one = "timeout"
	default:
		one = "error"
	}
	unsent := errors.As(err, &dial) && dial.Op == "dial"
	changes := req.Method == http.MethodPost || req.Method == http.MethodPatch || req.Method == "LOCK"
	return slices.Contains(cases, one) && (unsent || !changes)
}

// try asks one replica.
func (t *route) try(req *http.Request, body *unread, to netip.AddrPort) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	out := req.Clone(ctx)
	if out.URL.Host = to.String(); req.Body != nil && req.Body != http.NoBody {
		out.Body = body
	}
	resp, err := t.transport.RoundTrip(out)
	switch {
	case err != nil:
		cancel()
		return nil, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		context.AfterFunc(req.Context(), cancel) // both ends speak when they like
	default:
		limit := milliseconds(t.HTTP.ReadTimeout, time.Minute)
		idle := time.AfterFunc(limit, cancel)
		idle.Stop()
		resp.Body = &patient{resp.Body, limit, idle, cancel}
	}
	return resp, nil
}

// An unread body knows whether any of it was taken. Who owns the request
// closes it.
type unread struct {
	io.ReadCloser
	touched atomic.Bool
}

func (u *unread) Read(p []byte) (int, error) {
	u.touched.Store(true)
	return u.ReadCloser.Read(p)
}

func (*unread) Close() error { return nil }

// A patient body waits for each piece of an answer only so long.
type patient struct {
	io.ReadCloser
	limit  time.Duration
	idle   *time.Timer
	cancel context.CancelFunc
}

func (p *patient) Read(b []byte) (int, error) {
	p.idle.Reset(p.limit)
	defer p.idle.Stop()
	return p.ReadCloser.Read(b)
}

// Close ends the request.
func (p *patient) Close() error {
	p.idle.Stop()
	p.cancel()
	return p.ReadCloser.Close()
}
