package grammar

import (
	stdbytes "bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxNesting bounds the brackets of a schema, one in another.
const maxNesting = 48

// An object is a JSON object whose keys stay in order. The other values are
// []any, string, json.Number, bool and nil.
type object struct {
	keys   []string
	values map[string]any
}

// read parses one JSON value.
func read(b []byte) (any, error) {
	d := json.NewDecoder(stdbytes.NewReader(b))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch t {
	case json.Delim('{'):
		return readObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		if _, err := d.Token(); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		return list, nil
	}
	return t, nil
}

func readObject(d *json.Decoder, depth int) (any, error) {
	o := &object{values: map[string]any{}}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		key, _ := t.(string) // the decoder lets nothing else through
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := o.values[key]; !twice {
			o.keys = append(o.keys, key)
		}
		o.values[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return o, nil
}

// write is the one way in which a constant is spelled: compact, with the
// escapes that JSON must have and no others.
func write(v any) string {
	var b strings.Builder
	switch v := v.(type) {
	case *object:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(k) + ":" + write(v.values[k]))
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(write(e))
		}
		b.WriteByte(']')
	case string:
		return quote(v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	default:
		return "null"
	}
	return b.String()
}

func quote(s string) string {
	var b stdbytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// kindOf names a value's JSON type.
func kindOf(v any) string {
	switch v := v.(type) {
	case *object:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	case bool:
		return "boolean"
	default:
		return "null"
	}
}

// resolve finds what a $ref within its document points to.
func resolve(root any, ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, fmt.Errorf("it points to %.100q outside of the schema; only # and what begins with #/ is followed", ref)
	}
	v := root
	for i, part := range strings.Split(pointer, "/") {
		if i == 0 {
			if part != "" {
				return nil, fmt.Errorf("it names an anchor %.100q; only # and what begins with #/ is followed", ref)
			}
			continue
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		found := false
		switch at := v.(type) {
		case *object:
			v, found = at.values[part]
		case []any:
			n, err := strconv.Atoi(part)
			if found = err == nil && n >= 0 && n < len(at); found {
				v = at[n]
			}
		}
		if !found {
			return nil, fmt.Errorf("it points to %.100q, which is not there", ref)
		}
	}
	return v, nil
}
