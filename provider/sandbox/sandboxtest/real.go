package sandboxtest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// What the tests compile on the machine with the graphics processor.
var (
	//go:embed cuda/square.c
	squareC string
	//go:embed cuda/multiply.cu
	multiplyCU string
)

// realGPUs computes on this machine's graphics processors from inside
// sandboxes, and makes sure that a sandbox which was given none sees none.
func realGPUs(t *testing.T, open GPUOpener) {
	m, err := gpu.Find(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Devices) == 0 {
		t.Fatal("this machine has no graphics processor")
	}
	g := &gpu.Kit{Driver: m.Driver}
	for _, d := range m.Devices {
		t.Logf("found %+v", d)
		g.Devices = append(g.Devices, d.GPU)
	}
	granted, err := g.Grant(t.Context(), g.Devices[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range granted.Mounts {
		t.Logf("%s is %s", f.Container, f.Host)
	}
	k := newGPUKit(t, open, g)
	k.image.Root = machineRoot(t, granted)
	k.hidden(t)
	t.Run("Opens", k.opens)
	t.Run("Lists", k.lists)
	t.Run("Computes", k.computes)
}

// processors is a workload with the first device and room for what CUDA
// allocates.
func (k *kit) processors(t *testing.T, args ...string) sandbox.Workload {
	t.Helper()
	report, err := k.engine.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := k.workload(k.lease(t), "gpu", "info")
	w.Process.Args, w.Process.Env = args, nil
	w.CPU, w.Memory, w.Disk, w.Pids = 4000, 8<<30, 1<<30, 4096
	w.GPUs = report.GPUs[:1]
	return w
}

// opens opens the nodes by a program without any library, and finds the
// driver's version.
func (k *kit) opens(t *testing.T) {
	w := k.processors(t, "/tenant", "gpu")
	report, err := k.engine.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, text := k.finish(t, w)
	t.Log(text)
	for _, want := range []string{"opened /dev/nvidiactl", fmt.Sprintf("opened /dev/nvidia%d", w.GPUs[0].Number), "driver " + report.Driver} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not print %q", want)
		}
	}
}

// hidden tries the driver's devices from a sandbox that was given none.
func (k *kit) hidden(t *testing.T) {
	t.Run("Hidden", func(t *testing.T) {
		w := k.processors(t, "/tenant", "gpu")
		w.GPUs = nil
		if _, text := k.finish(t, w); text != "nodes \n" {
			t.Errorf("without a GPU a sandbox sees %q", text)
		}
		w.Process.Args = []string{"/square"}
		if s, text := k.finish(t, w); s.Code == 0 {
			t.Errorf("without a GPU a sandbox computes: %q", text)
		}
	})
}

// lists runs the vendor's program, which is no part of the image.
func (k *kit) lists(t *testing.T) {
	s, text := k.finish(t, k.processors(t, "/usr/local/nvidia/bin/nvidia-smi", "-L"))
	t.Log(text)
	if s.Code != 0 || strings.Count(text, "UUID: GPU-") != 1 {
		t.Errorf("nvidia-smi -L ends with %d and %q, want one device", s.Code, text)
	}
	s, text = k.finish(t, k.processors(t, "/usr/local/nvidia/bin/nvidia-smi"))
	t.Log(text)
	if s.Code != 0 {
		t.Errorf("nvidia-smi ends with %d", s.Code)
	}
}

// computes runs kernels.
func (k *kit) computes(t *testing.T) {
	for _, program := range []string{"/square", "/multiply"} {
		if _, err := os.Stat(filepath.Join(k.image.Root, program)); err != nil {
			t.Logf("%s was not built", program)
			continue
		}
		w := k.processors(t, program)
		s, text := k.finish(t, w)
		t.Log(text)
		if s.Code != 0 || !strings.Contains(text, "ed ") {
			t.Errorf("%s ends with %d, %s: %q", program, s.Code, s.Reason, text)
		}
	}
}

// machineRoot is an image of programs compiled here and the C library of this
// machine, so that they and the driver's own run in it.
func machineRoot(t *testing.T, g gpu.Grant) string {
	t.Helper()
	root, source := t.TempDir(), t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, program(t), filepath.Join(root, "tenant"))
	if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o1777); err != nil {
		t.Fatal(err)
	}
	built := build(t, source, "square.c", squareC, filepath.Join(root, "square"), "gcc", "-ldl")
	built = append(built, build(t, source, "multiply.cu", multiplyCU, filepath.Join(root, "multiply"), "nvcc")...)
	for _, m := range g.Mounts {
		built = append(built, m.Host)
	}
	for _, file := range built {
		for _, needed := range needs(t, file) {
			copyFile(t, needed, filepath.Join(root, needed))
		}
	}
	return root
}

// build compiles a program, if its compiler is here.
func build(t *testing.T, dir, name, text, to, compiler string, libraries ...string) []string {
	t.Helper()
	path, err := exec.LookPath(compiler)
	if err != nil {
		path = "/usr/local/cuda/bin/" + compiler
		if _, err := os.Stat(path); err != nil {
			t.Logf("%s is not here", compiler)
			return nil
		}
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t.Context(), path, append([]string{"-O2", "-o", to, file}, libraries...)...); err != nil {
		t.Errorf("%s: %v: %s", compiler, err, out)
		return nil
	}
	return []string{to}
}

// needs are the libraries of this machine that a program or library needs,
// its dynamic linker among them. Those of the driver are left out.
func needs(t *testing.T, file string) []string {
	t.Helper()
	out, err := command(t.Context(), "ldd", file)
	if err != nil {
		return nil // a static program
	}
	var all []string
	for line := range strings.Lines(out) {
		for _, f := range strings.Fields(line) {
			if filepath.IsAbs(f) && !strings.Contains(f, "nvidia") && !strings.Contains(f, "cuda") {
				all = append(all, f)
			}
		}
	}
	return all
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if _, err := os.Stat(to); err == nil {
		return
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
