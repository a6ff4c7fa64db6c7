package grammar

import (
	"slices"
	"strconv"
)

// A property is a name that an object may or must have.
type property struct {
	name     string
	schema   any
	path     string
	required bool
}

// object is an object of a schema: its properties in order, or any keys where
// it lists none and does not forbid them.
func (s *schemas) object(o *object, path string, next int32) (int32, error) {
	list, err := s.properties(o, path)
	if err != nil {
		return 0, err
	}
	rest, given := o.values["additionalProperties"]
	if len(list) > 0 || rest == false {
		return s.listed(list, next)
	}
	if !given {
		rest = true
	}
	rule, err := s.rule(rest, path+"/additionalProperties")
	return s.mapping(rule, next), err
}

// properties lists what an object may have. A required name that is not among
// the properties has the schema of additional ones.
func (s *schemas) properties(o *object, path string) ([]property, error) {
	known, _ := o.values["properties"].(*object)
	if known == nil {
		if _, given := o.values["properties"]; given {
			return nil, s.wrong(path+"/properties", "it must be an object")
		}
		known = &object{}
	}
	var list []property
	for _, name := range known.keys {
		list = append(list, property{name: name, schema: known.values[name], path: path + "/properties/" + name})
	}
	required, ok := o.values["required"].([]any)
	if _, given := o.values["required"]; given && !ok {
		return nil, s.wrong(path+"/required", "it must be a list of names")
	}
	for _, v := range required {
		name, ok := v.(string)
		if !ok {
			return nil, s.wrong(path+"/required", "it must be a list of names")
		}
		i := slices.IndexFunc(list, func(p property) bool { return p.name == name })
		if i < 0 {
			rest, given := o.values["additionalProperties"]
			if rest == false {
				return nil, s.wrong(path+"/required", "%.80q is required and is not among the properties", name)
			}
			if !given {
				rest = true
			}
			i = len(list)
			list = append(list, property{name: name, schema: rest, path: path + "/additionalProperties"})
		}
		list[i].required = true
	}
	if len(list) > maxProperties {
		return nil, s.wrong(path+"/properties", "%d properties, at most %d can be held to", len(list), maxProperties)
	}
	return list, nil
}

// listed is an object with the properties of a list, in order.
func (s *schemas) listed(list []property, next int32) (int32, error) {
	end := s.literal("}", next)
	first, further := end, end // before any property, and after one
	for i := len(list) - 1; i >= 0; i-- {
		p := list[i]
		rule, err := s.rule(p.schema, p.path)
		if err != nil {
			return 0, err
		}
		pair := s.literal(quote(p.name), s.colon(s.call(rule, further)))
		f, n := pair, s.comma(pair)
		if !p.required {
			f, n = s.split(f, first), s.split(n, further)
		}
		first, further = f, n
	}
	return s.literal("{", first), nil
}

// maxHops bounds the references that are followed to tell schemas apart.
const maxHops = 16

// overlap finds two of a list of schemas that one value might be of; k is 0
// where there are none.
func (s *schemas) overlap(list []any, path string) (i, k int, err error) {
	for k := range list {
		for i := range k {
			if !s.apart(list[i], list[k]) {
				return i, k, nil
			}
		}
	}
	return 0, 0, nil
}

// apart tells whether it is plain that no value is of both schemas: they share
// no type and no constant, or differ in a property that both require.
func (s *schemas) apart(a, b any) bool {
	ka, err1 := s.kinds(a, 0)
	kb, err2 := s.kinds(b, 0)
	if err1 != nil || err2 != nil {
		return false
	}
	shared := slices.ContainsFunc(ka, func(k string) bool { return slices.Contains(kb, k) })
	if !shared && !(slices.Contains(ka, "integer") && slices.Contains(kb, "number")) && !(slices.Contains(ka, "number") && slices.Contains(kb, "integer")) {
		return true
	}
	oa, ob := s.deref(a), s.deref(b)
	if oa == nil || ob == nil {
		return false
	}
	if differ(oa, ob) {
		return true
	}
	if !slices.Equal(ka, []string{"object"}) || !slices.Equal(kb, []string{"object"}) {
		return false
	}
	la, err1 := s.properties(oa, "")
	lb, err2 := s.properties(ob, "")
	if err1 != nil || err2 != nil {
		return false
	}
	for _, p := range la {
		i := slices.IndexFunc(lb, func(q property) bool { return q.name == p.name })
		if i < 0 || !p.required || !lb[i].required {
			continue
		}
		if pa, pb := s.deref(p.schema), s.deref(lb[i].schema); pa != nil && pb != nil && differ(pa, pb) {
			return true
		}
	}
	return false
}

// differ tells whether two schemas list constants of which none is the same.
func differ(a, b *object) bool {
	ca, cb := constantsOf(a), constantsOf(b)
	return len(ca) > 0 && len(cb) > 0 && !slices.ContainsFunc(ca, func(v string) bool { return slices.Contains(cb, v) })
}

// constantsOf spells a schema's constants; numbers may be equal in two
// spellings, so there are none where one is a number.
func constantsOf(o *object) (out []string) {
	list, _ := o.values["enum"].([]any)
	if v, ok := o.values["const"]; ok {
		list = []any{v}
	}
	for _, v := range list {
		if k := kindOf(v); k == "number" || k == "integer" || k == "object" || k == "array" {
			return nil
		}
		out = append(out, write(v))
	}
	return out
}

// deref follows $ref, and returns nil for what is no object in the end.
func (s *schemas) deref(schema any) *object {
	for range maxHops {
		o, ok := schema.(*object)
		if !ok {
			return nil
		}
		ref, ok := o.values["$ref"].(string)
		if !ok {
			return o
		}
		var err error
		if schema, err = resolve(s.root, ref); err != nil {
			return nil
		}
	}
	return nil
}

// kinds returns the types that a value of a schema may have.
func (s *schemas) kinds(schema any, hops int) ([]string, error) {
	o := s.deref(schema)
	if o == nil || hops > maxHops {
		return everyKind, nil
	}
	for _, k := range []string{"anyOf", "oneOf", "allOf"} {
		list, ok := o.values[k].([]any)
		if !ok {
			continue
		}
		var out []string
		for i, one := range list {
			kinds, err := s.kinds(one, hops+1)
			if err != nil {
				return nil, s.wrong("/"+k+"/"+strconv.Itoa(i), "%v", err)
			}
			out = append(out, kinds...)
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	}
	if o.values["type"] == nil {
		list, _ := o.values["enum"].([]any)
		if v, ok := o.values["const"]; ok {
			list = []any{v}
		}
		var out []string
		for _, v := range list {
			out = append(out, kindOf(v))
		}
		if len(out) > 0 {
			slices.Sort(out)
			return slices.Compact(out), nil
		}
	}
	return s.kindsOf(o, "")
}
