package jinja

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

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
