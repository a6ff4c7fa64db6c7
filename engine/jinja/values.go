package jinja

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// truth is whether v counts as true.
func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	default:
		return true
	}
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case undefined:
		return "the undefined " + strconv.Quote(v.name)
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		return "a text"
	case *list:
		return "a list"
	case *dict:
		return "a mapping"
	default:
		return "a function"
	}
}

func asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := asInt(v)
	return float64(n), ok
}

// equal compares two values, contents included.
func (r *run) equal(a, b any) (bool, error) {
	if err := r.step(); err != nil {
		return false, err
	}
	if x, ok := asFloat(a); ok {
		y, ok := asFloat(b)
		return ok && x == y, nil
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case undefined:
		_, ok := b.(undefined)
		return ok, nil
	case string:
		y, ok := b.(string)
		return ok && x == y, nil
	case *list:
		y, ok := b.(*list)
		if !ok || len(x.items) != len(y.items) {
			return false, nil
		}
		return r.equalItems(x.items, y.items)
	case *dict:
		return a == b, nil
	}
	return false, nil
}

func (r *run) equalItems(a, b []any) (bool, error) {
	if r.depth++; r.depth > maxDepth {
		return false, ErrBudget
	}
	defer func() { r.depth-- }()
	for i := range a {
		if same, err := r.equal(a[i], b[i]); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *run) contains(in, v any) (bool, error) {
	switch in := in.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			return false, cannot("%s in a text", typeName(v))
		}
		return strings.Contains(in, s), r.take(len(in) / 16)
	case *list:
		for _, x := range in.items {
			if same, err := r.equal(x, v); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case *dict:
		s, ok := v.(string)
		_, found := in.values[s]
		return ok && found, nil
	default:
		return false, cannot("%s in %s", typeName(v), typeName(in))
	}
}

// iterate returns what a loop over v goes through.
func (r *run) iterate(v any) ([]any, error) {
	var out []any
	switch v := v.(type) {
	case undefined:
		return nil, nil
	case *list:
		out = v.items
	case *dict:
		for _, k := range v.keys {
			out = append(out, k)
		}
	case string:
		if err := r.take(16 * len(v)); err != nil {
			return nil, err
		}
		for _, c := range v {
			out = append(out, string(c))
		}
	default:
		return nil, cannot("a loop over %s", typeName(v))
	}
	return out, r.take(len(out))
}

// str is v as a template shows it.
func (r *run) str(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case undefined:
		return "", nil
	case nil:
		return "None", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return float(v), nil
	case function:
		return "<function>", nil
	}
	var b strings.Builder
	err := r.repr(&b, v, 0)
	return b.String(), err
}

func float(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e16 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// repr writes v as Python shows it inside a list or a mapping.
func (r *run) repr(b *strings.Builder, v any, depth int) error {
	if err := r.step(); err != nil {
		return err
	}
	if depth > maxDepth {
		return ErrBudget
	}
	switch v := v.(type) {
	case *list:
		return r.sequence(b, "[", "]", len(v.items), func(i int) error { return r.repr(b, v.items[i], depth+1) })
	case *dict:
		return r.sequence(b, "{", "}", len(v.keys), func(i int) error {
			if err := r.repr(b, v.keys[i], depth+1); err != nil {
				return err
			}
			b.WriteString(": ")
			return r.repr(b, v.values[v.keys[i]], depth+1)
		})
	case string:
		b.WriteString("'" + strings.NewReplacer("\\", "\\\\", "'", "\\'", "\n", "\\n").Replace(v) + "'")
		return r.take(len(v))
	}
	s, err := r.str(v)
	b.WriteString(s)
	return err
}

func (r *run) sequence(b *strings.Builder, open, closing string, n int, item func(int) error) error {
	b.WriteString(open)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := item(i); err != nil {
			return err
		}
	}
	b.WriteString(closing)
	return nil
}

// json writes v as json.dumps does; indent is "" for one line.
func (r *run) json(b *strings.Builder, v any, indent string, depth int) error {
	if err := r.step(); err != nil {
		return err
	}
	if depth > maxDepth {
		return ErrBudget
	}
	line := func(d int) string {
		if indent == "" {
			return ""
		}
		return "\n" + strings.Repeat(indent, d)
	}
	comma := ", "
	if indent != "" {
		comma = ","
	}
	switch v := v.(type) {
	case *list:
		if len(v.items) == 0 {
			b.WriteString("[]")
			return nil
		}
		return r.jsonItems(b, "[", "]", comma, len(v.items), line, depth, func(i int) error {
			return r.json(b, v.items[i], indent, depth+1)
		})
	case *dict:
		if len(v.keys) == 0 {
			b.WriteString("{}")
			return nil
		}
		return r.jsonItems(b, "{", "}", comma, len(v.keys), line, depth, func(i int) error {
			b.WriteString(quote(v.keys[i]) + ": ")
			return r.json(b, v.values[v.keys[i]], indent, depth+1)
		})
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		b.WriteString(quote(v))
		return r.take(len(v))
	case int64, float64:
		s, err := r.str(v)
		b.WriteString(s)
		return err
	default:
		return cannot("%s as JSON", typeName(v))
	}
	return nil
}

func (r *run) jsonItems(b *strings.Builder, open, closing, comma string, n int, line func(int) string, depth int, item func(int) error) error {
	b.WriteString(open)
	for i := range n {
		if i > 0 {
			b.WriteString(comma)
		}
		s := line(depth + 1)
		if err := r.take(len(s)); err != nil {
			return err
		}
		b.WriteString(s)
		if err := item(i); err != nil {
			return err
		}
	}
	b.WriteString(line(depth) + closing)
	return nil
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
