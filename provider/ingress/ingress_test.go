package ingress

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/market/manifest"
)

// backend is a replica that tells its name and what it was sent.
func backend(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		io.WriteString(w, name+" "+r.Host+" "+r.Header.Get("X-Forwarded-For")+" "+string(body))
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
}

func ask(r *Router, host, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Host, req.RemoteAddr = host, "192.0.2.9:1"
	r.ServeHTTP(w, req)
	return w
}

func TestRouter(t *testing.T) {
	a, b := backend(t, "a"), backend(t, "b")
	dead := netip.MustParseAddrPort("127.0.0.1:1")
	fixed := func(all ...netip.AddrPort) func() []netip.AddrPort { return func() []netip.AddrPort { return all } }
	r := &Router{}
	r.Set([]Route{
		{Hosts: []string{"a.example", "x.example"}, Backends: fixed(a)},
		{Hosts: []string{"b.example", "x.example"}, Backends: fixed(dead, b), HTTP: manifest.HTTPOptions{NextTries: 3, MaxBodySize: 10}},
		{Hosts: []string{"none.example"}, Backends: fixed()},
		{Hosts: []string{"dead.example"}, Backends: fixed(dead)},
		{Hosts: []string{"slow.example"}, Backends: fixed(a), HTTP: manifest.HTTPOptions{ReadTimeout: 50}},
	})
	for _, c := range []struct {
		host, path, body string
		code             int
		want             string
	}{
		{"a.example:8000", "/", "hi", 200, "a a.example:8000 192.0.2.9 hi"},
		{"A.Example", "/", "", 200, "a A.Example"},
		{"x.example", "/", "", 200, "a "},
		{"b.example", "/", "", 200, "b "},
		{"b.example", "/", "", 200, "b "}, // past the dead one, whoever is first
		{"b.example", "/", "0123456789a", 413, "at most 10"},
		{"other.example", "/", "", 404, "other.example"},
		{"none.example", "/", "", 503, "no replica"},
		{"dead.example", "/", "", 502, "cannot be reached"},
		{"slow.example", "/slow", "", 504, "in time"},
	} {
		w := ask(r, c.host, c.path, c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.host, w.Code, w.Body, c.code, c.want)
		}
	}
	r.Set(nil)
	if w := ask(r, "a.example", "/", ""); w.Code != 404 {
		t.Errorf("a route that was taken away answers %d", w.Code)
	}
}

func TestRouterBoundsRequestsToALease(t *testing.T) {
	here, free := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			close(here)
			<-free
		}
	}))
	defer s.Close()
	to := func() []netip.AddrPort {
		return []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))}
	}
	routes := []Route{{Lease: "1", Hosts: []string{"a.example"}, Backends: to}, {Lease: "1", Hosts: []string{"b.example"}, Backends: to}, {Lease: "2", Hosts: []string{"c.example"}, Backends: to}}
	r := &Router{PerLease: 1}
	r.Set(routes)
	done := make(chan int)
	go func() { done <- ask(r, "a.example", "/wait", "").Code }()
	<-here
	r.Set(routes) // as it happens at each block
	if w := ask(r, "b.example", "/", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "as it may: 1") {
		t.Errorf("the same lease's second request: %d %q", w.Code, w.Body)
	}
	if w := ask(r, "c.example", "/", ""); w.Code != 200 {
		t.Errorf("another lease's: %d %q", w.Code, w.Body)
	}
	close(free)
	if code := <-done; code != 200 {
		t.Errorf("the first: %d", code)
	}
	if w := ask(r, "b.example", "/", ""); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}
