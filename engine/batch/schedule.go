package batch

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/plexus-network/plexus/engine"
)

// A slot keeps the computed rows of one session, also after its answer ended.
type slot struct {
	tokens []engine.Token // of the rows that the model keeps
	job    *job           // nil while nobody uses it
	used   int64          // clock of its last use
}

// copyGain is how many rows a copy of a busy slot must save: copying moves the
// whole cache of a slot.
const copyGain = 64

// maxLogits bounds the scores of one step, in numbers: 64 MiB.
const maxLogits = 16 << 20

// run is the scheduler.
func (e *Engine) run() {
	defer close(e.done)
	defer e.model.Close()
	for {
		if e.isClosed() {
			e.dropAll()
			return
		}
		e.dropGone()
		e.admit()
		rows, owners := e.plan()
		if len(rows) == 0 {
			<-e.wake
			continue
		}
		e.step(rows, owners)
	}
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Engine) dropAll() {
	e.mu.Lock()
	queue := e.queue
	e.queue = nil
	e.mu.Unlock()
	for _, j := range queue {
		j.end(engine.ErrClosed)
	}
	for i := range e.slots {
		e.release(i, engine.ErrClosed)
	}
}

// dropGone ends the jobs that nobody waits for.
func (e *Engine) dropGone() {
	e.mu.Lock()
	e.queue = slices.DeleteFunc(e.queue, func(j *job) bool {
		if j.gone.Load() {
			j.end(j.cause())
			return true
		}
		return false
	})
	e.mu.Unlock()
	for i := range e.slots {
		if j := e.slots[i].job; j != nil && (j.gone.Load() || j.ctx.Err() != nil) {
			e.release(i, j.cause())
		}
	}
}

// cause is why a job ends early.
func (j *job) cause() error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	return errGone
}

// errGone ends a job whose caller's emit failed; the caller returns that error.
var errGone = errors.New("batch: nobody waits")

// release frees slot i, which keeps its rows for a prompt that begins alike.
func (e *Engine) release(i int, err error) {
	s := &e.slots[i]
	if s.job == nil {
		return
	}
	j := s.job
	s.job = nil
	e.clock++
	s.used = e.clock
	j.end(err)
}

// admit gives waiting jobs a slot, first come first served.
func (e *Engine) admit() {
	for {
		j := e.first()
		if j == nil {
			return
		}
		if j.kind == kindEmbed {
			e.embed(j)
			continue
		}
		i := e.pickSlot(j)
		if i < 0 {
			e.putBack(j)
			return
		}
		e.occupy(i, j)
	}
}

func (e *Engine) first() *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil
	}
	j := e.queue[0]
	e.queue = e.queue[1:]
	return j
}

func (e *Engine) putBack(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = slices.Insert(e.queue, 0, j)
}

func (e *Engine) embed(j *job) {
	var err error
	j.vector, err = e.model.Embed(j.tokens)
	j.end(err)
}

// common returns how many tokens a and b begin with alike.
func common(a, b []engine.Token) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// reusable is the part of a job's tokens that need not be computed where a
// slot has it: not the last of the prompt, whose logits are wanted, and not
// what a resumed answer had made.
func (j *job) reusable() []engine.Token { return j.tokens[:j.prompt-1] }

// pickSlot returns the free slot that saves most rows, the one unused for
// longest among equals, or −1.
func (e *Engine) pickSlot(j *job) int {
	best, saved := -1, -1
	for i := range e.slots {
		s := &e.slots[i]
		if s.job != nil {
			continue
		}
		n := common(s.tokens, j.reusable())
		if n < len(s.tokens)/4 {
			n = 0 // the first tokens of a template are not worth what another conversation has here
		}
		if n > saved || n == saved && s.used < e.slots[best].used {
			best, saved = i, n
		}
	}
	if best < 0 {
		return -1
	}
	if from, n := e.pickBusy(j); n >= saved+copyGain {
		best = e.oldestFree()
		e.model.Copy(from, best)
		e.slots[best].tokens = slices.Clone(e.slots[from].tokens)
	}
	return best
}

// pickBusy returns the slot in use that has most of j's rows.
func (e *Engine) pickBusy(j *job) (best, saved int) {
	for i := range e.slots {
		if e.slots[i].job == nil {
			continue
		}
		if n := common(e.slots[i].tokens, j.reusable()); n > saved {
			best, saved = i, n
		}
	}
	return best, saved
}

// oldestFree returns the free slot unused for longest; there is one.
func (e *Engine) oldestFree() int {
	best := -1
	for i := range e.slots {
		if e.slots[i].job == nil && (best < 0 || e.slots[i].used < e.slots[best].used) {
			best = i
		}
	}
	return best
}

// occupy puts job j into slot i.
func (e *Engine) occupy(i int, j *job) {
	s := &e.slots[i]
	keep := common(s.tokens, j.reusable())
	if keep < len(s.tokens) || keep == 0 {
		keep = min(keep, e.model.Trim(i, keep))
	}
	s.tokens = s.tokens[:keep]
	s.job = j
	e.clock++
	j.slot, j.computed, j.cached, j.turn = i, keep, keep, e.clock
}

