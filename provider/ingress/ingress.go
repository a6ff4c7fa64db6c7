// Package ingress is a provider's front door for its tenants' HTTP services:
// one address, where the Host of a request says whose it is.
//
// The other side of the door is a stranger on both ends: bodies, headers and
// times are bounded by what the tenant's manifest says within the law's own
// bounds, and a name serves one lease alone. Over TLS the name chooses the
// certificate, too: the provider's own, one that an ACME authority gave for a
// tenant's name, or one that is signed by itself. A [Door] bounds what visitors
// may take of time and connections, and knows who they are if a proxy of the
// operator's own stands before it. Start at [Door], [Router] and
// [Certificates].
package ingress

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plexus-network/plexus/market/manifest"
)

// A Route leads from names to a service's replicas.
type Route struct {
	Lease    string   // whose it is; "" is counted with none
	Hosts    []string // names in small letters, without a port
	HTTP     manifest.HTTPOptions
	Backends func() []netip.AddrPort // of the replicas that run now
}

// A Router serves HTTP by routes. The zero Router knows none.
type Router struct {
	Log      *slog.Logger // nil means no log
	PerLease int          // requests at a time to one lease; 0 means as [Limits] do

	busy count[string] // requests, by lease

	mu     sync.RWMutex
	routes map[string]*route
}

type route struct {
	Route
	next      atomic.Uint64
	transport *http.Transport
	proxy     *httputil.ReverseProxy
}

// Set replaces all routes. A name that two have leads to the first.
func (r *Router) Set(routes []Route) {
	all := map[string]*route{}
	for _, one := range routes {
		to := &route{Route: one}
		to.transport = to.connections()
		to.proxy = &httputil.ReverseProxy{
			Rewrite: forward, Transport: to, ErrorHandler: r.failed, FlushInterval: -1,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		}
		for _, host := range one.Hosts {
			if all[host] == nil {
				all[host] = to
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.routes
	r.routes = all
	for _, o := range old {
		o.transport.CloseIdleConnections()
	}
}

// forward tells a service who asks it and how, whatever the client says of
// that itself.
func forward(p *httputil.ProxyRequest) {
	v := visitorOf(p.In)
	p.Out.URL.Scheme, p.Out.Host = "http", p.In.Host
	p.Out.Header["X-Forwarded-For"] = v.forwardedFor()
	p.SetXForwarded() // appends who is connected
	p.Out.Header.Set("X-Forwarded-Proto", map[bool]string{true: "https", false: "http"}[v.secure])
	p.Out.Header.Del("X-Real-Ip")
	if v.addr.IsValid() {
		p.Out.Header.Set("X-Real-Ip", v.addr.String())
	}
}

// milliseconds is what a manifest says, at most the law's minute.
func milliseconds(n uint32, otherwise time.Duration) time.Duration {
	if n == 0 {
		return otherwise
	}
	return min(time.Duration(n)*time.Millisecond, time.Minute)
}

// defaultBody is how large a request may be if a manifest does not say, as in
// Akash's; maxBody whatever it says.
const (
	defaultBody = 1 << 20
	maxBody     = 100 << 20
)

// ServeHTTP implements [http.Handler].
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	host := hostOf(req)
	to := r.route(host)
	if to == nil {
		http.Error(w, fmt.Sprintf("nothing is served here under the name %q", host), http.StatusNotFound)
		return
	}
	if most := (Limits{PerLease: r.PerLease}).withDefaults().PerLease; to.Lease != "" {
		if !r.busy.enter(to.Lease, most) {
			full(w, http.StatusServiceUnavailable, fmt.Sprintf("this service has as many requests open as it may: %d", most))
			return
		}
		defer r.busy.leave(to.Lease)
	}
	limit := int64(min(to.HTTP.MaxBodySize, maxBody))
	if limit == 0 {
		limit = defaultBody
	}
	if req.ContentLength > limit {
		http.Error(w, fmt.Sprintf("a body of %d bytes, at most %d are taken", req.ContentLength, limit), http.StatusRequestEntityTooLarge)
		return
	}
	req.Body = http.MaxBytesReader(w, req.Body, limit)
	to.proxy.ServeHTTP(w, req)
}

// route returns where a name leads, or nil.
func (r *Router) route(host string) *route {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.routes[host]
}

// hostOf is the name that a request asks for, in small letters.
func hostOf(req *http.Request) string {
	host := req.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

// failed answers for a service that does not.
func (r *Router) failed(w http.ResponseWriter, req *http.Request, err error) {
	if r.Log != nil {
		r.Log.Debug("ingress", "host", req.Host, "error", err)
	}
	var large *http.MaxBytesError
	var late net.Error
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("the body is larger than the %d bytes that are taken", large.Limit), http.StatusRequestEntityTooLarge)
	case errors.Is(err, errNoReplica):
		w.Header().Set("Retry-After", "2")
		http.Error(w, errNoReplica.Error(), http.StatusServiceUnavailable)
	case errors.As(err, &late) && late.Timeout():
		http.Error(w, "the service did not answer in time", http.StatusGatewayTimeout)
	default:
		http.Error(w, "the service cannot be reached", http.StatusBadGateway)
	}
}
