// Package sdl reads SDL, the files in which tenants say what to run, where, and
// for how much: versions 2.0 and 2.1 of Akash's language, by Akash's rules, so
// that a file means here what it means there and its manifest has one hash.
//
// Akash's parser drops what it does not know and stops at the first error with
// neither line nor reason. This one reports every fault with its line, column
// and path and says what to write instead, and warns of what has no effect.
// What it reads is hostile: size, depth and aliases are bounded before anything
// is made of them. Start at [Parse].
package sdl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
)

// SDL is what a file asks for.
type SDL struct {
	Version     string             // "2.0" or "2.1", whatever the spelling in the file
	Groups      []market.GroupSpec // what the chain stores, sorted by name
	Manifest    manifest.Manifest  // what the providers run, in the same order
	Reclamation market.Seconds     // the shortest notice before a provider may take its machine back; 0 means none was asked for
	Warnings    []Problem          // what has no effect or is likely not meant, in the order of the file
}

// Limits of a file: bytes, levels of nesting, and YAML nodes and bytes of text
// once every alias is written out.
const (
	MaxSize  = 256 << 10
	maxDepth = 32
	maxNodes = 20_000
	maxText  = 1 << 20
)

// Problem is a fault in a file, or a warning about it.
type Problem struct {
	Line   int    // from 1
	Column int    // from 1, in characters; 0 when only the line is known
	Path   string // where in the document, as in services.web.expose[0].to; "" means the whole
	Text   string // what is wrong and what to write
}

// String formats p as line:column: path: text, which editors jump to when a
// file's name stands before it.
func (p Problem) String() string {
	s := strconv.Itoa(p.Line) + ":"
	if p.Column > 0 {
		s += strconv.Itoa(p.Column) + ":"
	}
	if p.Path != "" {
		s += " " + p.Path + ":"
	}
	return s + " " + p.Text
}

// Error is why a file was refused: at least one problem, in the order of the
// file.
type Error struct {
	Problems []Problem
}

// Error formats one problem per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads a file. When it refuses, the error is an [*Error].
func Parse(src []byte) (*SDL, error) {
	if len(src) > MaxSize {
		return nil, refusal(1, fmt.Sprintf("the file has %d bytes, and at most %d are read", len(src), MaxSize))
	}
	root, err := decode(src)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	f := r.file(root)
	if len(r.problems) == 0 {
		r.check(f)
	}
	var out SDL
	if len(r.problems) == 0 {
		out = r.build(f, root)
	}
	if len(r.problems) > 0 {
		sortProblems(r.problems)
		return nil, &Error{r.problems}
	}
	sortProblems(r.warnings)
	out.Warnings = r.warnings
	return &out, nil
}

// decode parses the first document and bounds it.
func decode(src []byte) (node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return node{}, refusal(1, "the file is empty")
	case err != nil:
		return node{}, syntax(err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil && !empty(&second) {
		return node{}, refusal(second.Line, "a second document begins here; write one SDL per file")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return node{}, syntax(err)
	}
	if empty(&doc) {
		return node{}, refusal(1, "the file is empty")
	}
	budget := budget{nodes: maxNodes, text: maxText}
	if p := budget.spend(doc.Content[0], 0); p != nil {
		return node{}, &Error{[]Problem{*p}}
	}
	return at(doc.Content[0], ""), nil
}

// empty tells whether nothing is written in a document.
func empty(doc *yaml.Node) bool {
	return len(doc.Content) != 1 || at(doc.Content[0], "").null()
}

// budget is what a document may still cost.
type budget struct{ nodes, text int }

// spend walks y with its aliases written out and reports where the budget ends.
// A YAML of few bytes can stand for a terabyte; this stops after maxNodes steps.
func (b *budget) spend(y *yaml.Node, depth int) *Problem {
	b.nodes--
	b.text -= len(y.Value)
	refuse := func(format string, args ...any) *Problem {
		return &Problem{Line: y.Line, Column: y.Column, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case depth > maxDepth:
		return refuse("nested deeper than %d levels", maxDepth)
	case b.nodes < 0:
		return refuse("the document has more than %d values once its aliases are written out", maxNodes)
	case b.text < 0:
		return refuse("the document has more than %d bytes of text once its aliases are written out", maxText)
	}
	if y.Kind == yaml.AliasNode {
		return b.spend(y.Alias, depth+1)
	}
	for _, child := range y.Content {
		if p := b.spend(child, depth+1); p != nil {
			return p
		}
	}
	return nil
}

// refusal is an error about the whole file.
func refusal(line int, text string) error {
	return &Error{[]Problem{{Line: max(line, 1), Text: text}}}
}

// syntax turns the YAML library's "yaml: line 3: …" into a problem.
func syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, text = n, why
			}
		}
	}
	return refusal(line, "this is no YAML: "+text)
}

// sortProblems puts problems into the order of the file.
func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}
