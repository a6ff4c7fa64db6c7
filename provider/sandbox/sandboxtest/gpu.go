package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A GPUOpener opens an engine on dir that gives out the graphics processors of
// a kit.
type GPUOpener func(t testing.TB, dir string, k *gpu.Kit) Closer

// fakeDriver is a version that the engines know.
const fakeDriver = "580.105.08"

// GPUs holds an engine to what it promises of graphics processors, with device
// nodes that have no device behind them, and where PLEXUS_GPU is set with those
// of this machine.
func GPUs(t *testing.T, open GPUOpener) {
	able(t)
	t.Run("Fake", func(t *testing.T) {
		if _, err := os.Stat("/dev/nvidiactl"); err == nil {
			t.Skip("this machine has real ones")
		}
		fakeNodes(t)
		kit := fakeKit(t)
		k := newGPUKit(t, open, kit)
		t.Run("Granted", k.granted)
		t.Run("Exclusive", func(t *testing.T) { k.exclusive(t, open, kit) })
		t.Run("Visible", k.visible)
	})
	t.Run("Real", func(t *testing.T) {
		if os.Getenv("PLEXUS_GPU") == "" {
			t.Skip("programs compute on this machine's GPUs where PLEXUS_GPU is set")
		}
		realGPUs(t, open)
	})
}

func newGPUKit(t *testing.T, open GPUOpener, g *gpu.Kit) *kit {
	k := &kit{dir: t.TempDir()}
	k.image = Image(t, filepath.Join(k.dir, "images"))
	k.engine = open(t, filepath.Join(k.dir, "engine"), g)
	report, err := k.engine.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.GPUs) != len(g.Devices) || report.Driver != g.Driver {
		t.Errorf("the engine reports %+v by driver %q, want %+v by %q", report.GPUs, report.Driver, g.Devices, g.Driver)
	}
	t.Cleanup(func() { k.close(t) })
	return k
}

