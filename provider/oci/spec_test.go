package oci

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func testEngine(r Runtime) *Engine {
	return &Engine{runtime: r, o: Options{Dir: "/engine", Classes: map[string]string{"beta3": "/nvme"}}}
}

func testWorkload() sandbox.Workload {
	return sandbox.Workload{
		ID:   sandbox.ID{Lease: "owner/1/1/1/provider", Service: "my-web", Replica: 2},
		Root: "/images/a/root", CPU: 1500, Memory: 256 << 20, Disk: 1 << 30, Shm: 8 << 20,
		Process: sandbox.Process{Args: []string{"/run", "x"}, Env: []string{"A=b"}, Dir: "/srv", UID: 7, GID: 8, Groups: []uint32{9}},
		Volumes: []sandbox.Volume{{Name: "data", Class: "beta3", Size: 1 << 30, Path: "/data"}, {Name: "conf", Size: 1 << 30, Path: "/conf", ReadOnly: true}},
	}
}

func TestSpecHoldsLimits(t *testing.T) {
	w := testWorkload()
	for name, c := range map[string]struct {
		runtime     Runtime
		root        string
		memory      int64
		pids, limit int64
	}{
		"a runtime that costs nothing":   {Runtime{}, "/lease/" + rootName, (256 + 8) << 20, 0, 1024},
		"a limit of processes":           {Runtime{}, "/lease/" + rootName, (256 + 8) << 20, 50, 50},
		"a runtime with disk of its own": {Runtime{OwnDisk: true, Memory: 48 << 20, Pids: 256, PerPid: 2}, "/images/a/root", (256 + 8 + 48) << 20, 50, 356},
	} {
		t.Run(name, func(t *testing.T) {
			w.Pids = c.pids
			s := testEngine(c.runtime).spec(w, gpu.Grant{}, "/lease")
			r := s.Linux.Resources
			if *r.Memory.Limit != c.memory || *r.Memory.Swap != c.memory {
				t.Errorf("memory %d, with swap %d; want %d, and no swap beyond it", *r.Memory.Limit, *r.Memory.Swap, c.memory)
			}
			if *r.CPU.Quota != 150_000 || *r.CPU.Period != 100_000 || *r.CPU.Shares != 1536 {
				t.Errorf("cpu %d of %d, shares %d", *r.CPU.Quota, *r.CPU.Period, *r.CPU.Shares)
			}
			if r.Pids.Limit != c.limit {
				t.Errorf("%d pids, want %d", r.Pids.Limit, c.limit)
			}
			if len(r.Devices) != 1 || r.Devices[0].Allow || r.Devices[0].Access != "rwm" {
				t.Errorf("devices %+v, want none", r.Devices)
			}
			if s.Root.Path != c.root {
				t.Errorf("root %s, want %s", s.Root.Path, c.root)
			}
		})
	}
	w.CPU = 10 // more while the runtime starts; the shim limits it then
	if r := testEngine(Runtime{}).spec(w, gpu.Grant{}, "/lease").Linux.Resources; *r.CPU.Quota != 100_000 || *r.CPU.Shares != 1024 {
		t.Errorf("a hundredth of a core: quota %d, shares %d", *r.CPU.Quota, *r.CPU.Shares)
	}
}

func TestSpecGivesUpPrivileges(t *testing.T) {
	s := testEngine(Runtime{}).spec(testWorkload(), gpu.Grant{}, "/lease")
	p := s.Process
	if !p.NoNewPrivileges || p.User.UID != 7 || p.User.GID != 8 || !slices.Equal(p.User.AdditionalGids, []uint32{9}) {
		t.Errorf("process %+v", p)
	}
	for _, never := range []string{"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE", "CAP_MKNOD", "CAP_SYS_MODULE", "CAP_DAC_READ_SEARCH"} {
		if slices.Contains(p.Capabilities.Bounding, never) || slices.Contains(p.Capabilities.Effective, never) {
			t.Errorf("%s is given", never)
		}
	}
	if len(p.Capabilities.Ambient)+len(p.Capabilities.Inheritable) != 0 {
		t.Errorf("capabilities %+v", p.Capabilities)
	}
	var kinds []string
	for _, n := range s.Linux.Namespaces {
		kinds = append(kinds, string(n.Type))
		if n.Type == specs.NetworkNamespace && n.Path != filepath.Join("/lease", netnsName) {
			t.Errorf("network of %q", n.Path)
		}
	}
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"ipc", "mount", "network", "pid", "uts"}) {
		t.Errorf("namespaces %q", kinds)
	}
	for _, call := range []string{"mount", "bpf", "ptrace", "io_uring_setup", "keyctl", "unshare", "setns", "clone3"} {
		if !slices.ContainsFunc(s.Linux.Seccomp.Syscalls, func(c specs.LinuxSyscall) bool {
			return slices.Contains(c.Names, call) && c.Action == specs.ActErrno
		}) {
			t.Errorf("the call %s is not refused", call)
		}
	}
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/sys/firmware"} {
		if !slices.Contains(s.Linux.MaskedPaths, path) {
			t.Errorf("%s is seen", path)
		}
	}
}

