package ingress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// AuthorityOptions of an [Authority]. Dir and Directory are needed.
type AuthorityOptions struct {
	Dir       string // of the account's key and the certificates
	Directory string // the authority's ACME directory, as https://acme-v02.api.letsencrypt.org/directory
	Email     string // where it warns; "" means nowhere

	// Leads tells by an error why a name does not lead to this machine; it is
	// asked for no certificate then. nil means that every name does.
	Leads func(ctx context.Context, host string) error

	HTTP *http.Client // to the authority; nil means one with a time limit
	Log  *slog.Logger // nil means no log
}

// How often an authority is asked: one order in half a minute after the first
// few, and after a failure the same name again when a pause has passed. Let's
// Encrypt takes 5 failures per name and hour, and 300 orders in 3 hours
// (letsencrypt.org/docs/rate-limits).
const (
	orderEvery = 40 * time.Second
	orderBurst = 5
	firstRetry = 15 * time.Minute
	lastRetry  = 24 * time.Hour
	orderTime  = 5 * time.Minute
)

// renewBefore is when a certificate is to be renewed: when a third of its
// life is left, as authorities advise.
func renewBefore(c *tls.Certificate) time.Time {
	return c.Leaf.NotAfter.Add(-c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) / 3)
}

// An Authority gets certificates from an ACME authority for the names that it
// was told of last by [Authority.Want], and for no other: when a name is gone,
// so is its renewal, which is why this is not package autocert. It confirms a
// name by TLS-ALPN-01 or HTTP-01, in turn. Start it by [Authority.Run].
type Authority struct {
	o      AuthorityOptions
	orders *rate.Limiter
	wake   chan struct{}

	mu      sync.Mutex
	client  *acme.Client // nil before the account is known
	wanted  map[string]*name
	answers map[string]string // by the path of HTTP-01
	proofs  map[string]*tls.Certificate
}

// name is how a name stands.
type name struct {
	certificate *tls.Certificate // nil before it has one
	failures    int
	next        time.Time // not before
	trouble     string    // why it has none
}

// NewAuthority returns an Authority that has asked for nothing yet.
func NewAuthority(o AuthorityOptions) (*Authority, error) {
	if !strings.HasPrefix(o.Directory, "https://") && o.HTTP == nil {
		return nil, fmt.Errorf("ingress: ACME directory %q: want an https URL, as https://acme-v02.api.letsencrypt.org/directory", o.Directory)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: time.Minute}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Authority{
		o: o, orders: rate.NewLimiter(rate.Every(orderEvery), orderBurst), wake: make(chan struct{}, 1),
		wanted: map[string]*name{}, answers: map[string]string{}, proofs: map[string]*tls.Certificate{},
	}, os.MkdirAll(o.Dir, 0o700)
}

// Want names the hosts, in small letters, that are to have certificates.
func (a *Authority) Want(hosts []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, fresh := map[string]*name{}, false
	for _, host := range hosts {
		if all[host] = a.wanted[host]; all[host] == nil {
			all[host] = &name{certificate: a.load(host)}
			fresh = true
		}
	}
	a.wanted = all
	if fresh {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// Run gets and renews certificates until ctx ends.
func (a *Authority) Run(ctx context.Context) {
	for {
		for host := a.due(); host != "" && ctx.Err() == nil; host = a.due() {
			if a.orders.Wait(ctx) != nil {
				return
			}
			a.attempt(ctx, host)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-time.After(time.Minute):
		}
	}
}

// due returns a host that is to be ordered now, or "".
func (a *Authority) due() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, first := time.Now(), ""
	for host, n := range a.wanted {
		if now.Before(n.next) || n.certificate != nil && now.Before(renewBefore(n.certificate)) {
			continue
		}
		if first == "" || host < first {
			first = host
		}
	}
	return first
}

// attempt orders a certificate, and notes how that went.
func (a *Authority) attempt(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	a.mu.Lock()
	n := a.wanted[host]
	a.mu.Unlock()
	if n == nil {
		return // its lease has ended
	}
	c, err := a.order(ctx, host, n.failures)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		n.next = time.Now().Add(min(firstRetry<<min(n.failures, 10), lastRetry))
		n.failures++
		n.trouble = err.Error()
		a.o.Log.Warn("no certificate", "host", host, "next", n.next, "error", err)
		return
	}
	*n = name{certificate: c}
	a.o.Log.Info("certificate", "host", host, "expires", c.Leaf.NotAfter)
}

// order gets a certificate for a host.
func (a *Authority) order(ctx context.Context, host string, failures int) (*tls.Certificate, error) {
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.Contains(host, "*") {
		return nil, fmt.Errorf("%q is no name that can be confirmed here", host)
	}
	if a.o.Leads != nil {
		if err := a.o.Leads(ctx, host); err != nil {
			return nil, err
		}
	}
	client, err := a.account(ctx)
	if err != nil {
		return nil, fmt.Errorf("account with %s: %w", a.o.Directory, err)
	}
	o, err := client.AuthorizeOrder(ctx, acme.DomainIDs(host))
	if err != nil {
		return nil, err
	}
	for _, url := range o.AuthzURLs {
		if err := a.confirm(ctx, client, host, url, failures); err != nil {
			return nil, err
		}
	}
	if o, err = client.WaitOrder(ctx, o.URI); err != nil {
		return nil, err
	}
	return a.finish(ctx, client, host, o)
}

