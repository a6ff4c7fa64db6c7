package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// inHand is how long after its last use an image counts as in use: by then,
// whoever pulled it has written down that it is.
const inHand = 10 * time.Minute

// use notes that an image is used now, on disk once a minute at most: the time
// of its configuration's file.
func (s *Store) use(digest string) {
	now := time.Now()
	s.mu.Lock()
	due := now.Sub(s.written[digest]) >= time.Minute
	if s.used[digest] = now; due {
		s.written[digest] = now
	}
	s.mu.Unlock()
	if due {
		_ = os.Chtimes(s.config(digest), now, now) // else it seems older than it is, and is fetched again some day
	}
}

func (s *Store) config(digest string) string { return filepath.Join(s.path(digest), "config.json") }

// lastUse is when an image was pulled or found last.
func (s *Store) lastUse(digest string) time.Time {
	s.mu.Lock()
	used := s.used[digest]
	s.mu.Unlock()
	if info, err := os.Stat(s.config(digest)); err == nil && info.ModTime().After(used) {
		return info.ModTime()
	}
	return used
}

// Prune deletes images, least recently used first, and returns their digests.
// One whose digest is in use stays, one that is being fetched or was pulled in
// the last ten minutes too; enough is asked before each of the others, with
// the time since its last use, and ends the work when it says true.
func (s *Store) Prune(ctx context.Context, inUse map[string]bool, enough func(unused time.Duration) bool) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	type old struct {
		digest string
		used   time.Time
	}
	var all []old
	for _, e := range entries {
		digest := strings.Replace(e.Name(), "-", ":", 1)
		if !inUse[digest] && !strings.Contains(e.Name(), ".new") {
			all = append(all, old{digest, s.lastUse(digest)})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return a.used.Compare(b.used) })
	var gone []string
	for _, one := range all {
		if time.Since(one.used) < s.o.InHand || enough(time.Since(one.used)) {
			break
		}
		switch deleted, err := s.delete(ctx, one.digest); {
		case err != nil:
			return gone, err
		case deleted:
			gone = append(gone, one.digest)
		}
	}
	return gone, nil
}

// delete deletes an image unless it was used a moment ago. It renames first,
// so that a half-deleted image is never found.
func (s *Store) delete(ctx context.Context, digest string) (bool, error) {
	done, err := s.turn(ctx, digest)
	if err != nil {
		return false, err
	}
	defer done()
	if time.Since(s.lastUse(digest)) < s.o.InHand {
		return false, nil
	}
	doomed := s.path(digest) + ".new-gone"
	if err := os.Rename(s.path(digest), doomed); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	s.mu.Lock()
	delete(s.used, digest)
	delete(s.written, digest)
	s.mu.Unlock()
	return true, os.RemoveAll(doomed)
}
