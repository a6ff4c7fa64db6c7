package p2p

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "peer.pem")
	made, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %04o, want 0600", st.Mode().Perm())
	}
	loaded, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.Equals(made) {
		t.Error("the key read is not the key written")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files beside the key, want none", len(left)-1)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), "peer.pem")
	if _, err := LoadKey(good); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "peer.pem")
	if _, err := LoadKey(other); err != nil {
		t.Fatal(err)
	}
	stranger, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	// The stranger's id over our key: a key silently exchanged.
	mixed := append(bytes.Split(stranger, []byte("\n\n"))[0], append([]byte("\n\n"), bytes.Split(data, []byte("\n\n"))[1]...)...)

	tests := []struct {
		name string
		data []byte
		mode os.FileMode
		want string
	}{
		{"empty", nil, 0o600, "damaged"},
		{"truncated", data[:len(data)/2], 0o600, "damaged"},
		{"garbage", bytes.Repeat([]byte{0xff}, 200), 0o600, "damaged"},
		{"of another peer", mixed, 0o600, "belongs to peer"},
		{"huge", make([]byte, 1<<20), 0o600, "at most"},
		{"readable by others", data, 0o644, "chmod 600"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peer.pem")
			if err := os.WriteFile(path, tt.data, tt.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want it to name the file and %q", err, tt.want)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, tt.data) {
				t.Error("the file was changed")
			}
		})
	}
}
