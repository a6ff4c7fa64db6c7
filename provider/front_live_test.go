package provider

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/price"
)

// listening returns addresses of this machine that nothing listens on. Linux
// has a whole net of loopback addresses, and so nobody else takes the ports of
// this one before they are used.
func listening(t *testing.T, n int) (all []string) {
	t.Helper()
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.2", 100+os.Getpid()/256%100, os.Getpid()%256)
	}
	for range n {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // once all are chosen, so that they differ
		all = append(all, l.Addr().String())
	}
	return all
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// TestHTTPSOfALease asks a lease's service over HTTPS, and Prometheus, from a
// daemon that listens.
func TestHTTPSOfALease(t *testing.T) {
	dir := t.TempDir()
	self, _, err := Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.2:0") // where the engine says that the first replica is
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("X-Forwarded-Proto"))
	})}
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}

	chain, free := newChain(), listening(t, 2)
	secure, metrics := free[0], free[1]
	d, err := New(Options{
		Dir: dir, Account: me, Chain: chain, Engine: &memory.Engine{}, Images: images{}, Prices: price.DefaultScale(),
		Capacity: inventory.Amounts{CPU: 1000, Memory: 1 << 30, Storage: map[string]int64{"": 1 << 30}}, Domain: "sells.example",
		Certificate: self, IngressTLS: secure, Metrics: metrics, Pace: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	id := chain.order(1, spec(1))
	soon(t, "a bid", func() bool {
		chain.mu.Lock()
		defer chain.mu.Unlock()
		_, has := chain.bids[id]
		return has
	})
	chain.take(id)
	m := webManifest("v1", 1)
	m[0].Services[0].Expose = []manifest.Expose{{Port: uint32(port), ExternalPort: 80, Proto: "TCP", Global: true, Hosts: []string{"app1.example"}}}
	chain.change(func() { chain.hashes[id.DeploymentID] = m.Hash() })
	if _, err := d.Manifest(ctx, "plx1tenant", 1, m); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, secure)
		},
	}}
	defer c.CloseIdleConnections()
	var got string
	soon(t, "an answer over HTTPS", func() bool {
		resp, err := c.Get("https://app1.example/")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		got = string(text)
		return resp.StatusCode == http.StatusOK && resp.ProtoMajor == 2
	})
	if got != "app1.example https" {
		t.Errorf("got %q", got)
	}
	resp, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), "plexus_provider_leases 1") {
		t.Errorf("Prometheus reads %.300s", text)
	}
}
