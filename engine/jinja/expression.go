package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// tuple parses one expression, or several with commas between, which make a list.
func (p *parser) tuple() (expression, error) {
	first, err := p.expression()
	if err != nil || !p.is(",") {
		return first, err
	}
	items := []expression{first}
	for p.take(",") {
		if k := p.peek().kind; k == closeShow || k == closeDo || p.is(")") {
			break
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return makeList(items), nil
}

func (p *parser) expression() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	value, err := p.or()
	if err != nil {
		return nil, err
	}
	for p.take("if") {
		condition, err := p.or()
		if err != nil {
			return nil, err
		}
		otherwise := expression(func(*run) (any, error) { return undefined{}, nil })
		if p.take("else") {
			if otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		value = choose(condition, value, otherwise)
	}
	return value, nil
}

func (p *parser) or() (expression, error) {
	left, err := p.and()
	for err == nil && p.take("or") {
		var right expression
		if right, err = p.and(); err == nil {
			left = either(left, right, true)
		}
	}
	return left, err
}

func (p *parser) and() (expression, error) {
	left, err := p.not()
	for err == nil && p.take("and") {
		var right expression
		if right, err = p.not(); err == nil {
			left = either(left, right, false)
		}
	}
	return left, err
}

func (p *parser) not() (expression, error) {
	if !p.take("not") {
		return p.compare()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e, err := p.not()
	return negate(e), err
}

func (p *parser) compare() (expression, error) {
	left, err := p.level(0)
	for err == nil {
		var op string
		switch t := p.peek(); {
		case t.kind == sign && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = p.next().text
		case p.take("in"):
			op = "in"
		case p.is("not") && p.tokens[p.at+1].text == "in":
			p.next()
			p.next()
			op = "not in"
		default:
			return left, nil
		}
		var right expression
		if right, err = p.level(0); err == nil {
			left = binary(op, left, right)
		}
	}
	return left, err
}

// levels lists the binary operators from the loosest to the tightest.
var levels = [][]string{{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}

func (p *parser) level(n int) (expression, error) {
	if n == len(levels) {
		return p.unary()
	}
	left, err := p.level(n + 1)
	for err == nil && p.peek().kind == sign && slices.Contains(levels[n], p.peek().text) {
		op := p.next().text
		var right expression
		if right, err = p.level(n + 1); err == nil {
			left = binary(op, left, right)
		}
	}
	return left, err
}

func (p *parser) unary() (expression, error) {
	if p.peek().kind == sign && (p.is("-") || p.is("+")) {
		minus := p.next().text == "-"
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		e, err := p.unary()
		if !minus {
			return e, err
		}
		return binary("-", constant(int64(0)), e), err
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(e)
}

func (p *parser) primary() (expression, error) {
	t := p.next()
	switch t.kind {
	case quoted:
		s := t.text
		for p.peek().kind == quoted {
			s += p.next().text
		}
		return constant(s), nil
	case number:
		return numeral(t.text, p)
	case name:
		return word(t.text), nil
	case sign:
		switch t.text {
		case "(":
			if p.take(")") {
				return makeList(nil), nil
			}
			e, err := p.tuple()
			if err != nil {
				return nil, err
			}
			return e, p.want(")")
		case "[":
			items, err := p.list("]")
			return makeList(items), err
		case "{":
			return p.dict()
		}
	default:
	}
	return nil, p.fail("unexpected %q", t.text)
}

func numeral(s string, p *parser) (expression, error) {
	if strings.Contains(s, ".") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, p.fail("%q is no number", s)
		}
		return constant(f), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, p.fail("%q is no number", s)
	}
	return constant(n), nil
}

func word(s string) expression {
	switch s {
	case "true", "True":
		return constant(true)
	case "false", "False":
		return constant(false)
	case "none", "None":
		return constant(nil)
	}
	return func(r *run) (any, error) { return r.scope.get(s), r.step() }
}

// list parses expressions up to the closing sign.
func (p *parser) list(closing string) ([]expression, error) {
	var out []expression
	for !p.take(closing) {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !p.take(",") && !p.is(closing) {
			return nil, p.fail("want %q, got %q", closing, p.peek().text)
		}
	}
	return out, nil
}

func (p *parser) dict() (expression, error) {
	var keys, values []expression
	for !p.take("}") {
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, k), append(values, v)
		if !p.take(",") && !p.is("}") {
			return nil, p.fail("want \"}\", got %q", p.peek().text)
		}
	}
	return makeDict(keys, values), nil
}

// postfix parses what follows a value: members, indices, calls, filters, tests.
func (p *parser) postfix(e expression) (expression, error) {
	for {
		var err error
		switch {
		case p.peek().kind == sign && p.take("."):
			t := p.next()
			if t.kind != name && t.kind != number {
				return nil, p.fail("unexpected %q", t.text)
			}
			e = member(e, constant(t.text))
		case p.peek().kind == sign && p.take("["):
			e, err = p.index(e)
		case p.peek().kind == sign && p.is("("):
			var a arguments
			if a, err = p.arguments(); err == nil {
				e = call(e, a)
			}
		case p.peek().kind == sign && p.take("|"):
			e, err = p.filter(e)
		case p.peek().kind == name && p.take("is"):
			e, err = p.test(e)
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// index parses [i] or [from:to:step].
func (p *parser) index(e expression) (expression, error) {
	var parts [3]expression
	n, colon := 0, false
	for !p.take("]") {
		if p.take(":") {
			colon = true
			if n++; n > 2 {
				return nil, p.fail("unexpected \":\"")
			}
			continue
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		if parts[n] != nil {
			return nil, p.fail("want \"]\", got %q", p.peek().text)
		}
		parts[n] = x
	}
	if colon {
		return slice(e, parts), nil
	}
	if parts[0] == nil {
		return nil, p.fail("unexpected \"]\"")
	}
	return member(e, parts[0]), nil
}

// arguments of a call, a filter or a test.
type arguments struct {
	plain []expression
	named map[string]expression
	order []string
}

func (p *parser) arguments() (arguments, error) {
	a := arguments{named: map[string]expression{}}
	p.next()
	for !p.take(")") {
		key := ""
		if p.peek().kind == name && p.tokens[p.at+1].kind == sign && p.tokens[p.at+1].text == "=" {
			key = p.next().text
			p.next()
		}
		e, err := p.expression()
		if err != nil {
			return a, err
		}
		if key == "" {
			a.plain = append(a.plain, e)
		} else {
			a.named[key] = e
			a.order = append(a.order, key)
		}
		if !p.take(",") && !p.is(")") {
			return a, p.fail("want \")\", got %q", p.peek().text)
		}
	}
	return a, nil
}

func (p *parser) filter(e expression) (expression, error) {
	t, err := p.wantKind(name)
	if err != nil {
		return nil, err
	}
	if filterNamed(t.text) == nil {
		return nil, p.fail("the filter %q is not known", t.text)
	}
	var a arguments
	if p.peek().kind == sign && p.is("(") {
		if a, err = p.arguments(); err != nil {
			return nil, err
		}
	}
	return applyFilter(e, t.text, a), nil
}

func (p *parser) test(e expression) (expression, error) {
	not := p.take("not")
	t := p.next()
	if _, ok := tests[t.text]; !ok || t.kind != name {
		return nil, p.fail("the test %q is not known", t.text)
	}
	var a arguments
	var err error
	switch k := p.peek(); {
	case k.kind == sign && k.text == "(":
		a, err = p.arguments()
	case k.kind == quoted || k.kind == number || k.kind == sign && k.text == "[" || k.kind == name && withOperand[t.text]:
		var x expression
		if x, err = p.primary(); err == nil {
			a.plain = []expression{x}
		}
	}
	if err != nil {
		return nil, err
	}
	out := applyTest(e, t.text, a)
	if not {
		return negate(out), nil
	}
	return out, nil
}
