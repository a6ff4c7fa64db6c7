package open

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/open/quiz"
	"github.com/plexus-network/plexus/yuma"
)

// Options tunes a Mechanism. The zero value works.
type Options struct {
	Seed        [32]byte       // of questions, secret; zero draws one
	Judge       engine.Checker // compares answers to open questions; nil asks none
	Temperature float32        // of Work; 0 takes the likeliest words
	Log         *slog.Logger   // nil means no log
}

// Mechanism is the kind open. It implements [subnet.Mechanism].
//
// A miner's Value is s^sharpness with s = (1−w)·A + w·P. A is its share of
// right answers, each weighed by the level of its question and the older the
// less; it starts near 0. P is the probability, by its rating, that it wins
// against another miner of the subnet, ½ before it played. s rises with both,
// and the power makes incentive follow: at sharpness 4 a miner that is right
// nine times in ten earns twice what one earns that is right three times in
// four. Both miners and validators make one; a miner uses Work alone.
type Mechanism struct {
	engine   engine.Text
	manifest Manifest
	options  Options
	hash     maphash.Seed
	judging  sync.Mutex // held while the judge compares

	mu       sync.Mutex
	asked    map[uint64]struct{} // hashes of questions
	recent   [recentQuestions]uint64
	at       int
	contests map[lot]*contest
	lots     []lot // of contests, the oldest first
	records  map[yuma.UID]*record
	tally    *subnet.Tally
}

// recentQuestions is how many questions back none is asked again.
const recentQuestions = 1 << 14

var _ subnet.Mechanism = (*Mechanism)(nil)

// New returns the kind open. The engine answers in Work; a validator that does
// not work may leave it nil.
func New(text engine.Text, manifest Manifest, options Options) *Mechanism {
	if options.Seed == [32]byte{} {
		rand.Read(options.Seed[:])
	}
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	manifest = manifest.withDefaults()
	return &Mechanism{
		engine: text, manifest: manifest, options: options,
		hash:     maphash.MakeSeed(),
		asked:    map[uint64]struct{}{},
		contests: map[lot]*contest{},
		records:  map[yuma.UID]*record{},
		tally:    &subnet.Tally{Penalty: time.Duration(manifest.Penalty) * time.Second},
	}
}

// Kind returns "open".
func (m *Mechanism) Kind() string { return "open" }

// lot is the part of a salt that an open question's requests share.
type lot [8]byte

// secret is what a salt stands for.
func (m *Mechanism) secret(salt []byte) [32]byte {
	h := hmac.New(sha256.New, m.options.Seed[:])
	h.Write(salt)
	return [32]byte(h.Sum(nil))
}

// question returns what a salt of this validator's asks, which is drawn by the
// salt alone: whether a request is one of its own needs no memory.
func (m *Mechanism) question(salt [saltSize]byte) (prompt string, task quiz.Task, free bool) {
	shared := m.secret(salt[:len(lot{})])
	if draw(shared) < m.manifest.Free && m.options.Judge != nil {
		return freePrompt(shared), quiz.Task{}, true
	}
	own := m.secret(salt[:])
	task = quiz.Make(own, 1+int(own[0])%m.manifest.Levels)
	return task.Prompt, task, false
}

func draw(h [32]byte) float64 { return float64(binary.BigEndian.Uint64(h[24:])>>11) / (1 << 53) }

// Challenge asks a question that was not asked before, or an open one that
// other miners are asked too.
func (m *Mechanism) Challenge(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range 1000 {
		var r Request
		rand.Read(r.Salt[:])
		waits := m.join(&r.Salt)
		prompt, _, free := m.question(r.Salt)
		if _, joined := m.contests[lot(r.Salt[:len(lot{})])]; free && waits && !joined || !free && !m.fresh(prompt) {
			continue // one contest is filled before the next begins
		}
		if free {
			m.issue(lot(r.Salt[:len(lot{})]), prompt)
		}
		r.Prompt = prompt
		return r.Encode()
	}
	return nil, fmt.Errorf("open: every question of level 1 to %d was asked lately: raise levels", m.manifest.Levels)
}

// join reports whether a contest waits for miners, and makes salt one of it if
// it is an open question's turn. The caller holds mu.
func (m *Mechanism) join(salt *[saltSize]byte) (waits bool) {
	if len(m.lots) == 0 {
		return false
	}
	last := m.lots[len(m.lots)-1]
	if m.contests[last].issued > contestants { // one more than needed: it may be silent
		return false
	}
	if draw(m.secret(salt[:])) < m.manifest.Free {
		copy(salt[:], last[:])
	}
	return true
}

// issue notes that a contest's question goes out; the caller holds mu.
func (m *Mechanism) issue(l lot, prompt string) {
	c := m.contests[l]
	if c == nil {
		c = &contest{prompt: prompt}
		m.contests[l] = c
		m.lots = append(m.lots, l)
		if len(m.lots) > maxContests {
			delete(m.contests, m.lots[0])
			m.lots = m.lots[1:]
		}
	}
	c.issued++
}

// fresh notes a question, and reports whether it is new. The caller holds mu.
func (m *Mechanism) fresh(prompt string) bool {
	key := maphash.String(m.hash, prompt)
	if _, again := m.asked[key]; again {
		return false
	}
	delete(m.asked, m.recent[m.at])
	m.recent[m.at], m.asked[key] = key, struct{}{}
	m.at = (m.at + 1) % recentQuestions
	return true
}

