package receipt

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
)

// The trees are those of RFC 6962, section 2.1: a leaf and a node begin with
// different bytes before they are hashed, so that neither passes for the other.

// leaf hashes what a leaf holds.
func leaf(b []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(b)
	return Hash(h.Sum(nil))
}

// node hashes two subtrees.
func node(left, right Hash) Hash {
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(left[:])
	h.Write(right[:])
	return Hash(h.Sum(nil))
}

// split is the greatest power of two below n, which is at least 2.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// root returns the root of a tree over leaves.
func root(leaves []Hash) Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := split(n)
		return node(root(leaves[:k]), root(leaves[k:]))
	}
}

// path returns the hashes that lead from leaf i to the root, lowest first.
func path(leaves []Hash, i int) []Hash {
	n := len(leaves)
	if n <= 1 {
		return []Hash{}
	}
	k := split(n)
	if i < k {
		return append(path(leaves[:k], i), root(leaves[k:]))
	}
	return append(path(leaves[k:], i-k), root(leaves[:k]))
}

// A Proof says where in the tree of an epoch a receipt is.
type Proof struct {
	Epoch uint64 `json:"epoch"` // of the subnet, that sealed the tree
	Root  Hash   `json:"root"`
	Index uint64 `json:"index"` // of the leaf
	Size  uint64 `json:"size"`  // leaves of the tree
	Path  []Hash `json:"path"`  // the hashes beside the way to the root, lowest first
}

// Verify checks that the leaf is in the tree (RFC 9162, section 2.1.3.2).
func (p Proof) Verify(leaf Hash) error {
	if p.Index >= p.Size || len(p.Path) > maxPath {
		return fmt.Errorf("%w: leaf %d of %d, with a path of %d", ErrMalformed, p.Index, p.Size, len(p.Path))
	}
	at, last, hash := p.Index, p.Size-1, leaf
	for _, beside := range p.Path {
		if last == 0 {
			return fmt.Errorf("%w: the path is longer than a tree of %d leaves is high", ErrMalformed, p.Size)
		}
		if at&1 == 1 || at == last {
			hash = node(beside, hash)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			hash = node(hash, beside)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 || hash != p.Root {
		return fmt.Errorf("receipt: the path of leaf %d of %d does not lead to the root %s", p.Index, p.Size, p.Root)
	}
	return nil
}
