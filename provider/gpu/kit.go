package gpu

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// A Kit is what containers can be given of a machine's graphics processors.
type Kit struct {
	Devices []sandbox.GPU // that can be given
	Driver  string        // its version

	// Unsupported lets a sandbox go on with a driver that it does not know.
	Unsupported bool

	// Root is the root folder of the machine; "" means /. Device nodes are
	// always those of /dev.
	Root string
}

// A Grant is what goes into one container.
type Grant struct {
	Nodes     []Node
	Mounts    []Mount
	Env       []string // KEY=VALUE
	Libraries []string // folders in the container, for its dynamic linker
	Programs  []string // folders in the container, for its PATH
}

// A Node is a device node, by the same path inside as outside.
type Node struct {
	Path         string
	Major, Minor uint32
}

// A Mount is a file of the machine that the container sees, read-only.
type Mount struct{ Host, Container string }

// Where the driver's files lie in a container, as on Google's and most other
// clouds: CUDA images search there.
const (
	insideLibraries = "/usr/local/nvidia/lib64"
	insidePrograms  = "/usr/local/nvidia/bin"
)

// libraries are the driver's for computing and for asking after devices, by
// the beginning of their file's name. Those marked are needed; the others came
// with some versions only.
//
// Source: NVIDIA/libnvidia-container, src/nvc_info.c, capabilities utility and
// compute.
var libraries = map[string]bool{
	"libcuda": true, "libnvidia-ml": true,
	"libcudadebugger": false, "libnvidia-cfg": false, "libnvidia-ptxjitcompiler": false, "libnvidia-nvvm": false,
	"libnvidia-nvvm70": false, "libnvidia-gpucomp": false, "libnvidia-opencl": false, "libnvidia-allocator": false,
	"libnvidia-pkcs11": false, "libnvidia-pkcs11-openssl3": false, "libnvidia-tileiras": false, "libnvidia-sandboxutils": false,
}

var programs = []string{"nvidia-smi", "nvidia-debugdump"}

// Grant returns what a container needs that is given some devices.
func (k *Kit) Grant(ctx context.Context, devices []sandbox.GPU) (Grant, error) {
	for _, d := range devices {
		if !slices.ContainsFunc(k.Devices, func(has sandbox.GPU) bool { return has.Number == d.Number }) {
			return Grant{}, fmt.Errorf("gpu: this machine does not give out /dev/nvidia%d", d.Number)
		}
	}
	g, found, err := k.specified(devices)
	if err != nil || found {
		return g, err
	}
	if g.Nodes, err = deviceNodes(devices); err != nil {
		return g, err
	}
	if g.Mounts, err = k.driver(ctx); err != nil {
		return g, err
	}
	g.Libraries, g.Programs = []string{insideLibraries}, []string{insidePrograms}
	return g, nil
}

// deviceNodes are the nodes of devices and those that all of them share.
func deviceNodes(devices []sandbox.GPU) ([]Node, error) {
	paths := []string{"/dev/nvidiactl"}
	for _, d := range devices {
		paths = append(paths, "/dev/nvidia"+strconv.Itoa(d.Number))
	}
	var all []Node
	for _, p := range append(paths, "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools") {
		n, err := node(p)
		if errors.Is(err, os.ErrNotExist) && p == "/dev/nvidia-uvm-tools" {
			continue // for profilers
		}
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func node(path string) (Node, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return Node{}, fmt.Errorf("gpu: %w: load the driver, as nvidia-modprobe -c0 -u does", err)
	}
	if err != nil {
		return Node{}, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeCharDevice == 0 {
		return Node{}, fmt.Errorf("gpu: %s is no character device", path)
	}
	return Node{Path: path, Major: unix.Major(s.Rdev), Minor: unix.Minor(s.Rdev)}, nil
}

func (k *Kit) root() string {
	if k.Root == "" {
		return "/"
	}
	return k.Root
}

// driver finds the files of exactly the driver that is loaded: a library of
// another version does not work with it.
func (k *Kit) driver(ctx context.Context) ([]Mount, error) {
	folders := k.folders(ctx)
	var all []Mount
	for name, needed := range libraries {
		mounts := k.library(name, folders)
		if needed && mounts == nil {
			return nil, fmt.Errorf("gpu: the driver is %s, and %s.so.%s is in none of %s: install the driver's libraries of this version",
				k.Driver, name, k.Driver, strings.Join(folders, ", "))
		}
		all = append(all, mounts...)
	}
	for _, name := range programs {
		for _, dir := range []string{"/usr/local/nvidia/bin", "/usr/bin", "/opt/bin", "/run/current-system/sw/bin"} {
			host := filepath.Join(k.root(), dir, name)
			if info, err := os.Stat(host); err == nil && info.Mode().IsRegular() {
				all = append(all, Mount{host, insidePrograms + "/" + name})
				break
			}
		}
	}
	slices.SortFunc(all, func(a, b Mount) int { return strings.Compare(a.Container, b.Container) })
	return all, nil
}

// folders are where a machine may keep the driver's libraries.
func (k *Kit) folders(ctx context.Context) []string {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu"
	all := []string{
		"/usr/local/nvidia/lib64", "/usr/lib/" + machine, "/usr/lib/" + machine + "/nvidia/current",
		"/usr/lib64", "/usr/lib", "/usr/lib/nvidia", "/run/opengl-driver/lib", "/home/kubernetes/bin/nvidia/lib64",
	}
	if k.root() != "/" {
		return all
	}
	out, err := exec.CommandContext(ctx, "/sbin/ldconfig", "-p").Output()
	if err != nil {
		return all
	}
	for line := range strings.Lines(string(out)) {
		name, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if dir := filepath.Dir(path); ok && strings.HasPrefix(name, "libcuda.so.1 ") && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	return all
}

// library returns the mounts of a library: its file under each of the names by
// which programs ask for it.
func (k *Kit) library(name string, folders []string) []Mount {
	full := name + ".so." + k.Driver
	for _, dir := range folders {
		at := filepath.Join(k.root(), dir)
		host := filepath.Join(at, full)
		if info, err := os.Stat(host); err != nil || !info.Mode().IsRegular() {
			continue
		}
		var mounts []Mount
		for _, n := range slices.Compact(slices.Sorted(slices.Values(append(links(at, name, host), full)))) {
			mounts = append(mounts, Mount{host, insideLibraries + "/" + n})
		}
		return mounts
	}
	return nil
}

// links are a library's further names: what links to it in its folder, and
// what it calls itself.
func links(dir, name, file string) []string {
	var all []string
	if name == "libcuda" {
		all = append(all, "libcuda.so") // compilers link with it at run time
	}
	found, _ := filepath.Glob(filepath.Join(dir, name+".so*"))
	for _, f := range found {
		if to, err := filepath.EvalSymlinks(f); err == nil && to != f && filepath.Base(to) == filepath.Base(file) {
			all = append(all, filepath.Base(f))
		}
	}
	f, err := elf.Open(file)
	if err != nil {
		return all
	}
	defer func() { _ = f.Close() }() // only read
	if names, err := f.DynString(elf.DT_SONAME); err == nil {
		all = append(all, names...)
	}
	return all
}
