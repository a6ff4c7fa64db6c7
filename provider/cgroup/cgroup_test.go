package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The unified hierarchy's files, as Linux 6.18 shows them.
func TestReadV2(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"cpu.stat":       "usage_usec 2500000\nuser_usec 1\nnr_throttled 3\n",
		"memory.current": "1048576\n",
		"memory.stat":    "anon 4096\ninactive_file 48576\n",
		"memory.events":  "low 0\noom 2\noom_kill 1\n",
		"pids.current":   "7\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readV2(dir)
	if want := (Usage{CPU: 2500 * time.Millisecond, Memory: 1_000_000, Pids: 7, OOM: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.current"), []byte("max\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readV2(dir); err == nil {
		t.Error("no error for a number that is none")
	}
}

func TestReadOfNothing(t *testing.T) {
	if _, err := Read("/plexus-no-such-group"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want %v", err, fs.ErrNotExist)
	}
	if err := Remove("/plexus-no-such-group"); err != nil {
		t.Error(err)
	}
}
