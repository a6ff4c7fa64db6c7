package ingress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// authority is an ACME server that confirms names by asking the ingress at
// plain and secure, whatever the name.
type authority struct {
	t             *testing.T
	url           string
	plain, secure string
	kind          string // of the only challenge that it offers; "" offers both
	key           *ecdsa.PrivateKey
	root          *x509.Certificate

	mu     sync.Mutex
	jwk    map[string]string // the account's key
	hosts  []string          // of orders
	states []string
	chains [][]byte
}

func newAuthorityServer(t *testing.T) (*authority, *httptest.Server) {
	a := &authority{t: t}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.root, _ = x509.ParseCertificate(der)
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a, s
}

func (a *authority) orders() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.hosts...)
}

// ServeHTTP speaks as much of RFC 8555 as a client needs, and believes all
// signatures.
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", "nonce")
	var message struct{ Protected, Payload string }
	_ = json.NewDecoder(r.Body).Decode(&message)
	payload, _ := base64.RawURLEncoding.DecodeString(message.Payload)
	protected, _ := base64.RawURLEncoding.DecodeString(message.Protected)
	var kind string
	var n int
	_, _ = fmt.Sscanf(strings.ReplaceAll(strings.Trim(r.URL.Path, "/"), "/", " "), "%s %d", &kind, &n)
	answer := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	at := func(what string, n int) string { return fmt.Sprintf("%s/%s/%d", a.url, what, n) }
	switch kind {
	case "directory":
		answer(200, map[string]string{"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order"})
	case "nonce":
	case "account":
		var head struct{ JWK map[string]string }
		_ = json.Unmarshal(protected, &head)
		a.jwk = head.JWK
		w.Header().Set("Location", a.url+"/account/1")
		answer(201, map[string]string{"status": "valid"})
	case "order":
		if n > 0 {
			answer(200, a.order(n-1, at))
			return
		}
		var ask struct{ Identifiers []struct{ Value string } }
		_ = json.Unmarshal(payload, &ask)
		a.hosts, a.states, a.chains = append(a.hosts, ask.Identifiers[0].Value), append(a.states, "pending"), append(a.chains, nil)
		w.Header().Set("Location", at("order", len(a.hosts)))
		answer(201, a.order(len(a.hosts)-1, at))
	case "authz":
		answer(200, a.authorization(n-1, at))
	case "tls-alpn-01", "http-01":
		a.states[n-1] = "invalid"
		if err := a.look(kind, a.hosts[n-1]); err == nil {
			a.states[n-1] = "ready"
		} else {
			a.t.Log("not confirmed:", err)
		}
		answer(200, map[string]string{"type": kind, "url": at(kind, n), "token": "token", "status": "processing"})
	case "finalize":
		var ask struct{ CSR string }
		_ = json.Unmarshal(payload, &ask)
		der, _ := base64.RawURLEncoding.DecodeString(ask.CSR)
		request, err := x509.ParseCertificateRequest(der)
		if err != nil {
			answer(400, map[string]string{"detail": err.Error()})
			return
		}
		leaf, _ := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(int64(n + 1)), DNSNames: request.DNSNames,
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		}, a.root, request.PublicKey, a.key)
		a.chains[n-1], a.states[n-1] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), "valid"
		w.Header().Set("Location", at("order", n))
		answer(200, a.order(n-1, at))
	case "certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.chains[n-1])
	default:
		answer(404, map[string]string{"detail": r.URL.Path})
	}
}

func (a *authority) order(i int, at func(string, int) string) map[string]any {
	return map[string]any{
		"status": a.states[i], "authorizations": []string{at("authz", i+1)}, "finalize": at("finalize", i+1), "certificate": at("certificate", i+1),
		"identifiers": []map[string]string{{"type": "dns", "value": a.hosts[i]}},
	}
}

func (a *authority) authorization(i int, at func(string, int) string) map[string]any {
	state := a.states[i]
	if state == "ready" {
		state = "valid"
	}
	var all []map[string]string
	for _, kind := range []string{"dns-01", "http-01", "tls-alpn-01"} {
		if a.kind == "" || a.kind == kind {
			all = append(all, map[string]string{"type": kind, "url": at(kind, i+1), "token": "token", "status": "pending"})
		}
	}
	return map[string]any{"status": state, "identifier": map[string]string{"type": "dns", "value": a.hosts[i]}, "challenges": all}
}

