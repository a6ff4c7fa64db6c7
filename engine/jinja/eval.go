package jinja

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// The values that templates work on besides nil, bool, int64, float64 and string.
type (
	undefined struct{ name string }

	list struct{ items []any }

	// dict keeps its keys in order. A namespace is a dict too.
	dict struct {
		keys   []string
		values map[string]any
	}

	function func(r *run, args []any, named map[string]any) (any, error)
)

func newDict() *dict { return &dict{values: map[string]any{}} }

func (d *dict) set(key string, v any) {
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = v
}

// inner turns a caller's value into one that templates work on. The keys of a
// map are put in order, so that the output is always the same.
func inner(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case []any:
		l := &list{}
		for _, x := range v {
			l.items = append(l.items, inner(x))
		}
		return l
	case map[string]any:
		d := newDict()
		for _, k := range slices.Sorted(maps.Keys(v)) {
			d.set(k, inner(v[k]))
		}
		return d
	default:
		return v
	}
}

// errBreak and errContinue travel up from {% break %} to their loop.
var (
	errBreak    = errors.New("jinja: break outside of a loop")
	errContinue = errors.New("jinja: continue outside of a loop")
)

func cannot(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errValue, fmt.Sprintf(format, args...))
}

func (r *run) write(s string) error {
	if err := r.take(len(s)); err != nil {
		return err
	}
	r.out.WriteString(s)
	return nil
}

func (r *run) all(body []statement) error {
	for _, s := range body {
		if err := r.step(); err != nil {
			return err
		}
		if err := s(r); err != nil {
			return err
		}
	}
	return nil
}

func show(e expression) statement {
	return func(r *run) error {
		v, err := e(r)
		if err != nil {
			return err
		}
		s, err := r.str(v)
		if err != nil {
			return err
		}
		return r.write(s)
	}
}

func branch(condition expression, then, otherwise []statement) statement {
	return func(r *run) error {
		v, err := condition(r)
		if err != nil {
			return err
		}
		if truth(v) {
			return r.all(then)
		}
		return r.all(otherwise)
	}
}

// loop is a {% for %} statement.
type loop struct {
	names  []string
	over   expression
	filter expression // nil without "if"
	body   []statement
	empty  []statement
}

func (l *loop) run(r *run) error {
	v, err := l.over(r)
	if err != nil {
		return err
	}
	items, err := r.iterate(v)
	if err != nil {
		return err
	}
	if items, err = l.keep(r, items); err != nil {
		return err
	}
	if len(items) == 0 {
		return r.all(l.empty)
	}
	for i := range items {
		err := r.inside(&scope{map[string]any{}, r.scope}, func() error {
			if err := l.bind(r, items[i]); err != nil {
				return err
			}
			r.scope.names["loop"] = loopState(items, i)
			return r.all(l.body)
		})
		if errors.Is(err, errBreak) {
			break
		}
		if err != nil && !errors.Is(err, errContinue) {
			return err
		}
	}
	return nil
}

