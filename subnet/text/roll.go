package text

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/plexus-network/plexus/engine"
)

// MarkEvery is how many tokens lie between two marks of an answer.
const MarkEvery = 32

// Mark is the rolling hash of an answer's tokens up to some token.
type Mark = [sha256.Size]byte

// rollDomain keeps these hashes apart from all others.
const rollDomain = "plexus/text/roll/v1"

// Roll hashes an answer's tokens as they come:
//
//	R₀ = SHA-256( "plexus/text/roll/v1" ‖ the answer's seed )
//	Rₖ = SHA-256( Rₖ₋₁ ‖ the k-th 32 tokens, each a little-endian uint32 )
//
// and the last block may be shorter. Every piece of an answer is signed with
// the marks in it, so as much of a broken stream as has marks is proven by 32
// bytes and the tokens, without their log-probabilities. Make one with
// [NewRoll].
type Roll struct {
	sum   Mark
	block []byte
}

// NewRoll begins the hash of the answer with a seed, which [Seed] gives.
func NewRoll(seed engine.Seed) Roll {
	return Roll{sum: sha256.Sum256(append([]byte(rollDomain), seed[:]...))}
}

// Add takes in the next token. It reports whether the token completes a block,
// and then the answer so far has the mark that Sum returns.
func (r *Roll) Add(t engine.Token) (complete bool) {
	r.block = binary.LittleEndian.AppendUint32(r.block, uint32(t))
	if len(r.block) < 4*MarkEvery {
		return false
	}
	r.sum, r.block = r.Sum(), r.block[:0]
	return true
}

// Sum is the mark of all tokens so far. Of a whole answer it is what a receipt
// calls its token hash.
func (r *Roll) Sum() Mark {
	if len(r.block) == 0 {
		return r.sum
	}
	return sha256.Sum256(append(r.sum[:len(r.sum):len(r.sum)], r.block...))
}

// open tells whether there are tokens after the latest full block.
func (r *Roll) open() bool { return len(r.block) > 0 }

// TokenHash is the mark of a whole answer.
func TokenHash(seed engine.Seed, tokens []engine.Token) Mark {
	r := NewRoll(seed)
	for _, t := range tokens {
		r.Add(t)
	}
	return r.Sum()
}

// marksOf are the marks that a whole answer has.
func marksOf(seed engine.Seed, tokens []engine.Token) []Mark {
	r := NewRoll(seed)
	var marks []Mark
	for _, t := range tokens {
		if r.Add(t) {
			marks = append(marks, r.Sum())
		}
	}
	if r.open() {
		marks = append(marks, r.Sum())
	}
	return marks
}
