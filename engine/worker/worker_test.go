package worker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/ref"
	"github.com/plexus-network/plexus/engine/worker"
)

// workers starts workers that are goroutines with the reference engine.
type workers struct {
	t    *testing.T
	path string

	mu      sync.Mutex
	started int
	conns   []io.Closer
	// dying returns after how many bytes from worker n its pipe breaks; 0 never.
	dying func(n int) int
}

func (w *workers) spawn() (io.ReadWriteCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	node, side := net.Pipe()
	w.conns = append(w.conns, node)
	go func() {
		defer side.Close()
		err := worker.Serve(context.Background(), side, side, func(l worker.Load) (worker.Served, worker.Opened, error) {
			e, err := ref.Open(l.Path, ref.Options{Context: l.Context})
			if err != nil {
				return nil, worker.Opened{}, err
			}
			return e, worker.Opened{Model: e.Model(), Build: "go"}, nil
		})
		if err != nil && !strings.Contains(err.Error(), "closed pipe") {
			w.t.Errorf("serve: %v", err)
		}
	}()
	conn := io.ReadWriteCloser(node)
	if w.dying != nil {
		if n := w.dying(w.started); n > 0 {
			conn = &mortal{ReadWriteCloser: node, left: n}
		}
	}
	w.started++
	return conn, nil
}

// mortal is a pipe that breaks after some bytes.
type mortal struct {
	io.ReadWriteCloser
	left int
}

func (m *mortal) Read(b []byte) (int, error) {
	if m.left <= 0 {
		m.Close()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := m.ReadWriteCloser.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

func start(t *testing.T, w *workers, o worker.Options) *worker.Engine {
	t.Helper()
	w.t = t
	if w.path == "" {
		w.path = enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16, Context: 1024})
	}
	e, err := worker.Start(t.Context(), w.spawn, worker.Load{Path: w.path}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{Exact: true, Open: func(t *testing.T) engine.Text { return start(t, &workers{}, worker.Options{}) }})
}

var question = engine.ChatRequest{Prompt: "the network", MaxTokens: 40, Sampling: engine.Sampling{Temperature: 0.9, Seed: engine.Seed{5}}, TopCount: 2}

func answer(t *testing.T, e *worker.Engine) (string, []engine.Token, error) {
	t.Helper()
	text, tokens := "", []engine.Token(nil)
	_, err := e.Chat(t.Context(), question, func(d engine.Delta) error {
		text += d.Text
		for _, x := range d.Tokens {
			tokens = append(tokens, x.Token)
		}
		return nil
	})
	return text, tokens, err
}

// TestGoesOn breaks the pipe at many places of an answer; it always reads the same.
func TestGoesOn(t *testing.T) {
	wantText, want, err := answer(t, start(t, &workers{}, worker.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	hello := helloSize(t)
	for after := 1; after < 2200; after += 97 {
		w := &workers{dying: func(n int) int {
			if n == 0 {
				return hello + after
			}
			return 0
		}}
		e := start(t, w, worker.Options{})
		text, got, err := answer(t, e)
		if err != nil || text != wantText || !slices.Equal(got, want) {
			t.Errorf("broken after %d bytes: %q %v, want %q", after, text, err, wantText)
		}
	}
}

// helloSize is how many bytes a worker says before it is asked anything.
func helloSize(t *testing.T) int {
	t.Helper()
	w := &workers{}
	c := &counting{}
	w.t, w.path = t, enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F16})
	e, err := worker.Start(t.Context(), func() (io.ReadWriteCloser, error) {
		conn, err := w.spawn()
		c.ReadWriteCloser = conn
		return c, err
	}, worker.Load{Path: w.path}, worker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

type counting struct {
	io.ReadWriteCloser
	mu sync.Mutex
	n  int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	return n, err
}

// TestGivesUp has every worker die a little into the answer.
func TestGivesUp(t *testing.T) {
	hello := helloSize(t)
	w := &workers{dying: func(int) int { return hello + 50 }}
	e := start(t, w, worker.Options{Deaths: 2})
	if _, _, err := answer(t, e); !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("got %v, want ErrWorkerDied", err)
	}
	if w.started != 3 {
		t.Errorf("%d workers were started, want 3", w.started)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	w := &workers{t: t}
	if _, err := worker.Start(t.Context(), w.spawn, worker.Load{Path: "/nowhere"}, worker.Options{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: got %v", err)
	}
	path := enginetest.RandomModel(t, enginetest.Shape{Arch: "llamb"})
	if _, err := worker.Start(t.Context(), w.spawn, worker.Load{Path: path}, worker.Options{}); !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), "llamb") {
		t.Errorf("an unknown architecture: got %v", err)
	}
	if _, err := worker.Start(t.Context(), func() (io.ReadWriteCloser, error) { return nil, io.ErrNoProgress }, worker.Load{}, worker.Options{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("no process: got %v", err)
	}
}

// frame builds a frame by hand.
func frame(id uint32, kind byte, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)+5))
	b = binary.LittleEndian.AppendUint32(b, id)
	return append(append(b, kind), payload...)
}

