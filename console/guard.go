package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Why a caller is turned away.
var (
	errToken = errors.New("no token")
	errHost  = errors.New("not from here")
)

// Subprotocols of the shell's websocket: the one that is spoken, and what
// stands before the token in the one that shows it.
const (
	shellProtocol = "plexus.shell.v1"
	tokenProtocol = "plexus.token."
)

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := c.meant(r); err != nil {
		c.answer(w, nil, err)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/console/") {
		c.page(w, r)
		return
	}
	if err := c.known(r); err != nil {
		c.answer(w, nil, err)
		return
	}
	c.mux.ServeHTTP(w, r)
}

func (c *Console) page(w http.ResponseWriter, r *http.Request) {
	if c.o.Page == nil {
		http.NotFound(w, r)
		return
	}
	c.o.Page.ServeHTTP(w, r)
}

// meant tells whether a request names a host of this console, and if a page
// made it, whether that page is this console's own.
func (c *Console) meant(r *http.Request) error {
	if !slices.Contains(c.o.Hosts, strings.ToLower(r.Host)) {
		return fmt.Errorf("%w: this console is not called %q; open it as %s, or start it with --host", errHost, r.Host, strings.Join(c.o.Hosts, " or "))
	}
	if !strings.HasPrefix(r.URL.Path, "/console/") {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return fmt.Errorf("%w: the request comes from another site's page (%s)", errHost, site)
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !slices.Contains(c.o.Hosts, strings.ToLower(u.Host)) {
		return fmt.Errorf("%w: the request comes from a page of %q", errHost, origin)
	}
	return nil
}

// known tells whether a request shows the token.
func (c *Console) known(r *http.Request) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		for one := range strings.SplitSeq(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
			if shown, is := strings.CutPrefix(strings.TrimSpace(one), tokenProtocol); is {
				token = shown
			}
		}
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(c.o.Token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return fmt.Errorf("%w, or another one than this console's: open the whole link that plexus console printed when it started", errToken)
	}
	return nil
}
