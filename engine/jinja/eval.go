package jinja

import (
	"errors"
	"fmt"
	"maps"
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
	r.steps -= turnSteps - 1
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
