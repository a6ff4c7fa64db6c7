package jinja

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

type filter = func(r *run, v any, args []any, named map[string]any) (any, error)

// onText makes a filter of a text's method.
func onText(name string) filter {
	f := textMethods[name]
	return func(r *run, v any, args []any, _ map[string]any) (any, error) {
		s, err := r.str(v)
		if err != nil {
			return nil, err
		}
		return f(r, s, args)
	}
}

// onItems makes a filter of a function of a list's items.
func onItems(f func(items []any) any) filter {
	return func(r *run, v any, _ []any, _ map[string]any) (any, error) {
		all, err := r.iterate(v)
		if err != nil {
			return nil, err
		}
		return f(all), r.take(16 * len(all))
	}
}

func same(_ *run, v any, _ []any, _ map[string]any) (any, error) { return v, nil }

// filterNamed finds a filter. map stands apart because it finds others itself.
func filterNamed(name string) filter {
	if name == "map" {
		return mapItems
	}
	return filters[name]
}

var filters = map[string]filter{
	"trim": onText("strip"), "upper": onText("upper"), "lower": onText("lower"), "title": onText("title"),
	"capitalize": onText("capitalize"), "replace": onText("replace"), "split": onText("split"),
	"safe": same, "e": same, "escape": same,
	"length": length, "count": length,
	"default": defaultTo, "d": defaultTo,
	"tojson": toJSON,
	"string": func(r *run, v any, _ []any, _ map[string]any) (any, error) { return r.str(v) },
	"int":    toInt,
	"float": func(r *run, v any, _ []any, _ map[string]any) (any, error) {
		if f, ok := asFloat(v); ok {
			return f, nil
		}
		f, _ := strconv.ParseFloat(argText([]any{v}, 0), 64)
		return f, nil
	},
	"abs": func(_ *run, v any, _ []any, _ map[string]any) (any, error) {
		if n, ok := asInt(v); ok {
			return max(n, -n), nil
		}
		f, ok := asFloat(v)
		if !ok {
			return nil, cannot("of %s", typeName(v))
		}
		return math.Abs(f), nil
	},
	"join": func(r *run, v any, args []any, _ map[string]any) (any, error) { return join(r, v, argText(args, 0)) },
	"list": onItems(func(all []any) any { return &list{slices.Clone(all)} }),
	"first": onItems(func(all []any) any {
		if len(all) == 0 {
			return undefined{}
		}
		return all[0]
	}),
	"last": onItems(func(all []any) any {
		if len(all) == 0 {
			return undefined{}
		}
		return all[len(all)-1]
	}),
	"reverse": onItems(func(all []any) any {
		out := slices.Clone(all)
		slices.Reverse(out)
		return &list{out}
	}),
	"items": func(r *run, v any, _ []any, _ map[string]any) (any, error) {
		d, ok := v.(*dict)
		if !ok {
			return nil, cannot("of %s", typeName(v))
		}
		return items(r, d)
	},
	"dictsort": func(r *run, v any, _ []any, _ map[string]any) (any, error) {
		d, ok := v.(*dict)
		if !ok {
			return nil, cannot("of %s", typeName(v))
		}
		sorted := &dict{keys: slices.Sorted(slices.Values(d.keys)), values: d.values}
		return items(r, sorted)
	},
	"sort": sorted, "unique": unique, "indent": indent,
	"selectattr": selector(true, true), "rejectattr": selector(true, false),
	"select": selector(false, true), "reject": selector(false, false),
}

func length(r *run, v any, _ []any, _ map[string]any) (any, error) {
	if s, ok := v.(string); ok {
		return int64(utf8.RuneCountInString(s)), r.take(len(s) / 16)
	}
	all, err := r.iterate(v)
	return int64(len(all)), err
}

func defaultTo(_ *run, v any, args []any, named map[string]any) (any, error) {
	also := len(args) > 1 && truth(args[1]) || truth(named["boolean"])
	if _, missing := v.(undefined); !missing && (!also || truth(v)) {
		return v, nil
	}
	if len(args) > 0 {
		return args[0], nil
	}
	return "", nil
}

func toJSON(r *run, v any, args []any, named map[string]any) (any, error) {
	n := argInt(args, 0, argInt([]any{named["indent"]}, 0, 0))
	var b strings.Builder
	if err := r.json(&b, v, strings.Repeat(" ", int(max(0, min(n, 16)))), 0); err != nil {
		return nil, err
	}
	return r.made(b.String())
}

func toInt(_ *run, v any, _ []any, _ map[string]any) (any, error) {
	switch v := v.(type) {
	case float64:
		return int64(v), nil
	case string:
		n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, nil
	}
	n, _ := asInt(v)
	return n, nil
}

func sorted(r *run, v any, _ []any, named map[string]any) (any, error) {
	all, err := r.iterate(v)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(all)
	key := func(x any) any {
		if name, ok := named["attribute"].(string); ok {
			if d, ok := x.(*dict); ok {
				return d.values[name]
			}
		}
		return x
	}
	slices.SortStableFunc(out, func(a, b any) int {
		a, b = key(a), key(b)
		x, ok1 := a.(string)
		y, ok2 := b.(string)
		if ok1 && ok2 {
			return cmp.Compare(x, y)
		}
		f, _ := asFloat(a)
		g, _ := asFloat(b)
		return cmp.Compare(f, g)
	})
	if truth(named["reverse"]) {
		slices.Reverse(out)
	}
	return &list{out}, r.take(16 * len(out))
}