func TestSpecMounts(t *testing.T) {
	mounts := map[string]specs.Mount{}
	for _, m := range testEngine(Runtime{}).spec(testWorkload(), gpu.Grant{}, "/lease").Mounts {
		mounts[m.Destination] = m
		if m.Type == "bind" && !slices.Contains(m.Options, "nosuid") || m.Type == "bind" && !slices.Contains(m.Options, "nodev") {
			t.Errorf("%s is mounted with %q", m.Destination, m.Options)
		}
	}
	for to, want := range map[string]struct {
		from     string
		readOnly bool
	}{
		"/data":            {"/lease/" + volumesName + "/data", false},
		"/conf":            {"/lease/" + volumesName + "/conf", true},
		"/etc/resolv.conf": {"/engine/resolv.conf", true},
		"/sys":             {"sysfs", true},
	} {
		m := mounts[to]
		if m.Source != want.from || slices.Contains(m.Options, "ro") != want.readOnly {
			t.Errorf("%s: %+v", to, m)
		}
	}
	if shm := mounts["/dev/shm"]; !slices.Contains(shm.Options, "size=8388608") {
		t.Errorf("/dev/shm: %+v", shm)
	}
	if hosts := mounts["/etc/hosts"].Source; !strings.HasPrefix(hosts, "/engine/leases/") {
		t.Errorf("/etc/hosts from %s", hosts)
	}
}

func TestSpecProcess(t *testing.T) {
	w := testWorkload()
	p := testEngine(Runtime{}).spec(w, gpu.Grant{}, "/lease").Process
	if p.Cwd != "/srv" || !slices.Equal(p.Args, w.Process.Args) || p.Env[0] != "HOSTNAME=my-web-2" || !strings.HasPrefix(p.Env[1], "PATH=") || p.Env[2] != "A=b" {
		t.Errorf("in %s: %q, %q", p.Cwd, p.Args, p.Env)
	}
	w.Process.Env, w.Process.Dir = []string{"PATH=/bin"}, ""
	if p = testEngine(Runtime{}).spec(w, gpu.Grant{}, "/lease").Process; p.Cwd != "/" || !slices.Equal(p.Env, []string{"HOSTNAME=my-web-2", "PATH=/bin"}) {
		t.Errorf("in %s: %q", p.Cwd, p.Env)
	}
	if id := replicaID("l", replica(w.ID)); id.Service != "my-web" || id.Replica != 2 {
		t.Errorf("read back as %+v", id)
	}
	if name := container(w.ID); len(name) > 40 || name == container(sandbox.ID{Lease: w.ID.Lease, Service: "my-web", Replica: 3}) {
		t.Errorf("named %s", name)
	}
}

func TestVolumesLieInTheFolderOfTheirClass(t *testing.T) {
	e := testEngine(Runtime{})
	if dir, err := e.volumeDir("l", "beta3"); err != nil || !strings.HasPrefix(dir, "/nvme/") {
		t.Errorf("%s, %v", dir, err)
	}
	if dir, err := e.volumeDir("l", ""); err != nil || !strings.HasPrefix(dir, "/engine/volumes/") {
		t.Errorf("%s, %v", dir, err)
	}
	if _, err := e.volumeDir("l", "beta9"); err == nil || !strings.Contains(err.Error(), "beta9") {
		t.Errorf("a class that is not there: %v", err)
	}
}
