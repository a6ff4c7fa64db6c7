package gpu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/sandbox"
)

func TestDriverFilesAreOfTheVersionThatIsLoaded(t *testing.T) {
	dir := "usr/lib/x86_64-linux-gnu/"
	root := tree(t, map[string]string{
		dir + "libcuda.so.580.105.08": "", dir + "libcuda.so.570.195.03": "", dir + "libnvidia-ml.so.580.105.08": "",
		dir + "libnvidia-nvvm.so.580.105.08": "", dir + "libGLX_nvidia.so.580.105.08": "", "usr/bin/nvidia-smi": "",
	})
	for from, to := range map[string]string{"libcuda.so.1": "libcuda.so.580.105.08", "libnvidia-nvvm.so.4": "libnvidia-nvvm.so.580.105.08"} {
		if err := os.Symlink(to, filepath.Join(root, dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	k := Kit{Driver: "580.105.08", Root: root}
	mounts, err := k.driver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mounts {
		got = append(got, strings.TrimPrefix(m.Host, root)+" "+m.Container)
	}
	from, to := "/"+dir, "/usr/local/nvidia/lib64/"
	want := []string{
		"/usr/bin/nvidia-smi /usr/local/nvidia/bin/nvidia-smi",
		from + "libcuda.so.580.105.08 " + to + "libcuda.so", from + "libcuda.so.580.105.08 " + to + "libcuda.so.1",
		from + "libcuda.so.580.105.08 " + to + "libcuda.so.580.105.08", from + "libnvidia-ml.so.580.105.08 " + to + "libnvidia-ml.so.580.105.08",
		from + "libnvidia-nvvm.so.580.105.08 " + to + "libnvidia-nvvm.so.4", from + "libnvidia-nvvm.so.580.105.08 " + to + "libnvidia-nvvm.so.580.105.08",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	k.Driver = "575.1.01"
	if _, err := k.driver(t.Context()); err == nil || !strings.Contains(err.Error(), "libcuda.so.575.1.01") && !strings.Contains(err.Error(), "libnvidia-ml.so.575.1.01") {
		t.Errorf("libraries of another version: %v", err)
	}
}

// A specification as nvidia-ctk cdi generate writes it, shortened. Its nodes
// are ones that every machine has.
const specification = `cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia-not-there
- name: all
  containerEdits: {}
- name: "1"
  containerEdits:
    deviceNodes:
    - path: /dev/dri/card1
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args: [nvidia-cdi-hook, create-symlinks, --link, "libcuda.so.1::/usr/lib64/libcuda.so"]
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args: [nvidia-cdi-hook, update-ldcache, --folder=/usr/lib64]
  mounts:
  - {hostPath: /usr/lib64/libcuda.so.1, containerPath: /usr/lib64/libcuda.so.1, options: [ro, bind]}
  - {hostPath: relative, containerPath: /x}
`

func TestSpecificationTakesPrecedence(t *testing.T) {
	k := Kit{Devices: []sandbox.GPU{{Number: 0}, {Number: 1}, {Number: 2}}, Root: tree(t, map[string]string{"etc/cdi/nvidia.yaml": specification, "etc/cdi/notes.txt": "no"})}
	g, err := k.Grant(t.Context(), k.Devices[1:2])
	if err != nil {
		t.Fatal(err)
	}
	want := []Mount{{"/usr/lib64/libcuda.so.1", "/usr/lib64/libcuda.so.1"}, {"/usr/lib64/libcuda.so.1", "/usr/lib64/libcuda.so"}}
	if !slices.Equal(g.Mounts, want) || !slices.Equal(g.Libraries, []string{"/usr/lib64"}) || len(g.Nodes) != 0 {
		t.Errorf("granted %+v, want mounts %+v", g, want)
	}
	for n, want := range map[int]string{0: "/dev/nvidia-not-there", 2: "no device 2"} {
		if _, err := k.Grant(t.Context(), k.Devices[n:n+1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("device %d: %v, want %q", n, err, want)
		}
	}
	if _, err := k.Grant(t.Context(), []sandbox.GPU{{Number: 9}}); err == nil || !strings.Contains(err.Error(), "/dev/nvidia9") {
		t.Errorf("a device that is not for sale: %v", err)
	}
	k.Root = tree(t, map[string]string{"var/run/cdi/a.json": "{", "etc/cdi/nvidia.yaml": specification})
	if _, err := k.Grant(t.Context(), k.Devices[1:2]); err == nil || !strings.Contains(err.Error(), "a.json") {
		t.Errorf("a damaged specification: %v", err)
	}
}

func FuzzCDI(f *testing.F) {
	f.Add([]byte(specification))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "cdi.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readCDI(file); err == nil {
			_, _ = s.grant([]sandbox.GPU{{Number: 0}}) // must not panic
		}
	})
}
