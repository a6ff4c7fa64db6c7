package sandbox

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// What callers test for.
var (
	ErrUnknown    = errors.New("sandbox: no such workload")
	ErrRunning    = errors.New("sandbox: another workload runs under this name")
	ErrNotRunning = errors.New("sandbox: the workload does not run")
	ErrInvalid    = errors.New("sandbox: invalid workload")
	ErrNoSpace    = errors.New("sandbox: not enough disk")
	ErrBusy       = errors.New("sandbox: another provider uses this folder")

	// ErrUnavailable means that an engine cannot be asked now: what runs is not
	// known, and is no worse for it.
	ErrUnavailable = errors.New("sandbox: the engine does not answer")
)

// The smallest and largest workloads that make sense on one machine.
const (
	MinCPU    = 10
	MinMemory = 16 << 20
	MinDisk   = 1 << 20
	MinVolume = 4 << 20
	maxBytes  = 1 << 50
	maxCPU    = 1 << 20
	maxPids   = 1 << 22
	maxList   = 64 // volumes or ports of one workload
	maxGPUs   = 256
	maxArgs   = 1 << 20
)

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Check returns nil or an error that wraps [ErrInvalid] and names the field.
func (id ID) Check() error {
	switch {
	case id.Lease == "" || len(id.Lease) > 255:
		return fmt.Errorf("%w: a lease's name has 1 to 255 bytes, this one %d", ErrInvalid, len(id.Lease))
	case !label.MatchString(id.Service):
		return fmt.Errorf("%w: service %q is no DNS label (a-z, 0-9 and -, at most 63)", ErrInvalid, id.Service)
	case id.Replica < 0 || id.Replica > 250:
		return fmt.Errorf("%w: replica %d is outside 0 to 250", ErrInvalid, id.Replica)
	}
	return nil
}

// String formats id as lease/service/replica.
func (id ID) String() string { return fmt.Sprintf("%s/%s/%d", id.Lease, id.Service, id.Replica) }

// Check returns nil or an error that wraps [ErrInvalid] and names the field,
// the value, and what is allowed.
func (w Workload) Check() error {
	if err := w.ID.Check(); err != nil {
		return err
	}
	for _, f := range []struct {
		name     string
		got      int64
		least    int64
		most     int64
		optional bool
		unit     string
	}{
		{"cpu", w.CPU, MinCPU, maxCPU, false, "thousandths of a core"},
		{"memory", w.Memory, MinMemory, maxBytes, false, "bytes"},
		{"disk", w.Disk, MinDisk, maxBytes, false, "bytes"},
		{"shm", w.Shm, 4096, maxBytes, true, "bytes"},
		{"pids", w.Pids, 1, maxPids, true, "processes"},
		{"egress", w.Egress, 8000, 1 << 40, true, "bits per second"},
	} {
		if f.optional && f.got == 0 {
			continue
		}
		if f.got < f.least || f.got > f.most {
			return fmt.Errorf("%w: %s of %s is %d %s, outside %d to %d", ErrInvalid, f.name, w.ID, f.got, f.unit, f.least, f.most)
		}
	}
	if err := w.checkImage(); err != nil {
		return err
	}
	if err := w.Process.check(); err != nil {
		return err
	}
	return w.checkLists()
}

func (w Workload) checkImage() error {
	switch {
	case w.Image == (Image{}) && !path.IsAbs(w.Root):
		return fmt.Errorf("%w: root %q is not absolute", ErrInvalid, w.Root)
	case w.Image != (Image{}) && w.Root != "":
		return fmt.Errorf("%w: both the root %q and the image %q", ErrInvalid, w.Root, w.Image.Ref)
	case w.Root == "" && !strings.Contains(w.Image.Ref, "@sha256:"):
		return fmt.Errorf("%w: image %q has no digest", ErrInvalid, w.Image.Ref)
	case w.Root != "" && w.Process.User != "":
		return fmt.Errorf("%w: user %q of an unpacked image was not looked up", ErrInvalid, w.Process.User)
	}
	return nil
}

func (p Process) check() error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return fmt.Errorf("%w: no command: neither the image nor the manifest names a program to run", ErrInvalid)
	}
	size := 0
	for _, s := range append(append([]string{p.Dir}, p.Args...), p.Env...) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("%w: a zero byte in an argument or variable", ErrInvalid)
		}
		size += len(s)
	}
	if size > maxArgs {
		return fmt.Errorf("%w: arguments and environment take %d bytes, the most is %d", ErrInvalid, size, maxArgs)
	}
	if p.Dir != "" && !path.IsAbs(p.Dir) {
		return fmt.Errorf("%w: working folder %q is not absolute", ErrInvalid, p.Dir)
	}
	return nil
}

func (w Workload) checkLists() error {
	if len(w.Volumes) > maxList || len(w.Ports) > maxList {
		return fmt.Errorf("%w: %d volumes and %d ports, the most is %d of each", ErrInvalid, len(w.Volumes), len(w.Ports), maxList)
	}
	names, paths := map[string]bool{}, map[string]bool{}
	for _, v := range w.Volumes {
		clean := path.Clean(v.Path)
		switch {
		case !label.MatchString(v.Name):
			return fmt.Errorf("%w: volume %q is no DNS label", ErrInvalid, v.Name)
		case v.Size < MinVolume || v.Size > maxBytes:
			return fmt.Errorf("%w: volume %s has %d bytes, outside %d to %d", ErrInvalid, v.Name, v.Size, int64(MinVolume), int64(maxBytes))
		case !path.IsAbs(v.Path) || clean == "/" || reserved(clean):
			return fmt.Errorf("%w: volume %s cannot be mounted at %q", ErrInvalid, v.Name, v.Path)
		case names[v.Name] || paths[clean]:
			return fmt.Errorf("%w: volume %s or its path %q appears twice", ErrInvalid, v.Name, v.Path)
		}
		names[v.Name], paths[clean] = true, true
	}
	seen := map[Port]bool{}
	for _, p := range w.Ports {
		if p.Container == 0 || seen[p] {
			return fmt.Errorf("%w: port %d is zero or appears twice", ErrInvalid, p.Container)
		}
		seen[p] = true
	}
	return w.checkGPUs()
}

func (w Workload) checkGPUs() error {
	numbers := map[int]bool{}
	for _, g := range w.GPUs {
		if g.Number < 0 || g.Number >= maxGPUs || numbers[g.Number] {
			return fmt.Errorf("%w: GPU %d is outside 0 to %d or appears twice", ErrInvalid, g.Number, maxGPUs-1)
		}
		numbers[g.Number] = true
	}
	return nil
}

// reserved tells whether the engine itself mounts something at p or above it.
func reserved(p string) bool {
	for _, taken := range []string{"/proc", "/sys", "/dev", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"} {
		if p == taken || strings.HasPrefix(p, taken+"/") {
			return true
		}
	}
	return false
}
