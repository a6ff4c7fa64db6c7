package grammar

import (
	"fmt"
	"slices"

	"github.com/plexus-network/plexus/engine"
)

// A Grammar is a compiled constraint. It does not change.
type Grammar struct {
	nodes   []node
	rules   []int32
	start   int32
	class   [256]uint8 // of each byte: bytes of one class are never told apart
	classes int
}

// A SchemaError says which part of a schema cannot be honoured.
type SchemaError struct {
	Tool   string // whose parameters the schema is; "" for the answer's
	Path   string // a JSON pointer; "" is the whole schema
	Reason string
}

func (e *SchemaError) Error() string {
	of := "the schema"
	if e.Tool != "" {
		of = "the parameters of " + e.Tool
	}
	if e.Path != "" {
		of += " at " + e.Path
	}
	return of + ": " + e.Reason
}

// Compile reads a constraint, which must not be zero; Within is left to
// Machine.Begin. Its errors wrap
// engine.ErrRequest and, where a schema is at fault, a *SchemaError.
func Compile(c engine.Constraint) (*Grammar, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.IsZero() {
		return nil, fmt.Errorf("%w: a constraint that binds nothing", engine.ErrRequest)
	}
	t := &terminals{shared: map[string]int32{}}
	g, err := build(t, c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	return g, nil
}

func build(t *terminals, c engine.Constraint) (*Grammar, error) {
	end := t.add(node{op: opAccept})
	var starts []int32
	if len(c.Tools) > 0 {
		calls, err := t.toolCalls(c, end)
		if err != nil {
			return nil, err
		}
		if c.Form == engine.FreeText && c.Choice == engine.ToolsAuto && c.Only == "" {
			starts = append(starts, t.freeText(calls, end))
		} else {
			starts = append(starts, t.literal(CallBegin, calls))
		}
	}
	if c.Choice == engine.ToolsAuto && c.Only == "" {
		switch c.Form {
		case engine.JSONObject:
			starts = append(starts, t.call(t.anyObject(), end))
		case engine.JSONSchema:
			start, err := t.schema("", c.Schema, end)
			if err != nil {
				return nil, err
			}
			starts = append(starts, start)
		case engine.FreeText:
		}
	}
	return t.finish(t.split(starts...))
}

// finish checks that the grammar can be run.
func (t *terminals) finish(start int32) (*Grammar, error) {
	if t.full {
		return nil, &SchemaError{Reason: fmt.Sprintf("it takes more than %d states; make it smaller", maxNodes)}
	}
	if t.endless() >= 0 {
		return nil, &SchemaError{Reason: "a $ref leads back to itself without anything in between"}
	}
	t.measure()
	if t.nodes[start].need > maxDepth {
		return nil, &SchemaError{Reason: fmt.Sprintf("no value of it ends within %d levels: a property that refers back must be optional or may be null", maxDepth/3)}
	}
	g := &Grammar{nodes: t.nodes, rules: t.rules, start: start}
	g.classify()
	return g, nil
}

// classify sorts bytes into classes.
func (g *Grammar) classify() {
	g.classes = 1
	seen := map[byteSet]bool{}
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.op != opByte || seen[n.set] {
			continue
		}
		seen[n.set] = true
		in := map[uint8]uint8{} // class of bytes inside of the set, by the class before
		out := map[uint8]bool{} // classes that have bytes outside
		for b := range 256 {
			if !n.set.has(byte(b)) {
				out[g.class[b]] = true
			}
		}
		for b := range 256 {
			if c := g.class[b]; n.set.has(byte(b)) && out[c] {
				if _, ok := in[c]; !ok {
					in[c] = uint8(g.classes)
					g.classes++
				}
				g.class[b] = in[c]
			}
		}
	}
}

// freeText is text up to a call, or to the end.
func (t *terminals) freeText(calls, end int32) int32 {
	n := int32(len(CallBegin))
	first := int32(len(t.nodes))
	for range n { // node first+i has read i bytes of CallBegin
		t.add(node{op: opSplit})
	}
	for i := range n {
		next := first + i + 1
		if i+1 == n {
			next = calls
		}
		// Only the first byte of CallBegin is a bracket that opens.
		own, open, other := CallBegin[i], CallBegin[0], byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		for _, b := range []byte{own, open} {
			other[b>>6] &^= 1 << (b & 63)
		}
		outs := []int32{end, t.bytes(bytes(own, own), next), t.bytes(other, first)}
		if own != open {
			outs = append(outs, t.bytes(bytes(open, open), first+1))
		}
		if !t.full {
			t.nodes[first+i].outs = outs
		}
	}
	return first
}

// toolCalls is what follows the first CallBegin.
func (t *terminals) toolCalls(c engine.Constraint, end int32) (int32, error) {
	call := t.reserve()
	closing := t.maybe("\n", t.literal(CallEnd, t.add(node{op: opReturn})))
	var outs []int32
	for _, tool := range c.Tools {
		if c.Only != "" && tool.Name != c.Only {
			continue
		}
		arguments, err := t.parameters(tool, t.literal("}", closing))
		if err != nil {
			return 0, err
		}
		outs = append(outs, t.literal(quote(tool.Name), t.comma(t.literal(`"arguments"`, t.colon(arguments)))))
	}
	t.rules[call] = t.maybe("\n", t.literal(`{"name"`, t.colon(t.split(outs...))))
	if c.Single {
		return t.call(call, end), nil
	}
	further := t.define(func(end int32) int32 { return t.maybe("\n", t.literal(CallBegin, t.call(call, end))) })
	return t.call(call, t.repeat(further, 0, maxCalls-1, end)), nil
}

// parameters is the arguments of a tool.
func (t *terminals) parameters(tool engine.Tool, next int32) (int32, error) {
	if len(tool.Parameters) == 0 {
		return t.literal("{}", next), nil
	}
	return t.schema(tool.Name, tool.Parameters, next)
}

// schema is JSON of a schema; tool is whose parameters it is, if any.
func (t *terminals) schema(tool string, source []byte, next int32) (int32, error) {
	root, err := read(source)
	if err != nil {
		return 0, &SchemaError{Tool: tool, Reason: err.Error()}
	}
	s := &schemas{terminals: t, tool: tool, root: root, rules: map[string]int32{}}
	if tool != "" {
		if kinds, err := s.kinds(root, 0); err != nil || !slices.Equal(kinds, []string{"object"}) {
			return 0, s.wrong("", "it must be of type object")
		}
	}
	return s.value(root, "", next)
}
