// Package external lets a program of any language be a kind of subnet.
//
// The program is spoken to in JSON: by lines over its standard input and
// output, or by HTTP. docs/mechanism.md is the contract, with examples beside
// it. What a program says is checked and bounded as a peer's words are: it can
// be wrong, slow, or crash, and costs no more than its own subnet. No shell has
// a hand in starting it.
//
// Start at [Open].
package external

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Version is the version of the contract that this package speaks.
const Version = 1

// ErrProgram means that the program broke the contract, or is down.
var ErrProgram = errors.New("external: the mechanism's program failed")

// Options says which program is the mechanism. Exactly one of Command and URL
// is required.
type Options struct {
	Command []string // program and arguments
	Dir     string   // where it runs; empty means here
	Env     []string // KEY=value; beside PATH, HOME, LANG and TMPDIR, all that the program sees of the environment
	URL     string   // of a service that runs already, as http://127.0.0.1:9000

	Kind    string          // refuse a program of another kind; empty takes any
	Params  json.RawMessage // the subnet's kind parameters; nil means null
	Timeout time.Duration   // for every answer but work's, which has the task's, and score's, which has six times this; 0 means 10 s
	Log     *slog.Logger    // also gets what the program writes to its standard error; nil means no log
}

// Mechanism is a kind that a program is. It implements [subnet.Mechanism].
type Mechanism struct {
	peer    closer
	kind    string
	timeout time.Duration
	slots   chan struct{} // one per call under way

	mu        sync.Mutex
	state     []byte // what the program was last known to remember; nil is nothing
	forgotten []yuma.UID
}

var _ subnet.Mechanism = (*Mechanism)(nil)

// caller asks a program for method and returns its result. onChunk gets the
// chunks of an answer; nil allows none.
type caller interface {
	call(ctx context.Context, method string, params any, onChunk func([]byte) error) (json.RawMessage, error)
}

type closer interface {
	caller
	close() error
}

// Bounds of what a program says. A line carries bytes in base64.
const (
	maxLine      = 12 << 20 // bytes of a line
	maxChallenge = 1 << 20  // bytes of a challenge's body
	maxAnswer    = 8 << 20  // bytes of all chunks of an answer
	maxState     = 8 << 20  // bytes of a snapshot
	maxReason    = 200      // bytes of a reason
	maxUnits     = 1 << 30
	maxCalls     = 64 // under way at once
)

var kinds = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Open starts the program, or reaches the service, and says hello. The caller
// closes the mechanism.
func Open(ctx context.Context, o Options) (*Mechanism, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Timeout = cmp.Or(max(o.Timeout, 0), 10*time.Second)
	if o.Params == nil {
		o.Params = json.RawMessage("null")
	}
	if !json.Valid(o.Params) {
		return nil, fmt.Errorf("external: the kind parameters are %d bytes that are not JSON", len(o.Params))
	}
	m := &Mechanism{timeout: o.Timeout, slots: make(chan struct{}, maxCalls), kind: o.Kind}
	switch {
	case (len(o.Command) > 0) == (o.URL != ""):
		return nil, errors.New("external: give a command or a URL, one of them")
	case o.URL != "":
		u, err := url.Parse(o.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("external: %.100q is no address like http://127.0.0.1:9000", o.URL)
		}
		s := newService(u)
		m.peer = s
		return m, m.greet(ctx, s, o.Params)
	default:
		p := &program{options: o, greet: func(ctx context.Context, c caller) error { return m.greet(ctx, c, o.Params) }}
		m.peer = p
		if _, err := p.running(ctx); err != nil {
			return nil, errors.Join(err, p.close())
		}
		return m, nil
	}
}

// greet says hello, and tells a program that was started anew what it knew.
func (m *Mechanism) greet(ctx context.Context, c caller, params json.RawMessage) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	said, err := c.call(ctx, "hello", struct {
		Version int             `json:"version"`
		Params  json.RawMessage `json:"kind_params"`
	}{Version, params}, nil)
	if err != nil {
		return err
	}
	var hello struct {
		Version int    `json:"version"`
		Kind    string `json:"kind"`
	}
	if err := json.Unmarshal(said, &hello); err != nil {
		return fmt.Errorf("%w: hello: %w", ErrProgram, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case hello.Version != Version:
		return fmt.Errorf("%w: it speaks version %d of the contract, this is version %d", ErrProgram, hello.Version, Version)
	case !kinds.MatchString(hello.Kind):
		return fmt.Errorf("%w: it names its kind %.40q, use 1 to 32 of a–z, 0–9 and -, a letter first", ErrProgram, hello.Kind)
	case m.kind != "" && m.kind != hello.Kind:
		return fmt.Errorf("%w: it is of kind %q, %q is wanted", ErrProgram, hello.Kind, m.kind)
	}
	m.kind = hello.Kind
	return m.remind(ctx, c)
}

