// Package sandboxtest is the kit that every engine passes: what a tenant can
// do, what it cannot, and what survives the engine.
//
// Tenants in it are real: an image is built from a Go program, pushed to a
// registry on loopback, pulled and run. [Main] runs a test binary in network
// and mount namespaces of its own, so that the machine is left as it was; [Run]
// is the kit.
package sandboxtest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// patience bounds every wait of the kit, for machines that do other things.
const patience = 60 * time.Second

// An Opener opens an engine on dir, as a daemon does when it starts. What it
// returns is also closed by the kit, as a daemon's death would close it.
type Opener func(t testing.TB, dir string) Closer

// A Closer is an engine that can be let go of while its workloads run, and
// that can take away all traces of itself when none do.
type Closer interface {
	sandbox.Engine
	Close() error
	Destroy() error
}

// Run runs the whole kit. It skips where containers cannot run.
func Run(t *testing.T, open Opener) {
	if folders := os.Getenv(doomed); folders != "" {
		die(t, open, folders)
	}
	k := newKit(t, open)
	t.Run("Serves", k.serves)
	t.Run("Runs", k.runs)
	t.Run("Refuses", k.refuses)
	t.Run("Execs", k.execs)
	t.Run("Logs", k.logs)
	t.Run("Stops", k.stops)
	t.Run("Volumes", k.volumes)
	t.Run("Limits", k.limits)
	t.Run("Isolation", k.isolation)
	t.Run("Survival", k.survival)
	t.Run("Kill9", k.kill9)
	t.Run("Unwatched", k.unwatched)
	t.Run("Traces", k.traces)
}

// Control runs the part of the kit that needs no container: what an engine
// refuses, and how it says so. It is for engines that run nothing by
// themselves; workload makes one that the engine takes of one of the kit's.
func Control(t *testing.T, engine Closer, workload func(sandbox.Workload) sandbox.Workload) {
	k := &kit{engine: engine, adapt: workload}
	k.refuses(t)
}

// A kit is one engine under test and an image for it.
type kit struct {
	adapt  func(sandbox.Workload) sandbox.Workload // nil for engines that take all
	open   Opener
	dir    string
	engine Closer
	image  image.Image
	leases int
}

func newKit(t *testing.T, open Opener) *kit {
	able(t)
	k := &kit{open: open, dir: t.TempDir()}
	k.image = Image(t, filepath.Join(k.dir, "images"))
	k.engine = open(t, filepath.Join(k.dir, "engine"))
	if _, err := k.engine.Check(t.Context()); err != nil {
		t.Fatalf("this machine runs no containers: %v", err)
	}
	t.Cleanup(func() { k.close(t) })
	return k
}

// close releases whatever a failed test left.
func (k *kit) close(t *testing.T) {
	ctx := context.Background()
	all, err := k.engine.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, s := range all {
		if err := k.engine.Release(ctx, s.ID.Lease); err != nil {
			t.Error(err)
		}
	}
	if err := k.engine.Destroy(); err != nil {
		t.Error(err)
	}
}

// Image builds the tenant program into an image, pushes it to a registry of
// this process, and pulls it into a store at dir.
func Image(t testing.TB, dir string) image.Image {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/plexus/tenant:v1"
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, tenant(t)); err != nil {
		t.Fatalf("push: %v", err)
	}
	store, err := image.Open(dir, image.Options{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	i, err := store.Pull(t.Context(), ref, image.Credentials{})
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	return i
}

// prebuilt names the tenant's program on machines that cannot compile it.
const prebuilt = "PLEXUS_TENANT"

// program is the path of the tenant's static program.
func program(t testing.TB) string {
	t.Helper()
	if file := os.Getenv(prebuilt); file != "" {
		return file
	}
	file := filepath.Join(t.TempDir(), "tenant")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file,
		"github.com/plexus-network/plexus/provider/sandbox/sandboxtest/tenant")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tenant: %v\n%s", err, out)
	}
	return file
}

// tenant is an image of one static program and the accounts of one user.
func tenant(t testing.TB) v1.Image {
	t.Helper()
	program, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(&tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/bin/false\napp:x:1000:1000::/:/bin/false\n"))
	add(&tar.Header{Name: "tenant", Mode: 0o755}, program)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	i, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	i, err = mutate.Config(i, v1.Config{Entrypoint: []string{"/tenant"}, Env: []string{"GREETING=hello"}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// lease names a lease that no other test has.
func (k *kit) lease(t *testing.T) sandbox.Lease {
	k.leases++
	l := sandbox.Lease(fmt.Sprintf("plx1%s/%d/1/1", strings.ToLower(filepath.Base(t.Name())), k.leases))
	t.Cleanup(func() {
		if err := k.engine.Release(context.Background(), l); err != nil {
			t.Errorf("release %s: %v", l, err)
		}
	})
	return l
}

// workload is a small one that runs the tenant with args.
func (k *kit) workload(l sandbox.Lease, service string, args ...string) sandbox.Workload {
	w := sandbox.Workload{
		ID:      sandbox.ID{Lease: l, Service: service},
		Root:    k.image.Root,
		Process: sandbox.Process{Args: append([]string{"/tenant"}, args...), Env: k.image.Config.Env},
		CPU:     1000, Memory: 64 << 20, Disk: 32 << 20,
	}
	if k.adapt != nil {
		return k.adapt(w)
	}
	return w
}

func (k *kit) start(t *testing.T, w sandbox.Workload) sandbox.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := k.engine.Start(ctx, w); err != nil {
		t.Fatal(err)
	}
	s, err := k.engine.Status(ctx, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// finish runs w to its end and returns it with what it printed.
func (k *kit) finish(t *testing.T, w sandbox.Workload) (sandbox.Status, string) {
	t.Helper()
	k.start(t, w)
	return k.ended(t, w.ID), k.text(t, w.ID)
}

func (k *kit) ended(t *testing.T, id sandbox.ID) sandbox.Status {
	t.Helper()
	var s sandbox.Status
	wait(t, "the end of "+id.String(), func() bool {
		var err error
		if s, err = k.engine.Status(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return s.State == sandbox.Exited || s.State == sandbox.Failed
	})
	return s
}

func (k *kit) text(t *testing.T, id sandbox.ID) string {
	t.Helper()
	var all strings.Builder
	for l, err := range k.engine.Logs(t.Context(), id, sandbox.LogOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(l.Text + "\n")
	}
	return all.String()
}

// exec runs the tenant inside a running replica and returns what it printed.
func (k *kit) exec(t *testing.T, id sandbox.ID, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	if _, err := k.engine.Exec(ctx, id, sandbox.Exec{Args: append([]string{"/tenant"}, args...), Stdout: &out, Stderr: &out}); err != nil {
		t.Fatalf("exec %q: %v", args, err)
	}
	return strings.TrimSpace(out.String())
}

// wait waits for a condition.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}
