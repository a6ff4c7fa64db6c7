// Package vocab makes and applies the byte-pair vocabularies of the stock
// models, in the form that GGUF files call "gpt2": 256 byte tokens, merges by
// rank, and text cut into words by GPT-2's rule before any merge.
//
// The byte-pair algorithm is Sennrich, Haddow and Birch, "Neural Machine
// Translation of Rare Words with Subword Units" (2016); the spelling of bytes
// as printable characters and the word rule are those of OpenAI's GPT-2
// (encoder.py). Start at [Learn].
package vocab

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Vocabulary is what a text is cut into. Tokens 0 to 255 are the bytes,
// those that follow are merges in the order of their rank. It is not safe for
// concurrent use, since it remembers the words that it has seen.
type Vocabulary struct {
	pieces [][]byte // by token
	merges []pair
	rank   map[pair]int32 // the token that a pair becomes
	words  map[string][]int32
}

type pair struct{ left, right int32 }

const bytes = 256

// Learn returns a vocabulary of size tokens, at least 256, from the words of
// texts: it merges the most frequent pair of neighbours, and the smaller
// tokens among equals, until it has enough or no pair comes twice.
func Learn(texts []string, size int) *Vocabulary {
	v := empty()
	counts := map[string]int{}
	for _, t := range texts {
		for _, w := range Words(t) {
			counts[w]++
		}
	}
	// The order of words does not matter to the sums, but sorted words make
	// each run do the same work.
	words := slices.Sorted(maps.Keys(counts))
	tokens := make([][]int32, len(words))
	for i, w := range words {
		tokens[i] = raw(w)
	}
	for len(v.pieces) < size {
		pairs := map[pair]int{}
		for i, t := range tokens {
			for j := range len(t) - 1 {
				pairs[pair{t[j], t[j+1]}] += counts[words[i]]
			}
		}
		best, count := pair{}, 1
		for p, n := range pairs {
			if n > count || n == count && count > 1 && p.before(best) {
				best, count = p, n
			}
		}
		if count == 1 {
			break
		}
		merged := v.merge(best)
		for i, t := range tokens {
			tokens[i] = join(t, best, merged)
		}
	}
	return v
}

func (p pair) before(q pair) bool {
	return cmp.Or(cmp.Compare(p.left, q.left), cmp.Compare(p.right, q.right)) < 0
}

func empty() *Vocabulary {
	v := &Vocabulary{rank: map[pair]int32{}, words: map[string][]int32{}}
	for b := range bytes {
		v.pieces = append(v.pieces, []byte{byte(b)})
	}
	return v
}

// merge adds the token of a pair.
func (v *Vocabulary) merge(p pair) int32 {
	token := int32(len(v.pieces))
	v.pieces = append(v.pieces, slices.Concat(v.pieces[p.left], v.pieces[p.right]))
	v.merges = append(v.merges, p)
	v.rank[p] = token
	return token
}

// join replaces each occurrence of p in tokens, in place.
func join(tokens []int32, p pair, merged int32) []int32 {
	kept := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		if i+1 < len(tokens) && tokens[i] == p.left && tokens[i+1] == p.right {
			kept = append(kept, merged)
			i++
			continue
		}
		kept = append(kept, tokens[i])
	}
	return kept
}

func raw(word string) []int32 {
	tokens := make([]int32, len(word))
	for i := range len(word) {
		tokens[i] = int32(word[i])
	}
	return tokens
}

// Len is the count of tokens.
func (v *Vocabulary) Len() int { return len(v.pieces) }

// Encode cuts text into tokens.
func (v *Vocabulary) Encode(text string) []int32 {
	var all []int32
	for _, w := range Words(text) {
		tokens, ok := v.words[w]
		if !ok {
			tokens = v.word(w)
			v.words[w] = tokens
		}
		all = append(all, tokens...)
	}
	return all
}

// word merges the pair of lowest rank until none is left.
func (v *Vocabulary) word(w string) []int32 {
	tokens := raw(w)
	for {
		best, merged := pair{}, int32(len(v.pieces))
		for i := range len(tokens) - 1 {
			p := pair{tokens[i], tokens[i+1]}
			if m, ok := v.rank[p]; ok && m < merged {
				best, merged = p, m
			}
		}
		if int(merged) == len(v.pieces) {
			return tokens
		}
		tokens = join(tokens, best, merged)
	}
}

// Decode returns the text of tokens. Tokens beyond the vocabulary, such as a
// model's control tokens, have none.
func (v *Vocabulary) Decode(tokens []int32) string {
	var b strings.Builder
	for _, t := range tokens {
		if t >= 0 && int(t) < len(v.pieces) {
			b.Write(v.pieces[t])
		}
	}
	return b.String()
}

// Tokens spells every token in printable characters, as GGUF's
// tokenizer.ggml.tokens wants them.
func (v *Vocabulary) Tokens() []string {
	all := make([]string, len(v.pieces))
	for i, p := range v.pieces {
		all[i] = spell(p)
	}
	return all
}

// Merges spells every merge, as GGUF's tokenizer.ggml.merges wants them.
func (v *Vocabulary) Merges() []string {
	all := make([]string, len(v.merges))
	for i, p := range v.merges {
		all[i] = spell(v.pieces[p.left]) + " " + spell(v.pieces[p.right])
	}
	return all
}

// Parse returns the vocabulary that has these merges, as [Vocabulary.Merges]
// spells them.
func Parse(merges []string) (*Vocabulary, error) {
	v := empty()
	tokens := map[string]int32{}
	for i, t := range v.Tokens() {
		tokens[t] = int32(i)
	}
	for _, m := range merges {
		left, right, _ := strings.Cut(m, " ")
		l, okLeft := tokens[left]
		r, okRight := tokens[right]
		if !okLeft || !okRight {
			return nil, fmt.Errorf("vocab: merge %q of unknown tokens", m)
		}
		tokens[left+right] = v.merge(pair{l, r})
	}
	return v, nil
}

// spell writes bytes as GPT-2 does: printable Latin-1 characters stand for
// themselves, the other 68 bytes become the characters from U+0100 on.
func spell(piece []byte) string {
	var b strings.Builder
	for _, c := range piece {
		b.WriteRune(spelling[c])
	}
	return b.String()
}

var spelling = func() (all [bytes]rune) {
	next := rune(0x100)
	for b := range rune(bytes) {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			all[b] = b
			continue
		}
		all[b] = next
		next++
	}
	return all
}()

// Words cuts text as GPT-2 does, by the rule
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// Joined, the words are the text.
func Words(text string) []string {
	var all []string
	for text != "" {
		n := firstWord(text)
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}

// class is what a word is made of.
type class uint8

const (
	other class = iota
	letter
	number
	space
)

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// firstWord returns the length of the first word of text, which is not empty.
func firstWord(text string) int {
	for _, suffix := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(text, suffix) {
			return len(suffix)
		}
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if start < len(text) {
		r, _ := utf8.DecodeRuneInString(text[start:])
		if c := classOf(r); c != space {
			return start + run(text[start:], c)
		}
	}
	n := run(text, space)
	if n < len(text) { // the last space belongs to the next word
		_, last := utf8.DecodeLastRuneInString(text[:n])
		if n > last {
			n -= last
		}
	}
	return n
}

// run is the length of the characters of class c that text begins with.
func run(text string, c class) int {
	for i, r := range text {
		if classOf(r) != c {
			return i
		}
	}
	return len(text)
}