// script is a worker that says what it was told, whatever it is asked.
type script struct {
	io.Reader
	once sync.Once
	gone chan struct{}
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err == io.EOF {
		<-s.gone
	}
	return n, err
}
func (s *script) Write(b []byte) (int, error) { return len(b), nil }
func (s *script) Close() error {
	s.once.Do(func() { close(s.gone) })
	return nil
}

// TestDistrustsTheWorker feeds the node what a worker that was taken over might say.
func TestDistrustsTheWorker(t *testing.T) {
	u32 := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	opened := frame(0, 8, []byte(`{"Model":{"Name":"x","Context":9,"Vocabulary":1}}`))
	pieces := frame(0, 9, u32(1, 0, 0))
	delta := func(values ...uint32) []byte { return frame(1, 10, u32(values...)) }
	for _, c := range []struct {
		name   string
		says   [][]byte
		starts bool
	}{
		{"nothing", nil, false},
		{"a huge frame", [][]byte{u32(0xFFFFFFFF, 0, 0)}, false},
		{"a tiny frame", [][]byte{u32(4, 0, 0)}, false},
		{"another kind", [][]byte{frame(0, 77, nil)}, false},
		{"success without a model", [][]byte{frame(0, 14, []byte("{}"))}, false},
		{"tokens beyond the vocabulary", [][]byte{opened, frame(0, 9, u32(2, 0, 0, 0, 0))}, false},
		{"absurdly many tokens", [][]byte{opened, frame(0, 9, u32(1<<30, 0, 0))}, false},
		{"a delta without tokens", [][]byte{opened, pieces, delta(0, 0)}, true},
		{"a token that does not exist", [][]byte{opened, pieces, delta(0, 1, 5, 0, 0)}, true},
		{"a likelihood above 1", [][]byte{opened, pieces, delta(0, 1, 0, 0x40000000, 0)}, true},
		{"more alternatives than there may be", [][]byte{opened, pieces, delta(append([]uint32{0, 1, 0, 0, 60}, make([]uint32, 120)...)...)}, true},
		{"a text longer than its frame", [][]byte{opened, pieces, delta(1000, 0)}, true},
		{"an answer without end", append([][]byte{opened, pieces}, slices.Repeat([][]byte{delta(0, 1, 0, 0, 0)}, 30)...), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			started := 0
			e, err := worker.Start(ctx, func() (io.ReadWriteCloser, error) {
				started++
				if started > 1 {
					return nil, errors.New("no more of them")
				}
				s := &script{Reader: strings.NewReader(string(slices.Concat(c.says...))), gone: make(chan struct{})}
				if !c.starts {
					s.Close()
				}
				return s, nil
			}, worker.Load{Path: "x"}, worker.Options{})
			if !c.starts {
				if err == nil {
					t.Error("it is taken for a worker")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			_, err = e.Chat(ctx, engine.ChatRequest{Prompt: "a"}, func(engine.Delta) error { return nil })
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "no more of them") {
				t.Errorf("got %v, want the worker ended and another one tried", err)
			}
		})
	}
}

// TestServeDistrustsTheNode feeds the worker garbage: it ends, without a panic.
func TestServeDistrustsTheNode(t *testing.T) {
	path := enginetest.RandomModel(t, enginetest.Shape{})
	open := func(l worker.Load) (worker.Served, worker.Opened, error) {
		e, err := ref.Open(l.Path, ref.Options{})
		if err != nil {
			return nil, worker.Opened{}, err
		}
		return e, worker.Opened{Model: e.Model()}, nil
	}
	load := frame(0, 1, []byte(fmt.Sprintf(`{"Path":%q}`, path)))
	for _, c := range []struct {
		name, in string
		fails    bool
		refused  int // requests that are answered by an error
	}{
		{"nothing", "", false, 0},
		{"no load", string(frame(0, 2, nil)), true, 0},
		{"a load that is none", string(frame(0, 1, []byte("x"))), true, 0},
		{"half a frame", string(load[:7]), false, 0},
		{"an id twice", string(slices.Concat(load, frame(1, 2, []byte(`{"Text":"YQ=="}`)), frame(1, 2, []byte(`{"Text":"YQ=="}`)))), true, 1},
		{"requests that are none", string(slices.Concat(load, frame(1, 2, []byte("x")), frame(2, 3, nil), frame(3, 4, []byte{9}),
			frame(4, 5, []byte("x")), frame(5, 99, nil), frame(6, 7, nil))), false, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := worker.Serve(t.Context(), strings.NewReader(c.in), &lockedWriter{w: &out}, open)
			if (err != nil) != c.fails {
				t.Errorf("got %v, want an error: %v", err, c.fails)
			}
			if n := strings.Count(out.String(), `"Code":"`) - strings.Count(out.String(), `"Code":""`); n != c.refused {
				t.Errorf("%d requests are refused, want %d", n, c.refused)
			}
		})
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
