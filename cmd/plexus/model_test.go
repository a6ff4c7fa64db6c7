package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/plexus-network/plexus/engine/stock"
)

// TestModelScripts runs the scripts of the commands that speak to a hub, beside
// a server that answers as one.
func TestModelScripts(t *testing.T) {
	hub := httptest.NewServer(newHubHandler(t))
	t.Cleanup(hub.Close)
	testscript.Run(t, testscript.Params{Dir: "testdata/hub", Setup: func(e *testscript.Env) error {
		e.Setenv("HF_ENDPOINT", hub.URL)
		return nil
	}})
}

// newHubHandler serves org/repo, which has two files, and org/closed, which
// wants a token.
func newHubHandler(t *testing.T) http.Handler {
	t.Helper()
	data, m, err := stock.Open(stock.Weak)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/org/repo/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]map[string]any{
			{"type": "file", "path": "sky-f16.gguf", "size": 1 << 30},
			{"type": "file", "path": "sky-q8_0.gguf", "size": len(data)},
		})
	})
	mux.HandleFunc("GET /api/models/org/closed/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("GET /org/repo/resolve/main/{file}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("file") != "sky-q8_0.gguf" {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("X-Linked-Etag", `"`+m.SHA256+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	return mux
}

func TestTransferBar(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		now := time.Unix(0, 0)
		b := &transferBar{w: &out, terminal: terminal, now: func() time.Time { return now }}
		b.moved(500e6, 2500e6) // of an earlier run
		now = now.Add(20 * time.Second)
		b.moved(1500e6, 2500e6)
		now = now.Add(time.Millisecond)
		b.moved(1600e6, 2500e6) // too soon to tell
		b.close()
		want := " 60 %  1.5 GB of 2.5 GB, 50.0 MB/s, 20s left"
		if terminal {
			want = "\r[" + strings.Repeat("=", 18) + strings.Repeat(" ", 12) + "] " + want + "\x1b[K\n"
		} else {
			want = strings.TrimSpace(want) + "\n"
		}
		if out.String() != want {
			t.Errorf("terminal %v: got %q, want %q", terminal, out.String(), want)
		}
	}
}
