package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that time may be virtual.
type pipes struct {
	c    chan net.Conn
	done chan struct{}
	once sync.Once
}

// told is a pipe that tells from where it comes.
type told struct {
	net.Conn
	from net.Addr
}

func (t told) RemoteAddr() net.Addr { return t.from }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.c:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects from an address.
func (p *pipes) dial(from string) net.Conn {
	mine, theirs := net.Pipe()
	p.c <- told{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return mine
}

// behind runs a Door before a handler in virtual time.
func behind(t *testing.T, d *Door, h http.HandlerFunc, do func(t *testing.T, p *pipes)) {
	t.Helper()
	overTLS(t, d, h, nil, do)
}

// overTLS is behind, over TLS if c is not nil.
func overTLS(t *testing.T, d *Door, h http.HandlerFunc, c *tls.Config, do func(t *testing.T, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{c: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Serve(ctx, p, h, c) }()
		do(t, p)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour) // who is about to write finds that nobody is there
	})
}

// end waits until the other side hangs up, and returns when that was and what
// it had said.
func end(c net.Conn) (after time.Duration, said string) {
	began := time.Now()
	text, _ := io.ReadAll(c) // a pipe ends
	return time.Since(began), string(text)
}

func drain(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%d bytes, %v", n, err)
}

func TestDoorEndsAHeadThatDrips(t *testing.T) {
	behind(t, NewDoor(Limits{}), drain, func(t *testing.T, p *pipes) {
		c := p.dial("192.0.2.1:1")
		go func() {
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: a\r\nX: ") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if after, said := end(c); after > 11*time.Second || strings.Contains(said, "200") {
			t.Errorf("after %v: %q", after, said)
		}
	})
}

func TestDoorEndsABodyThatDrips(t *testing.T) {
	for name, step := range map[string]struct {
		bytes int
		every time.Duration
		whole bool
	}{
		"bytes":       {1, time.Second, false},
		"nothing":     {1, time.Hour, false},
		"slow_pieces": {600, 50 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			behind(t, NewDoor(Limits{}), drain, func(t *testing.T, p *pipes) {
				c := p.dial("192.0.2.1:1")
				go func() {
					if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\nConnection: close\r\n\r\n"); err != nil {
						return
					}
					for sent := 0; sent < 6000; sent += step.bytes {
						if _, err := io.WriteString(c, strings.Repeat("x", step.bytes)); err != nil {
							return
						}
						time.Sleep(step.every)
					}
				}()
				after, said := end(c)
				if whole := strings.Contains(said, "6000 bytes, <nil>"); whole != step.whole || !whole && after > 2*time.Minute {
					t.Errorf("after %v: %q", after, said)
				}
			})
		})
	}
}

func TestDoorDoesNotWaitForABodyThatNobodyReads(t *testing.T) {
	ignore := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "no") }
	behind(t, NewDoor(Limits{}), ignore, func(t *testing.T, p *pipes) {
		c := p.dial("192.0.2.1:1")
		go func() { io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n") }()
		if after, said := end(c); after > 2*time.Minute || !strings.Contains(said, "no") {
			t.Errorf("after %v: %q", after, said)
		}
	})
}

func TestDoorLetsAServiceTakeItsTime(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		half := make([]byte, 3000)
		if _, err := io.ReadFull(r.Body, half); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute) // before it reads on
		drain(w, r)
		out := http.NewResponseController(w)
		for range 10 { // a long answer
			fmt.Fprint(w, ".")
			if err := out.Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Minute)
		}
	}
	behind(t, NewDoor(Limits{}), slow, func(t *testing.T, p *pipes) {
		c := p.dial("192.0.2.1:1")
		go func() {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\nConnection: close\r\n\r\n"+strings.Repeat("x", 6000))
		}()
		if _, said := end(c); !strings.Contains(said, "3000 bytes, <nil>") || strings.Count(said, "\r\n1\r\n.") != 9 {
			t.Errorf("said %q", said)
		}
	})
}

func TestDoorEndsWhoDoesNotTakeAnAnswer(t *testing.T) {
	var failed chan error // of the bubble
	pour := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	}
	behind(t, NewDoor(Limits{}), pour, func(t *testing.T, p *pipes) {
		failed = make(chan error, 1)
		c := p.dial("192.0.2.1:1")
		began := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; time.Since(began) > 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c.Close()
	})
}

func TestDoorEndsAConnectionThatIdles(t *testing.T) {
	behind(t, NewDoor(Limits{Idle: 30 * time.Second}), drain, func(t *testing.T, p *pipes) {
		c := p.dial("192.0.2.1:1")
		go func() { io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }()
		if after, said := end(c); after != 30*time.Second || !strings.Contains(said, "200 OK") {
			t.Errorf("after %v: %q", after, said)
		}
	})
}

