package local

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// asked is set in the environment of workers.
const asked = "PLEXUS_ENGINE_WORKER"

// process is a running worker with its pipes.
type process struct {
	io.Reader
	io.WriteCloser
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
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
	p.Reader, p.WriteCloser = out, in
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		childOut.Close()
		started <- err
		if err == nil {
			p.wait(out)
		}
	}()
	if err := <-started; err != nil {
		out.Close()
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return p, nil
}

// wait reaps the worker and says how it ended, unless it was told to.
func (p *process) wait(out io.Closer) {
	err := p.cmd.Wait()
	out.Close()
	close(p.ended)
	if err != nil {
		p.log.Warn("engine worker ended", "error", err, "said", p.tail.String())
	}
}

// Close ends the worker and waits for its end.
func (p *process) Close() error {
	var err error
	p.once.Do(func() {
		err = p.WriteCloser.Close()
		_ = p.cmd.Process.Kill() // fails only where the process is gone
		<-p.ended
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
