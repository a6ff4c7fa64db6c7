package shim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/cgroup"
	"github.com/plexus-network/plexus/provider/journal"
)

// Ready is the file descriptor on which a shim says "ok" or what went wrong.
const Ready = 3

// ready is the answer of a shim whose container runs.
const ready = "ok"

// Wardens is the control group of the shims themselves.
const Wardens = "/plexus/wardens"

// deletion bounds how long a runtime may take to clean up after a container.
const deletion = 30 * time.Second

// Run is a shim's life: at a byte on word it starts the container that dir's
// plan describes, answers on answer, and returns when the container has ended
// and its record is written. If word ends without one, so does Run.
func Run(dir string, word io.Reader, answer io.WriteCloser) error {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	debug.SetGCPercent(20) // thousands of these may run
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a reaper: %w", err)
	}
	// A service manager that stops the daemon kills the daemon's group. Where
	// the move is refused, the daemon's unit must say KillMode=process.
	_ = cgroup.Join(Wardens, os.Getpid())
	if n, _ := word.Read(make([]byte, 1)); n == 0 {
		return nil // the daemon thought better of it
	}
	s := watch{dir: dir}
	err := s.start()
	text := ready
	if err != nil {
		text = err.Error()
	}
	_, _ = io.WriteString(answer, text) // a daemon that died meanwhile reads the record
	_ = answer.Close()
	if err != nil {
		return err
	}
	return s.wait()
}

// A watch is one container's shim.
type watch struct {
	dir  string
	plan Plan
	lock *os.File

	record  Record
	log     *journal.Writer
	streams sync.WaitGroup
	pipes   []*os.File   // their reading ends
	settle  func() error // ends what the container has beyond its limit
}

func (s *watch) start() (err error) {
	if s.lock, err = take(s.dir); err != nil {
		return err
	}
	if err := readJSON(filepath.Join(s.dir, planFile), &s.plan); err != nil {
		return err
	}
	if s.log, err = journal.Open(s.dir, s.plan.LogBytes); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		s.record = Record{Ended: time.Now(), Error: err.Error()}
		return errors.Join(err, writeJSON(filepath.Join(s.dir, recordFile), s.record))
	}
	return writeJSON(filepath.Join(s.dir, recordFile), s.record)
}

// launch runs the runtime, which leaves the container to this process.
func (s *watch) launch() error {
	var writing []*os.File
	defer func() {
		for _, w := range writing {
			_ = w.Close() // the container holds its own copies
		}
	}()
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		s.pipes, writing = append(s.pipes, r), append(writing, w)
	}
	_ = os.Remove(filepath.Join(s.dir, errorFile)) // of an earlier run
	cmd := s.runtime(context.Background(), "run", "--detach",
		"--pid-file", filepath.Join(s.dir, pidFile), "--bundle", s.plan.Bundle, s.plan.Container)
	cmd.Stdout, cmd.Stderr = writing[0], writing[1]
	if s.plan.Files > 0 {
		last, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer last.Close()
		cmd.ExtraFiles = make([]*os.File, s.plan.Files-3) // those between are closed
		cmd.ExtraFiles[len(cmd.ExtraFiles)-1] = last
	}
	if err := cmd.Run(); err != nil {
		return s.explain(err, writing)
	}
	// The runtime's own start has more than the container is to have. One that
	// has ended already may have no group.
	if err := cgroup.Weight(s.plan.Cgroup, s.plan.CPU); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("limit the processor: %w", err), s.delete())
	}
	pid, err := os.ReadFile(filepath.Join(s.dir, pidFile))
	if err != nil {
		return err
	}
	s.record = Record{Started: time.Now()}
	if s.record.Pid, err = strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		return fmt.Errorf("the runtime's pid file: %w", err)
	}
	s.keep()
	s.settle = func() error { return nil }
	if s.plan.CPU < Core {
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- s.goAhead(stop) }()
		s.settle = func() error { close(stop); return <-done }
	}
	return nil
}

func (s *watch) runtime(ctx context.Context, args ...string) *exec.Cmd {
	all := append(append([]string{}, s.plan.Runtime[1:]...), "--log", filepath.Join(s.dir, errorFile), "--log-format", "json")
	cmd := exec.CommandContext(ctx, s.plan.Runtime[0], append(all, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// explain turns a runtime's failure into one line for people: what it wrote
// in its log, else what it printed, which the container's pipe has kept.
func (s *watch) explain(err error, writing []*os.File) error {
	_ = s.delete()
	if text := lastError(filepath.Join(s.dir, errorFile)); text != "" {
		return errors.New(text)
	}
	_ = writing[1].Close()
	text, _ := io.ReadAll(io.LimitReader(s.pipes[1], 4096))
	if text = bytes.TrimSpace(text); len(text) > 0 {
		return errors.New(string(text))
	}
	return fmt.Errorf("%s run: %w", filepath.Base(s.plan.Runtime[0]), err)
}

func lastError(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	var last string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			last = entry.Msg
		}
	}
	return last
}

// keep copies the container's output to the journal until it ends.
func (s *watch) keep() {
	for i, name := range []string{"stdout", "stderr"} {
		s.streams.Go(func() {
			stream := s.log.Stream(name)
			if _, err := io.Copy(stream, s.pipes[i]); err != nil {
				// The disk is full, say. The container must not block on it.
				_, _ = io.Copy(io.Discard, s.pipes[i])
			}
			_ = stream.Close()
		})
	}
}

// wait reaps until the container itself has ended, and writes the record.
func (s *watch) wait() error {
	var status unix.WaitStatus
	for {
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for %s: %w", s.plan.Container, err)
		}
		if pid == s.record.Pid && (status.Exited() || status.Signaled()) {
			break
		}
	}
	s.record.Ended = time.Now()
	s.record.Code = status.ExitStatus()
	if status.Signaled() {
		s.record.Signal = int(status.Signal())
		s.record.Code = 128 + s.record.Signal
	}
	if used, err := cgroup.Read(s.plan.Cgroup); err == nil {
		s.record.OOM = used.OOM
	}
	err := s.settle()
	if err != nil {
		s.record.Error = err.Error()
	}
	err = errors.Join(err, s.delete())
	s.drain()
	return errors.Join(err, writeJSON(filepath.Join(s.dir, recordFile), s.record), s.log.Close())
}

// drain waits for the last output, though not for ever: who escaped the
// container could hold a pipe open.
func (s *watch) drain() {
	late := time.AfterFunc(2*time.Second, func() {
		for _, p := range s.pipes {
			_ = p.Close()
		}
	})
	s.streams.Wait()
	late.Stop()
}

func (s *watch) delete() error {
	ctx, cancel := context.WithTimeout(context.Background(), deletion)
	defer cancel()
	if out, err := s.runtime(ctx, "delete", "--force", s.plan.Container).CombinedOutput(); err != nil {
		return fmt.Errorf("delete %s: %w: %s", s.plan.Container, err, bytes.TrimSpace(out))
	}
	return nil
}
