package gateway

import (
	"container/list"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet/text"
)

// An affinity remembers which miners lately read what a prompt begins with, for
// their KV caches save them reading it again. A prompt's beginnings are hashed
// at every 256 bytes, so the next turn of a conversation, and another question
// under the same long system prompt, find the miner that had the longest part.
type affinity struct {
	seed maphash.Seed

	mu    sync.Mutex
	of    map[uint64]*list.Element // by hash of a beginning
	order list.List                // of *warmth, latest first
}

// warmth is who has one beginning in its cache.
type warmth struct {
	key   uint64
	peers []string // at most warmPeers, latest first
	at    time.Time
}

const (
	warmBlock = 256 // bytes
	warmKeys  = 32  // beginnings kept of one prompt: the longest
	warmPeers = 4
	warmFor   = 5 * time.Minute // about as long as caches keep what nobody uses
	maxWarmth = 16384           // beginnings remembered

	// warmLoad is how many more questions than the idlest a miner may be
	// working on and still get those that it is warm for.
	warmLoad = 2
)

func newAffinity() *affinity {
	return &affinity{seed: maphash.MakeSeed(), of: map[uint64]*list.Element{}}
}

// keys hashes the beginnings of a request, and of an answer to it where there
// is one, shortest first.
func (a *affinity) keys(r text.Request, answer string) []uint64 {
	b := beginner{}
	b.hash.SetSeed(a.seed)
	for _, m := range r.Messages {
		b.write(string(m.Role))
		b.write("\x00" + m.Content + "\x01")
	}
	b.write(r.Prompt)
	for t := range slices.Chunk(r.Tokens, warmBlock/4) {
		b.write(string(tokenBytes(t)))
	}
	if answer != "" {
		b.write(string(engine.Assistant))
		b.write("\x00" + answer + "\x01")
	}
	return b.keys[max(0, len(b.keys)-warmKeys):]
}

func tokenBytes(tokens []engine.Token) []byte {
	var b []byte
	for _, t := range tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
	}
	return b
}

// A beginner hashes a text as it grows and notes the hash at every block's end.
type beginner struct {
	hash maphash.Hash
	size int
	keys []uint64
}

func (b *beginner) write(s string) {
	for len(s) > 0 {
		n := min(len(s), warmBlock-b.size%warmBlock)
		_, _ = b.hash.WriteString(s[:n]) // never fails
		b.size += n
		s = s[n:]
		if b.size%warmBlock == 0 {
			b.keys = append(b.keys, b.hash.Sum64())
		}
	}
}

// warm returns the peers that lately read the longest of the beginnings that
// anybody did, latest first.
func (a *affinity) warm(keys []uint64, now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range slices.Backward(keys) {
		if e := a.of[k]; e != nil {
			if w := e.Value.(*warmth); now.Sub(w.at) < warmFor {
				return slices.Clone(w.peers)
			}
		}
	}
	return nil
}

// learn notes that a peer has read all of the beginnings.
func (a *affinity) learn(keys []uint64, peer string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		e := a.of[k]
		if e == nil {
			e = a.order.PushFront(&warmth{key: k})
			a.of[k] = e
		}
		a.order.MoveToFront(e)
		w := e.Value.(*warmth)
		if now.Sub(w.at) >= warmFor {
			w.peers = nil
		}
		w.at = now
		w.peers = slices.DeleteFunc(w.peers, func(p string) bool { return p == peer })
		w.peers = slices.Insert(w.peers, 0, peer)[:min(len(w.peers)+1, warmPeers)]
	}
	for a.order.Len() > maxWarmth {
		last := a.order.Back()
		delete(a.of, last.Value.(*warmth).key)
		a.order.Remove(last)
	}
}
