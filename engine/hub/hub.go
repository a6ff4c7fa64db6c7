// Package hub fetches model files from a hub such as Hugging Face, by name.
//
// A file arrives whole and checked or not at all: what has come so far stands
// in FILE.part beside FILE.part.json, which says of which version it is, goes
// on where it broke off, also after a restart, and gets its name only when its
// sha256 is what the hub, or the caller, says, and its header is a model's. A
// token is told to the hub and to no host that it sends us on to.
//
// Start at [Parse] and [Fetch]. What the hub's HTTP interface is:
// https://huggingface.co/docs/hub/api, and file_download.py of huggingface_hub.
package hub

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Base is the hub that is asked unless the caller names another.
const Base = "https://huggingface.co"

// main is the revision where a name says none.
const main = "main"

// Limits where Options say nothing.
const (
	maxSize = 1 << 40 // bytes
	backoff = 500 * time.Millisecond
	idle    = time.Minute
)

// ErrHash means that a file is not the one that was wanted.
var ErrHash = errors.New("wrong sha256")

// Options says what to fetch, and where to. The name must be given.
type Options struct {
	Name
	Base   string // URL of the hub; empty means Base
	Token  string // for repositories that are not open to all; told to Base only
	SHA256 string // of the file, in hex; empty means what the hub says
	Dir    string // made if it is absent; empty means the working directory

	MaxSize int64         // bytes of the largest file that is fetched; 0 means 1 TiB
	Backoff time.Duration // before the first new attempt, doubled until 30 s; 0 means 500 ms
	Idle    time.Duration // without a byte until a connection counts as broken; 0 means a minute

	Progress func(done, total int64)             // told as bytes arrive; nil tells nobody
	Retry    func(why error, wait time.Duration) // told before a new attempt; nil tells nobody
}

// Fetch brings a model file into o.Dir and returns its path. A file that is
// there already, whole and the same, is not fetched again. Errors say what to
// do; one about a wrong file wraps [ErrHash], and that file is gone then.
func Fetch(ctx context.Context, o Options) (string, error) {
	s, err := o.site()
	if err != nil {
		return "", err
	}
	t, err := s.locate(ctx)
	if err != nil {
		return "", err
	}
	file, err := s.bring(ctx, t)
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", t.file, err)
	}
	return file, nil
}

// site is a hub, and what is wanted of it.
type site struct {
	o      Options
	base   *url.URL
	client *http.Client
}

func (o Options) site() (*site, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Revision = cmp.Or(o.Revision, main)
	o.Base = cmp.Or(o.Base, Base)
	o.MaxSize = cmp.Or(o.MaxSize, maxSize)
	o.Backoff = cmp.Or(o.Backoff, backoff)
	o.Idle = cmp.Or(o.Idle, idle)
	o.SHA256 = strings.ToLower(o.SHA256)
	base, err := url.Parse(o.Base)
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("%.200q is no URL of a hub, which is as in %s", o.Base, Base)
	}
	if o.Token != "" && base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("a token is not told to %s over plain http: use https", base.Host)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &site{o: o, base: base, client: client}, nil
}

func (o Options) check() error {
	if err := o.Name.check(); err != nil {
		return err
	}
	if o.SHA256 != "" && sha256Of(o.SHA256) == "" {
		return fmt.Errorf("%.100q is no sha256, which has 64 hex digits", o.SHA256)
	}
	if o.MaxSize < 0 || o.Backoff < 0 || o.Idle < 0 {
		return fmt.Errorf("a size of %d, a pause of %v or a limit of %v is below zero", o.MaxSize, o.Backoff, o.Idle)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sha256Of returns the digest that an ETag or an LFS id is, in lower case, and
// "" where it is none.
func sha256Of(s string) string {
	s = strings.ToLower(strings.TrimPrefix(strings.Trim(s, `"`), "sha256:"))
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return ""
	}
	return s
}

// target is a file as the hub has it now.
type target struct {
	at      *url.URL
	file    string // name that it gets here
	size    int64  // bytes, above 0
	version string // what tells it from other versions; empty where nothing does
	sha256  string // that it must have; empty where nobody knows
}

// source is the address without what may be secret in it.
func (t target) source() string {
	u := *t.at
	u.RawQuery = ""
	return u.String()
}

// locate finds out what is to be fetched.
func (s *site) locate(ctx context.Context) (target, error) {
	t, err := s.address(ctx)
	if err != nil {
		return t, err
	}
	err = s.persist(ctx, nil, func(ctx context.Context, _ func()) error {
		a, err := s.get(ctx, t.at, "bytes=0-0")
		if err != nil {
			return err
		}
		a.Body.Close()
		t.size, t.version = a.total(), a.version()
		t.sha256 = cmp.Or(sha256Of(a.linked), t.sha256)
		return nil
	})
	if err != nil {
		return t, err
	}
	return t, s.accept(&t)
}

// address makes the URL of the wanted file, asking the hub which one that is if
// the name does not say.
func (s *site) address(ctx context.Context) (t target, err error) {
	if s.o.URL != "" {
		if t.file, err = fileOfURL(s.o.URL); err != nil {
			return t, err
		}
		t.at, err = url.Parse(s.o.URL)
		return t, err
	}
	if s.o.File == "" {
		entries, err := s.list(ctx)
		if err != nil {
			return t, err
		}
		e, err := pick(s.o.Name, entries)
		if err != nil {
			return t, err
		}
		s.o.File, t.sha256 = e.File, e.SHA256
	}
	t.file = path.Base(s.o.File)
	t.at = s.base.JoinPath(s.o.Repo, "resolve", url.PathEscape(s.o.Revision), s.o.File)
	return t, nil
}

// accept checks what the hub says of a file against what the caller wants.
func (s *site) accept(t *target) error {
	switch {
	case t.size <= 0:
		return fmt.Errorf("%s tells no size of %s: that is no model file", t.at.Host, t.file)
	case t.size > s.o.MaxSize:
		return fmt.Errorf("%s has %s, at most %s are fetched", t.file, Bytes(t.size), Bytes(s.o.MaxSize))
	case s.o.SHA256 != "" && t.sha256 != "" && s.o.SHA256 != t.sha256:
		return fmt.Errorf("%w: %s has %s at the hub, wanted is %s: is it another file or revision?", ErrHash, t.file, t.sha256, s.o.SHA256)
	}
	t.sha256 = cmp.Or(s.o.SHA256, t.sha256)
	return nil
}

// path is where the file goes.
func (s *site) path(t target) string { return filepath.Join(s.o.Dir, t.file) }

// Bytes writes a number of bytes for people: "4.2 GB".
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if v /= 1000; v < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
