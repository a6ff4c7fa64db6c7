package sdl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// vectors returns the folder of vectors from elsewhere, or skips the test: it
// is PLEXUS_VECTORS, or lies beside the checkout.
func vectors(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PLEXUS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	dir = filepath.Join(dir, "sdl")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no vectors: %v", err)
	}
	return dir
}

// TestVectors compares what this package makes of every file with what Akash's
// own parser made of it: verdict, hash, totals, groups and services.
func TestVectors(t *testing.T) {
	dir := vectors(t)
	for _, list := range []struct {
		path string
		want int
	}{{"listing.json", 20}, {"fixtures/expected.json", 52}} {
		text, err := os.ReadFile(filepath.Join(dir, list.path))
		if err != nil {
			t.Fatal(err)
		}
		var entries []map[string]any
		if err := json.Unmarshal(text, &entries); err != nil {
			t.Fatal(err)
		}
		if len(entries) != list.want {
			t.Errorf("%s has %d entries, want %d", list.path, len(entries), list.want)
		}
		for _, want := range entries {
			name := want["file"].(string)
			t.Run(name, func(t *testing.T) {
				src, err := os.ReadFile(filepath.Join(dir, filepath.Dir(list.path), name))
				if err != nil {
					t.Fatal(err)
				}
				compare(t, name, src, want)
			})
		}
	}
}

// compare checks every field of a summary against an entry; reasons are
// compared by their presence.
func compare(t *testing.T, name string, src []byte, want map[string]any) {
	t.Helper()
	text, err := json.Marshal(Summarize(name, src))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got["valid"] != want["valid"] {
		t.Fatalf("valid = %v, want %v: %v (want error %v)", got["valid"], want["valid"], got["error"], want["error"])
	}
	if want["schema_only_invalid"] == true && got["warnings"] == nil {
		t.Error("no warning of what other tools refuse")
	}
	for key, value := range want {
		switch key {
		case "source", "features", "schema_only_invalid":
			continue // about the vector
		case "error":
			if got["error"] == nil {
				t.Errorf("no error, want the like of %q", value)
			}
			t.Logf("theirs: %v\nours:   %v", value, got["error"])
			continue
		}
		if !reflect.DeepEqual(got[key], value) {
			t.Errorf("%s = %v\nwant %v", key, got[key], value)
		}
	}
}

// TestGolden compares canonical manifests and group specs, field by field, with
// those of Akash's generator.
func TestGolden(t *testing.T) {
	root := filepath.Join(vectors(t), "fixtures", "testdata_sdl")
	inputs, err := filepath.Glob(filepath.Join(root, "output-fixtures", "*", "*"))
	if err != nil || len(inputs) != 8 {
		t.Fatalf("found %d golden outputs, want 8: %v", len(inputs), err)
	}
	for _, golden := range inputs {
		name := strings.TrimPrefix(golden, filepath.Join(root, "output-fixtures")+string(filepath.Separator))
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join(root, "input", name, "input.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, got.Manifest, filepath.Join(golden, "manifest.json"))
			sameJSON(t, got.Groups, filepath.Join(golden, "group-specs.json"))
		})
	}
}

func sameJSON(t *testing.T, got any, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(ours, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\ngot  %s\nwant %s", filepath.Base(file), ours, text)
	}
}
