package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/shelf"
)

// maxChanges bounds how often a file may change while it is fetched.
const maxChanges = 3

// bring makes t's file here, unless it is there.
func (s *site) bring(ctx context.Context, t target) (string, error) {
	path := s.path(t)
	if there, err := t.present(ctx, path); there || err != nil {
		return path, err
	}
	p, err := openPart(path)
	if err != nil {
		return "", err
	}
	defer p.close()
	// Another process may have brought it just before.
	if there, err := t.present(ctx, path); there || err != nil {
		return path, errors.Join(err, p.remove())
	}
	if t, err = s.download(ctx, p, t); err != nil {
		return "", p.left(err, t)
	}
	return path, p.finish(ctx, path, t)
}

// left adds to an error what becomes of the part.
func (p *part) left(err error, t target) error {
	switch {
	case p.size == 0:
		return errors.Join(err, p.remove())
	case errors.Is(err, errChanged):
		return err
	}
	return fmt.Errorf("%w; %s of %s are kept, and the same command goes on from there", err, Bytes(p.size), Bytes(t.size))
}

// present tells whether t's file is at path. Another file there is an error:
// somebody may be using it.
func (t target) present(ctx context.Context, path string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if t.sha256 == "" {
		n := shelf.Note(path)
		if t.version != "" && n.Source == t.source() && n.Version == t.version {
			return true, nil
		}
		return false, fmt.Errorf("%s is there already, and the server tells no sha256 to compare it with: remove it, name another folder with --dir, or tell its hash with --sha256", path)
	}
	got, err := shelf.Hash(ctx, path)
	if err != nil {
		return false, err
	}
	if got != t.sha256 {
		return false, fmt.Errorf("%w: another file is at %s: it has %s, wanted is %s; remove it, or name another folder with --dir", ErrHash, path, got, t.sha256)
	}
	return true, nil
}

// download fills the part, and starts again if the file changes meanwhile. It
// returns the version that the part is of.
func (s *site) download(ctx context.Context, p *part, t target) (target, error) {
	for range maxChanges {
		err := p.resume(t)
		if err == nil {
			err = p.room(t)
		}
		if err == nil {
			err = s.fill(ctx, p, t)
		}
		if !errors.Is(err, errChanged) {
			return t, err
		}
		if t, err = s.locate(ctx); err != nil {
			return t, err
		}
	}
	return t, fmt.Errorf("%w, %d times: name a commit as its revision", errChanged, maxChanges)
}

// fill brings what the part lacks.
func (s *site) fill(ctx context.Context, p *part, t target) error {
	s.progress(p, t)
	before := p.size
	moved := func() bool {
		more := p.size > before
		before = p.size
		return more
	}
	return s.persist(ctx, moved, func(ctx context.Context, touch func()) error {
		if t.version == "" { // nothing would tell if the rest were of another version
			if err := p.restart(); err != nil {
				return err
			}
		}
		if p.size == t.size {
			return nil
		}
		a, err := s.get(ctx, t.at, p.missing())
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if err := p.fits(a, t); err != nil {
			return err
		}
		return copyBody(p, a.Body, t.size-p.size, func(int) {
			touch()
			s.progress(p, t)
		})
	})
}

func (s *site) progress(p *part, t target) {
	if s.o.Progress != nil {
		s.o.Progress(p.size, t.size)
	}
}

// missing is the range to ask for; none if all is missing.
func (p *part) missing() string {
	if p.size == 0 {
		return ""
	}
	return fmt.Sprintf("bytes=%d-", p.size)
}

// fits tells whether an answer goes on where the part ends. A server that does
// not know ranges answers with the whole.
func (p *part) fits(a answer, t target) error {
	if a.version() != t.version {
		return errChanged
	}
	if a.StatusCode == http.StatusPartialContent {
		if first, total := a.span(); first != p.size || total != t.size {
			return errChanged
		}
		return nil
	}
	if a.ContentLength >= 0 && a.ContentLength != t.size {
		return errChanged
	}
	if p.size > 0 {
		return p.restart()
	}
	return nil
}

// finish checks the whole part and gives it its name. A bad one is removed.
func (p *part) finish(ctx context.Context, path string, t target) error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	got, err := shelf.Sum(ctx, p.path)
	if err != nil {
		return err
	}
	if t.sha256 != "" && got != t.sha256 {
		return errors.Join(fmt.Errorf("%w: %s came with %s, wanted is %s; it is removed, try again, and if that does not help the hub's copy is damaged", ErrHash, t.file, got, t.sha256), p.remove())
	}
	if _, err := gguf.Open(p.path); err != nil {
		what := strings.ReplaceAll(err.Error(), p.path+": ", "")
		return errors.Join(fmt.Errorf("what %s sent as %s is no model, and is removed: %s", t.at.Host, t.file, what), p.remove())
	}
	if err := os.Rename(p.path, path); err != nil {
		return err
	}
	note := shelf.Noted{SHA256: got, Source: t.source(), Version: t.version}
	return errors.Join(p.forget(), shelf.Write(path, note))
}
