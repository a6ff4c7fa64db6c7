package jinja

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
