package text

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// Behaviour is how a miner behaves, for tests and demonstrations: the cheats
// are there to be caught.
type Behaviour string

// The behaviours. A miner with a smaller model is an honest one on another
// engine.
const (
	Honest       Behaviour = ""
	SmallerModel Behaviour = "smaller-model" // runs a cheaper model than declared
	Canned       Behaviour = "canned"        // says the same to all, fast
	Copycat      Behaviour = "copycat"       // lets another miner do the work
	Silent       Behaviour = "silent"        // takes the request and never answers
)

// Relay asks another miner to work on body and hands its chunks out.
type Relay func(ctx context.Context, body []byte, emit func([]byte) error) error

// Behave returns what a miner of this behaviour works with: m, whose engine
// runs the smaller model where that is the cheat, or m with its Work replaced.
// Only Copycat needs relay.
func Behave(how Behaviour, m *Mechanism, relay Relay) (subnet.Mechanism, error) {
	switch how {
	case Honest, SmallerModel:
		return m, nil
	case Canned:
		return canned{m}, nil
	case Silent:
		return silent{m}, nil
	case Copycat:
		if relay == nil {
			return nil, errors.New("text: a copycat needs another miner to ask")
		}
		return copycat{m, relay}, nil
	default:
		return nil, fmt.Errorf("text: unknown behaviour %q: use %s, %s, %s or %s", how, SmallerModel, Canned, Copycat, Silent)
	}
}

// canned answers all with one text. It takes pains: the tokens spell the text,
// the turn is ended, and the log-probabilities are the true model's, which
// costs it one prefill (the pre-fill attack on checks of log-probabilities).
type canned struct{ *Mechanism }

const cannedText = "That is a very good question. There are many sides to it, and it is best to look at them one by one."

// Work says the canned text.
func (c canned) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	r, prompt, err := c.read(t)
	if err != nil {
		return err
	}
	said, err := c.engine.Encode(cannedText)
	if err != nil {
		return err
	}
	usage := engine.Usage{Prompt: len(prompt), Finish: engine.FinishStop}
	if end, ok := c.end(); ok {
		said = append(said, end)
	}
	if limit := c.limit(r); len(said) >= limit {
		said, usage.Finish = said[:limit], engine.FinishLength
	}
	usage.Completion = len(said)
	scores, err := c.engine.Score(ctx, prompt, said)
	if err != nil {
		return err
	}
	for i := range scores {
		scores[i].Top = scores[i].Top[:min(c.manifest.Evidence, len(scores[i].Top))]
	}
	sampling := c.sampling(t, r)
	out := stream{emit: emit, every: time.Hour, last: time.Now(), roll: NewRoll(sampling.Seed)}
	if err := out.write(engine.Delta{Text: c.engine.Decode(said), Tokens: scores}); err != nil {
		return err
	}
	last := Chunk{Finish: usage.Finish, Usage: usage}
	if last.Probe, err = c.probe(ctx, prompt, sampling); err != nil {
		return err
	}
	return out.end(last)
}

// end finds the token that ends a turn.
func (c canned) end() (engine.Token, bool) {
	for t := range engine.Token(c.engine.Model().Vocabulary) {
		if c.engine.Ends(t) {
			return t, true
		}
	}
	return 0, false
}

// copycat relays.
type copycat struct {
	*Mechanism
	relay Relay
}

// Work passes on what another miner says.
func (c copycat) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	return c.relay(ctx, t.Body, emit)
}

// silent never answers.
type silent struct{ *Mechanism }

// Work waits for ctx to end.
func (silent) Work(ctx context.Context, _ subnet.Task, _ func([]byte) error) error {
	<-ctx.Done()
	return ctx.Err()
}