// confirm shows the authority that a host is served here.
func (a *Authority) confirm(ctx context.Context, client *acme.Client, host, url string, failures int) error {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil || z.Status == acme.StatusValid {
		return err
	}
	kinds := []string{"tls-alpn-01", "http-01"}
	if failures%2 == 1 { // the other way may be open
		kinds = []string{"http-01", "tls-alpn-01"}
	}
	for _, kind := range kinds {
		for _, c := range z.Challenges {
			if c.Type != kind {
				continue
			}
			hide, err := a.show(client, host, c)
			if err != nil {
				return err
			}
			defer hide()
			if _, err = client.Accept(ctx, c); err == nil {
				_, err = client.WaitAuthorization(ctx, z.URI)
			}
			return err
		}
	}
	return fmt.Errorf("the authority confirms %s neither by TLS-ALPN-01 nor by HTTP-01", host)
}

// show lays out what an authority looks for; call hide at the end.
func (a *Authority) show(client *acme.Client, host string, c *acme.Challenge) (hide func(), err error) {
	if c.Type == "http-01" {
		text, err := client.HTTP01ChallengeResponse(c.Token)
		if err != nil {
			return nil, err
		}
		path := client.HTTP01ChallengePath(c.Token)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answers[path] = text
		return func() { a.mu.Lock(); defer a.mu.Unlock(); delete(a.answers, path) }, nil
	}
	proof, err := client.TLSALPN01ChallengeCert(c.Token, host)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proofs[host] = &proof
	return func() { a.mu.Lock(); defer a.mu.Unlock(); delete(a.proofs, host) }, nil
}

// finish makes a key, has it certified, and keeps both.
func (a *Authority) finish(ctx context.Context, client *acme.Client, host string, o *acme.Order) (*tls.Certificate, error) {
	key, text, err := newKey()
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateOrderCert(ctx, o.FinalizeURL, request, true)
	if err != nil {
		return nil, err
	}
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	c, err := tls.X509KeyPair(text, text)
	if err == nil {
		err = c.Leaf.VerifyHostname(host)
	}
	if err != nil {
		return nil, fmt.Errorf("what the authority gave: %w", err)
	}
	return &c, write(a.file(host), text)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func write(file string, text []byte) error {
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (a *Authority) file(host string) string { return filepath.Join(a.o.Dir, host+".pem") }

// load returns a host's certificate of an earlier run, or nil.
func (a *Authority) load(host string) *tls.Certificate {
	if strings.ContainsAny(host, `/\`) || strings.HasPrefix(host, ".") {
		return nil
	}
	c, err := tls.LoadX509KeyPair(a.file(host), a.file(host))
	if err != nil || c.Leaf.VerifyHostname(host) != nil || time.Now().After(c.Leaf.NotAfter) {
		return nil // another is ordered
	}
	return &c
}

// account opens the account with the authority, or makes one.
func (a *Authority) account(ctx context.Context) (*acme.Client, error) {
	a.mu.Lock()
	client := a.client
	a.mu.Unlock()
	if client != nil {
		return client, nil
	}
	file := filepath.Join(a.o.Dir, "account.key")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, text, err = newKey(); err == nil {
			err = write(file, text)
		}
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return nil, fmt.Errorf("%s holds no key; delete it to have another made", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, want an ECDSA key", file, key)
	}
	client = &acme.Client{Key: signer, DirectoryURL: a.o.Directory, HTTPClient: a.o.HTTP, UserAgent: "plexus"}
	who := &acme.Account{}
	if a.o.Email != "" {
		who.Contact = []string{"mailto:" + a.o.Email}
	}
	if _, err := client.Register(ctx, who, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.client = client
	return client, nil
}

// certificate returns a host's, or nil.
func (a *Authority) certificate(host string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.wanted[host]
	if n == nil || n.certificate == nil || time.Now().After(n.certificate.Leaf.NotAfter) {
		return nil
	}
	return n.certificate
}

// Trouble tells why a wanted host has no certificate, "" if it has or waits
// for its first.
func (a *Authority) Trouble(host string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.wanted[host]; n != nil && n.certificate == nil {
		return n.trouble
	}
	return ""
}

// each calls do for the certificate of each host that has one.
func (a *Authority) each(do func(host string, c *tls.Certificate)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for host, n := range a.wanted {
		if n.certificate != nil {
			do(host, n.certificate)
		}
	}
}

func (a *Authority) proof(host string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proofs[host]
}

func (a *Authority) answer(path string) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text, ok := a.answers[path]
	return text, ok
}
