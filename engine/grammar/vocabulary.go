package grammar

import (
	"cmp"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// Pieces is what a grammar needs of a model's vocabulary.
type Pieces interface {
	Size() int
	// Piece is the bytes of a token; control tokens have none.
	Piece(t engine.Token) string
	Ends(t engine.Token) bool
}

// A Vocabulary is a model's tokens as a tree of their bytes. It does not change.
type Vocabulary struct {
	pieces  Pieces
	size    int
	tree    []branch
	tokens  []engine.Token // in the order of their bytes
	endings []engine.Token
	depth   int
}

// A branch is one byte of some tokens. The tree lists branches before what
// grows from them.
type branch struct {
	after    int32 // the first branch that does not grow from this one
	from, to int32 // the tokens that end here
	depth    int16 // bytes before it
	b        byte
}

// maxPiece bounds a token's bytes; longer ones are never allowed.
const maxPiece = 1 << 10

// NewVocabulary reads all tokens.
func NewVocabulary(p Pieces) *Vocabulary {
	v := &Vocabulary{pieces: p, size: p.Size()}
	texts := make([]string, v.size)
	for i := range texts {
		t := engine.Token(i)
		if p.Ends(t) {
			v.endings = append(v.endings, t)
			continue
		}
		if texts[i] = p.Piece(t); texts[i] != "" && len(texts[i]) <= maxPiece {
			v.tokens = append(v.tokens, t)
		}
	}
	slices.SortFunc(v.tokens, func(a, b engine.Token) int {
		return cmp.Or(strings.Compare(texts[a], texts[b]), cmp.Compare(a, b))
	})
	v.grow(texts, 0, len(v.tokens), 0)
	return v
}

// grow adds the branches of tokens from to to, which are alike in depth bytes.
func (v *Vocabulary) grow(texts []string, from, to, depth int) {
	v.depth = max(v.depth, depth)
	for from < to && len(texts[v.tokens[from]]) == depth {
		from++
	}
	for from < to {
		b := texts[v.tokens[from]][depth]
		end, ended := from, from
		for end < to && texts[v.tokens[end]][depth] == b {
			if len(texts[v.tokens[end]]) == depth+1 {
				ended++
			}
			end++
		}
		at := len(v.tree)
		v.tree = append(v.tree, branch{b: b, depth: int16(depth), from: int32(from), to: int32(ended)})
		v.grow(texts, from, end, depth+1)
		v.tree[at].after = int32(len(v.tree))
		from = end
	}
}

func (v *Vocabulary) piece(t engine.Token) string { return v.pieces.Piece(t) }
func (v *Vocabulary) ends(t engine.Token) bool    { return v.pieces.Ends(t) }

// A mask is the tokens that may come next.
type mask struct {
	bits  engine.Mask
	count int
	worst int32 // the most bytes that any of them leaves to the end
}

// mask returns all tokens that may come after s.
func (m *Machine) mask(s *state) *mask {
	if s == dead {
		return m.walk(s, unending)
	}
	if s.mask == nil {
		s.mask = m.walk(s, unending)
		m.masked += 8 * len(s.mask.bits)
	}
	return s.mask
}

// walk finds the tokens that may come after s and leave at most room bytes.
func (m *Machine) walk(s *state, room int) *mask {
	out := &mask{bits: engine.NewMask(m.v.size)}
	if s.accepts {
		for _, t := range m.v.endings {
			out.bits.Set(t)
			out.count++
		}
	}
	states := make([]*state, m.v.depth+1)
	states[0] = s
	for i := 0; i < len(m.v.tree); {
		n := &m.v.tree[i]
		next := m.step(states[n.depth], n.b)
		if next == dead {
			i = int(n.after)
			continue
		}
		states[n.depth+1] = next
		if n.from < n.to && int(next.left) <= room {
			for _, t := range m.v.tokens[n.from:n.to] {
				out.bits.Set(t)
			}
			out.count += int(n.to - n.from)
			out.worst = max(out.worst, next.left)
		}
		i++
	}
	return out
}
