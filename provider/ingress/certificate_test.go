package ingress

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/plexus-network/plexus/market/manifest"
)

// pair makes a certificate for names, signed by itself.
func pair(t *testing.T, names ...string) (certificate, key []byte) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

func roots(certificate []byte) *x509.CertPool {
	all := x509.NewCertPool()
	all.AppendCertsFromPEM(certificate)
	return all
}

// door is an ingress that listens, with and without TLS.
type door struct {
	certificates  *Certificates
	router        *Router
	plain, secure string
}

// openDoor opens an ingress whose names end in example and lead to service a,
// or to a handler.
func openDoor(t *testing.T, o CertificateOptions, service http.Handler) *door {
	t.Helper()
	text, key := pair(t, "self")
	self, err := tls.X509KeyPair(text, key)
	if err != nil {
		t.Fatal(err)
	}
	o.Self = self
	d := &door{router: &Router{}}
	if d.certificates, err = NewCertificates(o); err != nil {
		t.Fatal(err)
	}
	to := backend(t, "a")
	if service != nil {
		s := httptest.NewServer(service)
		t.Cleanup(s.Close)
		to = netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	}
	d.router.Set([]Route{{Hosts: []string{"app.example", "own.example", "bare.example"}, Backends: func() []netip.AddrPort { return []netip.AddrPort{to} }}})
	plain := d.certificates.Plain(d.router, func(host string) string { return "https://" + host + ":443" })
	in := NewDoor(Limits{})
	d.plain, d.secure = serve(t, in, plain, nil), serve(t, in, d.router, d.certificates.TLS())
	return d
}

// serve opens a door on loopback until the test ends, and returns its address.
func serve(t *testing.T, d *Door, h http.Handler, c *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx, l, h, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// client asks the door for every name, and trusts roots; nil trusts all.
func (d *door) client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, InsecureSkipVerify: roots == nil},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to := d.plain
				if strings.HasSuffix(address, ":443") {
					to = d.secure
				}
				return new(net.Dialer).DialContext(ctx, network, to)
			},
		},
	}
}

