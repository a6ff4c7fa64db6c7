package sdl

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxProblems is how many faults one file is told; the rest would not be read.
const maxProblems = 30

// A reader walks a document and notes what is wrong with it, so that a file's
// faults are told together. After the first, what it returns means nothing.
type reader struct {
	problems, warnings []Problem
}

// A node is a place in the document: its value, with aliases followed, and the
// position where it is written.
type node struct {
	*yaml.Node
	line, column int
	path         string
}

// at returns the place of y under path.
func at(y *yaml.Node, path string) node {
	n := node{y, y.Line, y.Column, path}
	for n.Kind == yaml.AliasNode {
		n.Node = n.Alias // ends: a cycle would have spent the budget
	}
	return n
}

// child returns the place of a map's value.
func (n node) child(key string, y *yaml.Node) node {
	if n.path == "" {
		return at(y, key)
	}
	return at(y, n.path+"."+key)
}

// null tells whether nothing is written there.
func (n node) null() bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (n node) problem(format string, args ...any) Problem {
	return Problem{Line: max(n.line, 1), Column: n.column, Path: n.path, Text: fmt.Sprintf(format, args...)}
}

// refuse notes a fault.
func (r *reader) refuse(n node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, n.problem(format, args...))
	}
}

// warn notes what has no effect or is likely not meant.
func (r *reader) warn(n node, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		r.warnings = append(r.warnings, n.problem(format, args...))
	}
}

// kind names what stands at n, for messages.
func (n node) kind() string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.null():
		return "nothing"
	}
	return "the text " + strconv.Quote(clip(n.Value))
}

// clip shortens what is quoted in a message.
func clip(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// A pair is an entry of a map.
type pair struct {
	key, value *yaml.Node
}

// pairs lists the entries of a map, with "<<" merged in, or refuses what is
// none. Every key is a text and stands once.
func (r *reader) pairs(n node) []pair {
	if n.null() {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(n, "a map is wanted here, not %s", n.kind())
		return nil
	}
	var own, merged []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := at(n.Content[i], n.path), n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, r.merged(at(value, n.path))...)
		case key.Kind != yaml.ScalarNode:
			r.refuse(key, "a key must be a text, not %s", key.kind())
		case seen[key.Value]:
			r.refuse(key, "the key %q stands twice in one map", clip(key.Value))
		default:
			seen[key.Value] = true
			own = append(own, pair{key.Node, value})
		}
	}
	for _, p := range merged {
		if !seen[p.key.Value] { // what is written here wins over what is merged
			seen[p.key.Value] = true
			own = append(own, p)
		}
	}
	return own
}

// merged lists what a "<<" brings in: the entries of a map, or of several.
func (r *reader) merged(n node) []pair {
	if n.Kind != yaml.SequenceNode {
		return r.pairs(n)
	}
	var all []pair
	for _, item := range n.Content {
		all = append(all, r.pairs(at(item, n.path))...)
	}
	return all
}

// fields tells how each key of an object is read.
type fields map[string]func(node)

// object reads a map with known keys and warns of others: Akash's parser
// ignores them, and so a misspelt key silently does nothing.
func (r *reader) object(n node, known fields) {
	r.keys(n, known, func(key node, name string) {
		r.warn(key, "%q is no field here and has no effect%s", clip(name), didYouMean(name, known))
	})
}

// strict reads a map and refuses other keys, where Akash does.
func (r *reader) strict(n node, known fields) {
	r.keys(n, known, func(key node, name string) {
		r.refuse(key, "%q is no field here%s", clip(name), didYouMean(name, known))
	})
}

func (r *reader) keys(n node, known fields, stranger func(key node, name string)) {
	for _, p := range r.pairs(n) {
		if read, ok := known[p.key.Value]; ok {
			read(n.child(p.key.Value, p.value))
		} else {
			stranger(at(p.key, n.path), p.key.Value)
		}
	}
}

// named reads a map whose keys are names.
func named[T any](r *reader, n node, read func(node) T) map[string]T {
	all := map[string]T{}
	for _, p := range r.pairs(n) {
		v := n.child(p.key.Value, p.value)
		v.line, v.column = p.key.Line, p.key.Column
		all[p.key.Value] = read(v)
	}
	return all
}

// sorted lists the keys of m in order.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// items returns the places of a list, without those where nothing is written,
// as Akash's YAML library drops them. It is nil when the list is absent.
func (r *reader) items(n node, example string) []node {
	if n.null() {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, "a list is wanted here, not %s; write it as in %s", n.kind(), example)
		return nil
	}
	all := make([]node, 0, len(n.Content))
	for i, item := range n.Content {
		if place := at(item, n.path+"["+strconv.Itoa(i)+"]"); !place.null() {
			all = append(all, place)
		}
	}
	return all
}

// texts reads a list of texts. An empty list is not nil: their JSON, and so the
// manifest's hash, differs.
func (r *reader) texts(n node, example string) []string {
	items := r.items(n, example)
	if items == nil {
		return nil
	}
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = r.text(item)
	}
	return all
}

// text reads a scalar as it is written: 1.10 stays "1.10".
func (r *reader) text(n node) string {
	if n.null() {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.refuse(n, "a text is wanted here, not %s", n.kind())
		return ""
	}
	if n.ShortTag() == "!!binary" {
		r.refuse(n, "binary values are not read; write the text itself")
	}
	return n.Value
}

// number reads a whole number from 0 to 2³²−1.
func (r *reader) number(n node) uint32 {
	if n.null() {
		return 0
	}
	v, err := strconv.ParseUint(strings.ReplaceAll(n.Value, "_", ""), 0, 32)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		r.refuse(n, "a whole number from 0 to 4294967295 is wanted here, not %s%s", n.kind(), unquote(n))
	}
	return uint32(v)
}

// unquote says what to do about a number in quotes.
func unquote(n node) string {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		return ""
	}
	if _, err := strconv.ParseUint(n.Value, 10, 32); err != nil {
		return ""
	}
	return "; write " + n.Value + " without quotes"
}

// yes reads a truth, in YAML 1.1's spellings as well.
func (r *reader) yes(n node) bool {
	if n.null() {
		return false
	}
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!bool" || n.ShortTag() == "!!str") {
		switch n.Value {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
			return true
		case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			return false
		}
		if n.ShortTag() == "!!bool" {
			return strings.EqualFold(n.Value, "true")
		}
	}
	r.refuse(n, "true or false is wanted here, not %s", n.kind())
	return false
}

// didYouMean offers the name of known that is nearest to what was written.
func didYouMean[T any](wrote string, known map[string]T) string {
	if len(known) > 100 || len(wrote) > 100 {
		return "" // comparing would cost more than the hint is worth
	}
	best, least := "", 1+min(2, (len(wrote)+1)/2)
	for _, name := range sorted(known) {
		if d := distance(strings.ToLower(wrote), strings.ToLower(name), least); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to insert, remove or replace between a and b. It
// gives up with bound when it is clear that there are as many.
func distance(a, b string, bound int) int {
	if len(a)-len(b) >= bound || len(b)-len(a) >= bound {
		return bound
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return min(row[len(b)], bound)
}
