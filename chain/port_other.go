//go:build !linux

package chain

import (
	"io"
	"net"
)

// hold finds a free port, which somebody else may take before it is used.
func hold(at *net.TCPAddr) (*net.TCPAddr, io.Closer, error) {
	l, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, nil, err
	}
	return l.Addr().(*net.TCPAddr), io.NopCloser(nil), l.Close()
}