// fakeNodes puts device nodes over this test's own /dev. The nodes lie in a
// scratch folder.
func fakeNodes(t *testing.T) {
	t.Helper()
	scratch := t.TempDir()
	upper, work := filepath.Join(scratch, "dev"), filepath.Join(scratch, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, number := range map[string][2]uint32{
		"nvidiactl": {195, 255}, "nvidia0": {195, 0}, "nvidia1": {195, 1}, "nvidia2": {195, 2}, "nvidia-uvm": {508, 0},
	} {
		path := filepath.Join(upper, name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			t.Skipf("this machine lets nobody make device nodes: %v", err)
		}
	}
	if err := unix.Mount("overlay", "/dev", "overlay", 0, "lowerdir=/dev,upperdir="+upper+",workdir="+work); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/dev", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fakeKit gives out two of three devices, with libraries that say their names.
func fakeKit(t *testing.T) *gpu.Kit {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"lib64/libcuda.so.", "lib64/libnvidia-ml.so.", "bin/nvidia-smi"} {
		file := filepath.Join(root, "usr/local/nvidia", name)
		if strings.HasSuffix(name, ".") {
			file += fakeDriver
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(name), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return &gpu.Kit{Devices: []sandbox.GPU{h100(0), h100(1)}, Driver: fakeDriver, Root: root}
}

func h100(number int) sandbox.GPU {
	return sandbox.GPU{Number: number, Vendor: "nvidia", Model: "h100", Memory: 80 << 30, Interface: "sxm"}
}

// granted devices, and no others, are there, with the driver's libraries.
func (k *kit) granted(t *testing.T) {
	w := k.workload(k.lease(t), "one", "gpu")
	w.GPUs = []sandbox.GPU{h100(1)}
	_, text := k.finish(t, w)
	if want := "nodes /dev/nvidia-uvm /dev/nvidia1 /dev/nvidiactl\n"; !strings.Contains(text, want) {
		t.Errorf("it sees %q, want %q", text, want)
	}
	if !strings.Contains(text, "no such device") {
		t.Errorf("opening nodes without a device: %q", text)
	}
	w.Process.Args = []string{"/tenant", "read", "/usr/local/nvidia/lib64/libcuda.so." + fakeDriver}
	if _, text := k.finish(t, w); !strings.HasSuffix(text, "\nlib64/libcuda.so.\n") {
		t.Errorf("the library reads %q", text)
	}
	w.Process.Args = []string{"/tenant", "write", "/usr/local/nvidia/lib64/libcuda.so." + fakeDriver, "mine"}
	if s, text := k.finish(t, w); s.Code == 0 {
		t.Errorf("a tenant writes the driver's library: %q", text)
	}
	w.Process.Env = []string{"LD_LIBRARY_PATH=/opt/lib"}
	w.Process.Args = []string{"/tenant", "env", "LD_LIBRARY_PATH"}
	if _, text := k.finish(t, w); !strings.HasSuffix(text, "\n/usr/local/nvidia/lib64:/opt/lib\n") {
		t.Errorf("libraries are searched in %q", text)
	}
	bare := k.workload(k.lease(t), "none", "gpu")
	if _, text := k.finish(t, bare); text != "nodes \n" {
		t.Errorf("without a GPU it sees %q", text)
	}
	bare.GPUs = []sandbox.GPU{h100(2)}
	if err := k.engine.Start(t.Context(), bare); err == nil || !strings.Contains(err.Error(), "/dev/nvidia2") {
		t.Errorf("a device that is not given out: %v", err)
	}
}

// exclusive is a device: to whoever runs, also past a restart of the engine.
func (k *kit) exclusive(t *testing.T, open GPUOpener, g *gpu.Kit) {
	first := k.workload(k.lease(t), "first", "serve", "first")
	first.GPUs = []sandbox.GPU{h100(0)}
	k.start(t, first)
	second := k.workload(k.lease(t), "second", "gpu")
	second.GPUs = []sandbox.GPU{h100(1), h100(0)}
	refused := func() {
		t.Helper()
		err := k.engine.Start(t.Context(), second)
		if err == nil || !strings.Contains(err.Error(), "/dev/nvidia0 is in use by "+first.ID.String()) {
			t.Errorf("a device that is in use: %v", err)
		}
	}
	refused()
	if err := k.engine.Close(); err != nil {
		t.Fatal(err)
	}
	k.engine = open(t, filepath.Join(k.dir, "engine"), g)
	if s, err := k.engine.Status(t.Context(), first.ID); err != nil || s.State != sandbox.Running || len(s.GPUs) != 1 || s.GPUs[0] != h100(0) {
		t.Errorf("after a restart: %+v, %v", s, err)
	}
	refused()
	if err := k.engine.Stop(t.Context(), first.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, text := k.finish(t, second); !strings.Contains(text, "nodes /dev/nvidia-uvm /dev/nvidia0 /dev/nvidia1 /dev/nvidiactl\n") {
		t.Errorf("once it is free: %q", text)
	}
}

// visible devices are those that a tenant's variable names.
func (k *kit) visible(t *testing.T) {
	w := k.workload(k.lease(t), "picky", "gpu")
	w.GPUs = []sandbox.GPU{h100(0), h100(1)}
	for value, want := range map[string]string{
		"all": "/dev/nvidia-uvm /dev/nvidia0 /dev/nvidia1 /dev/nvidiactl", "1": "/dev/nvidia-uvm /dev/nvidia1 /dev/nvidiactl",
		"none": "/dev/nvidia-uvm /dev/nvidiactl", "void": "",
	} {
		w.Process.Env = []string{"NVIDIA_VISIBLE_DEVICES=" + value}
		if _, text := k.finish(t, w); !strings.HasPrefix(text, "nodes "+want+"\n") && !strings.Contains(text, "\nnodes "+want+"\n") {
			t.Errorf("of %s it sees %q, want %q", value, text, want)
		}
		if err := k.engine.Release(t.Context(), w.ID.Lease); err != nil { // with its log
			t.Fatal(err)
		}
	}
	w.Process.Env = []string{"NVIDIA_VISIBLE_DEVICES=2"}
	if err := k.engine.Start(t.Context(), w); err == nil || !strings.Contains(err.Error(), "numbers from 0 to 1") {
		t.Errorf("a device that it was not granted: %v", err)
	}
}

// command runs a program of this machine.
func command(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}