// Work answers t with the engine.
func (m *Mechanism) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	r, err := DecodeRequest(t.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", subnet.ErrBadTask, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var said strings.Builder
	most := m.most(r)
	send := func(text string, seal []byte) error {
		chunk, err := encodeChunk(text, seal)
		if err != nil {
			return err
		}
		return emit(chunk)
	}
	full := errors.New("enough")
	_, err = m.engine.Chat(ctx, engine.ChatRequest{
		Messages:  []engine.Message{{Role: engine.User, Content: r.Prompt}},
		MaxTokens: m.manifest.MaxTokens,
		Sampling:  engine.Sampling{Temperature: m.options.Temperature, Seed: engine.Seed(sealOf(t, ""))},
	}, func(d engine.Delta) error {
		if said.Len()+len(d.Text) > most {
			return full
		}
		if d.Text == "" {
			return nil
		}
		said.WriteString(d.Text)
		return send(d.Text, nil)
	})
	if err != nil && !errors.Is(err, full) {
		return blame(err)
	}
	return send("", sealOf(t, said.String()))
}

// most is how many bytes of text a request allows.
func (m *Mechanism) most(r Request) int {
	if r.MaxBytes == 0 {
		return m.manifest.MaxBytes
	}
	return min(r.MaxBytes, m.manifest.MaxBytes)
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

// verdict is what one answer shows by itself.
type verdict struct {
	failed  string // why the answer is worth nothing
	cheated bool   // failed in a way no honest miner does
	note    string // for people
	text    string
	prompt  string
	salt    [saltSize]byte
}

// read examines one answer.
func (m *Mechanism) read(t subnet.Trial) verdict {
	r, err := DecodeRequest(t.Task.Body)
	if err != nil {
		return verdict{note: "the request cannot be checked: " + err.Error()}
	}
	v := verdict{prompt: r.Prompt, salt: r.Salt} // silence is no way around a hard question
	if err := t.Answer.Err; err != nil {
		v.failed = "no answer: " + err.Error()
		return v
	}
	if t.Task.Timeout > 0 && t.Answer.Total > t.Task.Timeout {
		v.failed = fmt.Sprintf("the answer took %v, %v were allowed", t.Answer.Total, t.Task.Timeout)
		return v
	}
	text, seal, err := decodeAnswer(t.Answer.Body, m.most(r))
	switch {
	case err != nil:
		v.failed, v.cheated = err.Error(), true
	case !bytes.Equal(seal, sealOf(t.Task, text)):
		v.failed, v.cheated = "the answer is sealed for another miner or task", true
	case strings.TrimSpace(text) == "":
		v.failed = "the answer is empty"
	default:
		v.text = text
	}
	return v
}

// Score marks the answers and returns what their miners are worth now. It
// returns an error when the judge fails; what was marked before stays.
func (m *Mechanism) Score(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	scores := make([]subnet.Score, len(trials))
	verdicts := make([]verdict, len(trials))
	for i, t := range trials {
		v := m.read(t)
		full := m.mark(t, &v)
		if full != nil {
			if err := m.decide(ctx, full); err != nil {
				return nil, fmt.Errorf("open: score: %w", err)
			}
		}
		if v.cheated {
			scores[i].Reject = m.tally.Wrong(t.Task.Miner.UID, t.Answer.Received)
		}
		verdicts[i] = v
	}
	for i, t := range trials {
		m.rate(&scores[i], t, verdicts[i])
	}
	return scores, nil
}

// mark folds an answer to a question of this validator's into the miner's
// record. It returns the contest that the answer made full, if it did.
func (m *Mechanism) mark(t subnet.Trial, v *verdict) (full *contest) {
	prompt, task, free := m.question(v.salt)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record(t.Task.Miner.UID)
	if prompt != v.prompt {
		return nil // a user's, or none
	}
	if !free {
		right := v.failed == "" && task.Right(v.text)
		r.learn(task.Level, right)
		if right {
			m.tally.Right(t.Task.Miner.UID)
		} else if v.failed == "" {
			v.note = fmt.Sprintf("wrong answer to a question of level %d", task.Level)
		}
		return nil
	}
	l := lot(v.salt[:len(lot{})])
	c := m.contests[l]
	if c == nil || v.failed != "" || !c.enter(entry{t.Task.Miner.UID, v.text, t.Answer.Received}) {
		return nil
	}
	delete(m.contests, l)
	for i, other := range m.lots {
		if other == l {
			m.lots = append(m.lots[:i], m.lots[i+1:]...)
			break
		}
	}
	return c
}

// rate completes a score.
func (m *Mechanism) rate(s *subnet.Score, t subnet.Trial, v verdict) {
	uid := t.Task.Miner.UID
	s.Units = len(v.text)
	until, rejected := m.tally.Rejected(uid, t.Answer.Received)
	switch {
	case s.Reject:
		s.Reason = "rejected: " + v.failed
	case v.failed != "":
		s.Reason = v.failed
	case rejected:
		s.Reason = "rejected before, on trial again from " + until.Format(time.RFC3339)
	default:
		s.Value, s.Reason = m.worth(uid), v.note
	}
}
