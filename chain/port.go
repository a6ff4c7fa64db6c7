package chain

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// ports are what a node is about to listen on. CometBFT wants addresses and no
// listeners, so a port that was chosen stays bound, with nobody listening,
// until CometBFT does: nobody else is given it meanwhile.
type ports []io.Closer

// pick checks that an address can be listened on, and replaces port 0 by a free
// one, which it holds. Empty stays empty.
func (p *ports) pick(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	refused := func(err error) error {
		return fmt.Errorf("listen on %s: %w (is another node running there? choose another address)", address, err)
	}
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", refused(err)
	}
	if at.Port != 0 {
		l, err := net.ListenTCP("tcp", at)
		if err != nil {
			return "", refused(err)
		}
		return l.Addr().String(), l.Close()
	}
	got, held, err := hold(at)
	if err != nil {
		return "", refused(err)
	}
	*p = append(*p, held)
	return got.String(), nil
}

// Close lets the ports go.
func (p *ports) Close() error {
	var all []error
	for _, held := range *p {
		all = append(all, held.Close())
	}
	*p = nil
	return errors.Join(all...)
}
