package batch

import (
	"strings"
	"unicode/utf8"
)

// text turns the pieces of tokens into what a reader sees: whole characters,
// up to a stop text.
type text struct {
	stops []string
	bytes []byte // the start of a character
	held  string // what may be the start of a stop text
}

// add takes a token's piece and returns what may be shown now, and whether a
// stop text came.
func (t *text) add(piece string) (out string, stopped bool) {
	t.held += t.decode(piece)
	at := -1
	for _, s := range t.stops {
		if i := strings.Index(t.held, s); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		out, t.held, t.bytes = t.held[:at], "", nil
		return out, true
	}
	n := len(t.held) - t.unsure()
	out, t.held = t.held[:n], t.held[n:]
	return out, false
}

// rest returns what was held back, at the end of an answer.
func (t *text) rest() string {
	out := t.held + strings.Repeat("\uFFFD", len(t.bytes))
	t.held, t.bytes = "", nil
	return out
}

// unsure returns how many bytes at the end of held may begin a stop text.
func (t *text) unsure() int {
	most := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(t.held)); n > most; n-- {
			if strings.HasSuffix(t.held, s[:n]) {
				most = n
			}
		}
	}
	return most
}

// decode returns the whole characters of what came so far; bytes that cannot
// begin or continue one become U+FFFD.
func (t *text) decode(piece string) string {
	t.bytes = append(t.bytes, piece...)
	var b strings.Builder
	for len(t.bytes) > 0 && utf8.FullRune(t.bytes) {
		r, n := utf8.DecodeRune(t.bytes)
		b.WriteRune(r)
		t.bytes = t.bytes[n:]
	}
	return b.String()
}
