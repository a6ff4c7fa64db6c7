package local_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/local"
)

// TestMain makes this program a worker where a test starts it as one, and a
// node that dies under its worker for TestWorkerDiesWithItsNode.
func TestMain(m *testing.M) {
	local.ServeIfAsked()
	if path := os.Getenv("PLEXUS_TEST_NODE"); path != "" {
		e, err := local.Open(context.Background(), path, local.Options{Command: os.Args[:1]})
		if err != nil {
			panic(err)
		}
		if _, err := e.Encode("ready"); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("ready\n")
		select {}
	}
	os.Exit(m.Run())
}

// worker options for tests: this program serves.
func options() local.Options {
	o := local.Options{Command: os.Args[:1], Threads: 1}
	if path := os.Getenv("PLEXUS_ACCELERATOR"); path != "" {
		o.Accelerators = []string{path}
	}
	return o
}

func open(t testing.TB, path string, o local.Options) engine.Checker {
	t.Helper()
	e, err := local.Open(t.Context(), path, o)
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
	for _, k := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
		t.Run(k.String(), func(t *testing.T) {
			enginetest.Run(t, enginetest.Kit{Tolerance: 0.06, Drifts: len(options().Accelerators) > 0, Open: func(t *testing.T) engine.Text {
				e, err := local.Open(t.Context(), enginetest.RandomModel(t, enginetest.Shape{Type: k, Context: 1024}), options())
				if err != nil {
					t.Fatal(err)
				}
				return e
			}})
		})
	}
}

// children lists the processes that this one started and that still run.
func children(t testing.TB, parent int) []int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(parent) + "/task/*/children")
	if err != nil || len(tasks) == 0 {
		t.Skip("this system does not list a process's children")
	}
	var out []int
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pid)
		}
	}
	return out
}

