package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// maxMachines is how many constraints an engine remembers; what one costs in
// memory is bounded by engine/grammar.
const maxMachines = 8

// machines are the grammars in use on a vocabulary.
type machines struct {
	vocabulary func() *grammar.Vocabulary // read once, when first needed

	mu   sync.Mutex
	list []machine // the latest used last
}

type machine struct {
	key string
	*grammar.Machine
}

func newMachines(v Vocabulary) machines {
	return machines{vocabulary: sync.OnceValue(func() *grammar.Vocabulary { return grammar.NewVocabulary(v) })}
}

// of returns the machine of a constraint, which must not be zero.
func (m *machines) of(c engine.Constraint) (*grammar.Machine, error) {
	c.Within = 0
	key, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.list, func(x machine) bool { return x.key == string(key) })
	if i < 0 {
		g, err := grammar.Compile(c)
		if err != nil {
			return nil, err
		}
		i = len(m.list)
		m.list = append(m.list, machine{string(key), grammar.NewMachine(g, m.vocabulary())})
	}
	found := m.list[i]
	m.list = append(slices.Delete(m.list, i, i+1), found)
	if len(m.list) > maxMachines {
		m.list = slices.Delete(m.list, 0, 1)
	}
	return found.Machine, nil
}

// bind returns a matcher at the end of made, which an answer under c begins
// with; nil where c binds nothing.
func (e *Engine) bind(c engine.Constraint, made []engine.Token) (*grammar.Matcher, error) {
	if c.IsZero() {
		return nil, nil //nolint:nilnil // nothing is bound
	}
	if _, partial := e.model.(Partial); partial {
		return nil, fmt.Errorf("%w: the model's server tells the %d likeliest tokens only, and a schema or tools may want others; serve the model file itself", engine.ErrUnsupported, engine.MaxTop)
	}
	m, err := e.machines.of(c)
	if err != nil {
		return nil, err
	}
	bound := m.Begin(c.Within)
	for i, t := range made {
		if !bound.Advance(t) {
			return nil, request("token %d of the answer so far, %d, is not what the constraint allows", i, t)
		}
	}
	return bound, nil
}

// checkMade refuses a count of made tokens that is not within the prompt.
func checkMade(made, prompt int) error {
	if made < 0 || made > 0 && made >= prompt {
		return request("%d tokens of the answer are made, of a prompt of %d", made, prompt)
	}
	return nil
}

// errStuck ends an answer for which the vocabulary has no token.
var errStuck = errors.New("batch: the model has no token that the constraint allows")

// candidates is the n likeliest tokens that may come next in a job.
func (j *job) candidates(l engine.Logits, n int, sum float64) []engine.Candidate {
	if j.bound == nil {
		return l.Top(n, sum)
	}
	return l.TopOf(n, sum, j.bound.Allowed())
}
