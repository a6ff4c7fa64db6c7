package grammar

import "slices"

// Digits of a number: what float64 and int64 hold.
const maxDigits = 15

// terminals are the rules that all schemas share, each made when first used.
type terminals struct {
	graph
	shared map[string]int32
}

// share returns the rule of a name, and defines it by body the first time.
func (t *terminals) share(name string, body func(end int32) int32) int32 {
	rule, ok := t.shared[name]
	if !ok {
		rule = t.reserve()
		t.shared[name] = rule // before the body, which may use it
		t.rules[rule] = body(t.add(node{op: opReturn}))
	}
	return rule
}

// character is one character of a string: raw, or escaped. Surrogates are
// neither, so that one is one for everybody who counts.
func (t *terminals) character() int32 {
	return t.share("character", func(end int32) int32 {
		more := func(next int32) int32 { return t.bytes(bytes(0x80, 0xBF), next) }
		one := more(end)
		two := more(one)
		hex := bytes('0', '9', 'a', 'f', 'A', 'F')
		h1 := t.bytes(hex, end)
		h2 := t.bytes(hex, h1)
		h3 := t.bytes(hex, h2)
		unicode := t.literal("u", t.split(
			t.bytes(bytes('0', '9', 'a', 'c', 'A', 'C', 'e', 'f', 'E', 'F'), h3),
			t.bytes(bytes('d', 'd', 'D', 'D'), t.bytes(bytes('0', '7'), h2)),
		))
		return t.split(
			t.bytes(bytes(0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7F), end),
			t.bytes(bytes(0xC2, 0xDF), one),
			t.bytes(bytes(0xE0, 0xE0), t.bytes(bytes(0xA0, 0xBF), one)),
			t.bytes(bytes(0xE1, 0xEC, 0xEE, 0xEF), two),
			t.bytes(bytes(0xED, 0xED), t.bytes(bytes(0x80, 0x9F), one)),
			t.bytes(bytes(0xF0, 0xF0), t.bytes(bytes(0x90, 0xBF), two)),
			t.bytes(bytes(0xF1, 0xF3), more(two)),
			t.bytes(bytes(0xF4, 0xF4), t.bytes(bytes(0x80, 0x8F), two)),
			t.literal(`\`, t.split(t.bytes(bytes('"', '"', '\\', '\\', '/', '/', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'), end), unicode)),
		)
	})
}

// text is a string of least to most characters; most below 0 means any number.
func (t *terminals) text(least, most, next int32) int32 {
	if least == 0 && most < 0 {
		return t.call(t.share("string", func(end int32) int32 {
			return t.literal(`"`, t.repeat(t.character(), 0, -1, t.literal(`"`, end)))
		}), next)
	}
	return t.literal(`"`, t.repeat(t.character(), least, most, t.literal(`"`, next)))
}

// digits is least to maxDigits digits.
func (t *terminals) digits(least, most int, next int32) int32 {
	at := next
	for i := most; i > 0; i-- {
		more := t.bytes(bytes('0', '9'), at)
		if i > least {
			at = t.split(more, next)
		} else {
			at = more
		}
	}
	return at
}

// integer is a whole number.
func (t *terminals) integer(next int32) int32 {
	return t.call(t.share("integer", func(end int32) int32 {
		size := t.split(t.literal("0", end), t.bytes(bytes('1', '9'), t.digits(0, maxDigits-1, end)))
		// Not −0, which is no integer to everybody.
		return t.split(size, t.literal("-", t.bytes(bytes('1', '9'), t.digits(0, maxDigits-1, end))))
	}), next)
}

// number is any number.
func (t *terminals) number(next int32) int32 {
	return t.call(t.share("number", func(end int32) int32 {
		size := t.magnitude(end)
		return t.split(size, t.literal("-", size))
	}), next)
}

// magnitude is a number without a sign.
func (t *terminals) magnitude(end int32) int32 {
	power := t.bytes(bytes('e', 'e', 'E', 'E'), t.split(
		t.digits(1, 2, end),
		t.bytes(bytes('+', '+', '-', '-'), t.digits(1, 2, end)),
	))
	tail := t.split(end, power)
	tail = t.split(tail, t.literal(".", t.digits(1, maxDigits, tail)))
	return t.split(t.literal("0", tail), t.bytes(bytes('1', '9'), t.digits(0, maxDigits-1, tail)))
}

// colon and comma are what separates; one space may follow.
func (t *terminals) colon(next int32) int32 { return t.literal(":", t.maybe(" ", next)) }
func (t *terminals) comma(next int32) int32 { return t.literal(",", t.maybe(" ", next)) }

// list is least to most of rule, between brackets; most below 0 means any number.
func (t *terminals) list(opening, closing string, rule, least, most, next int32) int32 {
	end := t.literal(closing, next)
	if most == 0 {
		return t.literal(opening, end)
	}
	if most > 0 {
		most--
	}
	further := t.define(func(end int32) int32 { return t.comma(t.call(rule, end)) })
	first := t.call(rule, t.repeat(further, max(least-1, 0), most, end))
	if least == 0 {
		first = t.split(first, end)
	}
	return t.literal(opening, first)
}

// mapping is an object with any keys and values of rule.
func (t *terminals) mapping(rule, next int32) int32 {
	pair := t.define(func(end int32) int32 { return t.text(0, -1, t.colon(t.call(rule, end))) })
	return t.list("{", "}", pair, 0, -1, next)
}

// anything is any JSON value.
func (t *terminals) anything() int32 {
	return t.share("anything", func(end int32) int32 {
		return t.split(t.call(t.anyObject(), end), t.call(t.anyArray(), end), t.text(0, -1, end), t.number(end),
			t.literal("true", end), t.literal("false", end), t.literal("null", end))
	})
}

func (t *terminals) anyObject() int32 {
	return t.share("object", func(end int32) int32 { return t.mapping(t.anything(), end) })
}

func (t *terminals) anyArray() int32 {
	return t.share("array", func(end int32) int32 { return t.list("[", "]", t.anything(), 0, -1, end) })
}

// oneOf is one of some texts, of which those that begin alike share nodes.
func (t *terminals) oneOf(texts []string, next int32) int32 {
	slices.Sort(texts)
	return t.fork(slices.Compact(texts), 0, next)
}

// fork goes on with texts, which are sorted and alike in their first at bytes.
func (t *terminals) fork(texts []string, at int, next int32) int32 {
	var outs []int32
	if len(texts[0]) == at {
		outs = append(outs, next)
		texts = texts[1:]
	}
	if len(texts) == 1 && len(outs) == 0 {
		return t.literal(texts[0][at:], next)
	}
	for len(texts) > 0 {
		n := 1
		for n < len(texts) && texts[n][at] == texts[0][at] {
			n++
		}
		outs = append(outs, t.bytes(bytes(texts[0][at], texts[0][at]), t.fork(texts[:n], at+1, next)))
		texts = texts[n:]
	}
	return t.split(outs...)
}
