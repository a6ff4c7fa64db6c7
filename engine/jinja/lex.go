package jinja

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a lexical token is.
type kind uint8

const (
	end       kind = iota
	text           // outside of tags
	openShow       // {{
	openDo         // {%
	closeShow      // }}
	closeDo        // %}
	name
	number
	quoted
	sign
)

type token struct {
	kind kind
	text string
	line int
}

// lexer cuts a template into tokens.
type lexer struct {
	source string
	pos    int
	out    []token
	trim   bool // the tag before ends in "-": white space that follows goes
	block  bool // the tag before was a block or comment: one newline goes
}

func lex(source string) ([]token, error) {
	l := &lexer{source: strings.ReplaceAll(source, "\r\n", "\n")}
	for l.pos < len(l.source) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.add(end, "")
	return l.out, nil
}

func (l *lexer) add(k kind, s string) {
	l.out = append(l.out, token{k, s, 1 + strings.Count(l.source[:min(l.pos, len(l.source))], "\n")})
}

func (l *lexer) fail(format string, args ...any) error {
	line := 1 + strings.Count(l.source[:min(l.pos, len(l.source))], "\n")
	return fmt.Errorf("%w: line %d: %s", ErrSyntax, line, fmt.Sprintf(format, args...))
}

// next takes the text up to a tag, and the tag.
func (l *lexer) next() error {
	rest := l.source[l.pos:]
	at := tagAt(rest)
	before := rest
	if at >= 0 {
		before = rest[:at]
	}
	before = l.trimStart(before)
	if at < 0 {
		l.text(before)
		l.pos = len(l.source)
		return nil
	}
	tag := rest[at:]
	switch {
	case strings.HasPrefix(tag[2:], "-"):
		before = strings.TrimRightFunc(before, unicode.IsSpace)
	case tag[1] != '{' && !strings.HasPrefix(tag[2:], "+"):
		before = l.trimIndent(before, at)
	}
	l.text(before)
	l.pos += at
	return l.tag(tag)
}

// tagAt finds the next tag's start, or −1.
func tagAt(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// trimStart drops what the tag before asks to drop.
func (l *lexer) trimStart(s string) string {
	if l.trim {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
	} else if l.block {
		s = strings.TrimPrefix(s, "\n")
	}
	l.trim, l.block = false, false
	return s
}

// trimIndent drops the blanks between a line's start and a block tag at the
// offset at from pos.
func (l *lexer) trimIndent(s string, at int) string {
	cut := strings.TrimRight(s, " \t")
	start := l.pos + at - (len(s) - len(cut)) // where the blanks begin
	if start == 0 || l.source[start-1] == '\n' {
		return cut
	}
	return s
}

func (l *lexer) text(s string) {
	if s != "" {
		l.add(text, s)
	}
}

func (l *lexer) tag(tag string) error {
	if tag[1] == '#' {
		n := strings.Index(tag, "#}")
		if n < 0 {
			return l.fail("a comment has no end")
		}
		l.trim, l.block = tag[n-1] == '-' && n > 2, true
		l.pos += n + 2
		return nil
	}
	open, closing, closeKind := openShow, "}}", closeShow
	if tag[1] == '%' {
		open, closing, closeKind = openDo, "%}", closeDo
	}
	l.add(open, tag[:2])
	l.pos += 2
	if l.pos < len(l.source) && (l.source[l.pos] == '-' || l.source[l.pos] == '+') {
		l.pos++
	}
	for {
		rest := strings.TrimLeftFunc(l.source[l.pos:], unicode.IsSpace)
		l.pos = len(l.source) - len(rest)
		if strings.HasPrefix(rest, "-"+closing) {
			l.trim = true
			l.add(closeKind, closing)
			l.pos += 3
			return nil
		}
		if strings.HasPrefix(rest, closing) && !l.openBrace() {
			l.block = closeKind == closeDo
			l.add(closeKind, closing)
			l.pos += 2
			return nil
		}
		if err := l.inner(rest); err != nil {
			return err
		}
	}
}

// openBrace tells whether a "{" of the current tag is still open, so that "}}"
// may end two dictionaries instead of the tag.
func (l *lexer) openBrace() bool {
	open := 0
	for i := len(l.out) - 1; i >= 0 && l.out[i].kind != openShow && l.out[i].kind != openDo; i-- {
		if l.out[i].kind == sign && l.out[i].text == "{" {
			open++
		} else if l.out[i].kind == sign && l.out[i].text == "}" {
			open--
		}
	}
	return open > 0
}

// inner takes one token inside a tag.
func (l *lexer) inner(rest string) error {
	if rest == "" {
		return l.fail("a tag has no end")
	}
	c, _ := utf8.DecodeRuneInString(rest)
	switch {
	case c == '\'' || c == '"':
		return l.quoted(rest, byte(c))
	case c >= '0' && c <= '9':
		n := 1
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.' && n+1 < len(rest) && rest[n+1] >= '0' && rest[n+1] <= '9') {
			n++
		}
		l.add(number, rest[:n])
		l.pos += n
	case c == '_' || unicode.IsLetter(c):
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		l.add(name, rest[:n])
		l.pos += n
	default:
		return l.sign(rest)
	}
	return nil
}

func (l *lexer) sign(rest string) error {
	for _, s := range []string{"==", "!=", "<=", ">=", "//", "**"} {
		if strings.HasPrefix(rest, s) {
			l.add(sign, s)
			l.pos += 2
			return nil
		}
	}
	if !strings.ContainsRune("+-*/%~<>=()[]{},.:|", rune(rest[0])) {
		return l.fail("unexpected %q", rest[:1])
	}
	l.add(sign, rest[:1])
	l.pos++
	return nil
}

func (l *lexer) quoted(rest string, quote byte) error {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case quote:
			l.add(quoted, b.String())
			l.pos += i + 1
			return nil
		case '\\':
			i++
			if i < len(rest) {
				b.WriteString(unescape(rest[i]))
			}
		default:
			b.WriteByte(rest[i])
		}
	}
	return l.fail("a text has no end")
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case '\\', '\'', '"':
		return string(c)
	default:
		return "\\" + string(c)
	}
}
