package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// FromJSON reads a JSON value for Render's globals, with the keys of mappings in
// their order, and every text as text returns it.
func FromJSON(b []byte, text func(string) string) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return fromJSON(d, text, 0)
}

func fromJSON(d *json.Decoder, text func(string) string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: JSON nested deeper than %d", ErrBudget, maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return listFromJSON(d, text, depth)
		}
		return dictFromJSON(d, text, depth)
	case string:
		return text(t), nil
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n, nil
		}
		f, err := t.Float64()
		return f, err
	default:
		return t, nil
	}
}

func listFromJSON(d *json.Decoder, text func(string) string, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := fromJSON(d, text, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return inner(out), err
}

func dictFromJSON(d *json.Decoder, text func(string) string, depth int) (any, error) {
	out := newDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		v, err := fromJSON(d, text, depth+1)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string) // the decoder lets nothing else through
		out.set(text(name), v)
	}
	_, err := d.Token()
	return out, err
}
