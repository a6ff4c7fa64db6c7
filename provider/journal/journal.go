// Package journal keeps what a container prints: two files, of which the
// older is thrown away when the newer is full, so that a log's size on disk is
// bounded and its end is always there.
//
// One process writes ([Open]) while others read ([Read]). A line of a file is
// a time, a letter for the stream, and the text. A Writer that is opened again
// goes on where the last one stopped, so a log outlives restarts.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// The two files of a journal, and the longest line, beyond which it is split.
const (
	newer   = "log"
	older   = "log.1"
	maxLine = 16 << 10
)

// A Writer appends to a journal. Streams may write at the same time.
type Writer struct {
	dir   string
	limit int64 // bytes of one file

	mu   sync.Mutex
	file *os.File
	size int64
}

// Open appends to the journal in dir, whose two files together hold at most
// limit bytes and one line more.
func Open(dir string, limit int64) (*Writer, error) {
	w := &Writer{dir: dir, limit: max(limit/2, maxLine)}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Writer) open() error {
	f, err := os.OpenFile(filepath.Join(w.dir, newer), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	at, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open log: %w", err), f.Close())
	}
	w.file, w.size = f, at.Size()
	return nil
}

// Close closes the file; the journal remains.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Close()
}

// Stream returns a writer of one stream's bytes, which it cuts into lines.
// Close it to write an unfinished last line.
func (w *Writer) Stream(name string) *Stream { return &Stream{to: w, letter: name[len("std"):][:1]} }

// A Stream is one of a container's two outputs.
type Stream struct {
	to     *Writer
	letter string // "o" or "e"
	part   []byte // of a line that has no end yet
}

// Write cuts p into lines.
func (s *Stream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		take := end
		if end < 0 {
			take = len(p)
		}
		take = min(take, maxLine-len(s.part))
		s.part = append(s.part, p[:take]...)
		whole := take == end
		p = p[take:]
		if whole {
			p = p[1:]
		}
		if whole || len(s.part) == maxLine {
			if err := s.flush(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// Close writes what has no newline yet.
func (s *Stream) Close() error {
	if len(s.part) == 0 {
		return nil
	}
	return s.flush()
}

func (s *Stream) flush() error {
	err := s.to.line(time.Now(), s.letter, s.part)
	s.part = s.part[:0]
	return err
}

// layout has a fixed width, so that lines sort by time as text.
const layout = "2006-01-02T15:04:05.000000000Z"

func (w *Writer) line(at time.Time, letter string, text []byte) error {
	line := at.UTC().AppendFormat(make([]byte, 0, len(layout)+len(text)+4), layout)
	line = append(line, ' ', letter[0], ' ')
	line = append(append(line, text...), '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.size > 0 && w.size+int64(len(line)) > w.limit {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(line)
	if err != nil && n > 0 && w.file.Truncate(w.size) == nil {
		return err // a full disk keeps no part of a line
	}
	w.size += int64(n)
	return err
}

// Append writes a line that was read from elsewhere, with its time and stream.
// It must have no newline and be no longer than one of [Read]'s.
func (w *Writer) Append(l sandbox.Line) error {
	return w.line(l.Time, l.Stream[len("std"):][:1], []byte(l.Text))
}

// rotate makes the newer file the older one.
func (w *Writer) rotate() error {
	if err := w.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(w.dir, newer), filepath.Join(w.dir, older)); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	return w.open()
}
