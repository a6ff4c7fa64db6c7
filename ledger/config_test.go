package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/wallet"
)

func TestConfig(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if c, err := ReadConfig(home); !errors.Is(err, fs.ErrNotExist) || !reflect.DeepEqual(c, DefaultConfig()) {
		t.Errorf("no file gives %+v, %v, want the default and %v", c, err, fs.ErrNotExist)
	}
	want := Config{ChainID: "plexus-1", GRPC: "https://node.example:443", Keyring: wallet.Test, Key: "alice"}
	for range 2 { // once more over the first
		if err := want.Write(home); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadConfig(home); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	if files, err := os.ReadDir(home); err != nil || len(files) != 1 {
		t.Errorf("%d files in the home, %v, want the one", len(files), err)
	}
	if err := os.WriteFile(filepath.Join(home, ConfigFile), []byte(`{"grpc":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := ReadConfig(home); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("half a file gives %+v, %v, want an error", c, err)
	}
}
