// Package templates holds SDL files to begin with: models behind an API, a
// notebook, a database, a miner on rented hardware.
//
// Each file begins with a comment that says what it is, what to change, what it
// asks for and what that costs. What only the tenant knows stands in it as a
// [Blank], which [Fill] fills in. Start at [All].
package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Template is an SDL file to begin with.
type Template struct {
	Name  string `json:"name"`  // of the file, without its suffix
	Title string `json:"title"` // one line
	About string `json:"about"` // what it is and what to change: paragraphs, with an empty line between two
	Asks  string `json:"asks"`  // its resources, in words
	Costs string `json:"costs"` // per block, in words
	SDL   string `json:"sdl"`   // the file
}

// Blank is what a tenant must fill in: in a file it reads <<NAME: about>>.
type Blank struct {
	Name  string `json:"name"` // capitals, digits and _
	About string `json:"about"`
	Line  int    `json:"line"` // of the file, from 1
}

// blank finds blanks. Nothing else in an SDL looks so: a shell's << has no
// colon and no end.
var blank = regexp.MustCompile(`<<([A-Z][A-Z0-9_]{0,63}): ([^<>\n]+)>>`)

// All returns the templates, sorted by name.
func All() []Template {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of this program
	}
	all := make([]Template, 0, len(entries))
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		all = append(all, read(strings.TrimSuffix(e.Name(), ".yaml"), string(text)))
	}
	return all
}

// Find returns the template of that name. The error lists the names.
func Find(name string) (Template, error) {
	var names []string
	for _, t := range All() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Template{}, fmt.Errorf("there is no template %q; there are %s", name, strings.Join(names, ", "))
}

// read takes a file's comment apart.
func read(name, sdl string) Template {
	t := Template{Name: name, SDL: sdl}
	var about []string
	for line := range strings.Lines(sdl) {
		text, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "#")
		if !ok {
			break
		}
		text = strings.TrimPrefix(text, " ")
		asks, isAsks := strings.CutPrefix(text, "Asks for: ")
		costs, isCosts := strings.CutPrefix(text, "Costs: ")
		switch {
		case t.Title == "":
			t.Title = text
		case isAsks:
			t.Asks = asks
		case isCosts:
			t.Costs = costs
		default:
			about = append(about, text)
		}
	}
	t.About = strings.TrimSpace(strings.Join(about, "\n"))
	return t
}

// Blanks returns what is not filled in yet in a file, in its order.
func Blanks(sdl string) []Blank {
	var all []Blank
	line, at := 1, 0
	for _, m := range blank.FindAllStringSubmatchIndex(sdl, -1) {
		line += strings.Count(sdl[at:m[0]], "\n")
		at = m[0]
		all = append(all, Blank{Name: sdl[m[2]:m[3]], About: sdl[m[4]:m[5]], Line: line})
	}
	return all
}

// Fill fills values in by the names of blanks, all of which stand between
// double quotes in templates. It is an error if there is no blank of a name.
func Fill(sdl string, values map[string]string) (string, error) {
	var names []string
	for _, b := range Blanks(sdl) {
		names = append(names, b.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, name) {
			return "", fmt.Errorf("there is no blank %q to fill in; there are %s", name, strings.Join(names, ", "))
		}
	}
	return blank.ReplaceAllStringFunc(sdl, func(found string) string {
		value, ok := values[blank.FindStringSubmatch(found)[1]]
		if !ok {
			return found
		}
		quoted, err := json.Marshal(value) // what JSON quotes, YAML reads
		if err != nil {
			panic(err) // a string always encodes
		}
		return string(quoted[1 : len(quoted)-1])
	}), nil
}
