package sandboxtest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A NetworkOpener opens an engine on dir with options of its network.
type NetworkOpener func(t testing.TB, dir string, o network.Options) Closer

// leased is an address on the wire that is not the host's own.
var leased = netip.MustParseAddr("203.0.113.33")

// Addresses holds an engine to what it promises of leased addresses: the ports
// that were exposed and no others, for as long as somebody leases them.
func Addresses(t *testing.T, open NetworkOpener) {
	o := network.Options{Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.32/28")}, Interface: worldInterface, Outgoing: true}
	k := newKit(t, func(t testing.TB, dir string) Closer { return open(t, dir, o) })

	web := k.workload(k.lease(t), "web", "serve", "one")
	web.Ports = []sandbox.Port{{Container: 8080, Host: 80, IP: leased}}
	second := web
	second.ID.Replica, second.Process.Args = 1, []string{"/tenant", "serve", "two"}
	other := k.workload(k.lease(t), "api", "serve", "api")
	other.Ports = []sandbox.Port{{Container: 8080, Host: 443, IP: leased}}
	for _, w := range []sandbox.Workload{web, second, other} {
		get(t, k.start(t, w).Address, "/", "")
	}
	k.reached(t, "one", "two")
	k.closed(t)
	k.outgoing(t, web.ID)
	clash := k.workload(k.lease(t), "clash", "serve")
	clash.Ports = web.Ports
	if err := k.engine.Start(t.Context(), clash); err == nil || !strings.Contains(err.Error(), "port 80 of "+leased.String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := k.engine.Close(); err != nil {
		t.Fatal(err)
	}
	k.engine = k.open(t, filepath.Join(k.dir, "engine"))
	k.reached(t, "one", "two")
	if err := k.engine.Stop(t.Context(), second.ID, 0); err != nil {
		t.Fatal(err)
	}
	k.reached(t, "one")
	for i, l := range []sandbox.Lease{web.ID.Lease, other.ID.Lease} {
		if !taken(t) {
			t.Errorf("with %d leases left, the machine does not have %s", 2-i, leased)
		}
		if err := k.engine.Release(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if taken(t) {
		t.Errorf("with no lease left, the machine has %s still", leased)
	}
}

// ask connects from outside, and returns the answer to an HTTP request.
func ask(t *testing.T, address string) (string, error) {
	t.Helper()
	return outside(t, func() (string, error) {
		c, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprintf(c, "GET /x HTTP/1.0\r\n\r\n")
		text, err := io.ReadAll(c)
		_, body, _ := strings.Cut(string(text), "\r\n\r\n")
		return body, err
	})
}

// reached are all of some replicas, and no others, at the leased address.
func (k *kit) reached(t *testing.T, replicas ...string) {
	t.Helper()
	var answers []string
	for range 8 {
		text, err := ask(t, leased.String()+":80")
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, strings.Fields(text + " ?")[0])
	}
	slices.Sort(answers)
	if got := slices.Compact(answers); !slices.Equal(got, replicas) {
		t.Errorf("at the leased address answer %q, want %q", got, replicas)
	}
	if text, err := ask(t, leased.String()+":443"); err != nil || !strings.HasPrefix(text, "api ") {
		t.Errorf("the other lease's port answers %q, %v", text, err)
	}
}

// closed is everything else of the address, and its ports on the host's own.
func (k *kit) closed(t *testing.T) {
	t.Helper()
	ip, _, _ := strings.Cut(hostAddress, "/")
	forbidden := []string{leased.String() + ":8080", ip + ":80", ip + ":443"}
	for _, port := range k.listenHost(t) {
		forbidden = append(forbidden, fmt.Sprintf("%s:%d", leased, port))
	}
	for _, address := range forbidden {
		if text, err := ask(t, address); err == nil {
			t.Errorf("%s answers %q", address, text)
		}
	}
}

// outgoing connections of a replica come from its leased address.
func (k *kit) outgoing(t *testing.T, id sandbox.ID) {
	t.Helper()
	l, err := outside(t, func() (net.Listener, error) { return net.Listen("tcp4", "0.0.0.0:26445") })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	from := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			from <- err.Error()
			return
		}
		from <- c.RemoteAddr().String()
		_ = c.Close()
	}()
	if got := k.exec(t, id, "dial", internet+":26445"); len(opened(got)) != 1 {
		t.Fatalf("the internet: %s", got)
	}
	if got := <-from; !strings.HasPrefix(got, leased.String()+":") {
		t.Errorf("a replica's connection comes from %s, want %s", got, leased)
	}
}

// taken tells whether the machine has the leased address.
func taken(t *testing.T) bool {
	t.Helper()
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.IP.String() == leased.String() })
}
