package ingress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// CertificateOptions of [Certificates]. Self is needed.
type CertificateOptions struct {
	Self      tls.Certificate // for names that nothing better covers
	File, Key string          // PEM files of the provider's own certificate; "" means none
	ACME      *Authority      // for tenants' own names; nil means none
	Log       *slog.Logger    // nil means no log
}

// Certificates choose one by the name that a client asks for: the provider's
// own if it covers the name, one from an ACME authority, or the one that is
// signed by itself. Files are read again when they change.
type Certificates struct {
	o CertificateOptions

	mu     sync.Mutex
	own    *tls.Certificate // nil without files
	stamp  string           // of the files that own was read from
	looked time.Time
}

// NewCertificates reads the files, and returns an error if they are no pair.
func NewCertificates(o CertificateOptions) (*Certificates, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Certificates{o: o}
	if (o.File == "") != (o.Key == "") {
		return nil, errors.New("ingress: a certificate needs both its file and its key's")
	}
	if o.File == "" {
		return c, nil
	}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("ingress: certificate %s with key %s: %w", o.File, o.Key, err)
	}
	return c, nil
}

// read reads the files if they are others than before.
func (c *Certificates) read() error {
	var stamp strings.Builder
	for _, file := range []string{c.o.File, c.o.Key} {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		fmt.Fprintln(&stamp, info.ModTime().UnixNano(), info.Size())
	}
	if stamp.String() == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.o.File, c.o.Key)
	if err != nil {
		return err // also while the two are being replaced: the next look finds both
	}
	c.own, c.stamp = &pair, stamp.String()
	return nil
}

// reread is how often files are looked at, at most.
const reread = 5 * time.Second

// owned returns the provider's own certificate, or nil.
func (c *Certificates) owned() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.File != "" && time.Since(c.looked) >= reread {
		c.looked = time.Now()
		if err := c.read(); err != nil {
			c.o.Log.Warn("ingress certificate cannot be read again; the one before is used", "file", c.o.File, "error", err)
		}
	}
	return c.own
}

// trusted returns a certificate for a name that its users' machines trust, or
// nil.
func (c *Certificates) trusted(host string) *tls.Certificate {
	if own := c.owned(); own != nil && own.Leaf.VerifyHostname(host) == nil {
		return own
	}
	if c.o.ACME != nil {
		return c.o.ACME.certificate(host)
	}
	return nil
}

// Covers tells whether a name has a certificate other than the self-signed
// one.
func (c *Certificates) Covers(host string) bool { return c.trusted(host) != nil }

// Expiries tells when the certificates end, by a name of each.
func (c *Certificates) Expiries() map[string]time.Time {
	all := map[string]time.Time{}
	c.each(func(name string, one *tls.Certificate) { all[name] = one.Leaf.NotAfter })
	return all
}

// endsSoon is when at the latest the end of a certificate is near.
const endsSoon = 7 * 24 * time.Hour

// Ending tells when those certificates end that should have been renewed by
// now: that have a week left, or a sixth of their life if that is shorter.
func (c *Certificates) Ending() map[string]time.Time {
	all := map[string]time.Time{}
	c.each(func(name string, one *tls.Certificate) {
		if left := time.Until(one.Leaf.NotAfter); left < min(endsSoon, one.Leaf.NotAfter.Sub(one.Leaf.NotBefore)/6) {
			all[name] = one.Leaf.NotAfter
		}
	})
	return all
}

func (c *Certificates) each(do func(name string, one *tls.Certificate)) {
	if own := c.owned(); own != nil {
		do(c.o.File, own)
	}
	if c.o.ACME != nil {
		c.o.ACME.each(do)
	}
}

// get chooses a certificate for a client.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		if c.o.ACME != nil {
			if proof := c.o.ACME.proof(host); proof != nil {
				return proof, nil
			}
		}
		return nil, fmt.Errorf("ingress: nobody asked to have %q confirmed", host)
	}
	if one := c.trusted(host); one != nil {
		return one, nil
	}
	return &c.o.Self, nil
}

// TLS returns the configuration of a listener.
func (c *Certificates) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1", acme.ALPNProto},
	}
}

// Plain serves plain HTTP beside TLS: it answers an authority that confirms a
// name, and, if redirect is not nil, sends requests for names that have a
// trusted certificate to the URL that redirect gives for them, unless they came
// to a trusted proxy over TLS.
func (c *Certificates) Plain(next http.Handler, redirect func(host string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r)
		if c.o.ACME != nil {
			if answer, ok := c.o.ACME.answer(r.URL.Path); ok {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = w.Write([]byte(answer)) // the authority asks again
				return
			}
		}
		if redirect != nil && !visitorOf(r).secure && c.Covers(host) {
			http.Redirect(w, r, redirect(host)+r.URL.RequestURI(), http.StatusPermanentRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
