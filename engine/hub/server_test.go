package hub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine/hub"
	"github.com/plexus-network/plexus/engine/stock"
)

// A fakeHub behaves like Hugging Face: large files are sent on to a server of
// their own, the hub tells their hash, and lists come in pages.
type fakeHub struct {
	*httptest.Server
	cdn *httptest.Server

	mu      sync.Mutex
	files   map[string][]byte // path in the repository org/repo
	claimed map[string]string // hash that the hub tells, where it is not the true one
	size    int64             // that the CDN claims; 0 means the true one
	token   string            // that is wanted; empty means none
	gated   bool
	plain   bool // the hub sends small files itself, with no hash
	weak    bool // nothing tells versions apart
	deaf    bool // the CDN knows no ranges
	busy    int  // answers of 503 to come

	cut    func(n int) int   // bytes that the CDN sends of n before it hangs up; nil means all
	after  func(path string) // called when the CDN has answered
	asked  []string          // ranges that the CDN was asked for
	leaked []string          // Authorization headers that reached the CDN
}

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	h := &fakeHub{files: map[string][]byte{}, claimed: map[string]string{}}
	h.cdn = httptest.NewServer(http.HandlerFunc(h.serveCDN))
	h.Server = httptest.NewServer(http.HandlerFunc(h.serveHub))
	t.Cleanup(h.cdn.Close)
	t.Cleanup(h.Close)
	return h
}

// options are those of a patient but quick client.
func (h *fakeHub) options(t *testing.T, name string) hub.Options {
	t.Helper()
	n, err := hub.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return hub.Options{Name: n, Base: h.URL, Dir: t.TempDir(), Backoff: time.Millisecond}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// model is a file that is a model.
func model(t *testing.T, name string) []byte {
	t.Helper()
	data, _, err := stock.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (h *fakeHub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	refuse := func(status int, code string) {
		w.Header().Set("X-Error-Code", code)
		w.WriteHeader(status)
	}
	switch {
	case h.busy > 0:
		h.busy--
		refuse(http.StatusServiceUnavailable, "")
		return
	case h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token:
		refuse(http.StatusUnauthorized, "RepoNotFound")
		return
	case h.gated:
		refuse(http.StatusForbidden, "GatedRepo")
		return
	}
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, "/api/models/org/repo/tree/") {
		h.list(w, r)
		return
	}
	file, ok := strings.CutPrefix(path, "/org/repo/resolve/")
	if !ok {
		refuse(http.StatusNotFound, "RepoNotFound")
		return
	}
	revision, file, _ := strings.Cut(file, "/")
	if revision != "main" && revision != "refs%2Fpr%2F1" {
		refuse(http.StatusNotFound, "RevisionNotFound")
		return
	}
	data, ok := h.files[file]
	if !ok {
		refuse(http.StatusNotFound, "EntryNotFound")
		return
	}
	if h.plain {
		h.send(w, r, file, data)
		return
	}
	told := h.claimed[file]
	if told == "" {
		told = sum(data)
	}
	w.Header().Set("X-Linked-Etag", `"`+told+`"`)
	http.Redirect(w, r, h.cdn.URL+"/blob/"+url.PathEscape(file)+"?signature=secret", http.StatusFound)
}

// list answers with the tree of the repository, three entries a page.
func (h *fakeHub) list(w http.ResponseWriter, r *http.Request) {
	type entry map[string]any
	entries := []entry{{"type": "directory", "path": "sub"}, {"type": "file", "path": "README.md", "size": 3}}
	for _, name := range sortedNames(h.files) {
		e := entry{"type": "file", "path": name, "size": len(h.files[name])}
		if !h.plain {
			e["lfs"] = entry{"oid": sum(h.files[name])}
		}
		entries = append(entries, e)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+3, len(entries))
	if to < len(entries) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?cursor=%d>; rel="next"`, h.URL, r.URL.EscapedPath(), to))
	}
	_ = json.NewEncoder(w).Encode(entries[from:to])
}

func (h *fakeHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := r.Header.Get("Authorization"); a != "" {
		h.leaked = append(h.leaked, a)
	}
	file := strings.TrimPrefix(r.URL.Path, "/blob/")
	data, ok := h.files[file]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h.send(w, r, file, data)
}

// send answers with a file or a part of it, or breaks off.
func (h *fakeHub) send(w http.ResponseWriter, r *http.Request, file string, data []byte) {
	span := r.Header.Get("Range")
	first, last := 0, len(data)-1
	if !h.weak {
		w.Header().Set("ETag", `"`+sum(data)[:16]+`"`)
	}
	status := http.StatusOK
	if span != "" && !h.deaf {
		from, to, _ := strings.Cut(strings.TrimPrefix(span, "bytes="), "-")
		first, _ = strconv.Atoi(from)
		if to != "" {
			last, _ = strconv.Atoi(to)
		}
		if first >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		size := int64(len(data))
		if h.size > 0 {
			size = h.size
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
		status = http.StatusPartialContent
	}
	body := data[first : last+1]
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if span == "bytes=0-0" {
		_, _ = w.Write(body[:1])
		return
	}
	h.asked = append(h.asked, span)
	n := len(body)
	if h.cut != nil {
		n = h.cut(n)
	}
	_, _ = io.Copy(w, strings.NewReader(string(body[:n])))
	if h.after != nil {
		h.after(file)
	}
	if n < len(body) {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler) // the connection is cut
	}
}
