package jinja

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
