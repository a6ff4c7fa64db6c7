// Package web is the page that people see: the sources of the Svelte
// application, its built form in dist, and a handler that serves it.
//
// dist is committed, so that building the binary needs no Node. `npm ci && npm
// run build` in this folder makes the same bytes again. Start at [Handler].
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// policy lets the page run its own scripts and talk to its own server, and
// nothing else: text of a model must not become code, nor call home by an image.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A page is a file as it is served.
type page struct {
	kind   string // its MIME type
	plain  []byte
	packed []byte // by gzip; nil where that saves little
	tag    string // its ETag
	keep   string // its Cache-Control
}

// Handler serves the application. It packs the files once, so make one and
// keep it.
func Handler() (http.Handler, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return handler(files)
}

func handler(files fs.FS) (http.Handler, error) {
	pages := make(map[string]page)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		pages["/"+name], err = newPage(name, body)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	index, ok := pages["/index.html"]
	if !ok {
		return nil, fmt.Errorf("web: index.html is missing; build the page with npm run build")
	}
	pages["/"] = index
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[r.URL.Path]
		switch {
		case !ok:
			http.Error(w, "there is no such page; the application is at /", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "pages can only be read", http.StatusMethodNotAllowed)
		default:
			p.serve(w, r)
		}
	}), nil
}

// newPage prepares a file. Names under assets/ carry a hash of what they hold,
// so those never change.
func newPage(name string, body []byte) (page, error) {
	sum := sha256.Sum256(body)
	p := page{
		kind:  mime.TypeByExtension(path.Ext(name)),
		plain: body,
		tag:   `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		keep:  "no-cache",
	}
	if known := kinds[path.Ext(name)]; known != "" {
		p.kind = known
	}
	if strings.HasPrefix(name, "assets/") {
		p.keep = "public, max-age=31536000, immutable"
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return page{}, err
	}
	if _, err := z.Write(body); err != nil {
		return page{}, err
	}
	if err := z.Close(); err != nil {
		return page{}, err
	}
	if packed.Len() < len(body)*9/10 {
		p.packed = packed.Bytes()
	}
	return p, nil
}

// kinds are the MIME types that a host's own tables may have wrong.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
}

func (p page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("Cache-Control", p.keep)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	body, tag := p.plain, p.tag
	if p.packed != nil {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = p.packed, strings.TrimSuffix(p.tag, `"`)+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a client that went away is no error of ours
	}
}

// takesGzip reads an Accept-Encoding header as far as browsers write it.
func takesGzip(accept string) bool {
	for one := range strings.SplitSeq(accept, ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(one), ";")
		if coding == "gzip" {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}
