package chain

import (
	"net"
	"strings"
	"testing"
)

// keep holds an address for who stops listening on it and will again.
func (p *ports) keep(address string) error {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return err
	}
	_, held, err := hold(at)
	if err == nil {
		*p = append(*p, held)
	}
	return err
}

func TestPortsAreHeld(t *testing.T) {
	var free ports
	taken := map[string]bool{}
	for _, address := range []string{"127.0.0.1:0", "127.0.0.1:0", ":0", "localhost:0"} {
		got, err := free.pick(address)
		_, port, _ := net.SplitHostPort(got)
		if err != nil || strings.HasSuffix(got, ":0") || taken[port] {
			t.Fatalf("%s became %q, %v; before there were %v", address, got, err, taken)
		}
		taken[port] = true
		l, err := net.Listen("tcp", got) // while it is held
		if err != nil {
			t.Fatal(err)
		}
		if _, err := free.pick(got); err == nil {
			t.Errorf("%s passes as free, though somebody listens there", got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := free.pick(""); got != "" || err != nil {
		t.Errorf("nowhere became %q, %v", got, err)
	}
	if _, err := free.pick("nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an address that is none: %v", err)
	}
	if err := free.Close(); err != nil {
		t.Error(err)
	}
}