// answers sends a request on a connection and returns the answer's status, or
// "" if there is none.
func answers(c net.Conn, head string) string {
	go func() { io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n"+head+"\r\n") }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	return resp.Status[:3]
}

func TestDoorBoundsConnectionsOfAnAddress(t *testing.T) {
	d := NewDoor(Limits{PerAddress: 2}, netip.MustParsePrefix("10.0.0.0/8"))
	behind(t, d, drain, func(t *testing.T, p *pipes) {
		var open []net.Conn
		for i, c := range []struct{ from, want string }{
			{"192.0.2.1:1", "200"},
			{"192.0.2.1:2", "200"},
			{"192.0.2.1:3", ""}, // the third
			{"192.0.2.2:1", "200"},
			{"[2001:db8::1]:1", "200"},
			{"[2001:db8::2]:1", "200"},
			{"[2001:db8::3]:1", ""}, // of the same network
			{"[2001:db8:0:1::3]:1", "200"},
			{"10.0.0.1:1", "200"},
			{"10.0.0.1:2", "200"},
			{"10.0.0.1:3", "200"}, // an own proxy
		} {
			one := p.dial(c.from)
			open = append(open, one)
			if got := answers(one, ""); got != c.want {
				t.Errorf("%d, from %s: %q, want %q", i, c.from, got, c.want)
			}
		}
		open[0].Close()
		synctest.Wait()
		again := p.dial("192.0.2.1:4")
		if got := answers(again, ""); got != "200" {
			t.Errorf("after one left: %q", got)
		}
		for _, c := range append(open, again) {
			c.Close()
		}
		synctest.Wait()
		if len(d.present.all) != 0 {
			t.Errorf("counted when all have left: %v", d.present.all)
		}
	})
}

func TestDoorBoundsRequestsByWayOfAProxy(t *testing.T) {
	var free chan struct{} // of the bubble
	wait := func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") != "" {
			<-free
		}
	}
	behind(t, NewDoor(Limits{PerAddress: 1}, netip.MustParsePrefix("10.0.0.0/8")), wait, func(t *testing.T, p *pipes) {
		free = make(chan struct{})
		first := p.dial("10.0.0.1:1")
		got := make(chan string)
		go func() { got <- answers(first, "X-Wait: 1\r\nX-Forwarded-For: 192.0.2.1\r\n") }()
		synctest.Wait()
		for _, c := range []struct{ head, want string }{{"X-Forwarded-For: 192.0.2.1\r\n", "429"}, {"X-Forwarded-For: 192.0.2.2\r\n", "200"}, {"", "200"}} {
			one := p.dial("10.0.0.1:2")
			if got := answers(one, c.head); got != c.want {
				t.Errorf("%q: %q, want %q", c.head, got, c.want)
			}
			one.Close()
		}
		close(free)
		if first := <-got; first != "200" {
			t.Errorf("the first: %q", first)
		}
		first.Close()
	})
}

// overHTTP2 is overTLS, with a client that speaks HTTP/2.
func overHTTP2(t *testing.T, h http.HandlerFunc, do func(t *testing.T, c *http.Client)) {
	t.Helper()
	text, key := pair(t, "self")
	self, err := tls.X509KeyPair(text, key)
	if err != nil {
		t.Fatal(err)
	}
	served := &tls.Config{Certificates: []tls.Certificate{self}, NextProtos: []string{"h2", "http/1.1"}}
	overTLS(t, NewDoor(Limits{}), h, served, func(t *testing.T, p *pipes) {
		tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c := tls.Client(p.dial("192.0.2.1:1"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			return c, c.HandshakeContext(ctx)
		}}
		defer tr.CloseIdleConnections()
		do(t, &http.Client{Transport: tr})
	})
}

func TestDoorLetsAServiceTakeItsTimeOverHTTP2(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Minute) // before it reads, and while
		half := make([]byte, 3000)
		if _, err := io.ReadFull(r.Body, half); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		drain(w, r)
		for range 3 {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Minute)
			fmt.Fprint(w, ".")
		}
	}
	overHTTP2(t, slow, func(t *testing.T, c *http.Client) {
		resp, err := c.Post("https://a/", "text/plain", strings.NewReader(strings.Repeat("x", 6000)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if said, err := io.ReadAll(resp.Body); err != nil || resp.ProtoMajor != 2 || string(said) != "3000 bytes, <nil>..." {
			t.Errorf("HTTP/%d: %q, %v", resp.ProtoMajor, said, err)
		}
	})
}

func TestDoorEndsWhoStallsOverHTTP2(t *testing.T) {
	var failed chan error // of the bubble
	pour := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, err := io.Copy(io.Discard, r.Body)
			failed <- err
			return
		}
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	}
	overHTTP2(t, pour, func(t *testing.T, c *http.Client) {
		failed = make(chan error, 1)
		began := time.Now()
		resp, err := c.Get("https://a/") // and takes no more than the client's buffer
		if err != nil {
			t.Fatal(err)
		}
		if err := <-failed; time.Since(began) > 2*time.Minute {
			t.Errorf("an answer that nobody takes ends after %v: %v", time.Since(began), err)
		}
		resp.Body.Close()
		began = time.Now()
		body, stalled := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := c.Post("https://a/", "text/plain", body); err == nil {
				resp.Body.Close()
			}
		}()
		if err := <-failed; err == nil || time.Since(began) > 2*time.Minute {
			t.Errorf("a body that does not come ends after %v: %v", time.Since(began), err)
		}
		stalled.Close()
		<-done
	})
}