func unique(r *run, v any, _ []any, _ map[string]any) (any, error) {
	all, err := r.iterate(v)
	if err != nil {
		return nil, err
	}
	out := &list{}
	for _, x := range all {
		found, err := r.contains(out, x)
		if err != nil {
			return nil, err
		}
		if !found {
			out.items = append(out.items, x)
		}
	}
	return out, nil
}

func indent(r *run, v any, args []any, named map[string]any) (any, error) {
	s, err := r.str(v)
	if err != nil {
		return nil, err
	}
	pad := strings.Repeat(" ", int(max(0, min(argInt(args, 0, 4), 64))))
	if err := r.take(len(s) + len(pad)*strings.Count(s, "\n")); err != nil {
		return nil, err
	}
	out := strings.ReplaceAll(s, "\n", "\n"+pad)
	if len(args) > 1 && truth(args[1]) || truth(named["first"]) {
		out = pad + out
	}
	return out, nil
}

// mapItems is map("filter") or map(attribute="name").
func mapItems(r *run, v any, args []any, named map[string]any) (any, error) {
	all, err := r.iterate(v)
	if err != nil {
		return nil, err
	}
	out := &list{}
	for _, x := range all {
		if err := r.step(); err != nil {
			return nil, err
		}
		var y any
		if name, ok := named["attribute"]; ok {
			y, err = r.member(x, name)
		} else if f := filters[argText(args, 0)]; f != nil {
			y, err = f(r, x, args[1:], nil)
		} else {
			err = cannot("the filter %q is not known", argText(args, 0))
		}
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, y)
	}
	return out, nil
}

// selector makes select, reject, selectattr and rejectattr.
func selector(attribute, keep bool) filter {
	return func(r *run, v any, args []any, _ map[string]any) (any, error) {
		all, err := r.iterate(v)
		if err != nil {
			return nil, err
		}
		out := &list{}
		for _, x := range all {
			ok, err := r.selected(x, args, attribute)
			if err != nil {
				return nil, err
			}
			if ok == keep {
				out.items = append(out.items, x)
			}
		}
		return out, nil
	}
}

func (r *run) selected(x any, args []any, attribute bool) (bool, error) {
	if err := r.step(); err != nil {
		return false, err
	}
	if attribute {
		if len(args) == 0 {
			return false, cannot("no attribute is named")
		}
		var err error
		if x, err = r.member(x, args[0]); err != nil {
			return false, err
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return truth(x), nil
	}
	f := tests[argText(args, 0)]
	if f == nil {
		return false, cannot("the test %q is not known", argText(args, 0))
	}
	return f(r, x, args[1:])
}

// withOperand lists the tests that take a value without parentheses.
var withOperand = map[string]bool{"in": true, "eq": true, "equalto": true, "ne": true, "sameas": true, "divisibleby": true}

func isType[T any](_ *run, v any, _ []any) (bool, error) {
	_, ok := v.(T)
	return ok, nil
}

var tests = map[string]func(r *run, v any, args []any) (bool, error){
	"defined": func(_ *run, v any, _ []any) (bool, error) {
		_, missing := v.(undefined)
		return !missing, nil
	},
	"undefined": isType[undefined],
	"none":      func(_ *run, v any, _ []any) (bool, error) { return v == nil, nil },
	"string":    isType[string],
	"mapping":   isType[*dict],
	"boolean":   isType[bool],
	"integer":   isType[int64],
	"float":     isType[float64],
	"callable":  isType[function],
	"true":      isTrue(true),
	"false":     isTrue(false),
	"number": func(_ *run, v any, _ []any) (bool, error) {
		_, isBool := v.(bool)
		_, ok := asFloat(v)
		return ok && !isBool, nil
	},
	"sequence": isSequence, "iterable": isSequence,
	"odd":  func(_ *run, v any, _ []any) (bool, error) { n, ok := asInt(v); return ok && n%2 != 0, nil },
	"even": func(_ *run, v any, _ []any) (bool, error) { n, ok := asInt(v); return ok && n%2 == 0, nil },
	"divisibleby": func(_ *run, v any, args []any) (bool, error) {
		n, ok := asInt(v)
		by := argInt(args, 0, 0)
		return ok && by != 0 && n%by == 0, nil
	},
	"eq": equalTo, "equalto": equalTo, "sameas": equalTo,
	"ne": func(r *run, v any, args []any) (bool, error) { ok, err := equalTo(r, v, args); return !ok, err },
	"in": func(r *run, v any, args []any) (bool, error) {
		if len(args) == 0 {
			return false, cannot("in nothing")
		}
		return r.contains(args[0], v)
	},
}

func isTrue(want bool) func(*run, any, []any) (bool, error) {
	return func(_ *run, v any, _ []any) (bool, error) { b, ok := v.(bool); return ok && b == want, nil }
}

func isSequence(_ *run, v any, _ []any) (bool, error) {
	switch v.(type) {
	case string, *list, *dict:
		return true, nil
	}
	return false, nil
}

func equalTo(r *run, v any, args []any) (bool, error) {
	if len(args) == 0 {
		return false, cannot("equal to nothing")
	}
	return r.equal(v, args[0])
}
