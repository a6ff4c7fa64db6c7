package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How long one delivery may take, the pauses after failures, how long an alert
// is tried, and how many wait for one hook.
const (
	patience   = 15 * time.Second
	firstPause = 5 * time.Second
	longPause  = time.Hour
	keptFor    = 7 * 24 * time.Hour
	maxWaiting = 500
)

// Options of a [Post]. The zero value works.
type Options struct {
	HTTP  *http.Client        // nil means one that follows no redirects
	Count func(result string) // hears "delivered", "failed" or "dropped"; may be nil
	Log   *slog.Logger        // nil means no log
}

// A Post delivers alerts.
type Post struct {
	dir      string
	provider string
	o        Options
	hooks    []*box
}

// box is what waits for one hook, oldest first.
type box struct {
	Hook
	more chan struct{}

	mu  sync.Mutex
	all []letter
}

// letter is an alert that waits.
type letter struct {
	alert Alert
	file  string // "" if it could not be written
}

// Open makes dir the folder of what waits, and takes up what an earlier run
// left for these hooks.
func Open(dir, provider string, hooks []Hook, o Options) (*Post, error) {
	if o.HTTP == nil {
		o.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Count == nil {
		o.Count = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Post{dir: dir, provider: provider, o: o}
	for _, h := range hooks {
		if err := h.Check(); err != nil {
			return nil, err
		}
		p.hooks = append(p.hooks, &box{Hook: h, more: make(chan struct{}, 1)})
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.takeUp()
}

// takeUp reads what waits. What is for no hook any more, or damaged, goes.
func (p *Post) takeUp() error {
	entries, err := os.ReadDir(p.dir) // in the order of their names, which is that of time
	if err != nil {
		return err
	}
	for _, e := range entries {
		file := filepath.Join(p.dir, e.Name())
		_, key, _ := strings.Cut(strings.TrimSuffix(e.Name(), ".json"), "-")
		var a Alert
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		taken := false
		for _, b := range p.hooks {
			if err == nil && b.key() == key {
				b.all, taken = append(b.all, letter{a, file}), true
				break
			}
		}
		if !taken {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// Send has an alert delivered to all hooks that want its kind. It never waits
// for them, and never fails.
func (p *Post) Send(a Alert) {
	if a.ID = newID(); a.Tenant == "" {
		a.Provider = p.provider
	}
	if a.Time.IsZero() {
		a.Time = time.Now().UTC()
	}
	for _, b := range p.hooks {
		if b.wants(a.Kind) {
			p.put(b, a)
		}
	}
}

func (p *Post) put(b *box, a Alert) {
	one := letter{a, filepath.Join(p.dir, fmt.Sprintf("%020d-%s.json", time.Now().UnixNano(), b.key()))}
	b.mu.Lock()
	for len(b.all) > 0 && !b.all[len(b.all)-1].before(one) { // two in one nanosecond
		one.file = filepath.Join(p.dir, fmt.Sprintf("%020d-%s.json", b.all[len(b.all)-1].stamp()+1, b.key()))
	}
	if err := one.write(); err != nil {
		p.o.Log.Warn("an alert is kept in memory alone", "kind", a.Kind, "error", err)
		one.file = ""
	}
	b.all = append(b.all, one)
	var dropped []letter
	if over := len(b.all) - maxWaiting; over > 0 {
		dropped = append(dropped, b.all[:over]...)
		b.all = b.all[over:]
	}
	b.mu.Unlock()
	for _, d := range dropped {
		p.drop(b, d, "too many wait")
	}
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (l letter) stamp() (n int64) {
	_, _ = fmt.Sscanf(filepath.Base(l.file), "%d", &n) // 0 for one that is in memory
	return n
}

func (l letter) before(o letter) bool { return l.file == "" || l.stamp() < o.stamp() }

func (l letter) write() error {
	text, err := json.Marshal(l.alert)
	if err != nil {
		return err
	}
	err = os.WriteFile(l.file+".new", text, 0o600)
	if err == nil {
		err = os.Rename(l.file+".new", l.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(l.file+".new"))
	}
	return nil
}

func (p *Post) drop(b *box, l letter, why string) {
	p.o.Count("dropped")
	p.o.Log.Warn("alert dropped", "webhook", b.host(), "kind", l.alert.Kind, "reason", why)
	l.remove()
}

func (l letter) remove() {
	if l.file != "" {
		_ = os.Remove(l.file) // else it is delivered twice
	}
}

// host is a hook's server: the rest of its URL may hold a secret.
func (h Hook) host() string {
	_, rest, _ := strings.Cut(h.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host[strings.LastIndexByte(host, '@')+1:]
}

// Waiting counts the alerts that are not delivered yet.
func (p *Post) Waiting() int {
	n := 0
	for _, b := range p.hooks {
		b.mu.Lock()
		n += len(b.all)
		b.mu.Unlock()
	}
	return n
}

// Run delivers alerts until ctx ends.
func (p *Post) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, b := range p.hooks {
		all.Go(func() { p.serve(ctx, b) })
	}
	all.Wait()
}

// serve delivers one hook's alerts, in order.
func (p *Post) serve(ctx context.Context, b *box) {
	pause := firstPause
	for {
		l, ok := b.first()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-b.more:
			}
			continue
		}
		if time.Since(l.alert.Time) > keptFor {
			b.done(l)
			p.drop(b, l, "a week old")
			continue
		}
		err := p.deliver(ctx, b, l)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			p.o.Count("delivered")
			b.done(l)
			l.remove()
			pause = firstPause
			continue
		}
		p.o.Count("failed")
		p.o.Log.Warn("alert not delivered", "webhook", b.host(), "kind", l.alert.Kind, "next", pause, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

func (b *box) first() (letter, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) == 0 {
		return letter{}, false
	}
	return b.all[0], true
}

// done takes a letter out, which may have been dropped meanwhile.
func (b *box) done(l letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) > 0 && b.all[0].alert.ID == l.alert.ID {
		b.all = b.all[1:]
	}
}

// deliver sends one alert.
func (p *Post) deliver(ctx context.Context, b *box, l letter) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := json.Marshal(l.alert)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "plexus")
	if b.Secret != "" {
		req.Header.Set(SignatureHeader, Sign(b.Secret, body))
	}
	resp, err := p.o.HTTP.Do(req)
	if err != nil {
		return hide(err)
	}
	_, err = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if err = errors.Join(ignore(err, io.EOF), resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

// hide takes the URL out of an error.
func hide(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
