package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine/train"
)

// saved is how many steps lie between checkpoints.
const saved = 200

// A checkpoint is what it takes to go on with a run.
type checkpoint struct {
	Shape   train.Shape
	Seed    uint64
	Steps   int // of the whole run
	Step    int
	Loss    float64
	Merges  []string
	Params  []float32
	Moments train.Moments
}

func (o options) checkpoint(name string) string { return filepath.Join(o.work, name+".checkpoint") }

func (o options) save(n *run) error {
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return err
	}
	path := o.checkpoint(n.recipe.name)
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	lead := n.crew[0]
	err = gob.NewEncoder(f).Encode(checkpoint{
		Shape: n.recipe.shape, Seed: n.recipe.seed, Steps: n.recipe.steps, Step: n.step, Loss: n.loss,
		Merges: n.tokens.Merges(), Params: lead.Params(), Moments: *lead.Moments(),
	})
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return os.Rename(path+".new", path)
}

// resume brings a run to where its checkpoint stands, if there is one for the
// same recipe.
func (o options) resume(n *run) error {
	if o.fresh {
		return nil
	}
	f, err := os.Open(o.checkpoint(n.recipe.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var c checkpoint
	if err := gob.NewDecoder(f).Decode(&c); err != nil {
		return fmt.Errorf("read checkpoint (-fresh starts over): %w", err)
	}
	same := c.Shape == n.recipe.shape && c.Seed == n.recipe.seed && c.Steps == n.recipe.steps &&
		strings.Join(c.Merges, "\n") == strings.Join(n.tokens.Merges(), "\n")
	if !same || c.Step == 0 || len(c.Params) != n.recipe.shape.Parameters() {
		fmt.Printf("%s: the checkpoint is of another recipe, starting over\n", n.recipe.name)
		return nil
	}
	for n.step < c.Step {
		n.skip()
	}
	for _, t := range n.crew {
		copy(t.Params(), c.Params)
	}
	*n.crew[0].Moments() = c.Moments
	n.loss = c.Loss
	fmt.Printf("%s: going on at step %d\n", n.recipe.name, n.step)
	return nil
}

// progress draws how far a run is, over the line before.
func progress(n *run, spent time.Duration) {
	const width = 24
	done := n.step * width / n.recipe.steps
	speed := float64(n.seen) / spent.Seconds()
	var left time.Duration
	if n.seen > 0 {
		p := phases[n.phase]
		left = time.Duration(float64((n.recipe.steps-n.step)*workers*p.rows*p.length) / speed * float64(time.Second))
	}
	fmt.Printf("\r%s [%s%s] step %d/%d  loss %.3f  %.0f tok/s  %s left   ",
		n.recipe.name, strings.Repeat("█", done), strings.Repeat("·", width-done), n.step, n.recipe.steps, n.loss, speed, left.Round(time.Second))
}
