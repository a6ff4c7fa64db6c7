// Package pass is a tenant's signed word to a provider: who it is and what the
// bearer may do with its leases, for a while.
//
// A pass is a JSON Web Token, signed with the account's own key: ES256K over
// the token, or ES256KADR36, what a wallet in a browser signs. It carries the
// public key, of which the account's address is made, so that nobody need ask
// the chain; and it names one provider, so that one provider cannot use it
// with another. Start at [Sign] and [Verify].
package pass

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plexus-network/plexus/wallet"
)

// A Scope is a thing that the bearer of a pass may do.
type Scope string

// The scopes.
const (
	SendManifest Scope = "send-manifest"
	GetManifest  Scope = "get-manifest"
	Status       Scope = "status"
	Logs         Scope = "logs"
	Events       Scope = "events"
	Shell        Scope = "shell"
	MigrateIP    Scope = "ip-migrate"
)

// Version is that of the claims.
const Version = "v1"

// How long a pass may be good for, how far two clocks may be apart, and how
// many bytes it may have.
const (
	MaxLife = 30 * 24 * time.Hour
	skew    = time.Minute
	maxSize = 8 << 10
)

// ErrPass means that a token is no pass, or not one for this use.
var ErrPass = errors.New("pass: refused")

// Claims are what a pass says.
type Claims struct {
	Issuer   string `json:"iss"` // the tenant's address
	Audience string `json:"aud"` // the provider's address
	Issued   int64  `json:"iat"` // seconds since 1970
	Begins   int64  `json:"nbf,omitempty"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Version  string `json:"version"`
	Leases   Leases `json:"leases"`
}

// Leases are what a pass is good for.
type Leases struct {
	Access   string   `json:"access"`             // "full", or "scoped": Scope alone
	Scope    []Scope  `json:"scope,omitempty"`    // of a scoped pass
	DSeqs    []uint64 `json:"dseqs,omitempty"`    // the deployments; empty means all
	Services []string `json:"services,omitempty"` // the services; empty means all
}

// header is that of a token, in the order in which it is written.
type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	Key       string `json:"pub"` // the public key's 33 bytes in base64url
}

const (
	direct = "ES256K"
	adr36  = "ES256KADR36"
)

var encoding = base64.RawURLEncoding.Strict()

// Sign makes a pass of key's account for a provider, good for life from now
// on, at most [MaxLife].
func Sign(key *wallet.Key, provider string, now time.Time, life time.Duration, leases Leases) (string, error) {
	if leases.Access == "" {
		leases.Access = "full"
	}
	var id [12]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	text, err := unsigned(header{direct, "JWT", encoding.EncodeToString(key.PubKey().Bytes())}, Claims{
		Issuer: key.Address(), Audience: provider, Issued: now.Unix(), Expires: now.Add(min(life, MaxLife)).Unix(),
		ID: encoding.EncodeToString(id[:]), Version: Version, Leases: leases,
	})
	if err != nil {
		return "", err
	}
	signature, err := key.Sign([]byte(text))
	if err != nil {
		return "", err
	}
	return text + "." + encoding.EncodeToString(signature), nil
}

// unsigned is the part of a token that is signed.
func unsigned(h header, c Claims) (string, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return encoding.EncodeToString(head) + "." + encoding.EncodeToString(body), nil
}

// Verify returns what a pass says if its account signed it, for this provider,
// and its time is now; else [ErrPass]. Ask [Claims.Allow] whether it is enough.
func Verify(token, provider string, now time.Time) (Claims, error) {
	if len(token) > maxSize {
		return Claims{}, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrPass, len(token), maxSize)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("%w: it has %d parts, not 3", ErrPass, len(parts))
	}
	var h header
	var c Claims
	signature, err := encoding.DecodeString(parts[2])
	if err := errors.Join(decode(parts[0], &h), decode(parts[1], &c), err); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrPass, err)
	}
	if err := h.verify(c.Issuer, parts[0]+"."+parts[1], signature); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrPass, err)
	}
	return c, c.check(provider, now)
}

// decode reads a part of a token.
func decode(part string, into any) error {
	text, err := encoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// verify tells whether issuer signed text.
func (h header) verify(issuer, text string, signature []byte) error {
	public, err := encoding.DecodeString(h.Key)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	switch h.Algorithm {
	case direct:
		signer, err := wallet.Verify(public, []byte(text), signature)
		if err == nil && signer != issuer {
			err = fmt.Errorf("it says that it is of %s, but %s signed it", issuer, signer)
		}
		return err
	case adr36:
		return wallet.VerifyText(issuer, text, public, signature)
	}
	return fmt.Errorf("algorithm %q; want %s or %s", h.Algorithm, direct, adr36)
}

func (c Claims) check(provider string, now time.Time) error {
	issued, begins, expires := time.Unix(c.Issued, 0), time.Unix(c.Begins, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Version != Version:
		return fmt.Errorf("%w: version %q; want %s", ErrPass, c.Version, Version)
	case c.Audience != provider:
		return fmt.Errorf("%w: it is for provider %s, not for %s", ErrPass, c.Audience, provider)
	case issued.After(now.Add(skew)) || begins.After(now.Add(skew)):
		return fmt.Errorf("%w: it is good from %s on; it is %s here, so a clock is wrong", ErrPass,
			issued.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !now.Before(expires.Add(skew)):
		return fmt.Errorf("%w: it expired at %s", ErrPass, expires.UTC().Format(time.RFC3339))
	case expires.Sub(issued) > MaxLife:
		return fmt.Errorf("%w: it is good for %v, longer than %v", ErrPass, expires.Sub(issued), MaxLife)
	case c.Leases.Access != "full" && c.Leases.Access != "scoped":
		return fmt.Errorf("%w: access %q; want full or scoped", ErrPass, c.Leases.Access)
	}
	return nil
}

// Allow tells whether a valid pass lets its bearer use a scope on a deployment
// of its issuer's, and a service of it; "" is the deployment as a whole, which
// a pass for some services does not open.
func (c Claims) Allow(scope Scope, dseq uint64, service string) error {
	l := c.Leases
	switch {
	case l.Access == "scoped" && !slices.Contains(l.Scope, scope):
		return fmt.Errorf("%w: its scopes are %q, not %s", ErrPass, l.Scope, scope)
	case len(l.DSeqs) > 0 && !slices.Contains(l.DSeqs, dseq):
		return fmt.Errorf("%w: it is not for deployment %d", ErrPass, dseq)
	case len(l.Services) > 0 && !slices.Contains(l.Services, service):
		return fmt.Errorf("%w: it is for the services %q alone", ErrPass, l.Services)
	}
	return nil
}
