package gvisor_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/plexus-network/plexus/provider/disk"
)

// TestFilterIsCompiledBeforehand starts the shim, a program like any other, in
// a sandbox, and reads what gVisor says of its own start: a new release of it
// may name its filters in another way, and would then compile each anew.
func TestFilterIsCompiledBeforehand(t *testing.T) {
	path := warden(t)
	if os.Getenv("PLEXUS_SANDBOX") == "" || os.Geteuid() != 0 {
		t.Skip("starts a sandbox")
	}
	dir := t.TempDir()
	for _, d := range []string{"root", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(filepath.Join(filepath.Dir(path), "shim"))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(specs.Spec{
		Version: "1.0.2", Root: &specs.Root{Path: "root"},
		Process: &specs.Process{Args: []string{"/shim"}, Cwd: "/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"root/shim": program, "config.json": spec} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // what the runtime shares between sandboxes
		if err := disk.Unmount(filepath.Join(dir, "runtime", "null-netns")); err != nil {
			t.Error(err)
		}
	})
	out, err := exec.Command(path, "runsc", "--root", filepath.Join(dir, "runtime"), "--network=none", "--ignore-cgroups",
		"--debug", "--debug-log="+filepath.Join(dir, "log")+"/", "run", "--bundle", dir, "filter-test").CombinedOutput()
	if !strings.Contains(string(out), "usage: shim watch DIR") {
		t.Fatalf("the program says %q (%v)", out, err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log", "*.boot.txt"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %q (%v)", logs, err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "precompiled seccomp program rendered") {
		t.Error("the sandbox compiled its own filter")
	}
}
