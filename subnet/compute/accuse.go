package compute

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/subnet/compute/exercise"
	"github.com/plexus-network/plexus/yuma"
)

// What an [Accusation] is for.
const (
	// Fake: the provider answered an exercise that it had not done. A wrong link
	// of a hash chain has no innocent cause, so one is enough.
	Fake = "fake"
	// Silent: the provider took leases and their money, and no service of them
	// ever answered. One such lease may be anybody's fault; it takes several, a
	// while, and another provider that did answer.
	Silent = "silent"
)

// When silence is proof.
const (
	silentLeases = 4             // in a row, none of which ever answered
	silentFor    = 2 * time.Hour // from the first of them to the last, at least
	maxSilences  = 16            // of a row that are remembered: the first, and the latest
)

// An Accusation is what proves that a provider did not deliver a lease that it
// was paid for. Written as JSON it is the evidence of a report to the market.
type Accusation struct {
	Version  int       `json:"version"`
	Kind     string    `json:"kind"` // Fake or Silent
	Provider string    `json:"provider"`
	Lease    string    `json:"lease"` // that is reported: owner/dseq/gseq/oseq/provider
	Found    time.Time `json:"found"`
	Why      string    `json:"why"`

	// Of a fake: the exercise and what was answered, which anybody can compute
	// again. An answer of more than 32 KiB is left out.
	Exercise *exercise.Chains `json:"exercise,omitempty"`
	Answer   []byte           `json:"answer,omitempty"`

	// Of silence: the leases in a row, which are on the chain, and when another
	// provider answered since the first.
	Silences []Silence `json:"silences,omitempty"`
	Witness  time.Time `json:"witness,omitzero"`
}

// A Silence is a lease of which no service ever answered.
type Silence struct {
	Lease string    `json:"lease"`
	At    time.Time `json:"at"` // when it was given up
	Why   string    `json:"why"`
}

const accusationVersion = 1

// maxAnswer bounds the answer in an accusation, in bytes: with all around it it
// fits into the 64 KiB that the market takes.
const maxAnswer = 32 << 10

// Encode returns the evidence that an accusation is.
func (a Accusation) Encode() ([]byte, error) { return json.Marshal(a) }

// maxAccusation bounds what ParseAccusation reads: the market's own limit.
const maxAccusation = 64 << 10

// ParseAccusation reads what [Accusation.Encode] writes, or tells what is wrong
// with it.
func ParseAccusation(text []byte) (Accusation, error) {
	var a Accusation
	if len(text) > maxAccusation {
		return a, fmt.Errorf("compute: an accusation of %d bytes, at most %d are allowed", len(text), maxAccusation)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return Accusation{}, fmt.Errorf("compute: accusation: %w", err)
	}
	id, err := market.ParseBidID(a.Lease)
	switch {
	case err == nil && a.Version != accusationVersion:
		err = fmt.Errorf("it is of version %d, this is %d", a.Version, accusationVersion)
	case err == nil && id.Provider != a.Provider:
		err = fmt.Errorf("it accuses %.100q of a lease of %.100q", a.Provider, id.Provider)
	case err == nil && a.Kind != Fake && a.Kind != Silent:
		err = fmt.Errorf("it is for %.20q, fake or silent is right", a.Kind)
	}
	if err != nil {
		return Accusation{}, fmt.Errorf("compute: accusation: %w", err)
	}
	return a, nil
}

// An Undelivered is an [ErrUndelivered] that names the lease which was taken.
type Undelivered struct {
	Lease market.BidID
	Err   error
}

// Error says what did not come.
func (u *Undelivered) Error() string { return ErrUndelivered.Error() + ": " + u.Err.Error() }

// Is makes u an [ErrUndelivered].
func (u *Undelivered) Is(target error) bool { return target == ErrUndelivered }

// Unwrap returns the cause.
func (u *Undelivered) Unwrap() error { return u.Err }

// accuse hands an accusation to who takes it to the market, if anybody does. The
// caller does not hold mu.
func (m *Mechanism) accuse(a *Accusation) {
	if a == nil {
		return
	}
	log := m.options.Log.With("provider", a.Provider, "lease", a.Lease, "kind", a.Kind)
	if m.options.Accuse == nil {
		log.Warn("a provider is proven not to deliver, and reports are off", "why", a.Why)
		return
	}
	log.Warn("a provider is proven not to deliver", "why", a.Why)
	if err := m.options.Accuse(*a); err != nil {
		log.Error("what a provider is accused of is not kept", "err", err)
	}
}

// faked is the accusation that a session's proof makes. It is nil if the renter
// did not say which lease it was.
func (s *stay) faked(one *session, now time.Time) *Accusation {
	if s.lease == nil || s.lease.ID == (market.BidID{}) {
		return nil
	}
	a := &Accusation{
		Version: accusationVersion, Kind: Fake, Provider: s.peer.Account, Lease: s.lease.ID.String(), Found: now.UTC(),
		Why: one.cheat.Error(), Exercise: &one.faked,
	}
	if len(one.answer) <= maxAnswer {
		a.Answer = one.answer
	}
	return a
}

// silent names the lease of a stay that was taken and then never answered, with
// the reason.
func (s *stay) silent() (id market.BidID, why string, ok bool) {
	var u *Undelivered
	switch {
	case errors.As(s.err, &u):
		return u.Lease, u.Err.Error(), u.Lease != (market.BidID{})
	case s.err != nil || s.lease == nil || len(s.sessions) == 0 || s.lease.ID == (market.BidID{}):
		return id, "", false
	}
	if slices.ContainsFunc(s.sessions, func(one *session) bool { return one.url != "" }) {
		return id, "", false
	}
	return s.lease.ID, s.sessions[0].why.Error(), true
}

// hush adds a lease that never answered to a provider's row, and returns an
// accusation once the row is proof. The caller holds mu.
func (m *Mechanism) hush(uid yuma.UID, r *record, id market.BidID, why string, now time.Time) *Accusation {
	if len(r.Silences) == maxSilences {
		r.Silences = slices.Delete(r.Silences, 1, 2)
	}
	r.Silences = append(r.Silences, Silence{id.String(), now.UTC(), why[:min(len(why), maxWhy)]})
	first := r.Silences[0].At
	witness := m.witness(uid, first)
	if len(r.Silences) < silentLeases || now.Sub(first) < silentFor || witness.IsZero() {
		return nil
	}
	a := &Accusation{
		Version: accusationVersion, Kind: Silent, Provider: r.Account, Lease: id.String(), Found: now.UTC(),
		Why:      fmt.Sprintf("%d leases in a row were taken and paid, and none ever answered", len(r.Silences)),
		Silences: r.Silences, Witness: witness,
	}
	r.Silences = nil
	return a
}

// witness is when another provider last answered, if that was after a time: then
// it is not this validator's own line that is silent. The caller holds mu.
func (m *Mechanism) witness(uid yuma.UID, since time.Time) (at time.Time) {
	for other, r := range m.records {
		if other != uid && r.Heard.After(since) && r.Heard.After(at) {
			at = r.Heard
		}
	}
	return at
}
