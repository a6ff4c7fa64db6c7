package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// get asks a replica over HTTP until it answers.
func get(t testing.TB, at netip.Addr, path, body string) string {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	var answer string
	wait(t, "an answer of "+at.String(), func() bool {
		r, err := client.Post("http://"+at.String()+":8080"+path, "text/plain", strings.NewReader(body))
		if err != nil {
			return false
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		answer = string(text)
		return err == nil
	})
	return answer
}

// serves is the shortest way: an image's server answers over HTTP.
func (k *kit) serves(t *testing.T) {
	w := k.workload(k.lease(t), "web", "serve", "hello")
	s := k.start(t, w)
	if s.State != sandbox.Running || s.Started.IsZero() {
		t.Errorf("status %+v, want running", s)
	}
	if got, want := get(t, s.Address, "/a", "echo"), "hello /a echo"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	u, err := k.engine.Usage(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU <= 0 || u.Memory <= 0 || u.Pids <= 0 || u.In <= 0 || u.Out <= 0 || u.Disk < 0 {
		t.Errorf("usage %+v, want some of everything", u)
	}
	if err := k.engine.Start(t.Context(), w); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
	w.Memory *= 2
	if err := k.engine.Start(t.Context(), w); !errors.Is(err, sandbox.ErrRunning) {
		t.Errorf("starting another under the same name: %v, want %v", err, sandbox.ErrRunning)
	}
}

// runs is what a process finds: user, folder, environment, exit code.
func (k *kit) runs(t *testing.T) {
	l := k.lease(t)
	w := k.workload(l, "job", "info")
	w.Process.UID, w.Process.GID, w.Process.Dir = 1000, 1000, "/tmp"
	s, text := k.finish(t, w)
	if want := "uid=1000 gid=1000 pid=1 host=job-0 dir=/tmp greeting=hello\n"; text != want {
		t.Errorf("it printed %q, want %q", text, want)
	}
	if s.State != sandbox.Exited || s.Code != 0 || s.Reason != sandbox.ReasonDone || s.Ended.Before(s.Started) {
		t.Errorf("status %+v", s)
	}
	s, _ = k.finish(t, k.workload(l, "failing", "exit", "7"))
	if s.Code != 7 || s.Reason != sandbox.ReasonDone {
		t.Errorf("status %+v, want exit code 7", s)
	}
	again, _ := k.finish(t, k.workload(l, "failing", "exit", "8"))
	if again.Code != 8 {
		t.Errorf("status %+v of a second run, want exit code 8", again)
	}
}

// refuses is what never starts, and says why.
func (k *kit) refuses(t *testing.T) {
	l := k.lease(t)
	w := k.workload(l, "web", "serve")
	for name, spoil := range map[string]func(*sandbox.Workload){
		"no command":        func(w *sandbox.Workload) { w.Process.Args = nil },
		"no memory":         func(w *sandbox.Workload) { w.Memory = 0 },
		"service name":      func(w *sandbox.Workload) { w.ID.Service = "../x" },
		"volume over /proc": func(w *sandbox.Workload) { w.Volumes = []sandbox.Volume{{Name: "v", Size: 8 << 20, Path: "/proc/x"}} },
		"unknown class": func(w *sandbox.Workload) {
			w.Volumes = []sandbox.Volume{{Name: "v", Size: 8 << 20, Path: "/v", Class: "beta9"}}
		},
	} {
		bad := w
		spoil(&bad)
		if err := k.engine.Start(t.Context(), bad); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, sandbox.ErrInvalid)
		}
	}
	w.Process.Args = []string{"/no/such/program"}
	if err := k.engine.Start(t.Context(), w); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("a program that is not there: %v", err)
	}
	s, err := k.engine.Status(t.Context(), w.ID)
	if err != nil || s.State != sandbox.Failed || s.Reason != sandbox.ReasonStart || s.Detail == "" {
		t.Errorf("status %+v, %v, want failed with a detail", s, err)
	}
	unknown := sandbox.ID{Lease: "nobody", Service: "web"}
	if _, err := k.engine.Status(t.Context(), unknown); !errors.Is(err, sandbox.ErrUnknown) {
		t.Errorf("status of an unknown lease: %v, want %v", err, sandbox.ErrUnknown)
	}
	if err := k.engine.Stop(t.Context(), unknown, 0); !errors.Is(err, sandbox.ErrUnknown) {
		t.Errorf("stop of an unknown lease: %v, want %v", err, sandbox.ErrUnknown)
	}
	if _, err := k.engine.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"x"}}); !errors.Is(err, sandbox.ErrNotRunning) {
		t.Errorf("exec in what does not run: %v, want %v", err, sandbox.ErrNotRunning)
	}
	if err := k.engine.Release(t.Context(), "nobody"); err != nil {
		t.Errorf("release of an unknown lease: %v", err)
	}
}

