package shelf_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/shelf"
	"github.com/plexus-network/plexus/engine/stock"
)

// folder holds the stock models, and a file that is none.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range stock.Models() {
		if _, err := stock.Path(dir, m.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.gguf"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.gguf"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestListTellsWhatStandsOnTheShelf(t *testing.T) {
	models, err := shelf.List(t.Context(), folder(t))
	if err != nil || len(models) != 3 {
		t.Fatalf("got %d models, %v", len(models), err)
	}
	if b := models[0]; b.Name != "broken" || !strings.Contains(b.Fault, "not a GGUF file") || b.Size != 7 {
		t.Errorf("the broken file is %+v", b)
	}
	for _, s := range stock.Models() {
		found := false
		for _, m := range models {
			found = found || m.FileHash == s.SHA256
			if m.FileHash == s.SHA256 && (m.Parameters != int64(s.Parameters) || m.Precision != "q8_0" || m.Context == 0 || len(m.TemplateHash) != 64 || m.Vocabulary == 0 || m.Tokenizer == "" || m.Architecture == "") {
				t.Errorf("%s is %+v", s.Name, m)
			}
		}
		if !found {
			t.Errorf("%s is not listed", s.Name)
		}
	}
	none, err := shelf.List(t.Context(), filepath.Join(t.TempDir(), "absent"))
	if err != nil || len(none) > 0 {
		t.Errorf("an absent folder lists %v, %v", none, err)
	}
}

func TestFindKnowsAFileByItsHash(t *testing.T) {
	dir := folder(t)
	want := stock.Models()[1]
	path, err := shelf.Find(t.Context(), dir, strings.ToUpper(want.SHA256))
	if err != nil || filepath.Base(path) != want.File {
		t.Errorf("got %q, %v, want %s", path, err, want.File)
	}
	if path, err := shelf.Find(t.Context(), dir, strings.Repeat("0", 64)); path != "" || err != nil {
		t.Errorf("a hash that nothing has is found at %q, %v", path, err)
	}
}

func TestANotedHashHoldsUntilTheFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	hash := func() string {
		t.Helper()
		h, err := shelf.Hash(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	true1 := hash()
	noted := strings.Repeat("ab", 32)
	if err := shelf.Write(path, shelf.Noted{SHA256: noted, Source: "https://host"}); err != nil {
		t.Fatal(err)
	}
	if got := hash(); got != noted || shelf.Note(path).Source != "https://host" {
		t.Errorf("the note is not used: %s", got)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := hash(); got != true1 {
		t.Errorf("a changed file has the noted hash %s, want %s", got, true1)
	}
	for _, damaged := range []string{"", "{", `{"sha256":"xyz"}`, "null"} {
		if err := os.WriteFile(path+".json", []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := hash(); got != true1 {
			t.Errorf("with the note %q the hash is %s", damaged, got)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	dir := folder(t)
	if _, err := shelf.Read(t.Context(), filepath.Join(dir, "broken.gguf")); !errors.Is(err, engine.ErrBadModel) {
		t.Errorf("a broken file gives %v", err)
	}
	if _, err := shelf.Read(t.Context(), filepath.Join(dir, "none.gguf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := shelf.Sum(ctx, filepath.Join(dir, stock.Models()[0].File)); !errors.Is(err, context.Canceled) {
		t.Errorf("a hashing that is cancelled gives %v", err)
	}
}
