package subnet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestFolderOpensWhatIsNotSettled(t *testing.T) {
	f := Folder{Path: filepath.Join(t.TempDir(), "made")}
	if paths, err := f.Open(".find"); err != nil || len(paths) > 0 {
		t.Errorf("a folder that is not there: %v, %v", paths, err)
	}
	start := time.Now().Add(-time.Hour)
	for i, name := range []string{"new.find", "old.find", "b.other", "older.find"} {
		if err := f.Keep(name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		at := start.Add(-time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(f.Path, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(names ...string) {
		t.Helper()
		paths, err := f.Open(".find")
		var got []string
		for _, p := range paths {
			got = append(got, filepath.Base(p))
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("open: %v, %v; want %v", got, err, names)
		}
	}
	want("older.find", "old.find", "new.find")
	for range 2 { // the second time it is not there any more
		if err := f.Settle(filepath.Join(f.Path, "old.find"), "gone"); err != nil {
			t.Fatal(err)
		}
	}
	want("older.find", "new.find")
	if text, err := os.ReadFile(filepath.Join(f.Path, "old.gone.find")); err != nil || string(text) != "old.find" {
		t.Errorf("the settled file: %q, %v", text, err)
	}
	if all, err := f.Files(".find"); err != nil || len(all) != 3 || all[0].Name() != "new.find" {
		t.Errorf("all files: %v, %v", all, err)
	}
}
