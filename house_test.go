package plexus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/plexus-network/plexus/"

// floors says how high each room stands. A room imports only lower floors;
// design and docs/map.md tell what each room is for.
var floors = map[string]int{
	"fixed": 0, "api": 0,
	"templates": 0,
	"coin":      1,
	"yuma":      2, "market": 2, "engine": 2, "p2p": 2,
	"chain": 3, "wallet": 3,
	"ledger": 4,
	"subnet": 5,
	"neuron": 6, "provider": 6, "explorer": 6,
	"gateway": 7, "tenant": 7,
	"web":     8,
	"console": 8,
	"node":    9,
	"cmd":     10, "sim": 10,
}

// pure rooms are laws: what they may import of the standard library is what
// computes, never what observes.
var (
	pure   = map[string]bool{"fixed": true, "coin": true, "yuma": true, "market": true}
	banned = []string{
		"time", "os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand",
		"sync", "context", "syscall", "os/exec", "database/sql",
	}
	nouns = []string{"utils", "util", "common", "helpers", "types", "base", "lib", "misc", "pkg", "core", "manager"}
)

// TestHouse checks the laws of the house: floors, siblings that do not see
// each other, purity of the laws, package names, and a comment per package.
func TestHouse(t *testing.T) {
	packages := map[string]bool{}  // directories with Go code
	commented := map[string]bool{} // those with a package comment
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(file) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") && path.Dir(file) != "." {
			dir := filepath.ToSlash(filepath.Dir(file))
			packages[dir] = true
			if inspect(t, file, dir) {
				commented[dir] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Fatalf("found only %d packages: the walk is broken", len(packages))
	}
	for dir := range packages {
		if !commented[dir] && room(dir) != "api" {
			t.Errorf("%s: no package comment", dir)
		}
		for _, noun := range nouns {
			if path.Base(dir) == noun {
				t.Errorf("%s: %q is no noun of the field", dir, noun)
			}
		}
	}
}

// inspect checks one file and tells whether it carries the package comment.
func inspect(t *testing.T, file, dir string) bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if _, ok := floors[room(dir)]; !ok {
		t.Errorf("%s: room %q stands on no floor", file, room(dir))
	}
	for _, spec := range f.Imports {
		checkImport(t, file, dir, spec)
	}
	if pure[room(dir)] && !isTool(dir) {
		checkNoFloats(t, file, f)
	}
	return f.Doc != nil
}

func checkNoFloats(t *testing.T, file string, f *ast.File) {
	t.Helper()
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && (id.Name == "float64" || id.Name == "float32") {
			t.Errorf("%s: a law knows no %s", file, id.Name)
		}
		return true
	})
}

func checkImport(t *testing.T, file, dir string, spec *ast.ImportSpec) {
	t.Helper()
	imported, _ := strconv.Unquote(spec.Path.Value)
	if pure[room(dir)] && !isTool(dir) {
		for _, b := range banned {
			if imported == b {
				t.Errorf("%s: the law %s must not import %q", file, room(dir), imported)
			}
		}
	}
	if strings.Contains(imported, "cosmos-sdk/enterprise") {
		t.Errorf("%s: %q is not open source", file, imported)
	}
	to, ours := strings.CutPrefix(imported, module)
	if !ours {
		return
	}
	from := room(dir)
	switch {
	case room(to) == from:
		if siblings(dir, to) {
			t.Errorf("%s: %s and %s are siblings and must not see each other", file, dir, to)
		}
	case floors[room(to)] >= floors[from]:
		t.Errorf("%s: %s (floor %d) imports %s (floor %d)", file, from, floors[from], room(to), floors[room(to)])
	}
	if (from == "ledger" || from == "wallet") && room(to) == "chain" {
		t.Errorf("%s: %s must not link the state machine", file, from)
	}
	if room(to) == "node" && from != "cmd" && from != "sim" {
		t.Errorf("%s: only cmd and sim import node", file)
	}
}

// siblings tells whether two rooms below chain or subnet are different kinds.
func siblings(from, to string) bool {
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	if len(a) < 2 || len(b) < 2 || a[0] != "chain" && a[0] != "subnet" {
		return false
	}
	return a[1] != b[1] && !strings.HasSuffix(a[1], "test") && !strings.HasSuffix(b[1], "test")
}

func room(dir string) string { r, _, _ := strings.Cut(dir, "/"); return r }

// isTool tells whether a package below a law reads files for people, and so is
// no law itself.
func isTool(dir string) bool { return dir == "yuma/scenario" }

func skipped(dir string) bool {
	base := filepath.Base(dir)
	return dir != "." && (strings.HasPrefix(base, ".") || base == "tools" || base == "node_modules" || base == "testdata" || base == "bin" || base == "docs")
}

// TestMapNamesEveryRoom keeps the reader's path true: docs/map.md leads to
// every room that exists.
func TestMapNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile("docs/map.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range floors {
		if _, err := os.Stat(name); err == nil && !strings.Contains(string(text), "`"+name) {
			t.Errorf("docs/map.md does not name the room `%s`", name)
		}
	}
}
