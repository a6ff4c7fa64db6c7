package p2p

import (
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := "/ip4/127.0.0.1/tcp/" + strconv.Itoa(busy.Addr().(*net.TCPAddr).Port)
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "nonces.log"), []byte("no nonce log at all"), 0o600); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name string
		opts Options
		want string
	}{
		{"port in use", Options{Reach: Local, Listen: []string{taken}}, taken},
		{"one of two ports in use", Options{Reach: Local, Listen: []string{"/ip4/127.0.0.1/tcp/0", taken}}, taken},
		{"bad address", Options{Reach: Local, Listen: []string{"localhost:80"}}, "localhost:80"},
		{"bootstrap without id", Options{Reach: LAN, Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}}, "/p2p/"},
		{"bad reach", Options{Reach: 9}, "reach 9"},
		{"bad nonce log", Options{Reach: Local, StateDir: state}, state},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := New(tt.opts)
			if err == nil {
				h.Close()
				t.Fatal("the host started")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to name %q", err, tt.want)
			}
		})
	}
}

func TestPublicHostStarts(t *testing.T) {
	h := newTestHost(t, Options{
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
		Libp2p: []libp2p.Option{noPortMap},
	})
	if got := len(h.Info().Addrs); got != 2 {
		t.Errorf("listens on %v", h.Info().Addrs)
	}
	if err := h.Announce("plx1account", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ownRecord(); err == nil {
		t.Error("a public peer announces loopback addresses")
	}
}

func TestAxonProof(t *testing.T) {
	h := newTestHost(t, Options{Reach: Local})
	proof, err := h.AxonProof("plexus-1", 7, []byte{0xaa, 0xbb})
	if err != nil {
		t.Fatal(err)
	}
	said := "plexus/axon/v1" + "plexus-1" + "\x00\x00\x00\x07" + "\xaa\xbb"
	if ok, err := h.key.GetPublic().Verify([]byte(said), proof); err != nil || !ok {
		t.Errorf("the proof %s is not over %q: %v", hex.EncodeToString(proof), said, err)
	}
}

func TestServePanicsOnBadNames(t *testing.T) {
	h := newTestHost(t, Options{Reach: Local})
	h.Serve("echo", echo)
	for _, name := range []string{"echo", "", "Echo", strings.Repeat("x", maxMethod+1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Serve(%q) did not panic", name)
				}
			}()
			h.Serve(name, echo)
		}()
	}
}
