package grammar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a schema.
const (
	maxProperties = 256
	maxBranches   = 128
	maxCount      = 1 << 16 // of items and characters
)

// schemas turns one document into nodes.
type schemas struct {
	*terminals
	tool  string
	root  any
	rules map[string]int32 // by what $ref says
}

func (s *schemas) wrong(path, format string, args ...any) error {
	return &SchemaError{Tool: s.tool, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// unhandled are the keywords that would say more about a value than the grammar
// can hold an answer to, with what to do instead.
var unhandled = map[string]string{
	"pattern": "describe the form in the description", "multipleOf": "use an enum",
	"uniqueItems": "leave it out", "contains": "leave it out", "prefixItems": "use an object",
	"minProperties": "use required", "maxProperties": "list the properties", "patternProperties": "list the properties", "propertyNames": "list the properties",
	"dependentRequired": "use anyOf", "dependentSchemas": "use anyOf", "dependencies": "use anyOf",
	"not": "leave it out", "if": "use anyOf", "then": "use anyOf", "else": "use anyOf",
	"unevaluatedItems": "leave it out", "unevaluatedProperties": "use additionalProperties",
	"$dynamicRef": "use $ref", "$recursiveRef": "use $ref",
}

// typed are the keywords that say something of values of a type.
var typed = map[string]string{
	"properties": "object", "required": "object", "additionalProperties": "object",
	"items": "array", "minItems": "array", "maxItems": "array",
	"minLength": "string", "maxLength": "string",
	"minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
}

// everyKind is what a schema without a type allows.
var everyKind = []string{"object", "array", "string", "number", "boolean", "null"}

// value is a value of a schema.
func (s *schemas) value(schema any, path string, next int32) (int32, error) {
	if whole, ok := schema.(bool); ok {
		if !whole {
			return 0, s.wrong(path, "false allows no value")
		}
		return s.call(s.anything(), next), nil
	}
	o, ok := schema.(*object)
	if !ok {
		return 0, s.wrong(path, "a schema is an object, or true; this is a JSON %s", kindOf(schema))
	}
	for _, k := range o.keys {
		if instead, ok := unhandled[k]; ok && o.values[k] != false {
			return 0, s.wrong(path+"/"+k, "%s cannot be held to; %s", k, instead)
		}
	}
	for _, k := range []string{"$ref", "allOf", "anyOf", "oneOf"} {
		if v, ok := o.values[k]; ok {
			return s.combined(o, k, v, path, next)
		}
	}
	if _, ok := o.values["const"]; ok {
		return s.constants(o, "const", []any{o.values["const"]}, path, next)
	}
	if v, ok := o.values["enum"]; ok {
		list, _ := v.([]any)
		if len(list) == 0 {
			return 0, s.wrong(path+"/enum", "it must be a list of at least one value")
		}
		return s.constants(o, "enum", list, path, next)
	}
	kinds, err := s.kindsOf(o, path)
	if err != nil {
		return 0, err
	}
	if slices.Equal(kinds, everyKind) {
		return s.call(s.anything(), next), nil
	}
	var outs []int32
	for _, kind := range kinds {
		at, err := s.ofKind(o, kind, path, next)
		if err != nil {
			return 0, err
		}
		outs = append(outs, at)
	}
	return s.split(outs...), nil
}

// rule makes a rule of a schema, so that it can be called from several places.
func (s *schemas) rule(schema any, path string) (int32, error) {
	rule := s.reserve()
	start, err := s.value(schema, path, s.add(node{op: opReturn}))
	s.graph.rules[rule] = start
	return rule, err
}

// combined is a schema that is made of others.
func (s *schemas) combined(o *object, keyword string, v any, path string, next int32) (int32, error) {
	for _, k := range o.keys {
		if _, also := typed[k]; also || k != keyword && slices.Contains([]string{"type", "enum", "const", "$ref", "allOf", "anyOf", "oneOf"}, k) {
			return 0, s.wrong(path, "%s cannot stand beside %s; put one into the other", k, keyword)
		}
	}
	at := path + "/" + keyword
	if keyword == "$ref" {
		return s.reference(v, at, next)
	}
	list, _ := v.([]any)
	switch {
	case len(list) == 0 || len(list) > maxBranches:
		return 0, s.wrong(at, "it must be a list of 1 to %d schemas", maxBranches)
	case keyword == "allOf" && len(list) > 1:
		return 0, s.wrong(at, "allOf of %d schemas cannot be held to; write them as one", len(list))
	case keyword == "oneOf":
		if i, k, err := s.overlap(list, at); err != nil {
			return 0, err
		} else if k > 0 {
			return 0, s.wrong(at, "a value may be of both alternatives %d and %d; use anyOf, or give them a required property with different constants", i, k)
		}
	}
	outs := make([]int32, len(list))
	for i, one := range list {
		var err error
		if outs[i], err = s.value(one, at+"/"+strconv.Itoa(i), next); err != nil {
			return 0, err
		}
	}
	return s.split(outs...), nil
}

func (s *schemas) reference(v any, path string, next int32) (int32, error) {
	ref, ok := v.(string)
	if !ok {
		return 0, s.wrong(path, "it must be a string")
	}
	if rule, ok := s.rules[ref]; ok {
		return s.call(rule, next), nil
	}
	schema, err := resolve(s.root, ref)
	if err != nil {
		return 0, s.wrong(path, "%v", err)
	}
	rule := s.reserve()
	s.rules[ref] = rule // before its schema, which may refer to it
	start, err := s.value(schema, strings.TrimPrefix(ref, "#"), s.add(node{op: opReturn}))
	s.graph.rules[rule] = start
	return s.call(rule, next), err
}

// constants is one of some values, of those that have the right type.
func (s *schemas) constants(o *object, keyword string, list []any, path string, next int32) (int32, error) {
	kinds := everyKind
	if o.values["type"] != nil {
		var err error
		if kinds, err = s.kindsOf(o, path); err != nil {
			return 0, err
		}
	}
	for _, k := range o.keys {
		if _, also := typed[k]; also || keyword == "const" && k == "enum" {
			return 0, s.wrong(path, "%s cannot stand beside %s; leave it out", k, keyword)
		}
	}
	var texts []string
	for _, v := range list {
		kind := kindOf(v)
		if slices.Contains(kinds, kind) || kind == "integer" && slices.Contains(kinds, "number") {
			texts = append(texts, write(v))
		}
	}
	if len(texts) == 0 {
		return 0, s.wrong(path+"/"+keyword, "no value of it is of type %s", strings.Join(kinds, " or "))
	}
	return s.oneOf(texts, next), nil
}

// kindsOf returns the types that a schema allows, without doubles.
func (s *schemas) kindsOf(o *object, path string) ([]string, error) {
	var kinds []string
	switch v := o.values["type"].(type) {
	case nil:
		for _, k := range o.keys {
			if kind, ok := typed[k]; ok && !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
		if len(kinds) == 0 {
			return everyKind, nil
		}
		return kinds, nil
	case string:
		kinds = []string{v}
	case []any:
		for _, k := range v {
			kind, _ := k.(string)
			kinds = append(kinds, kind)
		}
	}
	if slices.Contains(kinds, "number") {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "integer" })
	}
	for i, k := range kinds {
		if k != "integer" && !slices.Contains(everyKind, k) || slices.Contains(kinds[:i], k) {
			return nil, s.wrong(path+"/type", "%.40q is unknown or there twice; object, array, string, number, integer, boolean and null are types", k)
		}
	}
	if len(kinds) == 0 {
		return nil, s.wrong(path+"/type", "it must be a type or a list of types")
	}
	return kinds, nil
}

// ofKind is a value of one type.
func (s *schemas) ofKind(o *object, kind, path string, next int32) (int32, error) {
	switch kind {
	case "object":
		return s.object(o, path, next)
	case "array":
		return s.array(o, path, next)
	case "string":
		least, most, err := s.counts(o, "minLength", "maxLength", path)
		return s.text(least, most, next), err
	case "integer":
		return s.integers(o, path, next)
	case "number":
		return s.numbers(o, path, next)
	case "boolean":
		return s.split(s.literal("true", next), s.literal("false", next)), nil
	default:
		return s.literal("null", next), nil
	}
}

func (s *schemas) array(o *object, path string, next int32) (int32, error) {
	least, most, err := s.counts(o, "minItems", "maxItems", path)
	if err != nil {
		return 0, err
	}
	items, given := o.values["items"]
	if !given {
		items = true
	}
	if most == 0 {
		return s.literal("[]", next), nil
	}
	rule, err := s.rule(items, path+"/items")
	if err != nil {
		return 0, err
	}
	return s.list("[", "]", rule, least, most, next), nil
}

// counts reads a least and a most number; most is −1 where there is none.
func (s *schemas) counts(o *object, low, high, path string) (least, most int32, err error) {
	most = -1
	for _, k := range []string{low, high} {
		v, given := o.values[k]
		if !given {
			continue
		}
		number, _ := v.(json.Number)
		n, err := strconv.ParseFloat(string(number), 64)
		if err != nil || n != float64(int32(n)) || n < 0 || n > maxCount {
			return 0, 0, s.wrong(path+"/"+k, "%v is no whole number from 0 to %d", v, maxCount)
		}
		if k == low {
			least = int32(n)
		} else {
			most = int32(n)
		}
	}
	if most >= 0 && least > most {
		return 0, 0, s.wrong(path, "%s is %d and %s is %d", low, least, high, most)
	}
	return least, most, nil
}
