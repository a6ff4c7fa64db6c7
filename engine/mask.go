package engine

import (
	"iter"
	"math/bits"
)

// Mask is a set of tokens.
type Mask []uint64

// NewMask returns an empty set of tokens below vocabulary.
func NewMask(vocabulary int) Mask { return make(Mask, (vocabulary+63)/64) }

// Set adds t, which must be below the mask's vocabulary.
func (m Mask) Set(t Token) { m[t>>6] |= 1 << (t & 63) }

// Has tells whether t is in the set.
func (m Mask) Has(t Token) bool {
	return t >= 0 && int(t>>6) < len(m) && m[t>>6]>>(t&63)&1 == 1
}

// All goes through the set in order.
func (m Mask) All() iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for i, word := range m {
			for ; word != 0; word &= word - 1 {
				if !yield(Token(i<<6 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
