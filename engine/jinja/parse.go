package jinja

import (
	"fmt"
	"slices"
)

// parser turns tokens into statements and expressions, which are closures.
type parser struct {
	tokens []token
	at     int
	depth  int
}

type (
	statement  func(*run) error
	expression func(*run) (any, error)
)

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrSyntax, p.peek().line, fmt.Sprintf(format, args...))
}

// is tells whether the next token is the sign or word s.
func (p *parser) is(s string) bool {
	t := p.peek()
	return (t.kind == sign || t.kind == name) && t.text == s
}

// take takes the next token if it is the sign or word s.
func (p *parser) take(s string) bool {
	if !p.is(s) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(s string) error {
	if !p.take(s) {
		return p.fail("want %q, got %q", s, p.peek().text)
	}
	return nil
}

func (p *parser) wantKind(k kind) (token, error) {
	if p.peek().kind != k {
		return token{}, p.fail("unexpected %q", p.peek().text)
	}
	return p.next(), nil
}

// deeper bounds how deep blocks and expressions nest.
func (p *parser) deeper() error {
	if p.depth++; p.depth > 4*maxDepth {
		return p.fail("nested too deep")
	}
	return nil
}

// block parses statements up to a tag with one of the words of until, or the end.
func (p *parser) block(until ...string) ([]statement, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var out []statement
	for {
		t := p.peek()
		switch t.kind {
		case text:
			p.next()
			out = append(out, func(r *run) error { return r.write(t.text) })
		case openShow:
			p.next()
			e, err := p.tuple()
			if err != nil {
				return nil, err
			}
			if _, err := p.wantKind(closeShow); err != nil {
				return nil, err
			}
			out = append(out, show(e))
		case openDo:
			if slices.Contains(until, p.tokens[min(p.at+1, len(p.tokens)-1)].text) {
				return out, nil
			}
			s, err := p.tag()
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		default:
			return out, nil
		}
	}
}

// tag parses one {% … %} statement.
func (p *parser) tag() (statement, error) {
	p.next()
	word, err := p.wantKind(name)
	if err != nil {
		return nil, err
	}
	switch word.text {
	case "if":
		return p.ifTag()
	case "for":
		return p.forTag()
	case "set":
		return p.setTag()
	case "macro":
		return p.macroTag()
	case "break", "continue":
		what := errBreak
		if word.text == "continue" {
			what = errContinue
		}
		return func(*run) error { return what }, p.close()
	case "generation":
		if err := p.close(); err != nil {
			return nil, err
		}
		body, err := p.bodyUntil("endgeneration")
		return func(r *run) error { return r.all(body) }, err
	default:
		return nil, p.fail("the tag %q is not known", word.text)
	}
}

func (p *parser) close() error {
	_, err := p.wantKind(closeDo)
	return err
}

// bodyUntil parses a body and the tag that ends it.
func (p *parser) bodyUntil(word string) ([]statement, error) {
	body, err := p.block(word)
	if err != nil {
		return nil, err
	}
	return body, p.endTag(word)
}

func (p *parser) endTag(word string) error {
	if _, err := p.wantKind(openDo); err != nil {
		return err
	}
	if err := p.want(word); err != nil {
		return err
	}
	return p.close()
}

func (p *parser) ifTag() (statement, error) {
	condition, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	then, err := p.block("elif", "else", "endif")
	if err != nil {
		return nil, err
	}
	if _, err := p.wantKind(openDo); err != nil {
		return nil, err
	}
	var otherwise []statement
	switch p.next().text {
	case "elif":
		s, err := p.ifTag()
		if err != nil {
			return nil, err
		}
		otherwise = []statement{s}
	case "else":
		if err := p.close(); err != nil {
			return nil, err
		}
		if otherwise, err = p.bodyUntil("endif"); err != nil {
			return nil, err
		}
	default:
		if err := p.close(); err != nil {
			return nil, err
		}
	}
	return branch(condition, then, otherwise), nil
}

func (p *parser) names() ([]string, error) {
	var out []string
	paren := p.take("(")
	for {
		t, err := p.wantKind(name)
		if err != nil {
			return nil, err
		}
		out = append(out, t.text)
		if !p.take(",") {
			break
		}
	}
	if paren {
		return out, p.want(")")
	}
	return out, nil
}

func (p *parser) forTag() (statement, error) {
	l := &loop{}
	var err error
	if l.names, err = p.names(); err != nil {
		return nil, err
	}
	if err := p.want("in"); err != nil {
		return nil, err
	}
	if l.over, err = p.or(); err != nil {
		return nil, err
	}
	if p.take("if") {
		if l.filter, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	if l.body, err = p.block("else", "endfor"); err != nil {
		return nil, err
	}
	if p.tokens[min(p.at+1, len(p.tokens)-1)].text == "else" {
		p.next()
		p.next()
		if err := p.close(); err != nil {
			return nil, err
		}
		if l.empty, err = p.block("endfor"); err != nil {
			return nil, err
		}
	}
	return l.run, p.endTag("endfor")
}

func (p *parser) setTag() (statement, error) {
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	member := ""
	if len(names) == 1 && p.take(".") {
		t, err := p.wantKind(name)
		if err != nil {
			return nil, err
		}
		member = t.text
	}
	if p.take("=") {
		value, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return assign(names, member, value), p.close()
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	body, err := p.bodyUntil("endset")
	return assign(names, member, capture(body)), err
}

func (p *parser) macroTag() (statement, error) {
	t, err := p.wantKind(name)
	if err != nil {
		return nil, err
	}
	m := &macro{name: t.text}
	if err := p.want("("); err != nil {
		return nil, err
	}
	for !p.take(")") {
		arg, err := p.wantKind(name)
		if err != nil {
			return nil, err
		}
		var value expression
		if p.take("=") {
			if value, err = p.expression(); err != nil {
				return nil, err
			}
		}
		m.args = append(m.args, arg.text)
		m.defaults = append(m.defaults, value)
		if !p.take(",") && !p.is(")") {
			return nil, p.fail("want \")\", got %q", p.peek().text)
		}
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	m.body, err = p.bodyUntil("endmacro")
	return m.define, err
}
