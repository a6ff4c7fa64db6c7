package text

import (
	"context"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// job is one answer to be made.
type job struct {
	request  Request
	prompt   []engine.Token // that the engine reads
	charged  int            // tokens of the prompt as it was asked
	limit    int            // tokens
	made     int            // of the prompt's last tokens, that are the answer so far
	bound    engine.Constraint
	sampling engine.Sampling
	seed     engine.Seed // that the answer is bound to
}

// Work answers t with the engine, under the seed that t sets.
func (m *Mechanism) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	j, err := m.job(t)
	if err != nil {
		return err
	}
	return m.answer(ctx, j, emit)
}

// job is what an honest miner does about a task, or ErrBadTask.
func (m *Mechanism) job(t subnet.Task) (job, error) {
	r, prompt, err := m.read(t)
	if err != nil {
		return job{}, err
	}
	s := m.sampling(t, r)
	return job{
		request: r, prompt: prompt, charged: len(prompt), limit: m.limit(r), made: r.Made, bound: m.constraint(r), sampling: s, seed: s.Seed,
	}, nil
}

func (m *Mechanism) answer(ctx context.Context, j job, emit func([]byte) error) error {
	out := &stream{emit: emit, every: m.options.Flush, roll: NewRoll(j.seed)}
	seal := &sealed{out: out, seed: j.seed, at: time.Now().Add(j.request.Reveal)}
	write := out.write
	if j.request.Reveal > 0 {
		write = seal.write
	}
	usage, err := m.resume(ctx, engine.ChatRequest{
		Tokens:    j.prompt,
		MaxTokens: j.limit,
		Stop:      j.request.Stop,
		Sampling:  j.sampling,
		TopCount:  max(m.manifest.Evidence, j.request.TopCount),

		Constraint: j.bound,
		Made:       j.made,
	}, j.made, write)
	if err != nil {
		return blame(err)
	}
	usage.Prompt = j.charged
	last := Chunk{Finish: usage.Finish, Usage: usage}
	if last.Probe, err = m.probe(ctx, j.prompt, j.sampling); err != nil {
		return blame(err)
	}
	if j.request.Reveal > 0 {
		return seal.end(ctx, last)
	}
	return out.end(last)
}
