package jinja

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var dictMethods = map[string]func(*run, *dict, []any) (any, error){
	"get": func(_ *run, d *dict, args []any) (any, error) {
		if v, ok := d.values[argText(args, 0)]; ok {
			return v, nil
		}
		if len(args) > 1 {
			return args[1], nil
		}
		return nil, nil
	},
	"items": func(r *run, d *dict, _ []any) (any, error) { return items(r, d) },
	"keys": func(r *run, d *dict, _ []any) (any, error) {
		keys, err := r.iterate(d)
		return &list{keys}, err
	},
	"values": func(r *run, d *dict, _ []any) (any, error) {
		l := &list{}
		for _, k := range d.keys {
			l.items = append(l.items, d.values[k])
		}
		return l, r.take(16 * len(d.keys))
	},
	"update": func(r *run, d *dict, args []any) (any, error) {
		if len(args) == 1 {
			if from, ok := args[0].(*dict); ok {
				for _, k := range from.keys {
					d.set(k, from.values[k])
				}
				return nil, r.take(16 * len(from.keys))
			}
		}
		return nil, cannot("update without a mapping")
	},
}

func items(r *run, d *dict) (any, error) {
	l := &list{}
	for _, k := range d.keys {
		l.items = append(l.items, &list{[]any{k, d.values[k]}})
	}
	return l, r.take(64 * len(d.keys))
}

var listMethods = map[string]func(*run, *list, []any) (any, error){
	"append": func(r *run, l *list, args []any) (any, error) {
		if len(args) != 1 {
			return nil, cannot("append of %d values", len(args))
		}
		l.items = append(l.items, args[0])
		return nil, r.take(16)
	},
	"pop": func(_ *run, l *list, args []any) (any, error) {
		i := argInt(args, 0, -1)
		if i < 0 {
			i += int64(len(l.items))
		}
		if i < 0 || i >= int64(len(l.items)) {
			return nil, cannot("pop from a list of %d", len(l.items))
		}
		v := l.items[i]
		l.items = slices.Delete(l.items, int(i), int(i)+1)
		return v, nil
	},
}

// textual wraps a function of a text alone.
func textual(f func(string) string) func(*run, string, []any) (any, error) {
	return func(r *run, s string, _ []any) (any, error) { return r.made(f(s)) }
}

// stripper wraps a trimming function that may be told what to trim.
func stripper(f func(s, cut string) string) func(*run, string, []any) (any, error) {
	return func(r *run, s string, args []any) (any, error) {
		cut := " \t\n\r\v\f"
		if len(args) > 0 {
			cut = argText(args, 0)
		}
		return r.made(f(s, cut))
	}
}

func title(s string) string {
	start := true
	return strings.Map(func(c rune) rune {
		up := start
		start = !unicode.IsLetter(c)
		if up {
			return unicode.ToUpper(c)
		}
		return unicode.ToLower(c)
	}, s)
}

func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(c)) + strings.ToLower(s[n:])
}

var textMethods = map[string]func(*run, string, []any) (any, error){
	"strip":      stripper(strings.Trim),
	"lstrip":     stripper(strings.TrimLeft),
	"rstrip":     stripper(strings.TrimRight),
	"upper":      textual(strings.ToUpper),
	"lower":      textual(strings.ToLower),
	"title":      textual(title),
	"capitalize": textual(capitalize),
	"startswith": func(_ *run, s string, args []any) (any, error) { return strings.HasPrefix(s, argText(args, 0)), nil },
	"endswith":   func(_ *run, s string, args []any) (any, error) { return strings.HasSuffix(s, argText(args, 0)), nil },
	"find": func(r *run, s string, args []any) (any, error) {
		i := strings.Index(s, argText(args, 0))
		return int64(utf8.RuneCountInString(s[:max(i, 0)])) + int64(min(i, 0)), r.take(len(s) / 16)
	},
	"count": func(r *run, s string, args []any) (any, error) {
		return int64(strings.Count(s, argText(args, 0))), r.take(len(s) / 16)
	},
	"replace": func(r *run, s string, args []any) (any, error) { return replace(r, s, args) },
	"split":   func(r *run, s string, args []any) (any, error) { return split(r, s, args) },
	"rsplit":  func(r *run, s string, args []any) (any, error) { return rsplit(r, s, args) },
	"join": func(r *run, s string, args []any) (any, error) {
		if len(args) == 0 {
			return nil, cannot("join of nothing")
		}
		return join(r, args[0], s)
	},
}

func replace(r *run, s string, args []any) (any, error) {
	if len(args) < 2 {
		return nil, cannot("replace needs two texts")
	}
	from, to := argText(args, 0), argText(args, 1)
	n := strings.Count(s, from)
	if limit := argInt(args, 2, -1); limit >= 0 {
		n = min(n, int(limit))
	}
	// Charged before it is made: the product may be huge.
	if len(to) > 0 && n > math.MaxInt32/len(to) {
		return nil, fmt.Errorf("%w: too much text", ErrBudget)
	}
	if err := r.take(len(s) + n*len(to)); err != nil {
		return nil, err
	}
	return strings.Replace(s, from, to, n), nil
}

func split(r *run, s string, args []any) (any, error) {
	if err := r.take(16 * len(s)); err != nil {
		return nil, err
	}
	var parts []string
	if separator := argText(args, 0); separator == "" {
		parts = strings.Fields(s)
	} else {
		n := argInt(args, 1, -1)
		if n >= 0 {
			n++
		}
		parts = strings.SplitN(s, separator, int(max(-1, min(n, math.MaxInt32))))
	}
	return texts(parts), nil
}

func rsplit(r *run, s string, args []any) (any, error) {
	separator, n := argText(args, 0), argInt(args, 1, -1)
	if separator == "" || n < 0 {
		return split(r, s, args[:min(1, len(args))])
	}
	if err := r.take(16 * len(s)); err != nil {
		return nil, err
	}
	var parts []string
	for ; n > 0; n-- {
		i := strings.LastIndex(s, separator)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(separator):])
		s = s[:i]
	}
	parts = append(parts, s)
	slices.Reverse(parts)
	return texts(parts), nil
}

func texts(parts []string) *list {
	l := &list{}
	for _, p := range parts {
		l.items = append(l.items, p)
	}
	return l
}

func join(r *run, v any, separator string) (any, error) {
	all, err := r.iterate(v)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, x := range all {
		s, err := r.str(x)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s = separator + s
		}
		if err := r.take(len(s)); err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}
