package text

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/chat"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Options tunes a Mechanism. The zero value works.
type Options struct {
	Seed      [32]byte      // of challenges, secret; zero draws one
	Secret    [32]byte      // of audits; zero draws one: see [Folder.Secret]
	Challenge int           // most tokens that a challenge asks for; 0 means 128
	Crowd     int           // miners that a sealed challenge goes to at the same time; 0 means that there are none
	Reveal    time.Duration // after which sealed answers are told; 0 means 3 s
	AuditMin  float64       // share of answers checked of the best known miner; 0 means 0.05
	AuditMax  float64       // and of an unknown one; 0 means 1
	Checks    int           // answers checked at the same time; 0 means 1
	Flush     time.Duration // least time between two chunks of an answer; 0 means 25 ms, negative none
	Tempo     uint64        // blocks of an epoch, after which audits are shown; 0 means 360
	Audited   func(Audit)   // gets an epoch's audit when the next begins, and must not call back; nil means nobody does
	Fraud     func(Bundle)  // gets the evidence when a miner is rejected; nil means nobody does
	Log       *slog.Logger  // tells every verdict at debug level; nil means no log
}

func (o Options) withDefaults() Options {
	if o.Seed == [32]byte{} {
		rand.Read(o.Seed[:])
	}
	if o.Secret == [32]byte{} {
		rand.Read(o.Secret[:])
	}
	o.Challenge = max(or(o.Challenge, 128), 1)
	o.Reveal = or(o.Reveal, 3*time.Second)
	o.AuditMin = or(o.AuditMin, 0.05)
	o.AuditMax = or(o.AuditMax, 1)
	o.Checks = max(o.Checks, 1)
	o.Tempo = or(o.Tempo, 360)
	o.Flush = or(o.Flush, 25*time.Millisecond)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Mechanism is the kind text. It implements [subnet.Mechanism].
//
// A miner's Value is q·(⅝·V + ⅜·speed): q is what the sequential test says of
// it, V the tokens it delivered lately beside the busiest miner's, and speed
// its rate beside the median, up to 1.5 times (reference: s = q·(0.5·V +
// 0.3·speed + 0.2·quality), with no weight on quality where the model is
// fixed). Both miners and validators make one; a miner uses Work alone.
type Mechanism struct {
	engine   engine.Checker
	manifest Manifest
	options  Options
	asker    *asker
	checks   chan struct{} // a slot per check that may run

	mu       sync.Mutex
	records  map[yuma.UID]*record
	dossiers map[yuma.UID]*dossier
	auditor  auditor
}

var (
	_ subnet.Mechanism = (*Mechanism)(nil)
	_ subnet.Crowd     = (*Mechanism)(nil)
)

// New returns the kind text on a model. The engine answers in Work and checks
// in Score; that it runs the manifest's model is for [Manifest.Verify] to say.
// The manifest comes from [ParseManifest] or [ManifestOf].
func New(checker engine.Checker, manifest Manifest, options Options) *Mechanism {
	options, manifest = options.withDefaults(), manifest.withDefaults()
	return &Mechanism{
		engine:   checker,
		manifest: manifest,
		options:  options,
		asker:    newAsker(options.Seed, min(options.Challenge, manifest.MaxTokens), manifest.Sampler == AnySampler),
		checks:   make(chan struct{}, options.Checks),
		records:  map[yuma.UID]*record{},
		dossiers: map[yuma.UID]*dossier{},
		auditor:  auditor{secret: options.Secret, tempo: options.Tempo, draws: map[uint64][]Draw{}, ended: options.Audited},
	}
}

// Kind returns "text".
func (m *Mechanism) Kind() string { return "text" }

// Challenge makes a request such as users send, never the same twice.
func (m *Mechanism) Challenge(context.Context) ([]byte, error) {
	return m.asker.next().Encode()
}

// CrowdChallenge makes one of four challenges a sealed one for Options.Crowd
// miners, if that is set.
func (m *Mechanism) CrowdChallenge(context.Context) ([]byte, int, error) {
	if m.options.Crowd < 1 || !m.asker.sometimes(0.25) {
		return nil, 0, nil
	}
	r := m.asker.next()
	r.Reveal = m.options.Reveal
	body, err := r.Encode()
	return body, m.options.Crowd, err
}

// read returns a task's request and its prompt's tokens, or ErrBadTask.
func (m *Mechanism) read(t subnet.Task) (Request, []engine.Token, error) {
	r, err := DecodeRequest(t.Body)
	if err != nil {
		return Request{}, nil, fmt.Errorf("%w: %w", subnet.ErrBadTask, err)
	}
	prompt, err := m.prompt(r)
	if err != nil {
		return Request{}, nil, fmt.Errorf("%w: %w", subnet.ErrBadTask, err)
	}
	return r, prompt, nil
}

// constraint is what binds the answer to r: it must be whole within the limit.
// Tokens that another miner made before count for both.
func (m *Mechanism) constraint(r Request) engine.Constraint {
	c := r.Constraint
	if !c.IsZero() {
		c.Within = r.Made + m.limit(r)
	}
	return c
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

// prompt returns the tokens that the request's answer continues. Miner and
// validator both go through here, so that no engine's own view of a prompt
// comes between them.
func (m *Mechanism) prompt(r Request) ([]engine.Token, error) {
	switch {
	case len(r.Tokens) > 0:
		if v := m.engine.Model().Vocabulary; v > 0 {
			for i, t := range r.Tokens {
				if int(t) >= v {
					return nil, fmt.Errorf("%w: token %d of the prompt is %d, the vocabulary has %d", ErrMalformed, i, t, v)
				}
			}
		}
		return r.Tokens, nil
	case len(r.Messages) > 0:
		return chat.Render(m.engine, r.Messages, r.Constraint.Tools)
	default:
		return m.engine.Encode(r.Prompt)
	}
}

func (m *Mechanism) limit(r Request) int {
	if r.MaxTokens == 0 {
		return m.manifest.MaxTokens
	}
	return min(r.MaxTokens, m.manifest.MaxTokens)
}

func (m *Mechanism) sampling(t subnet.Task, r Request) engine.Sampling {
	return engine.Sampling{
		Temperature: r.Temperature, TopP: r.TopP, MinP: r.MinP, TopK: r.TopK,
		Seed: Seed(t, r.UserSeed),
	}
}

// Score checks the trials' answers and returns what their miners are worth
// now. It returns an error, and has learned nothing, when the validator's own
// engine fails.
func (m *Mechanism) Score(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	verdicts := make([]verdict, len(trials))
	errs := make([]error, len(trials))
	late := crowded(trials)
	var wg sync.WaitGroup
	for i, t := range trials {
		if late[i] != nil {
			verdicts[i].failed = late[i].Error()
			continue
		}
		wg.Go(func() { verdicts[i], errs[i] = m.judge(ctx, t) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("text: score: %w", err)
	}
	scores, frauds := m.conclude(trials, verdicts)
	for _, b := range frauds {
		m.options.Fraud(b)
	}
	return scores, nil
}

// conclude learns from verdicts and turns them into scores.
func (m *Mechanism) conclude(trials []subnet.Trial, verdicts []verdict) (scores []subnet.Score, frauds []Bundle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	scores = make([]subnet.Score, len(trials))
	proven := make([]bool, len(trials))
	for i, t := range trials {
		proven[i] = m.learn(t, verdicts[i])
		if b, ok := m.file(t, verdicts[i], proven[i]); ok {
			frauds = append(frauds, b)
		}
	}
	for i, t := range trials {
		scores[i] = m.score(t, verdicts[i], proven[i])
	}
	return scores, frauds
}

// verdict is what one answer shows by itself.
type verdict struct {
	failed   string // why the answer is worth nothing; empty when it is good
	note     string // for people, of an answer that is good
	found    Examination
	evidence float64 // Λ of this answer
	tokens   int     // delivered
	torn     bool    // failed for it broke off, and what came of it is good
	checked  bool    // examined with the engine
}

// judge examines one answer, with the engine if it is this answer's turn.
func (m *Mechanism) judge(ctx context.Context, t subnet.Trial) (verdict, error) {
	e, v := m.open(t)
	if e == nil {
		v.evidence = m.manifest.Weigh(v.found)
		return v, nil
	}
	if !t.Answer.Full && !m.due(t.Task) {
		v.note = "not checked this time"
		return v, nil
	}
	found, err := m.check(ctx, e)
	if errors.Is(err, engine.ErrTooLong) {
		v.note = "too long for this validator to check"
		return v, nil
	}
	if errors.Is(err, engine.ErrUnsupported) {
		v.note = "this validator's engine cannot check it: " + err.Error()
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.found, v.note, v.evidence, v.checked = found, found.note(), m.manifest.Weigh(found), found.Tokens() > 0
	if m.manifest.distant(found) {
		v.torn = false
		v.failed = fmt.Sprintf("log-probabilities are %.2f away from the model's, at most %.2f is allowed", found.Distance, m.manifest.Distance)
	}
	return v, nil
}

// ErrUnclear means that an answer can be judged by nobody: it failed for a
// reason that is no proof.
var ErrUnclear = errors.New("text: the answer cannot be judged")

// Examine replays one answer, whether its turn has come or not. It returns
// [ErrUnclear], or an error of the engine.
func (m *Mechanism) Examine(ctx context.Context, t subnet.Trial) (Examination, error) {
	e, v := m.open(t)
	switch {
	case v.found.Broken != "":
		return v.found, nil
	case e == nil:
		return Examination{}, fmt.Errorf("%w: %s", ErrUnclear, cmp.Or(v.failed, v.note))
	}
	return m.check(ctx, e)
}

// exam is an answer in good form, ready to be replayed.
type exam struct {
	form     form
	reply    reply
	sampling engine.Sampling
}

// broken is the verdict on an answer that no honest miner gives.
func broken(why string) verdict { return verdict{failed: why, found: Examination{Broken: why}} }

// open reads a trial; there is no exam where its verdict stands already.
func (m *Mechanism) open(t subnet.Trial) (*exam, verdict) {
	if t.Answer.Err != nil {
		return m.openTorn(t)
	}
	if t.Task.Timeout > 0 && t.Answer.Total > t.Task.Timeout {
		return nil, verdict{failed: fmt.Sprintf("the answer took %v, %v were allowed", t.Answer.Total, t.Task.Timeout)}
	}
	request, prompt, err := m.read(t.Task)
	if err != nil {
		return nil, verdict{note: "the request cannot be checked: " + err.Error()}
	}
	r, err := newReply(t.Answer.Body)
	if err != nil {
		return nil, broken(err.Error())
	}
	sampling := m.sampling(t.Task, request)
	if err := unsealed(r, request, sampling.Seed, t.Answer); errors.Is(err, errLate) {
		return nil, verdict{failed: err.Error()}
	} else if err != nil {
		return nil, broken(err.Error())
	}
	f, err := m.form(request, prompt, sampling)
	if err != nil {
		return nil, verdict{note: "the request cannot be checked: " + err.Error()}
	}
	if why := f.broken(r); why != "" {
		return nil, broken(why)
	}
	return &exam{form: f, reply: r, sampling: sampling}, verdict{tokens: len(r.tokens)}
}

func (m *Mechanism) form(r Request, prompt []engine.Token, s engine.Sampling) (form, error) {
	g, err := r.grammar()
	return form{
		engine: m.engine, prompt: prompt, made: prompt[len(prompt)-r.Made:],
		stop: r.Stop, limit: m.limit(r), evidence: m.manifest.Evidence,
		constraint: m.constraint(r), grammar: g,
		probe: m.probeLength(s, len(prompt)), seed: s.Seed,
	}, err
}

// check spends a prefill on a reply in good form.
func (m *Mechanism) check(ctx context.Context, e *exam) (Examination, error) {
	select {
	case m.checks <- struct{}{}:
		defer func() { <-m.checks }()
	case <-ctx.Done():
		return Examination{}, ctx.Err()
	}
	if m.manifest.Sampler == AnySampler && e.sampling.Temperature > 0 {
		scores, err := e.form.score(ctx, e.reply.ids(), e.form.constraint, len(e.form.made))
		if errors.Is(err, engine.ErrUnsupported) {
			return Examination{Class: Sampled}, nil // nothing to be learned from a few spots
		}
		return Examination{Class: Sampled, Surprise: e.form.surprise(scores, e.sampling)}, err
	}
	x, err := e.form.replay(ctx, e.reply, e.sampling)
	if errors.Is(err, engine.ErrUnsupported) && e.form.constraint.IsZero() {
		return e.form.examineSpots(ctx, e.reply, e.sampling)
	}
	return x, err
}

// minDistance is how many tokens it takes to judge by log-probabilities.
const minDistance = 16

// due draws whether a well-formed answer is checked: all of a miner's first
// tokens, then the fewer the better it is known.
func (m *Mechanism) due(t subnet.Task) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[t.Miner.UID]
	share := m.options.AuditMax
	if r != nil && r.State != rejected && r.Tokens >= probation && !r.Surprise.alarming() {
		share = m.options.AuditMin + (m.options.AuditMax-m.options.AuditMin)*(1-r.reputation())
	}
	return m.auditor.draw(t, share)
}

// learn folds a verdict into the miner's record, and tells whether it proves
// the miner a cheat. The caller holds mu.
func (m *Mechanism) learn(t subnet.Trial, v verdict) (proven bool) {
	uid := t.Task.Miner.UID
	r := m.records[uid]
	if r == nil {
		r = &record{State: fresh}
		m.records[uid] = r
	}
	now := t.Answer.Received
	r.Surprise.Join(v.found.Surprise)
	if v.evidence != 0 {
		penalty := time.Duration(m.manifest.Penalty) * time.Second
		proven = r.learn(v.evidence, v.found.Tokens(), now, penalty)
	}
	missed, _ := v.found.off()
	m.options.Log.Debug("answer judged", "uid", uid, "tokens", v.tokens, "checked", v.found.Tokens(),
		"missed", missed, "evidence", r.Evidence, "state", r.State, "proven", proven)
	if v.tokens > 0 && (v.failed == "" || v.torn) && r.State != rejected {
		r.deliver(v.tokens, float64(v.tokens)/max(t.Answer.Total.Seconds(), 1e-3), now)
	}
	return proven
}

// score is the worth of a trial's miner. The caller holds mu.
func (m *Mechanism) score(t subnet.Trial, v verdict, proven bool) subnet.Score {
	r := m.records[t.Task.Miner.UID]
	s := subnet.Score{Reject: proven, Reason: cmp.Or(v.failed, v.note), Units: v.tokens, Checked: v.checked}
	switch {
	case proven:
		s.Reason = "rejected: " + cmp.Or(s.Reason, "its tokens are not what the model says")
	case v.failed != "":
	case r.State == rejected:
		s.Reason = fmt.Sprintf("rejected before, on trial again until %s", r.Until.UTC().Format(time.RFC3339))
	default:
		s.Value = r.quality() * (0.625*m.volume(r, t.Answer.Received) + 0.375*m.speed(r, t.Answer.First))
	}
	return s
}

// priorVolume evens out what single answers' lengths do to young miners.
const priorVolume = 500

// volume is a miner's delivered tokens beside the busiest miner's, 0 to 1.
func (m *Mechanism) volume(r *record, now time.Time) float64 {
	most := 0.0
	for _, other := range m.records {
		most = max(most, other.volume(now))
	}
	return (r.volume(now) + priorVolume) / (most + priorVolume)
}

// speed is a miner's rate beside the median, 0 to 1: 1 from 1.5 medians on,
// and 0 when the answer began after the gate.
func (m *Mechanism) speed(r *record, first time.Duration) float64 {
	if first > time.Duration(m.manifest.Gate)*time.Millisecond {
		return 0
	}
	var rates []float64
	for _, uid := range slices.Sorted(maps.Keys(m.records)) {
		if o := m.records[uid]; o.State != rejected && o.Rate > 0 {
			rates = append(rates, o.Rate)
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	median := rates[len(rates)/2]
	return min(1.5, r.Rate/median) / 1.5
}

// Forget drops the record of a slot that changed hands.
func (m *Mechanism) Forget(uid yuma.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, uid)
	delete(m.dossiers, uid)
}
