package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// tenLeases is what a daemon runs when it is killed.
const tenLeases = 10

func (k *kit) doomedWorkload(n int) sandbox.Workload {
	w := k.workload(sandbox.Lease(fmt.Sprintf("plx1doomed/%d/1/1", n)), "web", "serve", fmt.Sprint("lease ", n))
	w.Process.Env = nil // the daemon to be has no image's configuration
	w.Ports = []sandbox.Port{{Container: 8080, Host: uint16(26100 + n)}}
	return w
}

// kill9 has a daemon of its own start ten leases and die by SIGKILL, and finds
// all ten, none of them twice.
func (k *kit) kill9(t *testing.T) {
	dir := filepath.Join(k.dir, "engine")
	if err := k.engine.Close(); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("/proc/self/exe", "-test.run", "^"+strings.SplitN(t.Name(), "/", 2)[0]+"$", "-test.v")
	daemon.Env = append(os.Environ(), doomed+"="+dir+"\n"+k.image.Root)
	out, err := daemon.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the daemon ended by %v, not by SIGKILL\n%s", err, out)
	}
	k.engine = k.open(t, dir)
	all, err := k.engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != tenLeases {
		t.Errorf("found %d leases, want %d", len(all), tenLeases)
	}
	for n := range tenLeases {
		w := k.doomedWorkload(n)
		t.Cleanup(func() {
			if err := k.engine.Release(context.Background(), w.ID.Lease); err != nil {
				t.Error(err)
			}
		})
		was, err := k.engine.Status(t.Context(), w.ID)
		if err != nil || was.State != sandbox.Running {
			t.Errorf("%s is %+v, %v", w.ID, was, err)
			continue
		}
		if got, want := get(t, was.Address, "/", ""), fmt.Sprintf("lease %d / ", n); got != want {
			t.Errorf("%s answers %q, want %q", w.ID, got, want)
		}
		if err := k.engine.Start(t.Context(), w); err != nil { // as a reconciling daemon does
			t.Errorf("starting %s again: %v", w.ID, err)
		}
		if now, err := k.engine.Status(t.Context(), w.ID); err != nil || !reflect.DeepEqual(now, was) {
			t.Errorf("%s became %+v, %v, was %+v", w.ID, now, err, was)
		}
	}
}

// die is that daemon's life.
func die(t *testing.T, open Opener, folders string) {
	dir, root, _ := strings.Cut(folders, "\n")
	k := &kit{engine: open(t, dir), image: image.Image{Root: root}}
	for n := range tenLeases {
		if err := k.engine.Start(t.Context(), k.doomedWorkload(n)); err != nil {
			t.Fatal(err)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// unwatched is a replica whose watcher is killed: it is seen to have failed,
// and starting it again leaves one of it.
func (k *kit) unwatched(t *testing.T) {
	w := k.workload(k.lease(t), "web", "serve", "once")
	get(t, k.start(t, w).Address, "/", "")
	killWatcher(t, k.dir)
	if s := k.ended(t, w.ID); s.State != sandbox.Failed || s.Reason != sandbox.ReasonUnwatched {
		t.Errorf("status %+v, want failed, %q", s, sandbox.ReasonUnwatched)
	}
	if got := get(t, k.start(t, w).Address, "/", ""); !strings.HasPrefix(got, "once") {
		t.Errorf("started again it answers %q", got)
	}
	if got := k.exec(t, w.ID, "echo", "well"); got != "well" {
		t.Errorf("a command prints %q", got)
	}
}

// killWatcher kills every shim that works below dir.
func killWatcher(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		args := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if err != nil || len(args) != 3 || !strings.HasPrefix(args[2], dir) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed == 0 {
		t.Fatal("found no watcher")
	}
}
