package main

import (
	"fmt"
	"math"

	"github.com/plexus-network/plexus/engine/stock/corpus"
	"github.com/plexus-network/plexus/engine/train"
	"golang.org/x/sync/errgroup"
)

// A recipe is how one stock model is made.
type recipe struct {
	name  string
	shape train.Shape
	seed  uint64
	rate  float32 // of learning, at its peak
	steps int
}

// A phase is a stretch of the steps with one batch size: each worker computes
// rows of length tokens.
type phase struct {
	until        float64 // share of the steps at which it ends
	rows, length int
	turns        int // exchanges of a long conversation
}

// Most steps see short rows; the last ones teach the places that only long
// conversations reach.
var phases = []phase{
	{until: 0.94, rows: 2, length: 256, turns: 6},
	{until: 0.985, rows: 1, length: 512, turns: 12},
	{until: 1, rows: 1, length: 1024, turns: 24},
}

// workers compute a step's gradient side by side, each with a copy of the
// model and its own rows. Their number is part of the recipe: the order in
// which gradients are added decides the last bits of the result.
const workers = 2

const (
	warmup   = 100  // steps until the peak rate
	coolest  = 0.03 // share of the peak rate at the end
	decay    = 0.05
	clip     = 1.0
	momentum = 0.99 // of the second moment
)

// A run is a model on its way.
type run struct {
	recipe recipe
	tokens tokenizer
	crew   []*train.Trainer // the first one's moments count
	feed   *feed
	phase  int
	step   int
	loss   float64 // smoothed
	seen   int     // tokens, for the display
}

func newRun(r recipe, tokens tokenizer) (*run, error) {
	params := r.shape.Initial(r.seed)
	n := &run{recipe: r, tokens: tokens}
	for range workers {
		t, err := train.New(r.shape, params, 1)
		if err != nil {
			n.close()
			return nil, err
		}
		n.crew = append(n.crew, t)
	}
	n.feed = &feed{source: corpus.New(r.seed), tokens: tokens, turns: phases[0].turns}
	return n, nil
}

func (r *run) close() {
	for _, t := range r.crew {
		t.Close()
	}
}

// batches makes the workers' batches of the current step.
func (r *run) batches() [workers]train.Batch {
	for float64(r.step) >= phases[r.phase].until*float64(r.recipe.steps) {
		r.phase++
		r.feed.turns = phases[r.phase].turns
	}
	p := phases[r.phase]
	var all [workers]train.Batch
	for i := range all {
		all[i] = r.feed.next(p.rows, p.length)
	}
	return all
}

// skip passes the data of a step that a checkpoint has already learned.
func (r *run) skip() {
	r.batches()
	r.step++
}

// learn takes one step.
func (r *run) learn() error {
	batches := r.batches()
	var losses [workers]float32
	var grads [workers][]float32
	var work errgroup.Group
	for i, t := range r.crew {
		work.Go(func() (err error) {
			losses[i], grads[i], err = t.Grad(batches[i])
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	loss := mix(batches, losses, grads)
	lead := r.crew[0]
	step := train.Step{Rate: r.rate(), Beta2: momentum, Decay: decay, Clip: clip}
	if err := lead.Apply(grads[0], step); err != nil {
		return fmt.Errorf("step %d: %w", r.step, err)
	}
	for _, t := range r.crew[1:] {
		copy(t.Params(), lead.Params())
	}
	r.step++
	r.seen += workers * len(batches[0].Tokens)
	if r.loss == 0 {
		r.loss = loss
	}
	r.loss += 0.02 * (loss - r.loss)
	return nil
}

// mix replaces the first gradient by the mean of all, weighted by what counts
// in each batch, and returns the mean loss.
func mix(batches [workers]train.Batch, losses [workers]float32, grads [workers][]float32) float64 {
	var shares [workers]float64
	var total, loss float64
	for i, b := range batches {
		for _, w := range b.Weight {
			shares[i] += float64(w)
		}
		total += shares[i]
	}
	for i := range shares {
		shares[i] /= total
		loss += shares[i] * float64(losses[i])
	}
	first := grads[0]
	for j := range first {
		first[j] *= float32(shares[0])
	}
	for i, g := range grads[1:] {
		share := float32(shares[i+1])
		for j := range first {
			first[j] += share * g[j]
		}
	}
	return loss
}

// rate rises in a line and falls along half a cosine.
func (r *run) rate() float32 {
	if r.step < warmup {
		return r.recipe.rate * float32(r.step+1) / warmup
	}
	x := float64(r.step-warmup) / float64(max(r.recipe.steps-warmup, 1))
	return r.recipe.rate * float32(coolest+(1-coolest)*(1+math.Cos(math.Pi*x))/2)
}

// answer continues a conversation with the likeliest tokens.
func (r *run) answer(q corpus.Question) (string, error) {
	const most, step = 120, 64 // a graph is built per length, so lengths go in steps
	tokens := r.tokens.prompt(q.Messages)
	start := len(tokens)
	width := r.recipe.shape.Vocab
	for len(tokens) < start+most {
		length := (len(tokens) + step - 1) / step * step
		b := train.Batch{Rows: 1, Length: length, Tokens: make([]int32, length), Next: make([]int32, length), Weight: make([]float32, length)}
		copy(b.Tokens, tokens)
		logits, err := r.crew[0].Logits(b)
		if err != nil {
			return "", err
		}
		best := likeliest(logits[(len(tokens)-1)*width : len(tokens)*width])
		if best >= startToken {
			break
		}
		tokens = append(tokens, best)
	}
	return r.tokens.Decode(tokens[start:]), nil
}

func likeliest(logits []float32) int32 {
	best := 0
	for i, l := range logits {
		if l > logits[best] {
			best = i
		}
	}
	return int32(best)
}
