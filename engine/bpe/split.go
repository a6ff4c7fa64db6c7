package bpe

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word returns the length of the first piece of text, which is not empty, by
// GPT-2's rule: a contraction, or letters, or digits, or other signs, each with
// at most one space before, or white space without its last one when a word
// follows (openai/gpt-2: encoder.py).
func word(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	first, size := utf8.DecodeRuneInString(text[start:])
	if size > 0 && !unicode.IsSpace(first) {
		is := class(first)
		n := start + size
		for n < len(text) {
			r, size := utf8.DecodeRuneInString(text[n:])
			if unicode.IsSpace(r) || class(r) != is {
				break
			}
			n += size
		}
		return n
	}
	return spaces(text)
}

// spaces returns how much of the white space at the start of text is one piece.
func spaces(text string) int {
	n, last := 0, 0
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if !unicode.IsSpace(r) {
			break
		}
		n, last = n+size, size
	}
	if n < len(text) && n > last {
		return n - last // the last one belongs to the word that follows
	}
	return n
}

// The classes of signs that words are made of.
const (
	letters = iota
	digits
	others
)

func class(r rune) int {
	switch {
	case unicode.IsLetter(r):
		return letters
	case unicode.IsNumber(r):
		return digits
	default:
		return others
	}
}

func contraction(text string) int {
	if text[0] != '\'' {
		return 0
	}
	for _, c := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(text, c) {
			return len(c)
		}
	}
	return 0
}

// alphabet gives every byte a letter that can be seen, and letter back its
// byte: printable bytes stand for themselves, the others follow from U+0100 on
// (openai/gpt-2: bytes_to_unicode).
var alphabet, letter = func() ([256]rune, map[rune]byte) {
	var a [256]rune
	l := make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE) {
			r = next
			next++
		}
		a[b], l[r] = r, byte(b)
	}
	return a, l
}()

// toAlphabet writes the bytes of s in letters that can be seen.
func toAlphabet(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(alphabet[s[i]])
	}
	return b.String()
}

// fromAlphabet undoes toAlphabet; a letter outside the alphabet stays as it is.
func fromAlphabet(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if c, ok := letter[r]; ok {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
