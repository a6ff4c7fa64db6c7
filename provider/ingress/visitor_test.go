package ingress

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestVisitorIsWhoCanBeBelieved(t *testing.T) {
	d := NewDoor(Limits{}, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"))
	for name, c := range map[string]struct {
		from, said, proto string
		addr, told        string // what the service is told in X-Forwarded-For
		secure            bool
	}{
		"a stranger":               {"192.0.2.1:5", "", "", "192.0.2.1", "192.0.2.1", false},
		"a stranger who lies":      {"192.0.2.1:5", "203.0.113.9", "https", "192.0.2.1", "192.0.2.1", false},
		"an own proxy":             {"10.0.0.1:5", "192.0.2.7", "https", "192.0.2.7", "192.0.2.7, 10.0.0.1", true},
		"one that says nothing":    {"10.0.0.1:5", "", "", "10.0.0.1", "10.0.0.1", false},
		"a liar behind a proxy":    {"10.0.0.1:5", "203.0.113.9, 192.0.2.7", "https", "192.0.2.7", "192.0.2.7, 10.0.0.1", true},
		"two proxies":              {"10.0.0.1:5", "203.0.113.9, 192.0.2.7, 10.0.0.2", "http", "192.0.2.7", "192.0.2.7, 10.0.0.2, 10.0.0.1", false},
		"with a port":              {"10.0.0.1:5", "192.0.2.7:4711", "", "192.0.2.7", "192.0.2.7, 10.0.0.1", false},
		"nonsense":                 {"10.0.0.1:5", "192.0.2.7, unknown", "", "10.0.0.1", "10.0.0.1", false},
		"IPv6":                     {"[2001:db8::1]:5", "2001:db9::7", "HTTPS", "2001:db9::7", "2001:db9::7, 2001:db8::1", true},
		"IPv4 in an IPv6 listener": {"[::ffff:10.0.0.1]:5", "192.0.2.7", "", "192.0.2.7", "192.0.2.7, ::ffff:10.0.0.1", false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, strings.Join([]string{r.Header.Get("X-Real-Ip"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Forwarded")}, "|"))
			}))
			defer s.Close()
			r := &Router{}
			r.Set([]Route{{Hosts: []string{"a.example"}, Backends: func() []netip.AddrPort {
				return []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))}
			}}})
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Host, req.RemoteAddr = "a.example", c.from
			req.Header.Set("Forwarded", "for=203.0.113.9")
			if c.said != "" {
				req.Header.Set("X-Forwarded-For", c.said)
			}
			if c.proto != "" {
				req.Header.Set("X-Forwarded-Proto", c.proto)
			}
			w := httptest.NewRecorder()
			d.take(r).ServeHTTP(w, req)
			proto := map[bool]string{true: "https", false: "http"}[c.secure]
			if want := strings.Join([]string{c.addr, c.told, proto, ""}, "|"); w.Body.String() != want {
				t.Errorf("the service is told %q, want %q", w.Body, want)
			}
		})
	}
}

// v2 is a PROXY header of the second version for 192.0.2.7:4711.
const v2 = proxyV2 + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x07" + "\xc0\x00\x02\x09" + "\x12\x67" + "\x01\xbb"

func TestPROXYTellsTheVisitor(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-From", r.RemoteAddr) }
	behind(t, NewDoor(Limits{}, netip.MustParsePrefix("10.0.0.0/8")), tell, func(t *testing.T, p *pipes) {
		const v1 = "PROXY TCP4 192.0.2.7 192.0.2.9 4711 443\r\n"
		for name, c := range map[string]struct{ from, head, want string }{
			"version 1":           {"10.0.0.1:5", v1, "192.0.2.7:4711"},
			"version 1, IPv6":     {"10.0.0.1:5", "PROXY TCP6 2001:db8::7 2001:db8::9 4711 443\r\n", "[2001:db8::7]:4711"},
			"version 1, unknown":  {"10.0.0.1:5", "PROXY UNKNOWN\r\n", "10.0.0.1:5"},
			"version 2":           {"10.0.0.1:5", v2, "192.0.2.7:4711"},
			"version 2, itself":   {"10.0.0.1:5", proxyV2 + "\x20\x00\x00\x00", "10.0.0.1:5"},
			"nothing":             {"10.0.0.1:5", "", "10.0.0.1:5"},
			"a stranger's":        {"192.0.2.1:5", v1, ""},
			"a stranger's second": {"192.0.2.1:5", v2, ""},
			"nonsense":            {"10.0.0.1:5", "PROXY TCP4 here there 1 2\r\n", ""},
			"endless":             {"10.0.0.1:5", "PROXY " + strings.Repeat("x", 200), ""},
		} {
			conn := p.dial(c.from)
			go func(c net.Conn, head string) {
				io.WriteString(c, head+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			}(conn, c.head)
			_, said := end(conn)
			_, after, _ := strings.Cut(said, "X-From: ")
			if got, _, _ := strings.Cut(after, "\r\n"); got != c.want {
				t.Errorf("%s: from %q, want %q, in %q", name, got, c.want, said)
			}
		}
	})
}

func FuzzPROXY(f *testing.F) {
	for _, s := range []string{"", "GET / HTTP/1.1\r\n", "PROXY TCP4 192.0.2.7 192.0.2.9 4711 443\r\nrest", "PROXY UNKNOWN\r\n", v2 + "rest", proxyV2 + "\x21\x21\x00\x24"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := strings.NewReader(string(in))
		who, ahead, err := readPROXY(r)
		if read := len(in) - r.Len(); read > len(proxyV2)+4+maxProxyV2 {
			t.Errorf("%d bytes were read", read)
		}
		if err == nil && !who.IsValid() && len(ahead) > 0 && !strings.HasPrefix(string(in), string(ahead)) {
			t.Errorf("%q was handed on of %q", ahead, in)
		}
		if len(ahead) > maxProxyV1 {
			t.Errorf("%d bytes are handed on", len(ahead))
		}
	})
}
