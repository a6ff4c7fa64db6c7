package journal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// poll is how often a follower looks for more.
const poll = 100 * time.Millisecond

// Read yields the lines of the journal in dir that o asks for. Following, it
// goes on until live says false and all is read, or until ctx ends; nil for
// live means for ever. A journal that is not there yet is an empty one.
func Read(ctx context.Context, dir string, o sandbox.LogOptions, live func() bool) iter.Seq2[sandbox.Line, error] {
	return func(yield func(sandbox.Line, error) bool) {
		r := reader{dir: dir}
		defer r.close()
		lines, err := r.all(o)
		if err != nil {
			yield(sandbox.Line{}, err)
			return
		}
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
		if o.Follow {
			r.follow(ctx, o.Since, live, yield)
		}
	}
}

// A reader stands at a place in the newer file, and finds that file again
// when it has been renamed.
type reader struct {
	dir  string
	file *os.File
	buf  *bufio.Reader
	part []byte // of a line whose end is not written yet
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // only read
	}
}

func (r *reader) open(name string) error {
	r.close()
	r.file = nil
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	r.file, r.buf, r.part = f, bufio.NewReaderSize(f, 64<<10), nil
	return nil
}

// all reads both files and leaves the reader at the end of the newer one.
func (r *reader) all(o sandbox.LogOptions) ([]sandbox.Line, error) {
	var lines []sandbox.Line
	for _, name := range []string{older, newer} {
		if err := r.open(name); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for {
			l, ok, err := r.next()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if !l.Time.Before(o.Since) {
				lines = append(lines, l)
			}
			if o.Tail > 0 && len(lines) >= 2*o.Tail {
				lines = append(lines[:0], lines[len(lines)-o.Tail:]...)
			}
		}
	}
	if o.Tail > 0 && len(lines) > o.Tail {
		lines = lines[len(lines)-o.Tail:]
	}
	return lines, nil
}

// next returns the next whole line, or false at the end of what is written.
func (r *reader) next() (sandbox.Line, bool, error) {
	if r.file == nil {
		return sandbox.Line{}, false, nil
	}
	piece, err := r.buf.ReadSlice('\n')
	r.part = append(r.part, piece...)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return r.next()
	case errors.Is(err, io.EOF):
		return sandbox.Line{}, false, nil
	case err != nil:
		return sandbox.Line{}, false, err
	}
	l := parse(r.part)
	r.part = r.part[:0]
	return l, true, nil
}

// parse undoes Writer.line. A line that is damaged, as after a power cut, is
// passed on as it is.
func parse(line []byte) sandbox.Line {
	text := line[:len(line)-1]
	if len(text) >= len(layout)+3 {
		if at, err := time.Parse(layout, string(text[:len(layout)])); err == nil {
			stream := "stdout"
			if text[len(layout)+1] == 'e' {
				stream = "stderr"
			}
			return sandbox.Line{Time: at, Stream: stream, Text: string(text[len(layout)+3:])}
		}
	}
	return sandbox.Line{Stream: "stdout", Text: string(text)}
}

func (r *reader) follow(ctx context.Context, since time.Time, live func() bool, yield func(sandbox.Line, error) bool) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ended := live != nil && !live() // before reading, so that the last lines are read
		for {
			l, ok, err := r.next()
			if err != nil {
				yield(sandbox.Line{}, err)
				return
			}
			if !ok && !r.turned() {
				break
			}
			if ok && !l.Time.Before(since) && !yield(l, nil) {
				return
			}
		}
		if ended {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// turned moves to the newer file if the one at hand is no longer it, which is
// so only when all of it has been read.
func (r *reader) turned() bool {
	now, err := os.Stat(filepath.Join(r.dir, newer))
	if err != nil {
		return false
	}
	if r.file != nil {
		was, err := r.file.Stat()
		if err != nil || os.SameFile(was, now) {
			return false
		}
	}
	return r.open(newer) == nil
}
