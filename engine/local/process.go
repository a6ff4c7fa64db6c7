package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// asked is set in the environment of workers.
const asked = "PLEXUS_ENGINE_WORKER"

// process is a running worker with its pipes.
type process struct {
	out   *os.File // of the worker
	in    io.WriteCloser
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	told  atomic.Bool   // whether it was told to end
	once  sync.Once
	log   *slog.Logger
	tail  *tail
}

// start starts a worker. The thread that starts it waits for it as well,
// because the kernel ties the worker's life to that thread's (PDEATHSIG).
func start(command []string, log *slog.Logger) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{}), log: log, tail: &tail{}}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.tail
	p.cmd.SysProcAttr = dieWithParent()
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it under a reader.
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = childOut
	p.out, p.in = out, in
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		childOut.Close()
		started <- err
		if err == nil {
			p.wait()
		}
	}()
	if err := <-started; err != nil {
		out.Close()
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return p, nil
}

// wait reaps the worker and says how it ended, unless it was told to. What the
// worker wrote before its end can still be read.
func (p *process) wait() {
	err := p.cmd.Wait()
	close(p.ended)
	if err != nil && !p.told.Load() {
		p.log.Warn("engine worker ended", "error", err, "said", p.tail.String())
	}
}

// Read reads from the worker, up to its end.
func (p *process) Read(b []byte) (int, error) { return p.out.Read(b) }

// Write writes to the worker.
func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close ends the worker and waits for its end.
func (p *process) Close() error {
	var err error
	p.once.Do(func() {
		p.told.Store(true)
		err = p.in.Close()
		_ = p.cmd.Process.Kill() // fails only where the process is gone
		<-p.ended
		err = errors.Join(err, p.out.Close())
	})
	return err
}

// environment is what a worker sees: no secrets of the node.
func environment() []string {
	env := []string{asked + "=1"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// tail keeps the last of what a worker says on its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 2048
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(strings.TrimSpace(string(t.text)), "?")
}
