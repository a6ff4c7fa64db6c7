// Package alert tells a provider's operator, or a tenant, what went wrong, by
// webhooks.
//
// An alert is a JSON object that is sent by POST to each of the operator's
// URLs, signed with that webhook's secret, at least once: it waits in a folder
// until it is delivered, over restarts, with ever longer pauses, for a week at
// most. The folder is bounded, and nothing here blocks or fails who has
// something to tell: on a full disk, of all things, an alert is kept in memory.
// Start at [Open].
package alert

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// A Kind says what an alert is about.
type Kind string

// The kinds. Those from ReplicaFailing on are conditions: they are told when they
// begin, and again, as resolved, when they end.
const (
	LeaseOpened    Kind = "lease-opened"
	LeaseClosed    Kind = "lease-closed"
	CaseOpened     Kind = "case-opened"     // a tenant reports that the provider does not deliver
	DepositSlashed Kind = "deposit-slashed" // such a report was found true
	ReplicaFailing Kind = "replica-failing" // it ends or fails to start again and again
	DiskLow        Kind = "disk-low"        // too little is left to bid, or state cannot be written
	ChainAway      Kind = "chain-unreachable"
	CertificateEnd Kind = "certificate-expiring"
	BalanceLow     Kind = "balance-low" // less than the deposit of a bid
	Test           Kind = "test"        // an operator tries a webhook
)

// The kinds that a tenant hears of, who watches deployments' money, beside
// ChainAway. RunwayLow is a condition.
const (
	RunwayLow        Kind = "runway-low" // the money lasts less than was wanted
	ToppedUp         Kind = "topped-up"
	DeploymentClosed Kind = "deployment-closed"
)

// Kinds are all that a provider's operator can be told.
var Kinds = []Kind{
	LeaseOpened, LeaseClosed, CaseOpened, DepositSlashed, ReplicaFailing, DiskLow, ChainAway, CertificateEnd, BalanceLow, Test,
}

// An Alert is something that an operator should know.
type Alert struct {
	ID       string    `json:"id"` // the same in every delivery of it; made by Send
	Time     time.Time `json:"time"`
	Provider string    `json:"provider,omitempty"` // its address; "" if it is a tenant's
	Tenant   string    `json:"tenant,omitempty"`   // its address; "" if it is a provider's
	Kind     Kind      `json:"kind"`
	Resolved bool      `json:"resolved,omitempty"` // the condition has ended
	Subject  string    `json:"subject,omitempty"`  // a lease, a name, a folder
	Text     string    `json:"text"`
}

// A Hook is where alerts go.
type Hook struct {
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"` // signs what is sent; "" means that nothing does
	Kinds  []Kind `json:"kinds,omitempty"`  // that are sent; none means all
}

// Check tells what is wrong with a hook. Its address may be private: the
// operator chose it.
func (h Hook) Check() error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("webhook %q: want an http or https URL, as https://alerts.example.com/plexus", h.URL)
	}
	for _, k := range h.Kinds {
		if !slices.Contains(Kinds, k) {
			return fmt.Errorf("webhook %s: there is no kind %q of alerts, only %q", h.URL, k, Kinds)
		}
	}
	return nil
}

func (h Hook) wants(k Kind) bool { return len(h.Kinds) == 0 || slices.Contains(h.Kinds, k) }

// key names a hook's alerts on disk.
func (h Hook) key() string {
	sum := sha256.Sum256([]byte(h.URL))
	return hex.EncodeToString(sum[:8])
}

// SignatureHeader holds the signature of an alert's body, as [Sign] makes it.
const SignatureHeader = "X-Plexus-Signature"

// Sign returns "sha256=" and the hexadecimal HMAC-SHA256 of a body under a
// hook's secret.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body) // never fails
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// ErrSignature means that a body was not signed with the secret.
var ErrSignature = errors.New("alert: the signature is not that of the secret")

// Verify checks what [SignatureHeader] says of a body.
func Verify(secret, signature string, body []byte) error {
	if !hmac.Equal([]byte(Sign(secret, body)), []byte(signature)) {
		return ErrSignature
	}
	return nil
}

func newID() string { return rand.Text() }
