package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func fetch(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestApplication checks what is embedded: that the page is whole, and keeps
// its own policy.
func TestApplication(t *testing.T) {
	h, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	index := fetch(t, h, "GET", "/")
	html := index.Body.String()
	if index.Code != 200 || index.Header().Get("Cache-Control") != "no-cache" || !strings.Contains(index.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Fatalf("index: %d %v", index.Code, index.Header())
	}
	if regexp.MustCompile(`<script(?:[^>]*)>[^<]`).MatchString(html) || strings.Contains(html, " style=") || strings.Contains(html, "<style") {
		t.Errorf("index.html has script or style inside, which its policy forbids")
	}
	parts := regexp.MustCompile(`(?:src|href)="\.?(/[^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(parts) < 3 {
		t.Fatalf("index.html names %d files, want script, style and icon at least", len(parts))
	}
	for _, part := range parts {
		w := fetch(t, h, "GET", part[1])
		if w.Code != 200 {
			t.Errorf("%s, which index.html names, is %d", part[1], w.Code)
		}
		if hashed := strings.HasPrefix(part[1], "/assets/"); hashed != strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s has Cache-Control %q", part[1], w.Header().Get("Cache-Control"))
		}
	}
}

func TestServing(t *testing.T) {
	long := strings.Repeat("body{} ", 100)
	h, err := handler(fstest.MapFS{
		"index.html":      {Data: []byte("<p>hi")},
		"assets/a-1.css":  {Data: []byte(long)},
		"assets/b-2.data": {Data: []byte("x")},
	})
	if err != nil {
		t.Fatal(err)
	}
	packed := fetch(t, h, "GET", "/assets/a-1.css", "Accept-Encoding", "br, gzip;q=0.8")
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatalf("not packed: %v", packed.Header())
	}
	if got, _ := io.ReadAll(z); string(got) != long {
		t.Errorf("unpacked to %q", got)
	}
	plain := fetch(t, h, "GET", "/assets/a-1.css", "Accept-Encoding", "gzip;q=0")
	if plain.Body.String() != long || plain.Header().Get("ETag") == packed.Header().Get("ETag") {
		t.Errorf("plain: %v", plain.Header())
	}
	if w := fetch(t, h, "GET", "/assets/a-1.css", "If-None-Match", plain.Header().Get("ETag")); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("known: %d with %d bytes, want 304", w.Code, w.Body.Len())
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"HEAD", "/", 200}, {"GET", "/index.html", 200}, {"POST", "/", 405}, {"GET", "/../web.go", 404}, {"GET", "/assets/", 404}, {"GET", "/none", 404},
	} {
		if w := fetch(t, h, c.method, c.path); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
	if _, err := handler(fstest.MapFS{}); err == nil {
		t.Error("no index.html and no error")
	}
}

// TestBudget keeps the page light: what is loaded at first, and all of it
// without its fonts, of which a quarter is the terminal that only a shell of
// the console loads.
func TestBudget(t *testing.T) {
	h, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	var first, whole int
	index := fetch(t, h, "GET", "/").Body.String()
	err = fs.WalkDir(dist, "dist/assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".woff2") {
			return err
		}
		path := strings.TrimPrefix(name, "dist")
		size := fetch(t, h, "GET", path, "Accept-Encoding", "gzip").Body.Len()
		whole += size
		if strings.Contains(index, path) {
			first += size
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const mostFirst, mostWhole = 110_000, 330_000
	if first > mostFirst || whole > mostWhole {
		t.Errorf("%d bytes at first and %d in all, packed; at most %d and %d are wanted", first, whole, mostFirst, mostWhole)
	}
}
