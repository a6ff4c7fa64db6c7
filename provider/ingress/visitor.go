package ingress

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A visitor is who asks, as far as it can be believed.
type visitor struct {
	addr    netip.Addr
	chain   []string // trusted proxies that said so, from the visitor's side, but the one that is connected
	secure  bool     // asked over TLS, here or at a trusted proxy
	proxied bool     // a trusted proxy is connected, and says so
}

type visitorKey struct{}

// visitorOf returns who asks. Without a [Door] it is who is connected.
func visitorOf(r *http.Request) visitor {
	if v, ok := r.Context().Value(visitorKey{}).(visitor); ok {
		return v
	}
	return (&Door{}).visitor(r)
}

// visitor finds out who asks. What X-Forwarded-For and X-Forwarded-Proto say
// counts from a trusted proxy alone, and of the former what trusted proxies
// wrote: from its end up to the first address that is none of theirs.
func (d *Door) visitor(r *http.Request) visitor {
	connected := peer(r.RemoteAddr)
	v := visitor{addr: connected, secure: r.TLS != nil}
	if !d.trusts(connected) {
		return v
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(said) {
		a, ok := hop(strings.TrimSpace(text))
		if !ok {
			break // what stands before it can be forged
		}
		if v.proxied {
			v.chain = append([]string{v.addr.String()}, v.chain...)
		}
		v.addr, v.proxied = a, true
		if !d.trusts(a) {
			break
		}
	}
	if said := r.Header.Values("X-Forwarded-Proto"); len(said) > 0 {
		v.secure = strings.EqualFold(strings.TrimSpace(said[len(said)-1]), "https")
	}
	return v
}

// hop reads an address of X-Forwarded-For; some proxies write its port, too.
func hop(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap(), true
	}
	a, err := netip.ParseAddrPort(text)
	return a.Addr().Unmap(), err == nil
}

// forwardedFor is the X-Forwarded-For that a service is told, but for who is
// connected.
func (v visitor) forwardedFor() []string {
	if !v.proxied {
		return nil
	}
	return append([]string{v.addr.String()}, v.chain...)
}

// peer is the address of a connection's other end; the zero one if it has none.
func peer(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// neighbourhood is what an address is counted by: an IPv6 network of 64 bits is
// one visitor's.
func neighbourhood(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // of no address
	}
	return p
}

// A listener makes connections of a Door.
type listener struct {
	net.Listener
	door *Door
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, door: l.door}, nil
}

// A conn is counted by its visitor's address, which a trusted proxy may tell at
// its beginning (PROXY), and gives each write a time.
type conn struct {
	net.Conn
	door *Door

	once  sync.Once
	from  net.Addr
	ahead []byte // read while looking for PROXY
	bad   error  // why nothing more is read

	mu      sync.Mutex
	counted netip.Prefix
	inside  bool
	closed  bool
	until   time.Time // of writes, as the server wants it; zero means no such
}

// know finds out who the visitor is; it may wait for a proxy's word, so the
// server calls it in the connection's own goroutine.
func (c *conn) know() {
	c.once.Do(func() {
		c.from = c.Conn.RemoteAddr()
		a := peer(c.from.String())
		if c.door.trusts(a) {
			var said netip.AddrPort
			_ = c.SetReadDeadline(time.Now().Add(c.door.limits.Header)) // the read says if it cannot be set
			said, c.ahead, c.bad = readPROXY(c.Conn)
			_ = c.SetReadDeadline(time.Time{})
			if c.bad != nil || !said.IsValid() {
				return // its requests are counted by who they are for
			}
			c.from, a = net.TCPAddrFromAddrPort(said), said.Addr().Unmap()
			if c.door.trusts(a) {
				return
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.counted = neighbourhood(a); c.closed {
			c.bad = net.ErrClosed
		} else if c.inside = c.door.present.enter(c.counted, c.door.limits.PerAddress); !c.inside {
			c.bad = net.ErrClosed
		}
	})
	if c.bad != nil {
		_ = c.Close() // a stranger is told nothing
	}
}

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr {
	c.know()
	return c.from
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if c.know(); c.bad != nil {
		return 0, c.bad
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	until := time.Now().Add(c.door.limits.Stall)
	c.mu.Lock()
	if !c.until.IsZero() && c.until.Before(until) {
		until = c.until
	}
	err := c.Conn.SetWriteDeadline(until)
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline implements [net.Conn]; each write has a time of its own, too.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.inside {
		c.inside = false
		c.door.present.leave(c.counted)
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