// execs runs commands in a replica: with input, with exit codes, on a
// terminal that changes its size, and until the caller has had enough.
func (k *kit) execs(t *testing.T) {
	w := k.workload(k.lease(t), "web", "serve")
	w.Process.UID, w.Process.GID, w.Process.Dir = 1000, 1000, "/tmp"
	k.start(t, w)
	if got := k.exec(t, w.ID, "info"); !strings.HasPrefix(got, "uid=1000 gid=1000 ") || !strings.HasSuffix(got, " host=web-0 dir=/tmp greeting=hello") {
		t.Errorf("a command finds %q", got)
	}
	var out, errs bytes.Buffer
	code, err := k.engine.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"/tenant", "exit", "9"}})
	if err != nil || code != 9 {
		t.Errorf("exit code %d, %v, want 9", code, err)
	}
	code, err = k.engine.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"/tenant", "cat"}, Stdin: strings.NewReader("piped"), Stdout: &out})
	if err != nil || code != 0 || out.String() != "piped" {
		t.Errorf("cat: %d, %v, printed %q", code, err, out.String())
	}
	out.Reset()
	code, err = k.engine.Exec(t.Context(), w.ID, sandbox.Exec{Args: []string{"/tenant", "say", "2", "1"}, Stdout: &out, Stderr: &errs})
	if err != nil || code != 0 || out.String() != "0 x\n1 x\n" || errs.String() != "said 2\n" {
		t.Errorf("say: %d, %v, printed %q and %q", code, err, out.String(), errs.String())
	}
	k.execTerminal(t, w.ID)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := k.engine.Exec(ctx, w.ID, sandbox.Exec{Args: []string{"/tenant", "sleep", "600"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that is cut off: %v, want %v", err, context.DeadlineExceeded)
	}
}

func (k *kit) execTerminal(t *testing.T, id sandbox.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out shared
	sizes := make(chan sandbox.Size)
	go func() {
		defer close(sizes)
		for ctx.Err() == nil && !strings.Contains(out.String(), "size 33x99") {
			time.Sleep(10 * time.Millisecond)
		}
		select {
		case sizes <- sandbox.Size{Rows: 44, Columns: 111}:
		case <-ctx.Done():
		}
	}()
	code, err := k.engine.Exec(ctx, id, sandbox.Exec{
		Args: []string{"/tenant", "tty"}, Stdout: &out, TTY: true, Size: sandbox.Size{Rows: 33, Columns: 99}, Resize: sizes,
	})
	if err != nil || code != 0 || !strings.Contains(out.String(), "size 33x99") || !strings.Contains(out.String(), "size 44x111") {
		t.Errorf("on a terminal: %d, %v, printed %q, want sizes 33x99 and 44x111", code, err, out.String())
	}
}

// shared is a buffer that one goroutine writes and another reads.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// logs are whole, followed, and of bounded size.
func (k *kit) logs(t *testing.T) {
	l := k.lease(t)
	w := k.workload(l, "talker", "say", "1000", "10")
	k.start(t, w)
	var lines []sandbox.Line
	for line, err := range k.engine.Logs(t.Context(), w.ID, sandbox.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 1001 {
		t.Fatalf("followed %d lines, want 1001", len(lines))
	}
	var counted int
	for _, line := range lines {
		if line.Stream == "stdout" {
			if want := fmt.Sprintf("%d xxxxxxxxxx", counted); line.Text != want {
				t.Fatalf("line %d is %q, want %q", counted, line.Text, want)
			}
			counted++
		}
	}
	var tail []sandbox.Line
	for line, err := range k.engine.Logs(t.Context(), w.ID, sandbox.LogOptions{Tail: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		tail = append(tail, line)
	}
	if len(tail) != 3 || tail[2] != lines[len(lines)-1] {
		t.Errorf("tail %v", tail)
	}
	k.ended(t, w.ID)
}

// stops asks, then kills.
func (k *kit) stops(t *testing.T) {
	l := k.lease(t)
	polite := k.workload(l, "polite", "serve")
	s := k.start(t, polite)
	get(t, s.Address, "/", "")
	if err := k.engine.Stop(t.Context(), polite.ID, patience); err != nil {
		t.Fatal(err)
	}
	s = k.ended(t, polite.ID)
	if s.State != sandbox.Exited || s.Code != 0 || s.Reason != sandbox.ReasonStopped || !strings.Contains(k.text(t, polite.ID), "stopping") {
		t.Errorf("status %+v, log %q", s, k.text(t, polite.ID))
	}
	stubborn := k.workload(l, "stubborn", "stubborn")
	k.start(t, stubborn)
	wait(t, "its first word", func() bool { return strings.Contains(k.text(t, stubborn.ID), "ignoring") })
	if err := k.engine.Stop(t.Context(), stubborn.ID, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s = k.ended(t, stubborn.ID); s.Code != 137 || s.Reason != sandbox.ReasonStopped {
		t.Errorf("status %+v, want 137, stopped", s)
	}
	if err := k.engine.Stop(t.Context(), stubborn.ID, 0); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
}

// volumes keep what is written, through a stop and for one replica alone, and
// are full at their size.
func (k *kit) volumes(t *testing.T) {
	w := k.workload(k.lease(t), "db", "write", "/data/x", "kept")
	w.Process.UID, w.Process.GID = 1000, 1000
	w.Volumes = []sandbox.Volume{{Name: "data", Size: 16 << 20, Path: "/data"}}
	if s, text := k.finish(t, w); s.Code != 0 {
		t.Fatalf("write: %+v, %q", s, text)
	}
	w.Process.Args = []string{"/tenant", "read", "/data/x"}
	if s, text := k.finish(t, w); s.Code != 0 || !strings.HasSuffix(text, "kept\n") {
		t.Errorf("read after a restart: %+v, %q", s, text)
	}
	other := w
	other.ID.Replica = 1
	if s, _ := k.finish(t, other); s.Code == 0 {
		t.Error("another replica sees the volume")
	}
	w.Process.Args = []string{"/tenant", "fill", "/data/full", "64"}
	if s, text := k.finish(t, w); !strings.Contains(text, "no space left") {
		t.Errorf("filling 16 MiB with 64: %+v, %q", s, text)
	}
	w.Volumes[0].ReadOnly = true
	w.Process.Args = []string{"/tenant", "write", "/data/y", "no"}
	if s, text := k.finish(t, w); s.Code == 0 || !strings.Contains(text, "read-only") {
		t.Errorf("writing to a read-only volume: %+v, %q", s, text)
	}
}
