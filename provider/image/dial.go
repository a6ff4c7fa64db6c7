package image

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// transport fetches for strangers: it connects to public addresses only,
// whatever name led there, and gives up on a server that does not answer.
func transport(private bool) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	if !private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return public(address) }
	}
	return bounded{&http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}}
}

// maxDocument bounds what is read into memory: manifests, tokens, errors.
const maxDocument = 4 << 20

// bounded cuts off answers that would fill the memory. Blobs are bounded by
// their manifest.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil && !strings.Contains(r.URL.Path, "/blobs/") {
		answer.Body = body{io.LimitReader(answer.Body, maxDocument), answer.Body}
	}
	return answer, err
}

type body struct {
	io.Reader
	io.Closer
}

// shared is carriers' address space, RFC 6598, where clouds also keep metadata.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// public refuses addresses of this machine and of its own networks. It runs
// after names are resolved, so no name can lead around it.
func public(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: registry address %q: %w", ErrUnsafe, address, err)
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || shared.Contains(ip) {
		return fmt.Errorf("%w: a registry at %s is not on the public internet", ErrUnsafe, ip)
	}
	return nil
}
