package sandboxtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// Bench measures an engine: BenchmarkX/start is from Start to the first byte
// over HTTP with a core, BenchmarkX/small-start with a twentieth of one, and
// BenchmarkX/idle what a lease costs that does nothing.
func Bench(b *testing.B, open Opener) {
	able(b)
	dir := b.TempDir()
	k := &kit{dir: dir, image: Image(b, filepath.Join(dir, "images"))}
	k.engine = open(b, filepath.Join(dir, "engine"))
	if _, err := k.engine.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("plain-runc-run", k.benchPlain)
	b.Run("plain-podman-run", k.benchPodman)
	b.Run("start", func(b *testing.B) { k.benchStart(b, 1000) })
	b.Run("small-start", func(b *testing.B) { k.benchStart(b, 50) })
	b.Run("idle", k.benchIdle)
	if err := k.engine.Destroy(); err != nil {
		b.Error(err)
	}
}

// benchPlain is the yardstick: `runc run` of the same image with runc's own
// default bundle, no limits and no network, until its program has printed.
func (k *kit) benchPlain(b *testing.B) {
	bundle := b.TempDir()
	if out, err := exec.Command("runc", "spec", "--bundle", bundle).CombinedOutput(); err != nil {
		b.Skipf("runc: %v: %s", err, out)
	}
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		b.Fatal(err)
	}
	spec.Root.Path, spec.Process.Terminal, spec.Process.Args = k.image.Root, false, []string{"/tenant", "info"}
	if text, err = json.Marshal(spec); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		if out, err := exec.Command("runc", "run", "--bundle", bundle, fmt.Sprint("plain-", n)).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}

// benchPodman is `podman run` of the same unpacked image by the same runc, with
// no network.
func (k *kit) benchPodman(b *testing.B) {
	if _, err := exec.LookPath("podman"); err != nil {
		b.Skip(err)
	}
	dir := b.TempDir()
	b.Cleanup(func() { _ = unix.Unmount(filepath.Join(dir, "overlay"), unix.MNT_DETACH) }) // podman's store mounts itself
	for b.Loop() {
		cmd := exec.Command("podman", "--root", dir, "--runroot", dir, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
			"run", "--rm", "--network", "none", "--log-driver", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--rootfs", k.image.Root, "/tenant", "info")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}

func (k *kit) benchStart(b *testing.B, cpu int64) {
	var started, first time.Duration
	for n := 0; b.Loop(); n++ {
		w := k.workload(sandbox.Lease(fmt.Sprint("bench/", n)), "web", "serve", "x")
		w.CPU = cpu
		begin := time.Now()
		if err := k.engine.Start(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		started += time.Since(begin)
		s, err := k.engine.Status(b.Context(), w.ID)
		if err != nil {
			b.Fatal(err)
		}
		get(b, s.Address, "/", "")
		first += time.Since(begin)
		b.StopTimer()
		if err := k.engine.Release(b.Context(), w.ID.Lease); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(started.Milliseconds())/float64(b.N), "ms/start")
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "ms/first-byte")
}

// benchIdle sums what the processes of some leases hold: each page counted
// once, divided among those that share it.
func (k *kit) benchIdle(b *testing.B) {
	const leases = 10
	for n := range leases {
		w := k.workload(sandbox.Lease(fmt.Sprint("idle/", n)), "web", "serve", "x")
		if err := k.engine.Start(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		s, err := k.engine.Status(b.Context(), w.ID)
		if err != nil {
			b.Fatal(err)
		}
		get(b, s.Address, "/", "")
	}
	var each float64
	for b.Loop() {
		each = float64(resident(b)) / leases
	}
	for n := range leases {
		if err := k.engine.Release(b.Context(), sandbox.Lease(fmt.Sprint("idle/", n))); err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(each/(1<<20), "MiB/lease")
	b.ReportMetric((1<<30)/each, "leases/GiB")
}

// resident sums the proportional set sizes of all processes in the engines'
// control groups, their wardens included.
func resident(b *testing.B) int64 {
	b.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for _, file := range groups {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), ":/plexus/") {
			continue
		}
		pages, err := os.ReadFile(filepath.Join(filepath.Dir(file), "smaps_rollup"))
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(pages), "\nPss:")
		if fields := strings.Fields(after); len(fields) > 0 {
			n, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += n << 10
		}
	}
	return sum
}