// plan chooses the rows of the next step: first one of every answer that is
// being written, then prompts in the order in which they came.
func (e *Engine) plan() (rows []Row, owners []*job) {
	jobs := make([]*job, 0, len(e.slots))
	writing := false
	for i := range e.slots {
		if j := e.slots[i].job; j != nil {
			jobs = append(jobs, j)
			writing = writing || len(j.tokens)-j.computed == 1
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		alone, other := len(a.tokens)-a.computed == 1, len(b.tokens)-b.computed == 1
		switch {
		case alone && other:
			return cmp.Compare(a.slot, b.slot) // models compute neighbours together
		case alone != other:
			return cmp.Compare(len(a.tokens)-a.computed, len(b.tokens)-b.computed)
		}
		return cmp.Compare(a.turn, b.turn)
	})
	room, logits := e.opts.Rows, max(e.opts.Slots, maxLogits/max(1, e.info.Vocabulary))
	prompts := room
	if writing {
		prompts = e.opts.Prompt
	}
	for _, j := range jobs {
		n := len(j.tokens) - j.computed
		if n > 1 {
			n = min(n, room, prompts)
			prompts -= n
		}
		n = min(n, room)
		for p := j.computed; p < j.computed+n; p++ {
			r := Row{Token: j.tokens[p], Slot: j.slot, Position: p, Logits: j.wants(p)}
			if r.Logits {
				if logits--; logits < 0 {
					break
				}
			}
			rows = append(rows, r)
			owners = append(owners, j)
			room--
		}
	}
	return rows, owners
}

// wants tells whether the scores after position p matter.
func (j *job) wants(p int) bool {
	if j.kind == kindScore {
		return p >= j.prompt-1
	}
	return p == len(j.tokens)-1
}

// step computes rows and hands out what they give.
func (e *Engine) step(rows []Row, owners []*job) {
	if err := e.model.Decode(rows); err != nil {
		e.fail(owners, fmt.Errorf("compute: %w", err))
		return
	}
	for i, r := range rows {
		owners[i].computed++
		s := &e.slots[r.Slot]
		s.tokens = append(s.tokens, r.Token)
	}
	for i, r := range rows {
		if j := owners[i]; r.Logits && e.slots[r.Slot].job == j {
			e.give(j, r, e.model.Logits(i))
		}
	}
}

// fail ends the jobs of a step that could not be computed, and forgets their
// rows, whose state is unknown.
func (e *Engine) fail(owners []*job, err error) {
	for _, j := range owners {
		if e.slots[j.slot].job != j {
			continue
		}
		e.model.Trim(j.slot, 0)
		e.slots[j.slot].tokens = nil
		e.release(j.slot, err)
	}
}

// errLogits means that the model's numbers are no distribution.
var errLogits = errors.New("batch: the model computes no finite numbers")

// give hands the scores after row r to its job.
func (e *Engine) give(j *job, r Row, l engine.Logits) {
	sum := l.LogSum()
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		e.fail([]*job{j}, errLogits)
		return
	}
	if j.kind == kindScore {
		e.score(j, r, l, sum)
		return
	}
	n := engine.MaxTop
	if j.sampling.Temperature == 0 {
		n = max(1, j.top)
	}
	top := j.candidates(l, n, sum)
	if len(top) == 0 {
		e.fail([]*job{j}, errStuck)
		return
	}
	c := top[j.sampling.Pick(top, len(j.tokens))]
	if j.bound != nil {
		j.bound.Advance(c.Token)
	}
	e.made(j, engine.TokenScore{Token: c.Token, LogProb: c.LogProb, Top: top[:min(j.top, len(top))]})
}

func (e *Engine) score(j *job, r Row, l engine.Logits, sum float64) {
	t := j.last
	if r.Position+1 < len(j.tokens) {
		t = j.tokens[r.Position+1]
	}
	j.scores = append(j.scores, engine.TokenScore{Token: t, LogProb: l.LogProb(t, sum), Top: j.candidates(l, engine.MaxTop, sum)})
	if j.bound != nil {
		j.bound.Advance(t) // where it is forbidden, nothing is allowed from here on
	}
	if r.Position+1 == len(j.tokens) {
		e.release(j.slot, nil)
	}
}

// made adds a token to an answer and ends it where it ends.
func (e *Engine) made(j *job, t engine.TokenScore) {
	j.tokens = append(j.tokens, t.Token)
	out, stopped := j.text.add(e.vocab.Piece(t.Token))
	switch {
	case stopped || e.vocab.Ends(t.Token):
		j.finish = engine.FinishStop
	case len(j.tokens) >= j.limit:
		j.finish = engine.FinishLength
	}
	if j.finish != "" && !stopped {
		out += j.text.rest()
	}
	j.emit(engine.Delta{Text: out, Tokens: []engine.TokenScore{t}})
	if j.finish != "" {
		e.release(j.slot, nil)
	}
}
