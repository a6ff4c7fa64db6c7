package bpe

import (
	"container/heap"

	"github.com/plexus-network/plexus/engine"
)

// part is a run of letters of a word while it is being merged; parts are linked
// by index, and a part that was merged into its left neighbour has no length.
type part struct {
	start, length int
	prev, next    int
}

// pair is a possible merge of two neighbours; it is out of date once one of
// them has another length.
type pair struct {
	rank        int
	left, right int
	length      int
}

// pairs is a heap: the lowest rank first, the leftmost among equals.
type pairs []pair

func (p pairs) Len() int      { return len(p) }
func (p pairs) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p pairs) Less(i, j int) bool {
	return p[i].rank < p[j].rank || p[i].rank == p[j].rank && p[i].left < p[j].left
}
func (p *pairs) Push(x any) { *p = append(*p, x.(pair)) }
func (p *pairs) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// merging is the work on one word, in time O(n log n) however long it is.
type merging struct {
	v     *Vocabulary
	word  string
	parts []part
	queue pairs
}

// merge appends the tokens of word, which is written in the alphabet.
func (v *Vocabulary) merge(word string, out *[]engine.Token) {
	m := &merging{v: v, word: word}
	for i, r := range word {
		n := len(m.parts)
		m.parts = append(m.parts, part{start: i, length: len(string(r)), prev: n - 1, next: n + 1})
	}
	m.parts[len(m.parts)-1].next = -1
	for i := range len(m.parts) - 1 {
		m.offer(i, i+1)
	}
	for len(m.queue) > 0 {
		m.join(heap.Pop(&m.queue).(pair))
	}
	for i := 0; i >= 0; i = m.parts[i].next {
		m.emit(m.text(i), out)
	}
}

func (m *merging) text(i int) string {
	p := m.parts[i]
	return m.word[p.start : p.start+p.length]
}

// offer queues the merge of parts left and right if there is one.
func (m *merging) offer(left, right int) {
	if left < 0 || right < 0 {
		return
	}
	if rank, ok := m.v.ranks[[2]string{m.text(left), m.text(right)}]; ok {
		heap.Push(&m.queue, pair{rank, left, right, m.parts[left].length + m.parts[right].length})
	}
}

func (m *merging) join(p pair) {
	left, right := &m.parts[p.left], &m.parts[p.right]
	if left.length == 0 || right.length == 0 || left.length+right.length != p.length {
		return
	}
	left.length += right.length
	right.length = 0
	left.next = right.next
	if right.next >= 0 {
		m.parts[right.next].prev = p.left
	}
	m.offer(left.prev, p.left)
	m.offer(p.left, left.next)
}

// emit appends the token of text, or those of its letters.
func (m *merging) emit(text string, out *[]engine.Token) {
	if t, ok := m.v.ids[text]; ok {
		*out = append(*out, t)
		return
	}
	for _, r := range text {
		if t, ok := m.v.ids[string(r)]; ok {
			*out = append(*out, t)
		}
	}
}
