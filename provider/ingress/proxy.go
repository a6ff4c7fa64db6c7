package ingress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// What a connection of PROXY begins with, in its two versions, and how long it
// may be: as haproxy's proxy-protocol.txt says, whose second version is bounded
// here to 2 KiB.
const (
	proxyV1    = "PROXY "
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxyV1 = 107
	maxProxyV2 = 2 << 10
)

var errPROXY = errors.New("ingress: a PROXY header that is none")

// readPROXY reads what a proxy says at the beginning of a connection of whom it
// is for. Without that, or for the proxy itself, who is invalid; ahead is what
// was read and is not its own.
func readPROXY(r io.Reader) (who netip.AddrPort, ahead []byte, err error) {
	var head []byte
	for _, c := range []byte(proxyV1) {
		if head, err = readByte(r, head); err != nil || head[len(head)-1] != c {
			break
		}
	}
	switch {
	case err != nil:
		return who, head, ignoreEOF(err, head)
	case string(head) == proxyV1:
		return readV1(r, head)
	case !strings.HasPrefix(proxyV2, string(head)):
		return who, head, nil
	}
	for len(head) < len(proxyV2) {
		if head, err = readByte(r, head); err != nil {
			return who, head, ignoreEOF(err, head)
		}
		if !strings.HasPrefix(proxyV2, string(head)) {
			return who, head, nil
		}
	}
	who, err = readV2(r)
	return who, nil, err
}

// ignoreEOF leaves it to who reads on to find that a connection ended.
func ignoreEOF(err error, head []byte) error {
	if errors.Is(err, io.EOF) && len(head) > 0 {
		return nil
	}
	return err
}

func readByte(r io.Reader, head []byte) ([]byte, error) {
	var one [1]byte
	if _, err := io.ReadFull(r, one[:]); err != nil {
		return head, err
	}
	return append(head, one[0]), nil
}

// readV1 reads "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n" from its seventh
// byte on.
func readV1(r io.Reader, line []byte) (who netip.AddrPort, ahead []byte, err error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyV1 {
			return who, nil, fmt.Errorf("%w: a line of more than %d bytes", errPROXY, maxProxyV1)
		}
		if line, err = readByte(r, line); err != nil {
			return who, nil, err
		}
	}
	fields := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return who, nil, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return who, nil, fmt.Errorf("%w: %.40q", errPROXY, line)
	}
	host := fields[2]
	if fields[1] == "TCP6" {
		host = "[" + host + "]"
	}
	if who, err = netip.ParseAddrPort(host + ":" + fields[4]); err != nil {
		return netip.AddrPort{}, nil, fmt.Errorf("%w: %w", errPROXY, err)
	}
	return who, nil, nil
}

// readV2 reads what follows the signature of the second version.
func readV2(r io.Reader) (who netip.AddrPort, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return who, err
	}
	size := int(binary.BigEndian.Uint16(head[2:]))
	if head[0]>>4 != 2 || head[0]&15 > 1 || size > maxProxyV2 {
		return who, fmt.Errorf("%w: version and command %#x with %d bytes", errPROXY, head[0], size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return who, err
	}
	if head[0]&15 == 0 { // LOCAL: the proxy itself, to look whether somebody is here
		return who, nil
	}
	bytesOf := map[byte]int{0x11: 4, 0x21: 16}[head[1]] // TCP over IPv4, IPv6
	switch {
	case bytesOf == 0:
		return who, nil // a kind of address that we do not have
	case size < 2*bytesOf+4:
		return who, fmt.Errorf("%w: %d bytes of addresses", errPROXY, size)
	}
	a, _ := netip.AddrFromSlice(body[:bytesOf])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(body[2*bytesOf:])), nil
}
