// Package jinja renders the chat templates that model files carry.
//
// They are programs in the language of Jinja2, and they come from strangers.
// So this is an interpreter of the part of the language that chat templates
// use, with a budget: every step and every byte made is counted, nothing
// reaches files, clocks or the network, and the same input gives the same
// output on every machine. Blocks are trimmed as the transformers library sets
// it (trim_blocks and lstrip_blocks).
//
// Start at [Parse] and [Template.Render].
package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that callers test for.
var (
	ErrSyntax = errors.New("jinja: not a template that can be read")
	ErrBudget = errors.New("jinja: the template takes too long or makes too much")
	ErrRaised = errors.New("jinja: the template refuses the conversation")
	errValue  = errors.New("jinja: cannot evaluate")
)

// Limits on a template's text and on what it may do.
const (
	maxSource = 1 << 18
	maxDepth  = 64
)

// Budget bounds one rendering. The zero value means the defaults.
type Budget struct {
	Steps int // expressions and statements evaluated; 0 means 500,000
	Bytes int // bytes of text made, intermediate ones too; 0 means 32 MiB
}

// A Template is a parsed template. It does not change and may be rendered from
// many goroutines.
type Template struct {
	body []statement
}

// Parse reads a template. Its errors wrap ErrSyntax.
func Parse(source string) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrSyntax, len(source), maxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, err := p.block()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != end {
		return nil, p.fail("unexpected %q", p.peek().text)
	}
	return &Template{body}, nil
}

// Render runs the template on globals, whose values are nil, bools, int64s,
// float64s, strings, []any and map[string]any. Its errors wrap ErrBudget,
// ErrRaised, or tell what could not be evaluated.
func (t *Template) Render(globals map[string]any, b Budget) (string, error) {
	r := &run{steps: b.Steps, bytes: b.Bytes}
	if r.steps == 0 {
		r.steps = 500_000
	}
	if r.bytes == 0 {
		r.bytes = 32 << 20
	}
	top := &scope{names: builtins(r)}
	for name, v := range globals {
		top.names[name] = inner(v)
	}
	r.scope = &scope{names: map[string]any{}, outer: top}
	var out strings.Builder
	r.out = &out
	if err := r.all(t.body); err != nil {
		return "", err
	}
	return out.String(), nil
}

// run is one rendering.
type run struct {
	steps, bytes int
	depth        int
	scope        *scope
	out          *strings.Builder
}

// scope holds names; an inner scope hides an outer one's.
type scope struct {
	names map[string]any
	outer *scope
}

func (s *scope) get(name string) any {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	return undefined{name}
}

// step takes one step of the budget.
func (r *run) step() error {
	if r.steps--; r.steps < 0 {
		return fmt.Errorf("%w: too many steps", ErrBudget)
	}
	return nil
}

// turnSteps is what one turn of a loop costs: it makes a scope.
const turnSteps = 5

// take takes n bytes of the budget.
func (r *run) take(n int) error {
	if r.bytes -= n; r.bytes < 0 || n < 0 {
		return fmt.Errorf("%w: too much text", ErrBudget)
	}
	return nil
}

// made charges for a text that an expression made.
func (r *run) made(s string) (any, error) {
	if err := r.take(len(s)); err != nil {
		return nil, err
	}
	return s, nil
}

// inside runs f in a scope of its own, one level deeper.
func (r *run) inside(s *scope, f func() error) error {
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrBudget, maxDepth)
	}
	kept := r.scope
	r.scope = s
	err := f()
	r.scope = kept
	r.depth--
	return err
}
