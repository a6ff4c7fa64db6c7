package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// errGone means that the client went away: nobody reads an answer.
var errGone = &problem{status: 499, kind: kindServer, code: "client_gone", message: "the client went away"}

// routes builds the handler.
func (g *Gateway) routes(registry *prometheus.Registry, web http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/chat/completions", g.only(http.MethodPost, g.admitted("chat", g.chat)))
	mux.Handle("/v1/completions", g.only(http.MethodPost, g.admitted("completions", g.completions)))
	g.routeDialects(mux)
	g.routeAccess(mux)
	mux.Handle("/v1/models", g.only(http.MethodGet, g.listModels))
	mux.Handle("/v1/models/{id...}", g.only(http.MethodGet, g.showModel))
	mux.Handle("/api/network", g.only(http.MethodGet, g.showNetwork))
	mux.Handle("/health", g.only(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}))
	mux.Handle("/ready", g.only(http.MethodGet, g.ready))
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/v1/", notFound)
	mux.HandleFunc("/api/", notFound)
	if web != nil {
		mux.Handle("/", web)
	} else {
		mux.HandleFunc("/", notFound)
	}
	return g.guarded(mux)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	(&problem{
		status: http.StatusNotFound, kind: kindInvalid, code: "not_found",
		message: "there is nothing at " + r.Method + " " + r.URL.Path + "; the API begins at /v1/chat/completions",
	}).write(w)
}

// only refuses other methods than method; GET takes HEAD along.
func (g *Gateway) only(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			next(w, r)
			return
		}
		w.Header().Set("Allow", method)
		(&problem{
			status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed",
			message: r.URL.Path + " takes " + method + ", not " + r.Method,
		}).write(w)
	})
}

// guarded gives every request an id, keeps strange web pages out, and turns a
// panic into an error.
func (g *Gateway) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(requestHeader, givenID(r.Header.Get(requestHeader)))
		h.Set("Request-Id", requestID(w)) // as Anthropic's clients know it
		h.Set("X-Content-Type-Options", "nosniff")
		g.extend(w)
		watched := &watch{ResponseWriter: w, words: wordingFor(r)}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // the one panic that net/http means for itself, by its value
				panic(p)
			}
			g.log.Error("a request panicked", "request", requestID(w), "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			if watched.begun {
				panic(http.ErrAbortHandler) // the client must see that the answer is not whole
			}
			errInternal.write(watched)
		}()
		if !g.cross(watched, r) {
			return
		}
		next.ServeHTTP(watched, r)
	})
}

const requestHeader = "X-Request-Id"

func requestID(w http.ResponseWriter) string { return w.Header().Get(requestHeader) }

// givenID returns the client's own id if it is a plain one, and else a new one.
func givenID(id string) string {
	plain := func(c rune) bool { return c > ' ' && c < 0x7f }
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return !plain(c) }) {
		return "req_" + newID()
	}
	return id
}

// watch notes whether an answer has begun.
type watch struct {
	http.ResponseWriter
	begun bool
	words wording // how errors are shown; nil means as the OpenAI API does
}

func (w *watch) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watch) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *watch) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// cross applies the rules for web pages of other origins and tells whether the
// request goes on. A page of another site could else spend what the user of
// this gateway has, from the user's own browser.
func (g *Gateway) cross(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !g.trusts(origin, r.Host) {
		(&problem{
			status: http.StatusForbidden, kind: kindInvalid, code: "origin_not_allowed",
			message: "pages of " + origin + " may not call this gateway; its operator can allow that origin",
		}).write(w)
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers",
		"X-Request-Id, X-Receipt-Id, Retry-After, Retry-After-Ms, X-Should-Retry, "+rateHeaders+", "+
			"X-Plexus-Miner, X-Plexus-Miners, X-Plexus-Score, X-Plexus-Standing, X-Plexus-Strategy, X-Plexus-Subnet")
	if r.Method != http.MethodOptions {
		return true
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Max-Age", "600")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusNoContent)
	return false
}

// trusts tells whether pages of origin may call a gateway reached as host.
func (g *Gateway) trusts(origin, host string) bool {
	if slices.Contains(g.origins, "*") || slices.Contains(g.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if u.Host != "" && u.Host == host {
		return true
	}
	name := u.Hostname()
	return g.origins == nil && (name == "localhost" || name == "127.0.0.1" || name == "::1")
}

// dialect answers a request whose body is read.
type dialect func(w http.ResponseWriter, r *http.Request, body []byte) *problem

// admitted runs a dialect within the gateway's limits, for a caller who may ask.
func (g *Gateway) admitted(route string, next dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.tellRoom(w.Header())
		bad := g.admit(w, r, next)
		status := http.StatusOK
		if bad != nil {
			status = bad.status
			if bad != errGone {
				g.extend(w)
				bad.write(w)
			}
		}
		g.metrics.request(route, status)
	}
}

func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, next dialect) *problem {
	select {
	case g.inside <- struct{}{}:
	default:
		// The server takes in the body before it answers: not for ever.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.limits.Client))
		return busy(g.running(), len(g.inside)-g.running(), time.Second)
	}
	g.late.Add(1)
	defer func() {
		g.late.Done()
		<-g.inside
	}()
	caller, bad := g.identify(w, r)
	if bad != nil {
		return bad
	}
	body, bad := g.read(w, r)
	if bad != nil {
		return bad
	}
	t := &ticket{g: g, caller: caller}
	defer t.leave(r.Context())
	return next(w, r.WithContext(context.WithValue(r.Context(), ticketKey{}, t)), body)
}

// read takes the request's body in, within the limits of size and time.
func (g *Gateway) read(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(g.limits.Client)) // some servers have none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, g.limits.Body))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooBig(large.Limit)
	case err != nil:
		return nil, invalid("", "the request's body did not come whole within %v", g.limits.Client)
	}
	_ = rc.SetReadDeadline(time.Time{}) // or the client would seem gone when it passes
	return body, nil
}

// extend gives the client time to take the next piece of an answer.
func (g *Gateway) extend(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(g.limits.Client)) // some servers have none
}
