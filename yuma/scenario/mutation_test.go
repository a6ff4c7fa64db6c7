package scenario

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutations are errors that the vectors must not let pass: each replaces a
// piece of the law's source.
var mutations = []struct{ name, file, old, mutant string }{
	{
		"new permits are used at once", "epoch.go",
		"\te.permit()\n\te.vote",
		`	e.permit()
	now := *in
	now.Neurons = slices.Clone(in.Neurons)
	for i := range now.Neurons {
		now.Neurons[i].Permit = e.permits[i]
	}
	e.Input = &now
	if err := e.stakes(); err != nil {
		return nil, err
	}
	e.vote`,
	},
	{"nothing is clipped", "vote.go", "clipped := min(w, v.consensus[j])", "clipped := w"},
	{"the penalty is none", "vote.go", "w.Lerp(clipped, penalty)", "w.Lerp(clipped, 0*penalty)"},
	{"the penalty is full", "vote.go", "w.Lerp(clipped, penalty)", "w.Lerp(clipped, penalty|fixed.One)"},
	{"proportions are rounded to the nearest", "../fixed/frac.go", "uint16(f / sixteenth)", "uint16(min(f, One-sixteenth/2) / (sixteenth / 2) + 1) / 2"},
	{"of equals the lower uid gets the permit", "epoch.go", "\tslices.SortStableFunc(ranked", "\tslices.Reverse(ranked)\n\tslices.SortStableFunc(ranked"},
	{"weights older than the miner count", "epoch.go", "registered[w.UID] < before", "(registered[w.UID] < before || true)"},
	{"commitments are not looked at", "epoch.go", "u.Committed != 0", "u.Committed != 0 && false"},
	{"weights on oneself count", "epoch.go", "int(w.UID) == i && !u.Owner", "false"},
	{"the owner is like any other", "epoch.go", "\t\te.permits[i] = e.Neurons[i].Owner\n", ""},
	{"who is inactive votes", "epoch.go", "if e.active[i] && (", "if ("},
	{"bonds outlive their miner", "bonds.go", "last <= u.Registered", "last < u.Registered && false"},
	{"all keep their bonds", "bonds.go", "if !permit {", "if !permit && false {"},
	{"absent weights end liquid bonds", "bonds.go", "if liquid != nil {", "if liquid != nil && w == 0 {\n\t\t\treturn 0\n\t\t}\n\t\tif liquid != nil {"},
	{"more than kappa is needed", "vote.go", "q++", "q += 2"},
}

// TestVectorsCatchMutations compiles the law with each error and expects the
// vectors to fail. The compiler's cache makes all but the first run fast.
func TestVectorsCatchMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the law once per mutation")
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			out, err := testMutant(t, m.file, m.old, m.mutant)
			if err == nil {
				t.Error("every vector passes")
			} else if !bytes.Contains(out, []byte("--- FAIL: TestVectors/")) {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// testMutant runs the vectors with old replaced in a file of package yuma.
func testMutant(t *testing.T, file, old, mutant string) ([]byte, error) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), old); n != 1 {
		t.Fatalf("%q stands %d times in %s, want once", old, n, file)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), old, mutant, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-overlay", overlayFile, "-run", "^TestVectors$", ".").CombinedOutput()
}
