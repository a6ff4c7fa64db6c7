package shim

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/provider/journal"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func TestRecordOutlivesItsShim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "replica")
	if err := WritePlan(dir, Plan{Container: "c", LogBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a record before the first run: %v", err)
	}
	if err := WriteFailure(dir, "no such program"); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadRecord(dir); err != nil || r.Error != "no such program" || r.Ended.IsZero() || !r.Started.IsZero() {
		t.Errorf("record %+v, %v", r, err)
	}
	if err := WritePlan(dir, Plan{Container: "c"}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the record of the run before remains: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, recordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(dir); err == nil || !strings.Contains(err.Error(), recordFile) {
		t.Errorf("a damaged record: %v", err)
	}
}

func TestAliveAsksTheLock(t *testing.T) {
	dir := t.TempDir()
	if Alive(dir) {
		t.Error("alive before it was watched")
	}
	lock, err := take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !Alive(dir) {
		t.Error("not alive while it is watched")
	}
	if _, err := take(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("watched twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if Alive(dir) {
		t.Error("alive after its shim")
	}
}

func TestLastErrorOfARuntime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runtime.log")
	if got := lastError(file); got != "" {
		t.Errorf("without a log: %q", got)
	}
	log := `{"level":"error","msg":"first"}
{"level":"warning","msg":"unimportant"}
not JSON
{"level":"fatal","msg":"exec: \"/run\": no such file"}
{"level":"info","msg":"bye"}
`
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastError(file); got != `exec: "/run": no such file` {
		t.Errorf("got %q", got)
	}
}

func TestShimSaysWhatTheRuntimePrinted(t *testing.T) {
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	if err := os.WriteFile(runtime, []byte("#!/bin/sh\necho cannot do that >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := watch{dir: dir, plan: Plan{Runtime: []string{runtime}, Container: "c"}}
	if err := s.launch(); err == nil || err.Error() != "cannot do that" {
		t.Errorf("got %v", err)
	}
}

func TestRuntimeHasRoomForItsFiles(t *testing.T) {
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	script := "#!/bin/sh\ncd /proc/self/fd && test -c 99 && ! test -e 98 && echo room for 100 >&2\nexit 1\n"
	if err := os.WriteFile(runtime, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := watch{dir: dir, plan: Plan{Runtime: []string{runtime}, Container: "c", Files: 100}}
	if err := s.launch(); err == nil || err.Error() != "room for 100" {
		t.Errorf("got %v", err)
	}
}

func TestSpawnPassesOnTheAnswer(t *testing.T) {
	const heard = "head -c 1 >/dev/null; " // the word to start
	for want, script := range map[string]string{
		"":                    heard + "printf ok >&3",
		"it is broken":        heard + "printf 'it is broken ' >&3",
		"the warden died":     heard + "exit 1",
		"context deadline ex": heard + "exec sleep 5",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if strings.Contains(script, "sleep") {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		w, err := Spawn([]string{"/bin/sh", "-c", script}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		err = w.Go(ctx)
		w.Close()
		cancel()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := Spawn([]string{"/no/such/program"}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "start the warden: ") {
		t.Errorf("no program: %v", err)
	}
}

// TestOutputGoesToTheJournal also holds a pipe open, as who escaped the
// container could.
func TestOutputGoesToTheJournal(t *testing.T) {
	dir := t.TempDir()
	w, err := journal.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := watch{dir: dir, log: w}
	var writing []*os.File
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s.pipes, writing = append(s.pipes, r), append(writing, w)
	}
	s.keep()
	if _, err := io.WriteString(writing[0], "one\ntwo"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(writing[1], "bad\n"); err != nil {
		t.Fatal(err)
	}
	if err := writing[0].Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.drain() // writing[1] stays open
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("waited %v for a pipe that nobody closes", took)
	}
	var got []string
	for line, err := range journal.Read(t.Context(), dir, sandbox.LogOptions{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Stream+":"+line.Text)
	}
	for _, want := range []string{"stdout:one", "stdout:two", "stderr:bad"} {
		if !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	_ = writing[1].Close()
}
