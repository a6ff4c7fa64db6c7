package exercise

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Paths of a server. All but PathHello take a POST; their requests are JSON but
// for PathSink, which takes any bytes and answers with their SHA-256.
const (
	PathHello  = "/hello"
	PathChains = "/chains"
	PathFill   = "/fill"
	PathLook   = "/look"
	PathWrite  = "/write"
	PathSource = "/source"
	PathSink   = "/sink"
)

// maxUpload bounds what PathSink takes: as much as an ingress lets through.
const maxUpload = 100 << 20

// A Server does exercises for whoever knows its key.
type Server struct {
	Key     string // that requests carry as "Authorization: Bearer KEY"; "" is for nobody
	Scratch string // folder on the container's own disk
	Volume  string // folder on its volume; "" means that it has none

	mu     sync.Mutex // one exercise at a time, but hello and streams
	memory []byte
	placed map[string]int // pages on each disk
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given := []byte(r.Header.Get("Authorization"))
	if s.Key == "" || subtle.ConstantTimeCompare(given, []byte("Bearer "+s.Key)) != 1 {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if r.URL.Path == PathHello {
		_, _ = io.WriteString(w, "hello\n") // who asked may be gone
		return
	}
	do := map[string]func(context.Context, io.Writer, io.Reader) error{
		PathChains: s.chains, PathFill: s.fill, PathLook: s.look, PathWrite: s.write, PathSource: s.source, PathSink: s.sink,
	}[r.URL.Path]
	if do == nil || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	err := do(r.Context(), w, http.MaxBytesReader(w, r.Body, maxUpload))
	switch {
	case errors.Is(err, ErrBad):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// asked reads a request.
func asked(body io.Reader, into interface{ Check() error }) error {
	text, err := io.ReadAll(io.LimitReader(body, maxRequest+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBad, err)
	}
	return read(text, into)
}

// begin sends the head of an answer that takes long: an ingress waits for it no
// longer than a minute.
func begin(w io.Writer) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func (s *Server) chains(ctx context.Context, w io.Writer, body io.Reader) error {
	var c Chains
	if err := asked(body, &c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begin(w)
	answer := make([]byte, c.Size())
	var all sync.WaitGroup
	for i := range c.Chains {
		all.Go(func() { c.do(i, answer[i*len(answer)/c.Chains:], func() bool { return ctx.Err() != nil }) })
	}
	all.Wait()
	_, err := w.Write(answer)
	return err
}

func (s *Server) fill(ctx context.Context, w io.Writer, body io.Reader) error {
	var f Fill
	if err := asked(body, &f); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begin(w)
	if len(s.memory) != f.Pages*PageSize {
		s.memory = nil
		debug.FreeOSMemory() // before as much again is asked for
		s.memory = make([]byte, f.Pages*PageSize)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= f.Pages {
					return
				}
				f.page(i, s.memory[i*PageSize:][:PageSize])
			}
		})
	}
	all.Wait()
	_, err := io.WriteString(w, "filled\n")
	return errors.Join(ctx.Err(), err)
}

func (s *Server) look(_ context.Context, w io.Writer, body io.Reader) error {
	var l Look
	if err := asked(body, &l); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, pages, done, err := s.open(l.Place)
	if err != nil {
		return err
	}
	defer done()
	answer := make([]byte, l.Size())
	err = l.blocks(pages, func(i, block int) error {
		_, err := from.ReadAt(answer[i*lookSize:][:lookSize], int64(block)*blockSize)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the pages in %s: %w", l.Place, err)
	}
	_, err = w.Write(answer)
	return err
}

// memory is bytes that are read as a file is.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error) { return copy(p, m[at:]), nil }

// open returns where pages lie, and how many.
func (s *Server) open(place string) (from io.ReaderAt, pages int, done func(), err error) {
	if place == Memory {
		pages, from, done = len(s.memory)/PageSize, memory(s.memory), func() {}
	} else if pages = s.placed[place]; pages > 0 {
		f, err := os.Open(s.file(place))
		if err != nil {
			return nil, 0, nil, err
		}
		from, done = f, func() { f.Close() }
	}
	if pages == 0 {
		return nil, 0, nil, fmt.Errorf("%w: nothing is in %s", ErrBad, place)
	}
	return from, pages, done, nil
}

// file is where pages lie on a disk.
func (s *Server) file(place string) string {
	dir := s.Scratch
	if place == Volume {
		dir = s.Volume
	}
	return filepath.Join(dir, "pages")
}

func (s *Server) write(_ context.Context, w io.Writer, body io.Reader) error {
	var o Write
	if err := asked(body, &o); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Place == Volume && s.Volume == "" || len(s.memory) == 0 {
		return fmt.Errorf("%w: no volume, or nothing to write on it", ErrBad)
	}
	begin(w)
	f, err := os.Create(s.file(o.Place))
	if err != nil {
		return err
	}
	_, err = f.Write(s.memory)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if s.placed == nil {
		s.placed = map[string]int{}
	}
	s.placed[o.Place] = len(s.memory) / PageSize
	_, err = io.WriteString(w, "written\n")
	return err
}

func (s *Server) source(_ context.Context, w io.Writer, body io.Reader) error {
	var o Stream
	if err := asked(body, &o); err != nil {
		return err
	}
	_, err := io.Copy(w, o.Reader())
	return err
}

func (s *Server) sink(_ context.Context, w io.Writer, body io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return fmt.Errorf("%w: %w", ErrBad, err)
	}
	_, err := w.Write(h.Sum(nil))
	return err
}
