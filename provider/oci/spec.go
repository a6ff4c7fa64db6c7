package oci

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/cgroup"
	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// defaultPids is a replica's limit where the workload names none.
const defaultPids = 1024

// capabilities are those that programs in containers commonly need, and that
// reach no further than the container. NET_RAW and MKNOD are not among them.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// spec describes w's container to a runtime, with what it was granted of GPUs.
func (e *Engine) spec(w sandbox.Workload, g gpu.Grant, dir string) *specs.Spec {
	root := w.Root
	if !e.runtime.OwnDisk {
		root = filepath.Join(dir, rootName)
	}
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: replica(w.ID),
		Root:     &specs.Root{Path: root},
		Process:  process(w, g),
		Mounts:   append(e.mounts(w, dir), driverMounts(g)...),
		Linux: &specs.Linux{
			CgroupsPath: cgroupPath(w.ID),
			Devices:     deviceNodes(g),
			Resources:   e.resources(w, g),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: filepath.Join(dir, netnsName)},
			},
			Seccomp: seccomp(),
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func process(w sandbox.Workload, g gpu.Grant) *specs.Process {
	p := w.Process
	return &specs.Process{
		Args:            p.Args,
		Env:             withDriver(environment(w.ID, p), g),
		Cwd:             workDir(p),
		User:            specs.User{UID: p.UID, GID: p.GID, AdditionalGids: p.Groups},
		NoNewPrivileges: true,
		Capabilities:    &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
		Rlimits: []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: files(), Hard: files()},
			{Type: "RLIMIT_CORE"},
		},
	}
}

// files is how many files a process may have open: 65,536, or this machine's
// limit, which not even root can raise everywhere.
func files() uint64 {
	const most = 65536
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return most
	}
	return min(most, limit.Max)
}

func workDir(p sandbox.Process) string {
	if p.Dir == "" {
		return "/"
	}
	return p.Dir
}

// environment is the process's own, with what every program expects.
func environment(id sandbox.ID, p sandbox.Process) []string {
	var path bool
	for _, v := range p.Env {
		path = path || strings.HasPrefix(v, "PATH=")
	}
	env := []string{"HOSTNAME=" + replica(id)}
	if !path {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return append(env, p.Env...)
}

func (e *Engine) mounts(w sandbox.Workload, dir string) []specs.Mount {
	shm := w.Shm
	if shm == 0 {
		shm = 64 << 20 // as everybody's; it counts as the tenant's memory
	}
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(shm, 10)}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		bind(e.hosts(w.ID.Lease), "/etc/hosts", true),
		bind(e.resolvers(), "/etc/resolv.conf", true),
	}
	for _, v := range w.Volumes {
		all = append(all, bind(filepath.Join(dir, volumesName, v.Name), v.Path, v.ReadOnly))
	}
	return all
}

func bind(from, to string, readOnly bool) specs.Mount {
	options := []string{"rbind", "nosuid", "nodev"}
	if readOnly {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: options}
}

func (e *Engine) resources(w sandbox.Workload, g gpu.Grant) *specs.LinuxResources {
	memory := w.Memory + w.Shm + e.runtime.Memory
	// The runtime's own start has a core at least; the shim then sets the
	// replica's limits.
	quota := cgroup.Quota(max(w.CPU, shim.Core))
	share := cgroup.Shares(max(w.CPU, shim.Core))
	every := uint64(cgroup.Period)
	pids := w.Pids
	if pids == 0 {
		pids = defaultPids
	}
	pids = pids*max(e.runtime.PerPid, 1) + e.runtime.Pids
	return &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: &memory, Swap: &memory},
		CPU:     &specs.LinuxCPU{Quota: &quota, Period: &every, Shares: &share},
		Pids:    &specs.LinuxPids{Limit: pids},
		Devices: deviceRules(g),
	}
}

// refused are system calls that reach beyond a container or have often been
// the way out of one: kernel modules, mounts, namespaces, tracing of the
// kernel, keys, io_uring, and clocks of the machine. Docker's documentation
// ("Seccomp security profiles for Docker") lists nearly the same.
var refused = []string{
	"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module",
	"fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "init_module", "io_uring_enter", "io_uring_register",
	"io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount",
	"mount_setattr", "move_mount", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
	"perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "query_module", "quotactl",
	"quotactl_fd", "reboot", "request_key", "setns", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "_sysctl",
	"umount", "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vm86", "vm86old",
}

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = 0x7E020000

// seccomp refuses those calls. gVisor does not look at it: there, no call
// reaches the host's kernel.
func seccomp() *specs.LinuxSeccomp {
	eperm, enosys := uint(1), uint(38)
	var namespaces []specs.LinuxSyscall
	for bit := uint64(1); bit <= newNamespaces; bit <<= 1 {
		if newNamespaces&bit != 0 {
			namespaces = append(namespaces, specs.LinuxSyscall{
				Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: &eperm,
				Args: []specs.LinuxSeccompArg{{Index: 0, Value: bit, ValueTwo: bit, Op: specs.OpMaskedEqual}},
			})
		}
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM},
		Syscalls: append(
			namespaces,
			specs.LinuxSyscall{Names: refused, Action: specs.ActErrno, ErrnoRet: &eperm},
			// Its flags are behind a pointer; C libraries then fall back to clone.
			specs.LinuxSyscall{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &enosys},
		),
	}
}
