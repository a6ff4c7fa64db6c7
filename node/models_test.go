package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet/text"
)

func TestADeclaredModelIsFoundByItsHash(t *testing.T) {
	home := t.TempDir()
	data, weak, err := stock.Open(stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	r := &lone{
		RoleOptions: RoleOptions{Home: home, Netuid: 7},
		manifest:    text.Manifest{Model: "sky", FileHash: weak.SHA256, Precision: "q8_0"},
	}
	if path, err := r.file(t.Context()); err == nil || !strings.Contains(err.Error(), "plexus model fetch NAME --sha256 "+weak.SHA256) {
		t.Errorf("without the file: got %q, %v, want advice", path, err)
	}
	want := filepath.Join(home, "models", "fetched.gguf")
	if err := os.MkdirAll(filepath.Dir(want), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := r.file(t.Context()); err != nil || path != want {
		t.Errorf("got %q, %v, want %s", path, err, want)
	}
	r.Model.File = "named.gguf"
	if path, err := r.file(t.Context()); err != nil || path != "named.gguf" {
		t.Errorf("got %q, %v, want the file that the operator names", path, err)
	}
}
