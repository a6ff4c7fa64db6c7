package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/coin"
)

func TestOpenHomeTakesTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	h, err := openHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openHome(dir); err == nil || !strings.Contains(err.Error(), "--home") {
		t.Errorf("a second openHome returns %v, want an error that names --home", err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openHome(dir)
	if err != nil {
		t.Fatalf("after close: %v", err)
	}
	again.close()
}

func TestReadNetwork(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
	}{
		{"whole", `{"version":1,"chain_id":"c","members":[{"name":"m"}]}`, ""},
		{"cut short", `{"version":1,"chain`, "damaged"},
		{"of the future", `{"version":2,"chain_id":"c","members":[{"name":"m"}]}`, "version 2"},
		{"without members", `{"version":1,"chain_id":"c"}`, "no members"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &home{dir: t.TempDir()}
			if err := os.WriteFile(h.path("network.json"), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			n, err := h.readNetwork()
			if c.want == "" {
				if err != nil || n.ChainID != "c" || len(n.Members) != 1 {
					t.Errorf("got %+v, %v", n, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if n, err := (&home{dir: t.TempDir()}).readNetwork(); n != nil || err != nil {
		t.Errorf("an empty folder gives %+v, %v; want none", n, err)
	}
}

func TestWriteJSONReplacesWhole(t *testing.T) {
	h := &home{dir: t.TempDir()}
	want := network{Version: networkVersion, ChainID: "c", Members: []member{{Name: "m", Role: minerRole}}}
	for range 2 {
		if err := h.writeJSON("network.json", want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.readNetwork()
	if err != nil || got.ChainID != want.ChainID || got.Members[0] != want.Members[0] {
		t.Errorf("read %+v, %v; wrote %+v", got, err, want)
	}
	if left, _ := os.ReadDir(h.dir); len(left) != 1 {
		t.Errorf("%d files are left in the folder, want 1", len(left))
	}
}

func TestCheckFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := checkFree(address, "--http"); err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "--http") {
		t.Errorf("a taken port gives %v, want an error that names it and --http", err)
	}
	l.Close()
	if err := checkFree(address, "--http"); err != nil {
		t.Errorf("a free port gives %v", err)
	}
}

func TestNetworkLacksAccountsThatItWasMadeWithout(t *testing.T) {
	n := &network{Accounts: []account{{Name: "alice"}}}
	for name, want := range map[string]string{"alice": "", "bob": "bob"} {
		if got := n.lacking(map[string]coin.Amount{name: 1}); got != want {
			t.Errorf("asked for %s it lacks %q, want %q", name, got, want)
		}
	}
}