// look asks the ingress for the proof of a challenge.
func (a *authority) look(kind, host string) error {
	x, _ := base64.RawURLEncoding.DecodeString(a.jwk["x"])
	y, _ := base64.RawURLEncoding.DecodeString(a.jwk["y"])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return err
	}
	print, err := acme.JWKThumbprint(key)
	if err != nil {
		return err
	}
	want := "token." + print
	if kind == "http-01" {
		req, _ := http.NewRequest(http.MethodGet, "http://"+a.plain+"/.well-known/acme-challenge/token", nil)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); string(text) != want {
			return fmt.Errorf("answer %q, want %q", text, want)
		}
		return nil
	}
	c, err := tls.Dial("tcp", a.secure, &tls.Config{ServerName: host, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	sum := sha256.Sum256([]byte(want))
	value, _ := asn1.Marshal(sum[:])
	for _, e := range c.ConnectionState().PeerCertificates[0].Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && bytes.Equal(e.Value, value) {
			return nil
		}
	}
	return errors.New("the certificate holds no proof")
}

// within waits until something is so.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func TestAuthorityCertifiesTenantsNames(t *testing.T) {
	for _, kind := range []string{"tls-alpn-01", "http-01"} {
		t.Run(kind, func(t *testing.T) {
			server, _ := newAuthorityServer(t)
			server.kind = kind
			dir := t.TempDir()
			o := AuthorityOptions{
				Dir: dir, Directory: server.url + "/directory", HTTP: http.DefaultClient, Email: "me@example.com",
				Leads: func(_ context.Context, host string) error {
					if host == "elsewhere.example" {
						return errors.New("leads elsewhere")
					}
					return nil
				},
			}
			a, err := NewAuthority(o)
			if err != nil {
				t.Fatal(err)
			}
			door := openDoor(t, CertificateOptions{ACME: a}, nil)
			server.plain, server.secure = door.plain, door.secure
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); a.Run(ctx) }()
			a.Want([]string{"app.example", "elsewhere.example", "localhost"})
			within(t, "a certificate", func() bool { return door.certificates.Covers("app.example") })
			within(t, "a refusal", func() bool { return a.Trouble("elsewhere.example") != "" })
			within(t, "a refusal", func() bool { return a.Trouble("localhost") != "" })
			roots := x509.NewCertPool()
			roots.AddCert(server.root)
			if text := door.get(t, "https", "app.example", roots); !strings.HasPrefix(text, "a app.example") {
				t.Errorf("over the certificate: %q", text)
			}
			if got := server.orders(); len(got) != 1 {
				t.Errorf("orders %q, want one for app.example", got)
			}
			if when := door.certificates.Expiries()["app.example"]; time.Until(when) > time.Hour || time.Until(when) < time.Minute {
				t.Errorf("expires %v", when)
			}
			a.Want(nil)
			if door.certificates.Covers("app.example") {
				t.Error("a name whose lease ended has a certificate")
			}
			cancel()
			<-done
			again, err := NewAuthority(o)
			if err != nil {
				t.Fatal(err)
			}
			if again.Want([]string{"app.example"}); again.certificate("app.example") == nil || again.due() != "" {
				t.Error("a new run does not know the certificate of the one before")
			}
		})
	}
}

func TestAuthorityWaitsAfterAFailure(t *testing.T) {
	server, _ := newAuthorityServer(t)
	server.plain, server.secure = "127.0.0.1:1", "127.0.0.1:1" // nothing is there
	a, err := NewAuthority(AuthorityOptions{Dir: t.TempDir(), Directory: server.url + "/directory", HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	a.Want([]string{"app.example", "../escape.example"})
	for a.due() != "" {
		a.attempt(t.Context(), a.due())
	}
	if n := a.wanted["app.example"]; n.failures != 1 || time.Until(n.next) < 10*time.Minute || a.Trouble("app.example") == "" {
		t.Errorf("after a failure: %+v", n)
	}
	if _, err := NewAuthority(AuthorityOptions{Dir: t.TempDir(), Directory: "http://plain.example"}); err == nil {
		t.Error("a directory without TLS is taken")
	}
}