// TestSurvivesItsWorker kills the worker in the middle of an answer: the
// reader sees the same answer as without.
func TestSurvivesItsWorker(t *testing.T) {
	log := &bytes.Buffer{}
	o := options()
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	before := children(t, os.Getpid())
	e := open(t, enginetest.RandomModel(t, enginetest.Shape{Type: gguf.F32}), o)
	q := engine.ChatRequest{
		Prompt: "the network", MaxTokens: 120, Stop: []string{"never said"},
		Sampling: engine.Sampling{Temperature: 0.8, Seed: engine.Seed{3}},
	}
	ask := func(kill func(n int)) (text string, tokens []engine.Token, u engine.Usage) {
		u, err := e.Chat(t.Context(), q, func(d engine.Delta) error {
			text += d.Text
			for _, x := range d.Tokens {
				tokens = append(tokens, x.Token)
			}
			kill(len(tokens))
			return nil
		})
		if err != nil {
			t.Fatalf("chat: %v", err)
		}
		return text, tokens, u
	}
	wantText, want, wantUsage := ask(func(int) {})
	killed := 0
	text, got, usage := ask(func(n int) {
		if n != 10 && n != 11 && n != 60 {
			return
		}
		for _, pid := range children(t, os.Getpid()) {
			if !slices.Contains(before, pid) {
				killed++
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if killed == 0 {
		t.Fatal("no worker was there to kill")
	}
	if len(o.Accelerators) > 0 {
		text, wantText, got, want = "", "", got[:10], want[:10] // what follows a death is computed in another batch
	}
	if text != wantText || !slices.Equal(got, want) {
		t.Errorf("with %d deaths: %q\nwithout: %q", killed, text, wantText)
	}
	if len(o.Accelerators) == 0 && usage.Completion != wantUsage.Completion || usage.Prompt != wantUsage.Prompt || usage.Finish != wantUsage.Finish {
		t.Errorf("usage is %+v, want %+v", usage, wantUsage)
	}
	if !strings.Contains(log.String(), "engine worker restarted") {
		t.Errorf("the log says nothing of it: %s", log)
	}
}

// TestGivesUp has every worker killed as soon as it writes.
func TestGivesUp(t *testing.T) {
	before := children(t, os.Getpid())
	// Slow enough to be caught in the middle.
	e := open(t, enginetest.RandomModel(t, enginetest.Shape{Dim: 256, Layers: 4, Context: 1024}), options())
	long := engine.Constraint{Form: engine.JSONSchema, Schema: []byte(`{"type":"string","minLength":800}`)} // whatever the processor rounds to
	_, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a", Constraint: long, Sampling: engine.Sampling{Temperature: 1}}, func(engine.Delta) error {
		for _, pid := range children(t, os.Getpid()) {
			if !slices.Contains(before, pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
			}
		}
		time.Sleep(20 * time.Millisecond) // the kill must be seen before the answer ends
		return nil
	})
	if !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("got %v, want ErrWorkerDied", err)
	}
	if _, err := e.Encode("still there"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestWorkerDiesWithItsNode(t *testing.T) {
	node := exec.Command(os.Args[0])
	node.Env = append(os.Environ(), "PLEXUS_TEST_NODE="+enginetest.RandomModel(t, enginetest.Shape{}))
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	workers := children(t, node.Process.Pid)
	if len(workers) != 1 {
		t.Fatalf("the node has %d workers", len(workers))
	}
	if err := node.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = node.Wait() // "signal: killed"
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !runs(workers[0]) {
			return
		}
	}
	t.Errorf("worker %d outlives its node by a minute", workers[0])
}

// runs tells whether a process is there and no zombie.
func runs(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good := enginetest.RandomBytes(t, enginetest.Shape{})
	write := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "model.gguf")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, path, want string
		bad              bool
	}{
		{"no file", "/nowhere/model.gguf", "no such file", false},
		{"a folder", t.TempDir(), "not a regular file", true},
		{"empty", write(nil), "truncated", true},
		{"something else", write([]byte("PK\x03\x04 a zip file")), "not a GGUF file", true},
		{"half of it", write(good[:len(good)/2]), "truncated", true},
		{"without its end", write(good[:len(good)-1]), "truncated", true},
		{"unknown architecture", enginetest.RandomModel(t, enginetest.Shape{Arch: "llamb"}), "llamb", true},
		{"a template that is none", enginetest.RandomModel(t, enginetest.Shape{Template: "{% if %}"}), "chat template", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := local.Open(t.Context(), c.path, options())
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, engine.ErrBadModel) != c.bad {
				t.Errorf("got %v, want something with %q, bad model %v", err, c.want, c.bad)
			}
		})
	}
	t.Run("no program", func(t *testing.T) {
		o := options()
		o.Command = []string{"/nowhere/plexus"}
		if _, err := local.Open(t.Context(), write(good), o); err == nil || !strings.Contains(err.Error(), "/nowhere/plexus") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a program that is no worker", func(t *testing.T) {
		o := options()
		o.Command = []string{"/bin/echo", "hello, I am not a worker at all"}
		if _, err := local.Open(t.Context(), write(good), o); err == nil {
			t.Error("echo is taken for a worker")
		}
	})
	t.Run("a test program by itself", func(t *testing.T) {
		if _, err := local.Open(t.Context(), write(good), local.Options{}); err == nil || !strings.Contains(err.Error(), "ServeIfAsked") {
			t.Errorf("got %v", err)
		}
	})
}

// TestSleeps measures the worker: one that has nothing to do must cost nothing.
func TestSleeps(t *testing.T) {
	before := children(t, os.Getpid())
	e := open(t, enginetest.RandomModel(t, enginetest.Shape{}), options())
	if _, err := e.Chat(t.Context(), engine.ChatRequest{Prompt: "a", MaxTokens: 20}, func(engine.Delta) error { return nil }); err != nil {
		t.Fatal(err)
	}
	used := func() int {
		ticks := 0
		for _, pid := range children(t, os.Getpid()) {
			if !slices.Contains(before, pid) {
				ticks += processorTicks(t, pid)
			}
		}
		return ticks
	}
	// It may tidy up for a while, but then it rests.
	var n int
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		start := used()
		time.Sleep(300 * time.Millisecond)
		if n = used() - start; n <= 1 {
			return
		}
	}
	t.Errorf("an idle worker still uses %d ticks in 300 ms after 30 s", n)
}

// processorTicks is the time that a process used, in hundredths of a second.
func processorTicks(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	ticks := 0
	for _, f := range strings.Fields(rest)[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return ticks
}
