package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

// lab asks miners and examines their answers.
type lab struct {
	options  Options
	checker  engine.Checker
	manifest text.Manifest

	total int // tokens to make, for the progress

	mu    sync.Mutex
	done  int
	tasks uint64
}

// measure lets a miner of one behaviour, on a model run in one shape, answer
// challenges, and examines what it says.
func (l *lab) measure(ctx context.Context, name, path string, s Shape, how text.Behaviour) (Pool, error) {
	e, err := l.options.Open(ctx, path, s)
	if err != nil {
		return Pool{}, err
	}
	defer func() { _ = e.Close() }() // it has said all it had to
	if v, want := e.Model().Vocabulary, l.checker.Model().Vocabulary; v != want {
		return Pool{}, fmt.Errorf("%s has a vocabulary of %d tokens, the declared model has %d: it cannot pose as it", path, v, want)
	}
	honest := text.New(e, l.manifest, text.Options{Flush: -1})
	work, err := text.Behave(how, honest, func(ctx context.Context, body []byte, emit func([]byte) error) error {
		t := l.task(body)
		t.Validator, t.Miner = miner, another
		return honest.Work(ctx, t, emit)
	})
	if err != nil {
		return Pool{}, err
	}
	p := Pool{Name: name}
	if p.Greedy, err = l.answers(ctx, work, s.Sessions, name, true); err != nil {
		return Pool{}, err
	}
	p.Sampled, err = l.answers(ctx, work, s.Sessions, name, false)
	return p, err
}

// answers asks for about Options.Tokens tokens of one temperature class, some
// answers at a time.
func (l *lab) answers(ctx context.Context, work subnet.Mechanism, together int, what string, greedy bool) ([]text.Examination, error) {
	validator := text.New(l.checker, l.manifest, text.Options{Challenge: l.options.Challenge, Seed: sha256.Sum256([]byte(what))})
	var all []text.Examination
	for made := 0; made < l.options.Tokens; {
		found := make([]text.Examination, together)
		errs := make([]error, together)
		var wait sync.WaitGroup
		for i := range together {
			wait.Go(func() { found[i], errs[i] = l.exchange(ctx, validator, work, greedy) })
		}
		wait.Wait()
		tokens := 0
		for i, err := range errs {
			if err != nil {
				return nil, err
			}
			tokens += max(found[i].Tokens(), 1)
		}
		all = append(all, found...)
		made += tokens
		l.progress(tokens, what)
	}
	return all, nil
}

func (l *lab) progress(tokens int, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += tokens
	l.options.Progress(min(l.done, l.total), l.total, what)
}

// exchange is one challenge, its answer, and what an examination shows.
func (l *lab) exchange(ctx context.Context, v *text.Mechanism, work subnet.Mechanism, greedy bool) (text.Examination, error) {
	body, err := l.challenge(ctx, v, greedy)
	if err != nil {
		return text.Examination{}, err
	}
	trial := subnet.Trial{Task: l.task(body)}
	err = work.Work(ctx, trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	if err != nil {
		return text.Examination{}, err
	}
	return v.Examine(ctx, trial)
}

// challenge is one of the wanted temperature class.
func (l *lab) challenge(ctx context.Context, v *text.Mechanism, greedy bool) ([]byte, error) {
	for {
		body, err := v.Challenge(ctx)
		if err != nil {
			return nil, err
		}
		r, err := text.DecodeRequest(body)
		if err != nil {
			return nil, err
		}
		if greedy {
			r.Temperature, r.TopP, r.TopK = 0, 0, 0
			return r.Encode()
		}
		if r.Temperature > 0 {
			return body, nil
		}
	}
}

// task is a new one with this body. Its luck is the same in each run.
func (l *lab) task(body []byte) subnet.Task {
	l.mu.Lock()
	l.tasks++
	n := l.tasks
	l.mu.Unlock()
	t := subnet.Task{Netuid: 1, Validator: validator, Miner: miner, Height: 1, Body: body, Timeout: time.Hour}
	binary.BigEndian.PutUint64(t.ID[:], n)
	return t
}
