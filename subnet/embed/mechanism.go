package embed

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Options tunes a Mechanism. The zero value works.
type Options struct {
	Seed      [32]byte     // of challenges and audits, secret; zero draws one
	Challenge int          // most texts of a challenge; 0 means 4
	Sample    int          // vectors of an answer that are computed again, beside the probe; 0 means 2
	AuditMin  float64      // share of answers checked of the best known miner; 0 means 0.1
	Log       *slog.Logger // tells every verdict at debug level; nil means no log
}

func (o Options) withDefaults() Options {
	if o.Seed == [32]byte{} {
		rand.Read(o.Seed[:])
	}
	o.Challenge = max(or(o.Challenge, 4), 1)
	o.Sample = max(or(o.Sample, 2), 1)
	o.AuditMin = or(o.AuditMin, 0.1)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Mechanism is the kind embed. It implements [subnet.Mechanism].
//
// A miner's Value is what [subnet.Tally.Worth] says of its volume and speed,
// as long as its vectors are the model's. Both miners and validators make one;
// a miner uses Work alone.
type Mechanism struct {
	engine   engine.Checker
	manifest Manifest
	options  Options
	asker    *asker
	checks   chan struct{} // a slot for the one check that may run
	tally    *subnet.Tally
}

var _ subnet.Mechanism = (*Mechanism)(nil)

// New returns the kind embed on a model. The engine answers in Work and checks
// in Score; that it runs the manifest's model is for [Manifest.Verify] to say.
// The manifest comes from [ParseManifest] or [ManifestOf].
func New(checker engine.Checker, manifest Manifest, options Options) *Mechanism {
	options, manifest = options.withDefaults(), manifest.withDefaults()
	return &Mechanism{
		engine:   checker,
		manifest: manifest,
		options:  options,
		asker:    newAsker(options.Seed, min(options.Challenge, manifest.Texts)),
		checks:   make(chan struct{}, 1),
		tally: &subnet.Tally{
			Gate:    time.Duration(manifest.Gate) * time.Millisecond,
			Penalty: time.Duration(manifest.Penalty) * time.Second,
		},
	}
}

// Kind returns "embed".
func (m *Mechanism) Kind() string { return "embed" }

// Challenge makes a request such as users send, never the same twice.
func (m *Mechanism) Challenge(context.Context) ([]byte, error) {
	return m.asker.next().Encode()
}

// batch is how many texts go into a chunk.
const batch = 8

// Work answers t with the engine: the vectors of the texts, then the probe's.
func (m *Mechanism) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	r, err := m.read(t)
	if err != nil {
		return err
	}
	for from := 0; from < len(r.Texts); from += batch {
		texts := r.Texts[from:min(from+batch, len(r.Texts))]
		last := from+batch >= len(r.Texts)
		if last {
			texts = append(texts[:len(texts):len(texts)], probe(t, r.Texts))
		}
		vectors, err := m.embed(ctx, texts)
		if err != nil {
			return blame(err)
		}
		var end []float32
		if last {
			vectors, end = vectors[:len(vectors)-1], vectors[len(vectors)-1]
		}
		chunk, err := encodeChunk(vectors, end)
		if err != nil {
			return err
		}
		if err := emit(chunk); err != nil {
			return err
		}
	}
	return nil
}

// embed asks the engine, and holds it to its promise.
func (m *Mechanism) embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	vectors, err := m.engine.Embed(ctx, texts)
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("embed: the engine gave %d vectors for %d texts", len(vectors), len(texts))
	}
	return vectors, err
}

// read returns a task's request, or ErrBadTask.
func (m *Mechanism) read(t subnet.Task) (Request, error) {
	r, err := DecodeRequest(t.Body)
	if err == nil && len(r.Texts) > m.manifest.Texts {
		err = fmt.Errorf("%d texts, this subnet allows %d", len(r.Texts), m.manifest.Texts)
	}
	if err != nil {
		return Request{}, fmt.Errorf("%w: %w", subnet.ErrBadTask, err)
	}
	return r, nil
}

// blame tells an engine's errors that are the asker's from those that pass.
func blame(err error) error {
	switch {
	case errors.Is(err, engine.ErrTooLong), errors.Is(err, engine.ErrRequest):
		return fmt.Errorf("%w: %w", subnet.ErrBadTask, err)
	case errors.Is(err, engine.ErrBusy):
		return fmt.Errorf("%w: %w", subnet.ErrBusy, err)
	default:
		return err
	}
}

