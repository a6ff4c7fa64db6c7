package compute

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Options tunes a Mechanism. The zero value is a miner's, or a validator's that
// rents nothing and so learns nothing.
type Options struct {
	Renter   Renter        // nil means that nothing is rented
	Image    string        // of the probe program, by digest, over the manifest's: one that providers do not know
	Budget   market.Amount // nplx that probes may cost in an hour, at their highest price; 0 means 10⁹, a PLX
	Together int           // providers that are measured at the same time; 0 means 4
	Log      *slog.Logger  // nil means no log

	// Accuse takes what proves that a provider did not deliver a lease, to report
	// it. It is called from several goroutines. Nil means that nobody is told but
	// the log.
	Accuse func(Accusation) error
}

func (o Options) withDefaults() Options {
	o.Budget = cmp.Or(o.Budget, 1_000_000_000)
	o.Together = max(cmp.Or(o.Together, 4), 1)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Mechanism is the kind compute. It implements [subnet.Mechanism].
//
// Tasks ask miners only whether they are there. What they are worth is learned
// by [Mechanism.Run], which a validator runs beside, from the miners that Score
// has seen lately.
type Mechanism struct {
	manifest Manifest
	options  Options

	mu      sync.Mutex
	records map[yuma.UID]*record
	seen    map[yuma.UID]sighting
	spent   []charge
}

// sighting is when a miner last answered.
type sighting struct {
	peer subnet.Peer
	at   time.Time
}

var _ subnet.Mechanism = (*Mechanism)(nil)

// New returns the kind compute with a manifest of [ParseManifest]'s. It is an
// error if there is something to rent with and no image to rent for.
func New(manifest Manifest, options Options) (*Mechanism, error) {
	m := &Mechanism{manifest: manifest.withDefaults(), options: options.withDefaults(), records: map[yuma.UID]*record{}, seen: map[yuma.UID]sighting{}}
	if options.Image != "" {
		m.manifest.Image = options.Image
	}
	if options.Renter == nil {
		return m, nil
	}
	if m.manifest.Image == "" {
		return nil, errors.New("compute: the subnet names no image of the probe program: name one of your own by its digest")
	}
	return m, checkImage(m.manifest.Image)
}

// Kind returns "compute".
func (m *Mechanism) Kind() string { return "compute" }

const challengeSize = 32

// Challenge asks whether a miner is there, in 32 random bytes.
func (m *Mechanism) Challenge(context.Context) ([]byte, error) {
	body := make([]byte, challengeSize)
	crand.Read(body)
	return body, nil
}

// presence is the one right answer to a task:
//
//	SHA-256( "plexus/compute/presence/v1" ‖ netuid ‖ height ‖ block hash
//	         ‖ len ‖ validator's peer id ‖ len ‖ miner's peer id ‖ len ‖ miner's account
//	         ‖ task id ‖ body )
//
// It costs nothing, and is nobody else's.
func presence(t subnet.Task) [32]byte {
	b := []byte("plexus/compute/presence/v1")
	b = binary.BigEndian.AppendUint16(b, uint16(t.Netuid))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Height))
	b = append(b, t.BlockHash[:]...)
	for _, field := range []string{t.Validator.PeerID, t.Miner.PeerID, t.Miner.Account} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
	}
	b = append(b, t.ID[:]...)
	return sha256.Sum256(append(b, t.Body...))
}

// Work says that a miner is there.
func (m *Mechanism) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(t.Body) != challengeSize {
		return fmt.Errorf("%w: %d bytes, a challenge has %d", subnet.ErrBadTask, len(t.Body), challengeSize)
	}
	answer := presence(t)
	return emit(answer[:])
}

// Score returns what is known of the miners by now.
func (m *Mechanism) Score(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	scores := make([]subnet.Score, len(trials))
	for i, t := range trials {
		scores[i] = m.score(t)
	}
	return scores, nil
}

func (m *Mechanism) score(t subnet.Trial) subnet.Score {
	want := presence(t.Task)
	switch {
	case t.Answer.Err != nil:
		return subnet.Score{Reason: "no answer: " + t.Answer.Err.Error()}
	case len(t.Answer.Body) != len(want):
		return subnet.Score{Reason: fmt.Sprintf("an answer of %d bytes, %d are right", len(t.Answer.Body), len(want))}
	case [32]byte(t.Answer.Body) != want:
		return subnet.Score{Reject: true, Reason: "an answer to another task, or another miner's"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.seen[t.Task.Miner.UID] = sighting{t.Task.Miner, now}
	r := m.records[t.Task.Miner.UID]
	if r == nil || r.Account != t.Task.Miner.Account {
		return subnet.Score{Value: present, Units: 1, Reason: "not probed yet"}
	}
	s := subnet.Score{Value: r.worth(now, float64(m.manifest.Full)), Units: 1, Reason: r.Why, Checked: true}
	switch {
	case now.Before(r.Until):
		s.Reject, s.Value = !r.Told, 0
		s.Reason = fmt.Sprintf("proven a cheat until %s: %s", r.Until.Format(time.RFC3339), r.Why)
		r.Told = true
	case !r.Tried:
		s.Reason = "not probed yet"
	case s.Reason == "" && s.Value < 1:
		s.Reason = r.String()
	}
	return s
}

// String says how a provider stands.
func (r *record) String() string {
	text := fmt.Sprintf("up in %.1f of %.1f looks, %.1f cores shown", r.Up, r.Looks, r.Shown/1000)
	for i, f := range r.Got.all() {
		if *f >= 0 {
			text += fmt.Sprintf(", %s %.0f %%", [...]string{"start", "cpu", "memory", "disk", "network"}[i], *f*100)
		}
	}
	return text
}

// Forget drops what is remembered of a slot that changed hands.
func (m *Mechanism) Forget(uid yuma.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, uid)
	delete(m.seen, uid)
}

// snapshot is what Snapshot writes, as JSON.
type snapshot struct {
	Version int                  `json:"version"`
	Records map[yuma.UID]*record `json:"records"`
}

const snapshotVersion = 1

// Snapshot returns what is remembered of all miners, as JSON.
func (m *Mechanism) Snapshot() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(snapshot{snapshotVersion, m.records})
}

// Restore replaces what is remembered by a snapshot.
func (m *Mechanism) Restore(state []byte) error {
	s := snapshot{Version: snapshotVersion, Records: map[yuma.UID]*record{}}
	if state != nil {
		if err := json.Unmarshal(state, &s); err != nil {
			return fmt.Errorf("compute: restore: %w", err)
		}
	}
	if s.Version != snapshotVersion || s.Records == nil {
		return fmt.Errorf("compute: restore: a snapshot of version %d, this is version %d, with records", s.Version, snapshotVersion)
	}
	for _, uid := range slices.Sorted(maps.Keys(s.Records)) {
		if err := s.Records[uid].check(uid); err != nil {
			return fmt.Errorf("compute: restore: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.seen = s.Records, map[yuma.UID]sighting{}
	return nil
}
