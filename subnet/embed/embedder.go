package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// ErrNoAnswer means that no miner gave vectors that proved right.
var ErrNoAnswer = errors.New("embed: no miner gave a right answer")

// Asker is a validator, as an Embedder needs it.
type Asker interface {
	// Miners returns those that can be asked, the best first.
	Miners() []yuma.UID
	// Ask gives a miner a user's task, and says what happened.
	Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error)
	// Judge scores trials and lets the scores count.
	Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error)
}

// Embedder turns users' texts into vectors by way of a validator. Make one
// with [Mechanism.Embedder]; its methods may be called from many goroutines.
type Embedder struct {
	kind *Mechanism
	via  Asker
}

// Embedder returns one that asks the subnet of m, which is the validator's.
func (m *Mechanism) Embedder(via Asker) *Embedder { return &Embedder{kind: m, via: via} }

// Bounds of a round of questions.
const (
	asked    = 2                      // miners per request
	rounds   = 3                      // requests before giving up
	patience = 20 * time.Second       // for a miner
	grace    = 300 * time.Millisecond // for the slower one
	together = 256 << 10              // bytes of the texts of one request, unless it has a single one
)

// Embed returns a vector of norm 1 per text, and the tokens of all texts. Two
// miners are asked at the same time; what is returned was given by both, or
// was checked against the validator's own model. The error is [ErrMalformed]
// for texts that cannot be asked for, engine.ErrTooLong for one that does not
// fit the model, and [ErrNoAnswer].
func (e *Embedder) Embed(ctx context.Context, texts []string) (vectors [][]float32, promptTokens int, err error) {
	if len(texts) == 0 {
		return nil, 0, fmt.Errorf("%w: no texts", ErrMalformed)
	}
	for i, s := range texts {
		n, err := e.measure(i, s)
		if err != nil {
			return nil, 0, err
		}
		promptTokens += n
	}
	for len(texts) > 0 {
		n := e.portion(texts)
		part, err := e.request(ctx, texts[:n])
		if err != nil {
			return nil, 0, err
		}
		vectors, texts = append(vectors, part...), texts[n:]
	}
	return vectors, promptTokens, nil
}

// measure returns the tokens of text i, unless it cannot be asked for.
func (e *Embedder) measure(i int, s string) (int, error) {
	if s == "" || len(s) > maxText || !utf8.ValidString(s) {
		return 0, fmt.Errorf("%w: text %d has %d bytes, UTF-8 of 1 to %d bytes is allowed", ErrMalformed, i, len(s), maxText)
	}
	n := e.kind.count([]string{s})
	if most := e.kind.engine.Model().Context; most > 0 && n >= most {
		return 0, fmt.Errorf("%w: text %d has %d tokens, the model takes %d", engine.ErrTooLong, i, n, most-1)
	}
	return n, nil
}

// portion is how many of the texts fit one request.
func (e *Embedder) portion(texts []string) int {
	size := 0
	for i, s := range texts {
		size += len(s)
		if i == e.kind.manifest.Texts || i > 0 && size > together {
			return i
		}
	}
	return len(texts)
}

// request asks until an answer proves right.
func (e *Embedder) request(ctx context.Context, texts []string) ([][]float32, error) {
	r := Request{Texts: texts, Nonce: make([]byte, 16)}
	rand.Read(r.Nonce)
	body, err := r.Encode()
	if err != nil {
		return nil, err
	}
	miners := e.via.Miners()
	why := errors.New("there is nobody to ask")
	for range rounds {
		n := min(asked, len(miners))
		if n == 0 {
			break
		}
		var vectors [][]float32
		if vectors, why = e.round(ctx, miners[:n], body, texts); why == nil {
			return vectors, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		miners = miners[n:]
	}
	return nil, fmt.Errorf("%w: %w", ErrNoAnswer, why)
}

// round asks some miners at once and returns what proved right. All answers
// that came count for their miners.
func (e *Embedder) round(ctx context.Context, uids []yuma.UID, body []byte, texts []string) ([][]float32, error) {
	trials := e.askAll(ctx, uids, body)
	scores, err := e.via.Judge(ctx, trials)
	if err != nil {
		return nil, err
	}
	var good []subnet.Trial
	why := errors.New("no answer came")
	for i, s := range scores {
		if s.Value > 0 && trials[i].Answer.Err == nil {
			good = append(good, trials[i])
			continue
		}
		why = fmt.Errorf("uid %d: %s", trials[i].Task.Miner.UID, s.Reason)
	}
	if len(good) == 0 {
		return nil, why
	}
	return e.settle(ctx, good, texts)
}

// askAll asks at once, and waits for the slower ones a little longer than the
// first took.
func (e *Embedder) askAll(ctx context.Context, uids []yuma.UID, body []byte) []subnet.Trial {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan subnet.Trial, len(uids))
	start := time.Now()
	for _, uid := range uids {
		go func() {
			trial, _ := e.via.Ask(ctx, uid, body, patience, nil) // the trial holds the error
			came <- trial
		}()
	}
	trials := make([]subnet.Trial, 0, len(uids))
	for range uids {
		t := <-came
		trials = append(trials, t)
		if t.Answer.Err == nil {
			timer := time.AfterFunc(grace+time.Since(start), cancel)
			defer timer.Stop()
		}
	}
	return trials
}

// settle returns the vectors of good answers: those that two agree on, and the
// rest, of one alone, as far as the model at hand confirms it.
func (e *Embedder) settle(ctx context.Context, good []subnet.Trial, texts []string) ([][]float32, error) {
	answers := make([]answer, len(good))
	for i, t := range good {
		var err error
		if answers[i], err = decodeAnswer(t.Answer.Body); err != nil {
			return nil, err // a score above 0 of what does not decode
		}
	}
	doubtful := e.kind.sample(good[0].Task, len(texts))
	if len(good) > 1 {
		if doubtful = e.kind.disagreements(answers[0], answers[1]); len(doubtful) == 0 {
			return answers[0].vectors, nil
		}
	}
	why := ErrNoAnswer
	for i, a := range answers {
		v, err := e.kind.compare(ctx, good[i].Task, texts, a, doubtful)
		if err != nil {
			return nil, err
		}
		if v.failed == "" {
			return a.vectors, nil
		}
		e.kind.tally.Wrong(good[i].Task.Miner.UID, good[i].Answer.Received)
		why = fmt.Errorf("uid %d: %s", good[i].Task.Miner.UID, v.failed)
	}
	return nil, why
}