// Score checks the trials' answers and returns what their miners are worth
// now. It returns an error, and has learned nothing, when the validator's own
// engine fails.
func (m *Mechanism) Score(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	verdicts := make([]verdict, len(trials))
	errs := make([]error, len(trials))
	var wg sync.WaitGroup
	for i, t := range trials {
		wg.Go(func() { verdicts[i], errs[i] = m.judge(ctx, t) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("embed: score: %w", err)
	}
	scores := make([]subnet.Score, len(trials))
	for i, t := range trials {
		scores[i] = subnet.Score{Reject: m.learn(t, verdicts[i]), Units: verdicts[i].units}
	}
	for i, t := range trials {
		m.rate(&scores[i], t, verdicts[i])
	}
	return scores, nil
}

// learn folds a verdict into the tally, and tells whether it proves the miner
// a cheat.
func (m *Mechanism) learn(t subnet.Trial, v verdict) (proven bool) {
	uid := t.Task.Miner.UID
	switch {
	case v.cheated:
		proven = m.tally.Wrong(uid, t.Answer.Received)
	case v.failed == "":
		if v.checked > 0 {
			m.tally.Right(uid)
		}
		m.tally.Deliver(uid, v.units, t.Answer)
	}
	m.options.Log.Debug("vectors judged", "uid", uid, "tokens", v.units, "checked", v.checked, "worst", v.worst, "failed", v.failed, "proven", proven)
	return proven
}

// rate completes a score.
func (m *Mechanism) rate(s *subnet.Score, t subnet.Trial, v verdict) {
	uid := t.Task.Miner.UID
	until, rejected := m.tally.Rejected(uid, t.Answer.Received)
	switch {
	case s.Reject:
		s.Reason = "rejected: " + v.failed
	case v.failed != "":
		s.Reason = v.failed
	case rejected:
		s.Reason = "rejected before, on trial again from " + until.Format(time.RFC3339)
	default:
		s.Value, s.Reason = m.tally.Worth(uid, t.Answer), v.note
	}
}

// probation is how many answers of a new miner are all checked.
const probation = 50

// due draws whether a well-formed answer is checked: all of a miner's first
// ones, then the fewer the better it is known.
func (m *Mechanism) due(t subnet.Task) bool {
	checked := m.tally.Checked(t.Miner.UID)
	share := 1.0
	if checked >= probation {
		share = max(m.options.AuditMin, probation/float64(checked))
	}
	return float64(m.draw(t, "due")>>11)/(1<<53) < share
}

// draw is a number that only this validator can know before the answer came,
// and that it can show to have been fair.
func (m *Mechanism) draw(t subnet.Task, what string) uint64 {
	b := append(m.options.Seed[:], t.ID[:]...)
	h := sha256.Sum256(append(b, what...))
	return binary.BigEndian.Uint64(h[:8])
}

// Forget drops the record of a slot that changed hands.
func (m *Mechanism) Forget(uid yuma.UID) { m.tally.Forget(uid) }

// snapshot is what Snapshot writes, as JSON.
type snapshot struct {
	Version int           `json:"version"`
	Model   string        `json:"model"` // file hash that the tally is about
	Tally   *subnet.Tally `json:"tally"`
}

const snapshotVersion = 1

// Snapshot returns what is remembered of all miners, as JSON.
func (m *Mechanism) Snapshot() ([]byte, error) {
	return json.Marshal(snapshot{Version: snapshotVersion, Model: m.manifest.FileHash, Tally: m.tally})
}

// Restore replaces what is remembered by a snapshot. One that is about another
// model is forgotten, for evidence does not carry over.
func (m *Mechanism) Restore(state []byte) error {
	s := snapshot{Version: snapshotVersion, Tally: &subnet.Tally{}}
	if state != nil {
		if err := json.Unmarshal(state, &s); err != nil {
			return fmt.Errorf("embed: restore: %w", err)
		}
	}
	if s.Version != snapshotVersion || s.Tally == nil {
		return fmt.Errorf("embed: restore: a snapshot of version %d, this is version %d, with a tally", s.Version, snapshotVersion)
	}
	kept := []byte("{}")
	if s.Model == m.manifest.FileHash {
		var err error
		if kept, err = s.Tally.MarshalJSON(); err != nil {
			return fmt.Errorf("embed: restore: %w", err)
		}
	}
	return m.tally.UnmarshalJSON(kept)
}
