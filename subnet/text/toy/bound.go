package toy

import (
	"fmt"
	"sync"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// pieces are the vocabulary as grammars see it.
type pieces struct{}

func (pieces) Size() int                { return int(vocabulary) }
func (pieces) Ends(t engine.Token) bool { return t == endOfTurn }

func (pieces) Piece(t engine.Token) string {
	if t < 0 || t > 255 {
		return ""
	}
	return string([]byte{byte(t)})
}

// tree is the vocabulary, read once.
var tree = sync.OnceValue(func() *grammar.Vocabulary { return grammar.NewVocabulary(pieces{}) })

// bound is an answer under a constraint, or free where it has no matcher.
type bound struct{ *grammar.Matcher }

func bind(c engine.Constraint, made []engine.Token) (bound, error) {
	if c.IsZero() {
		return bound{}, nil
	}
	g, err := grammar.Compile(c)
	if err != nil {
		return bound{}, err
	}
	b := bound{grammar.NewMachine(g, tree()).Begin(c.Within)}
	for _, t := range made {
		if !b.Advance(t) {
			return bound{}, fmt.Errorf("%w: the answer so far is not what the constraint allows", engine.ErrRequest)
		}
	}
	return b, nil
}

func (b bound) candidates(l engine.Logits, sum float64) []engine.Candidate {
	if b.Matcher == nil {
		return l.Top(engine.MaxTop, sum)
	}
	return l.TopOf(engine.MaxTop, sum, b.Allowed())
}

func (b bound) advance(t engine.Token) {
	if b.Matcher != nil {
		b.Advance(t)
	}
}