func (d *door) get(t *testing.T, scheme, host string, roots *x509.CertPool) string {
	t.Helper()
	c := d.client(roots)
	defer c.CloseIdleConnections()
	resp, err := c.Get(scheme + "://" + host + "/")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func TestCertificatesByName(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	put := func(names ...string) []byte {
		t.Helper()
		c, k := pair(t, names...)
		if err := os.WriteFile(file, c, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, k, 0o600); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := put("own.example")
	d := openDoor(t, CertificateOptions{File: file, Key: key}, nil)
	if got := d.get(t, "https", "own.example", roots(first)); !strings.HasPrefix(got, "a own.example") {
		t.Errorf("by the provider's own certificate: %q", got)
	}
	if got := d.get(t, "https", "app.example", roots(first)); !strings.Contains(got, "certificate") {
		t.Errorf("a name that it does not cover: %q", got)
	}
	if got := d.get(t, "https", "app.example", nil); !strings.HasPrefix(got, "a app.example") {
		t.Errorf("by the self-signed certificate: %q", got)
	}
	second := put("own.example", "bare.example")
	d.certificates.looked = time.Time{}
	if got := d.get(t, "https", "bare.example", roots(second)); !strings.HasPrefix(got, "a bare.example") {
		t.Errorf("after the files changed: %q", got)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.certificates.looked = time.Time{}
	if got := d.get(t, "https", "bare.example", roots(second)); !strings.HasPrefix(got, "a bare.example") {
		t.Errorf("while the files are damaged: %q", got)
	}
	for _, o := range []CertificateOptions{{File: file, Key: key}, {File: file}, {File: filepath.Join(dir, "none"), Key: key}} {
		if _, err := NewCertificates(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestPlainRedirectsWhereTLSIsTrusted(t *testing.T) {
	dir := t.TempDir()
	c, k := pair(t, "own.example")
	file, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if err := os.WriteFile(file, c, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, k, 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, CertificateOptions{File: file, Key: key}, nil)
	resp, err := d.client(nil).Get("http://own.example/x?y=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != "https://own.example:443/x?y=1" {
		t.Errorf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if got := d.get(t, "http", "app.example", nil); !strings.HasPrefix(got, "a app.example") {
		t.Errorf("a name without a trusted certificate: %q", got)
	}
}

// TestDoorPassesOn checks what reaches a service over TLS: HTTP/2, streams,
// websockets, and who asks, which nobody can forge.
func TestDoorPassesOn(t *testing.T) {
	next := make(chan struct{})
	d := openDoor(t, CertificateOptions{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/who":
			h := r.Header
			io.WriteString(w, strings.Join([]string{h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-Host"), h.Get("X-Real-Ip"), h.Get("Forwarded")}, "|"))
		case "/stream":
			io.WriteString(w, "one\n")
			w.(http.Flusher).Flush()
			<-next
			io.WriteString(w, "two\n")
		case "/socket":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			kind, text, err := c.Read(r.Context())
			if err == nil {
				_ = c.Write(r.Context(), kind, append([]byte("echo "), text...))
			}
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	}))
	c := d.client(nil)
	defer c.CloseIdleConnections()
	req, _ := http.NewRequest(http.MethodGet, "https://app.example/who", nil)
	for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded"} {
		req.Header.Set(h, "forged")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.ProtoMajor != 2 || string(text) != "127.0.0.1|https|app.example|127.0.0.1|" {
		t.Errorf("HTTP/%d, who asks: %q", resp.ProtoMajor, text)
	}
	if resp, err = c.Get("https://app.example/stream"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "one\n" {
		t.Errorf("the first piece of a stream: %q, %v", line, err)
	}
	close(next)
	if line, err := lines.ReadString('\n'); err != nil || line != "two\n" {
		t.Errorf("the second: %q, %v", line, err)
	}
	plain := d.client(nil)
	plain.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	socket, answer, err := websocket.Dial(t.Context(), "wss://app.example/socket", &websocket.DialOptions{HTTPClient: plain}) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err, answer)
	}
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := socket.Read(t.Context()); err != nil || string(text) != "echo hi" {
		t.Errorf("over a websocket: %q, %v", text, err)
	}
}

func TestRouterTriesTheNextReplica(t *testing.T) {
	code := func(n int) netip.AddrPort { // 0 answers nothing
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				<-r.Context().Done()
				return
			}
			w.WriteHeader(n)
		}))
		t.Cleanup(s.Close)
		return netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	}
	broken, fine, slow, dead := code(503), code(200), code(0), netip.MustParseAddrPort("127.0.0.1:1")
	for name, c := range map[string]struct {
		o      manifest.HTTPOptions
		all    []netip.AddrPort
		method string
		body   string
		want   []int
	}{
		"a code that is named":          {manifest.HTTPOptions{NextTries: 2, NextCases: []string{"503"}}, []netip.AddrPort{broken, fine}, "GET", "", []int{200}},
		"a code that is not":            {manifest.HTTPOptions{NextTries: 2}, []netip.AddrPort{broken, broken}, "GET", "", []int{503}},
		"off":                           {manifest.HTTPOptions{NextTries: 2, NextCases: []string{"off"}}, []netip.AddrPort{dead, dead}, "GET", "", []int{502}},
		"too few tries":                 {manifest.HTTPOptions{NextTries: 1}, []netip.AddrPort{dead, dead, fine}, "GET", "", []int{200, 502}},
		"a change that never left":      {manifest.HTTPOptions{NextTries: 2}, []netip.AddrPort{dead, fine}, "POST", "x", []int{200}},
		"a change that may have worked": {manifest.HTTPOptions{NextTries: 2, NextCases: []string{"503"}}, []netip.AddrPort{broken, broken}, "POST", "", []int{503}},
		"one that is slow":              {manifest.HTTPOptions{NextTries: 2, ReadTimeout: 2000}, []netip.AddrPort{slow, fine}, "GET", "", []int{200}},
		"no time for another":           {manifest.HTTPOptions{NextTries: 3, ReadTimeout: 50, NextTimeout: 1}, []netip.AddrPort{slow, slow, slow}, "GET", "", []int{504}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Router{}
			r.Set([]Route{{Hosts: []string{"x.example"}, HTTP: c.o, Backends: func() []netip.AddrPort { return c.all }}})
			for range 2 * len(c.all) { // whoever is first
				w := httptest.NewRecorder()
				req := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
				req.Host = "x.example"
				r.ServeHTTP(w, req)
				if !slices.Contains(c.want, w.Code) {
					t.Errorf("%d, want %v", w.Code, c.want)
				}
			}
		})
	}
}

func TestRouterEndsAnAnswerThatStalls(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	to := netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	r := &Router{}
	r.Set([]Route{{Hosts: []string{"127.0.0.1"}, HTTP: manifest.HTTPOptions{ReadTimeout: 2000}, Backends: func() []netip.AddrPort { return []netip.AddrPort{to} }}})
	front := httptest.NewServer(r)
	defer front.Close()
	resp, err := http.Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil || string(text) != "begun" {
		t.Errorf("%q, %v; want a broken answer", text, err)
	}
}
