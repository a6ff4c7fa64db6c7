package jinja

import (
	"fmt"
	"slices"
)

// builtins are the functions that every template has.
func builtins(*run) map[string]any {
	return map[string]any{
		"raise_exception": function(func(r *run, args []any, _ map[string]any) (any, error) {
			return nil, fmt.Errorf("%w: %.200q", ErrRaised, argText(args, 0))
		}),
		"range":     function(rangeOf),
		"namespace": function(namespace),
		"dict":      function(namespace),
	}
}

func argText(args []any, i int) string {
	if i < len(args) {
		if s, ok := args[i].(string); ok {
			return s
		}
	}
	return ""
}

func argInt(args []any, i int, otherwise int64) int64 {
	if i < len(args) {
		if n, ok := asInt(args[i]); ok {
			return n
		}
	}
	return otherwise
}

func rangeOf(r *run, args []any, _ map[string]any) (any, error) {
	from, to, step := int64(0), argInt(args, 0, 0), argInt(args, 2, 1)
	if len(args) > 1 {
		from, to = to, argInt(args, 1, 0)
	}
	if step == 0 {
		return nil, cannot("a range with step 0")
	}
	l := &list{}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if err := r.take(32); err != nil {
			return nil, err
		}
		l.items = append(l.items, i)
	}
	return l, nil
}

func namespace(_ *run, args []any, named map[string]any) (any, error) {
	d := newDict()
	if len(args) > 0 {
		from, ok := args[0].(*dict)
		if !ok {
			return nil, cannot("a mapping out of %s", typeName(args[0]))
		}
		for _, k := range from.keys {
			d.set(k, from.values[k])
		}
	}
	keys := make([]string, 0, len(named))
	for k := range named {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		d.set(k, named[k])
	}
	return d, nil
}

// member is value.key or value[key].
func member(e, key expression) expression {
	return func(r *run) (any, error) {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		k, err := key(r)
		if err != nil {
			return nil, err
		}
		return r.member(v, k)
	}
}

func (r *run) member(v, k any) (any, error) {
	name, isName := k.(string)
	switch v := v.(type) {
	case undefined:
		return nil, cannot("%q is not defined", v.name)
	case *dict:
		if !isName {
			return undefined{}, nil
		}
		if x, ok := v.values[name]; ok {
			return x, nil
		}
		return method(dictMethods[name], v, name), nil
	case *list:
		if i, ok := asInt(k); ok {
			if i < 0 {
				i += int64(len(v.items))
			}
			if i < 0 || i >= int64(len(v.items)) {
				return undefined{}, nil
			}
			return v.items[i], nil
		}
		return method(listMethods[name], v, name), nil
	case string:
		if i, ok := asInt(k); ok {
			return r.cut(v, &i, nil, 0)
		}
		return method(textMethods[name], v, name), nil
	}
	return undefined{name}, nil
}

// method binds f to v; a method that is not there is undefined.
func method[T any](f func(*run, T, []any) (any, error), v T, name string) any {
	if f == nil {
		return undefined{name}
	}
	return function(func(r *run, args []any, _ map[string]any) (any, error) { return f(r, v, args) })
}

// slice is value[from:to:step].
func slice(e expression, parts [3]expression) expression {
	return func(r *run) (any, error) {
		v, err := e(r)
		if err != nil {
			return nil, err
		}
		var at [3]*int64
		for i, p := range parts {
			if p == nil {
				continue
			}
			x, err := p(r)
			if err != nil {
				return nil, err
			}
			if n, ok := asInt(x); ok {
				at[i] = &n
			}
		}
		step := int64(1)
		if at[2] != nil {
			step = *at[2]
		}
		if step == 0 {
			return nil, cannot("a slice with step 0")
		}
		switch v := v.(type) {
		case string:
			return r.cut(v, at[0], at[1], step)
		case *list:
			picked, err := pick(r, v.items, at[0], at[1], step)
			return &list{picked}, err
		case undefined:
			return v, nil
		}
		return nil, cannot("a slice of %s", typeName(v))
	}
}

// cut takes letters out of a text; step 0 means the one at from.
func (r *run) cut(s string, from, to *int64, step int64) (any, error) {
	if err := r.take(4 * len(s)); err != nil {
		return nil, err
	}
	runes := []rune(s)
	if step == 0 {
		i := *from
		if i < 0 {
			i += int64(len(runes))
		}
		if i < 0 || i >= int64(len(runes)) {
			return undefined{}, nil
		}
		return string(runes[i]), nil
	}
	picked, err := pick(r, runes, from, to, step)
	return string(picked), err
}

// pick follows Python's rules for slices.
func pick[T any](r *run, items []T, from, to *int64, step int64) ([]T, error) {
	n := int64(len(items))
	low, high := int64(0), n
	if step < 0 {
		low, high = -1, n-1
	}
	clamp := func(p *int64, otherwise int64) int64 {
		if p == nil {
			return otherwise
		}
		i := *p
		if i < 0 {
			i += n
		}
		return max(low, min(i, high))
	}
	start, stop := clamp(from, low), clamp(to, high)
	if step < 0 {
		start, stop = clamp(from, high), clamp(to, low)
	}
	step = max(-n-1, min(step, n+1))
	var out []T
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		out = append(out, items[i])
	}
	return out, r.take(8 * len(out))
}
