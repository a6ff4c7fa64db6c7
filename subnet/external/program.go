package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// program keeps a program running: it is started for the first call, and again
// for the next call after it ended, ever later if it keeps ending.
type program struct {
	options Options
	greet   func(context.Context, caller) error

	mu       sync.Mutex
	run      *run // nil when none runs
	started  time.Time
	failures int
	closed   bool
}

// Pauses before a program is started again, doubled with every failure.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 30 * time.Second
	goodLife   = time.Minute // a program that lived this long starts the count anew
)

func (p *program) call(ctx context.Context, method string, params any, onChunk func([]byte) error) (json.RawMessage, error) {
	r, err := p.running(ctx)
	if err != nil {
		return nil, err
	}
	return r.call(ctx, method, params, onChunk)
}

var errClosed = errors.New("external: the mechanism is closed")

// running returns the program as it runs, started if need be.
func (p *program) running(ctx context.Context) (*run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.run != nil && p.run.alive() {
		return p.run, nil
	}
	if p.run != nil {
		p.mourn()
	}
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	r, err := start(p.options)
	p.started = time.Now()
	if err == nil {
		if err = p.greet(ctx, r); err != nil {
			r.kill(err)
			<-r.done
		}
	}
	if err != nil {
		p.failures++
		return nil, err
	}
	p.run = r
	return r, nil
}

// mourn notes that the program ended by itself. The caller holds mu.
func (p *program) mourn() {
	if time.Since(p.started) > goodLife {
		p.failures = 0
	}
	p.failures++
	p.options.Log.Warn("a mechanism's program ended and is started again", "why", p.run.why(), "failures", p.failures)
	p.run = nil
}

// wait lets the pause before the next start pass, or says that the program is
// down if ctx ends before. The caller holds mu: nobody else could go on either.
func (p *program) wait(ctx context.Context) error {
	if p.failures == 0 {
		return nil
	}
	pause := min(firstPause<<min(p.failures-1, 20), longPause)
	rest := time.Until(p.started.Add(pause))
	if until, ok := ctx.Deadline(); ok && rest > 0 && time.Until(until) < rest {
		return fmt.Errorf("%w: it is down, and started again in %v", ErrProgram, rest.Round(time.Millisecond))
	}
	select {
	case <-time.After(rest):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *program) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.run == nil {
		return nil
	}
	p.run.end()
	return nil
}

// run is one life of a program.
type run struct {
	cmd     *exec.Cmd
	in      *os.File // our end of its standard input
	timeout time.Duration
	done    chan struct{} // closed when it ended and was waited for

	writing sync.Mutex

	mu    sync.Mutex
	err   error // why it ended, or is being ended
	last  uint64
	calls map[uint64]*call
}

// start starts the program in a process group of its own.
func start(o Options) (*run, error) {
	in, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Dir, cmd.Env = o.Dir, environment(o.Env)
	cmd.Stdin = in
	cmd.Stderr = &complaints{options: o, often: rate.NewLimiter(5, 20)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("%w: start %s: %w", ErrProgram, o.Command[0], err)
	}
	r := &run{cmd: cmd, in: ours, timeout: o.Timeout, done: make(chan struct{}), calls: map[uint64]*call{}}
	go func() {
		defer close(r.done)
		lines := newLines(out)
		for lines.Scan() {
			if err := r.hear(lines.Bytes()); err != nil {
				r.kill(err)
				break
			}
		}
		r.kill(fmt.Errorf("%w: it closed its output: %w", ErrProgram, errors.Join(lines.Err(), errEnded)))
		err := cmd.Wait()
		ours.Close()
		r.bury(err)
	}()
	return r, nil
}

var errEnded = errors.New("it ended")

// environment is what a program sees of ours: not its secrets.
func environment(more []string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, more...)
}

// kill ends the program and all that it started; why is kept if it is the
// first reason.
func (r *run) kill(why error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = why
	}
	r.mu.Unlock()
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // it may be gone
}

// bury fails the calls that a program left behind.
func (r *run) bury(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && errors.Is(r.err, errEnded) {
		r.err = fmt.Errorf("%w: it ended: %w", ErrProgram, err)
	}
	for id, c := range r.calls {
		c.finish(nil, r.err)
		delete(r.calls, id)
	}
}

// end lets the program end by itself when its input ends, for a while.
func (r *run) end() {
	r.in.Close()
	select {
	case <-r.done:
	case <-time.After(2 * time.Second):
		r.kill(errClosed)
		<-r.done
	}
}

func (r *run) alive() bool { return r.why() == nil }

func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// complaints logs what a program writes to its standard error, not too often.
type complaints struct {
	options Options
	often   *rate.Limiter
}

func (c *complaints) Write(b []byte) (int, error) {
	if c.often.Allow() {
		c.options.Log.Info("a mechanism's program says", "program", c.options.Command[0], "text", string(b[:min(len(b), 2048)]))
	}
	return len(b), nil
}