// keep drops the items that the loop's own condition drops.
func (l *loop) keep(r *run, items []any) ([]any, error) {
	if l.filter == nil {
		return items, nil
	}
	var kept []any
	for _, item := range items {
		err := r.inside(&scope{map[string]any{}, r.scope}, func() error {
			if err := l.bind(r, item); err != nil {
				return err
			}
			v, err := l.filter(r)
			if err == nil && truth(v) {
				kept = append(kept, item)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// bind gives the loop's names their values.
func (l *loop) bind(r *run, item any) error {
	if err := r.step(); err != nil {
		return err
	}
	return bind(r, l.names, item)
}

func bind(r *run, names []string, v any) error {
	if len(names) == 1 {
		r.scope.names[names[0]] = v
		return nil
	}
	items, err := r.iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(names) {
		return cannot("%d values for %d names", len(items), len(names))
	}
	for i, n := range names {
		r.scope.names[n] = items[i]
	}
	return nil
}

func loopState(items []any, i int) *dict {
	d := newDict()
	d.set("index", int64(i+1))
	d.set("index0", int64(i))
	d.set("revindex", int64(len(items)-i))
	d.set("revindex0", int64(len(items)-i-1))
	d.set("first", i == 0)
	d.set("last", i == len(items)-1)
	d.set("length", int64(len(items)))
	if i > 0 {
		d.set("previtem", items[i-1])
	}
	if i+1 < len(items) {
		d.set("nextitem", items[i+1])
	}
	return d
}

func assign(names []string, member string, value expression) statement {
	return func(r *run) error {
		v, err := value(r)
		if err != nil {
			return err
		}
		if member == "" {
			return bind(r, names, v)
		}
		d, ok := r.scope.get(names[0]).(*dict)
		if !ok {
			return cannot("%s is no namespace", names[0])
		}
		d.set(member, v)
		return nil
	}
}

// capture is what a body writes, as a value.
func capture(body []statement) expression {
	return func(r *run) (any, error) {
		kept := r.out
		defer func() { r.out = kept }()
		var b strings.Builder
		r.out = &b
		if err := r.all(body); err != nil {
			return nil, err
		}
		return b.String(), nil
	}
}

// macro is a template's own function.
type macro struct {
	name     string
	args     []string
	defaults []expression // nil where an argument has none
	body     []statement
}

func (m *macro) define(r *run) error {
	home := r.scope
	r.scope.names[m.name] = function(func(r *run, args []any, named map[string]any) (any, error) {
		s := &scope{map[string]any{}, home}
		var out any
		err := r.inside(s, func() error {
			for i, name := range m.args {
				switch v, ok := named[name]; {
				case i < len(args):
					s.names[name] = args[i]
				case ok:
					s.names[name] = v
				case m.defaults[i] != nil:
					v, err := m.defaults[i](r)
					if err != nil {
						return err
					}
					s.names[name] = v
				default:
					s.names[name] = undefined{name}
				}
			}
			var err error
			out, err = capture(m.body)(r)
			return err
		})
		return out, err
	})
	return nil
}

func constant(v any) expression {
	return func(r *run) (any, error) { return v, r.step() }
}

func makeList(items []expression) expression {
	return func(r *run) (any, error) {
		l := &list{}
		for _, e := range items {
			v, err := e(r)
			if err != nil {
				return nil, err
			}
			l.items = append(l.items, v)
		}
		return l, r.step()
	}
}

func makeDict(keys, values []expression) expression {
	return func(r *run) (any, error) {
		d := newDict()
		for i := range keys {
			k, err := keys[i](r)
			if err != nil {
				return nil, err
			}
			key, ok := k.(string)
			if !ok {
				return nil, cannot("a dictionary's key is %s", typeName(k))
			}
			v, err := values[i](r)
			if err != nil {
				return nil, err
			}
			d.set(key, v)
		}
		return d, r.step()
	}
}

func choose(condition, then, otherwise expression) expression {
	return func(r *run) (any, error) {
		v, err := condition(r)
		if err != nil {
			return nil, err
		}
		if truth(v) {
			return then(r)
		}
		return otherwise(r)
	}
}

// either is "or" where stop is true, "and" where it is false.
func either(left, right expression, stop bool) expression {
	return func(r *run) (any, error) {
		v, err := left(r)
		if err != nil || truth(v) == stop {
			return v, err
		}
		return right(r)
	}
}

func negate(e expression) expression {
	return func(r *run) (any, error) {
		v, err := e(r)
		return !truth(v), err
	}
}

func binary(op string, left, right expression) expression {
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, err
		}
		a, err := left(r)
		if err != nil {
			return nil, err
		}
		b, err := right(r)
		if err != nil {
			return nil, err
		}
		return r.operate(op, a, b)
	}
}

func (r *run) operate(op string, a, b any) (any, error) {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		same, err := r.equal(a, b)
		return !same, err
	case "in":
		return r.contains(b, a)
	case "not in":
		found, err := r.contains(b, a)
		return !found, err
	case "~":
		s, err := r.str(a)
		if err != nil {
			return nil, err
		}
		t, err := r.str(b)
		if err != nil {
			return nil, err
		}
		return r.made(s + t)
	case "<", "<=", ">", ">=":
		return order(op, a, b)
	}
	return r.arithmetic(op, a, b)
}

func order(op string, a, b any) (any, error) {
	c := 0
	x, ok1 := a.(string)
	y, ok2 := b.(string)
	if ok1 && ok2 {
		c = strings.Compare(x, y)
	} else {
		x, ok1 := asFloat(a)
		y, ok2 := asFloat(b)
		if !ok1 || !ok2 {
			return nil, cannot("%s %s %s", typeName(a), op, typeName(b))
		}
		switch {
		case x < y:
			c = -1
		case x > y:
			c = 1
		}
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	default:
		return c >= 0, nil
	}
}

func (r *run) arithmetic(op string, a, b any) (any, error) {
	if x, ok := a.(string); ok {
		return r.textual(op, x, b)
	}
	if x, ok := a.(*list); ok && op == "+" {
		if y, ok := b.(*list); ok {
			if err := r.take(16 * (len(x.items) + len(y.items))); err != nil {
				return nil, err
			}
			return &list{slices.Concat(x.items, y.items)}, nil
		}
	}
	x, ok1 := asInt(a)
	y, ok2 := asInt(b)
	if ok1 && ok2 && op != "/" {
		return integers(op, x, y)
	}
	f, ok1 := asFloat(a)
	g, ok2 := asFloat(b)
	if !ok1 || !ok2 {
		return nil, cannot("%s %s %s", typeName(a), op, typeName(b))
	}
	switch op {
	case "+":
		return f + g, nil
	case "-":
		return f - g, nil
	case "*":
		return f * g, nil
	case "/":
		if g == 0 {
			return nil, cannot("division by zero")
		}
		return f / g, nil
	}
	return nil, cannot("%s %s %s", typeName(a), op, typeName(b))
}

func (r *run) textual(op, x string, b any) (any, error) {
	if y, ok := b.(string); ok && op == "+" {
		return r.made(x + y)
	}
	if n, ok := asInt(b); ok && op == "*" {
		if n <= 0 {
			return "", nil
		}
		if n > math.MaxInt32 {
			n = math.MaxInt32
		}
		if err := r.take(len(x) * int(n)); err != nil {
			return nil, err
		}
		return strings.Repeat(x, int(n)), nil
	}
	return nil, cannot("text %s %s", op, typeName(b))
}

func integers(op string, x, y int64) (any, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "//", "%":
		if y == 0 {
			return nil, cannot("division by zero")
		}
		q, m := x/y, x%y
		if m != 0 && (m < 0) != (y < 0) {
			q, m = q-1, m+y
		}
		if op == "%" {
			return m, nil
		}
		return q, nil
	}
	return nil, cannot("the operator %s", op)
}

func (r *run) evaluate(a arguments) ([]any, map[string]any, error) {
	args := make([]any, len(a.plain))
	named := make(map[string]any, len(a.order))
	for i, e := range a.plain {
		v, err := e(r)
		if err != nil {
			return nil, nil, err
		}
		args[i] = v
	}
	for _, k := range a.order {
		v, err := a.named[k](r)
		if err != nil {
			return nil, nil, err
		}
		named[k] = v
	}
	return args, named, nil
}

func call(e expression, a arguments) expression {
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		f, ok := v.(function)
		if !ok {
			return nil, cannot("%s is no function", typeName(v))
		}
		args, named, err := r.evaluate(a)
		if err != nil {
			return nil, err
		}
		return f(r, args, named)
	}
}

func applyFilter(e expression, name string, a arguments) expression {
	f := filterNamed(name)
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		args, named, err := r.evaluate(a)
		if err != nil {
			return nil, err
		}
		out, err := f(r, v, args, named)
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", name, err)
		}
		return out, nil
	}
}

func applyTest(e expression, name string, a arguments) expression {
	f := tests[name]
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		args, _, err := r.evaluate(a)
		if err != nil {
			return nil, err
		}
		return f(r, v, args)
	}
}