// remind restores the last known state; the caller holds mu.
func (m *Mechanism) remind(ctx context.Context, c caller) error {
	if m.state == nil && len(m.forgotten) == 0 {
		return nil
	}
	if _, err := c.call(ctx, "restore", stateParams{m.state}, nil); err != nil {
		return err
	}
	for _, uid := range m.forgotten {
		if _, err := c.call(ctx, "forget", forgetParams{uid}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the program. Calls under way fail.
func (m *Mechanism) Close() error { return m.peer.close() }

// Kind returns the kind that the program says it is.
func (m *Mechanism) Kind() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kind
}

// ask calls within d.
func (m *Mechanism) ask(ctx context.Context, d time.Duration, method string, params, result any, onChunk func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	said, err := m.peer.call(ctx, method, params, onChunk)
	if err != nil {
		return err
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(said, result); err != nil {
		return fmt.Errorf("%w: the result of %s: %w", ErrProgram, method, err)
	}
	return nil
}

// Challenge asks for a challenge.
func (m *Mechanism) Challenge(ctx context.Context) ([]byte, error) {
	var said struct {
		Body []byte `json:"body"`
	}
	if err := m.ask(ctx, m.timeout, "challenge", struct{}{}, &said, nil); err != nil {
		return nil, err
	}
	if n := len(said.Body); n == 0 || n > maxChallenge {
		return nil, fmt.Errorf("%w: a challenge of %d bytes, 1 to %d are allowed", ErrProgram, n, maxChallenge)
	}
	return said.Body, nil
}

// Work lets the program work on t.
func (m *Mechanism) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	d := t.Timeout
	if d <= 0 {
		d = m.timeout
	}
	return m.ask(ctx, d, "work", workParams{newTask(t)}, nil, emit)
}

// Score lets the program judge.
func (m *Mechanism) Score(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	if len(trials) == 0 {
		return nil, ctx.Err()
	}
	var p scoreParams
	for _, t := range trials {
		p.Trials = append(p.Trials, trial{newTask(t.Task), newAnswer(t.Answer)})
	}
	var said struct {
		Scores []score `json:"scores"`
	}
	if err := m.ask(ctx, 6*m.timeout, "score", p, &said, nil); err != nil {
		return nil, err
	}
	if len(said.Scores) != len(trials) {
		return nil, fmt.Errorf("%w: %d scores of %d trials", ErrProgram, len(said.Scores), len(trials))
	}
	scores := make([]subnet.Score, len(trials))
	for i, s := range said.Scores {
		if !s.valid() {
			return nil, fmt.Errorf("%w: score %d has value %v, reject %t and %d units", ErrProgram, i, s.Value, s.Reject, s.Units)
		}
		scores[i] = subnet.Score{Value: s.Value, Reject: s.Reject, Reason: cut(s.Reason), Units: s.Units}
	}
	return scores, nil
}

// Forget lets the program forget a slot. Where it cannot be told now, it is
// told when it is started again.
func (m *Mechanism) Forget(uid yuma.UID) {
	m.mu.Lock()
	if !slices.Contains(m.forgotten, uid) {
		m.forgotten = append(m.forgotten, uid)
	}
	m.mu.Unlock()
	_ = m.ask(context.Background(), m.timeout, "forget", forgetParams{uid}, nil, nil) // see above
}

// Snapshot asks for what the program remembers.
func (m *Mechanism) Snapshot() ([]byte, error) {
	m.mu.Lock()
	told := len(m.forgotten)
	m.mu.Unlock()
	var said stateParams
	if err := m.ask(context.Background(), m.timeout, "snapshot", struct{}{}, &said, nil); err != nil {
		return nil, err
	}
	if n := len(said.State); n == 0 || n > maxState {
		return nil, fmt.Errorf("%w: a snapshot of %d bytes, 1 to %d are allowed", ErrProgram, n, maxState)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.forgotten = said.State, slices.Delete(m.forgotten, 0, min(told, len(m.forgotten)))
	return said.State, nil
}

// Restore gives the program a snapshot back.
func (m *Mechanism) Restore(state []byte) error {
	p := stateParams{state}
	if state != nil && len(state) == 0 {
		return errors.New("external: restore: a snapshot of 0 bytes")
	}
	if err := m.ask(context.Background(), m.timeout, "restore", p, nil, nil); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.forgotten = slices.Clone(state), nil
	return nil
}
