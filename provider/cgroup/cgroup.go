// Package cgroup reads what the kernel counts for a group of processes, on
// both versions of its interface.
//
// Groups are made and deleted by the OCI runtimes; this package looks at them,
// changes their share of the processor, and moves a process out of its
// service's group so that it survives a restart of the service. A path is
// relative to the hierarchy's root and begins with a slash.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const mount = "/sys/fs/cgroup"

// controllers that hold the limits of a workload.
var controllers = []string{"cpu", "memory", "pids"}

// Usage is what a group's processes use.
type Usage struct {
	CPU    time.Duration
	Memory int64 // bytes, without the page cache that can be dropped
	Pids   int64
	OOM    int64 // processes killed for lack of memory
}

// V2 tells whether the unified hierarchy is the one that holds limits.
func V2() bool {
	_, err := os.Stat(filepath.Join(mount, "cgroup.controllers"))
	return err == nil
}

// Version returns "v1" or "v2".
func Version() string {
	if V2() {
		return "v2"
	}
	return "v1"
}

// Missing returns the controllers that this machine lacks.
func Missing() []string {
	have := map[string]bool{}
	if V2() {
		text, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
		for _, c := range strings.Fields(string(text)) {
			have[c] = true
		}
	}
	var missing []string
	for _, c := range controllers {
		if _, err := os.Stat(filepath.Join(mount, c, "cgroup.procs")); err != nil && !have[c] {
			missing = append(missing, c)
		}
	}
	return missing
}

// Read measures the group at path. A group that is gone is [os.ErrNotExist].
func Read(path string) (Usage, error) {
	if V2() {
		return readV2(filepath.Join(mount, path))
	}
	return readV1(path)
}

func readV2(dir string) (Usage, error) {
	stat, err := fields(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return Usage{}, err
	}
	memory, err := number(filepath.Join(dir, "memory.current"))
	if err != nil {
		return Usage{}, err
	}
	pages, _ := fields(filepath.Join(dir, "memory.stat"))
	pids, _ := number(filepath.Join(dir, "pids.current"))
	events, _ := fields(filepath.Join(dir, "memory.events"))
	return Usage{
		CPU:    time.Duration(stat["usage_usec"]) * time.Microsecond,
		Memory: max(memory-pages["inactive_file"], 0),
		Pids:   pids,
		OOM:    events["oom_kill"],
	}, nil
}

func readV1(path string) (Usage, error) {
	cpu, err := number(filepath.Join(mount, "cpuacct", path, "cpuacct.usage"))
	if err != nil {
		return Usage{}, err
	}
	dir := filepath.Join(mount, "memory", path)
	memory, err := number(filepath.Join(dir, "memory.usage_in_bytes"))
	if err != nil {
		return Usage{}, err
	}
	pages, _ := fields(filepath.Join(dir, "memory.stat"))
	pids, _ := number(filepath.Join(mount, "pids", path, "pids.current"))
	control, _ := fields(filepath.Join(dir, "memory.oom_control"))
	return Usage{
		CPU:    time.Duration(cpu),
		Memory: max(memory-pages["total_inactive_file"], 0),
		Pids:   pids,
		OOM:    control["oom_kill"],
	}, nil
}

// Period is that of every processor limit, in microseconds.
const Period = 100_000

// Quota is how many microseconds of each [Period] a group may compute that has
// a number of thousandths of a core. The kernel takes no fewer than 1,000.
func Quota(cpu int64) int64 { return max(cpu*Period/1000, 1000) }

// Limit changes the processor time of the group at path to a number of
// thousandths of a core.
func Limit(path string, cpu int64) error {
	if V2() {
		return os.WriteFile(filepath.Join(mount, path, "cpu.max"), fmt.Appendf(nil, "%d %d", Quota(cpu), Period), 0o644)
	}
	dir := filepath.Join(mount, "cpu", path)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), fmt.Append(nil, Period), 0o644),
		os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), fmt.Append(nil, Quota(cpu)), 0o644),
	)
}

// Weight changes the share of the processor that the group at path has while
// others want it too, to a number of thousandths of a core.
func Weight(path string, cpu int64) error {
	if V2() {
		return os.WriteFile(filepath.Join(mount, path, "cpu.weight"), fmt.Append(nil, weight(Shares(cpu))), 0o644)
	}
	return os.WriteFile(filepath.Join(mount, "cpu", path, "cpu.shares"), fmt.Append(nil, Shares(cpu)), 0o644)
}

// Shares is a number of thousandths of a core in the first version's unit, of
// which a core has 1,024. The kernel takes no fewer than 2.
func Shares(cpu int64) uint64 { return uint64(max(cpu*1024/1000, 2)) }

// weight is the second version's unit, from 1 to 10,000, as the OCI runtimes
// convert it (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value).
func weight(shares uint64) uint64 { return 1 + (min(shares, 262144)-2)*9999/262142 }

// CPU returns the processor time that the group at path has used. A group that
// is gone is [os.ErrNotExist].
func CPU(path string) (time.Duration, error) {
	if !V2() {
		n, err := number(filepath.Join(mount, "cpuacct", path, "cpuacct.usage"))
		return time.Duration(n), err
	}
	stat, err := fields(filepath.Join(mount, path, "cpu.stat"))
	return time.Duration(stat["usage_usec"]) * time.Microsecond, err
}

// Join moves process pid into the group at path in every hierarchy, making
// the group where it is missing.
func Join(path string, pid int) error {
	roots := []string{mount}
	if !V2() {
		roots = nil
		for _, c := range append([]string{"cpuacct", "systemd", "unified"}, controllers...) {
			roots = append(roots, filepath.Join(mount, c))
		}
	}
	var errs []error
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		dir := filepath.Join(root, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644))
	}
	return errors.Join(errs...)
}

// Remove deletes an empty group at path; one that is gone is no error.
func Remove(path string) error {
	dirs := []string{filepath.Join(mount, path)}
	if !V2() {
		found, err := filepath.Glob(filepath.Join(mount, "*", path))
		if err != nil {
			return err
		}
		dirs = found
	}
	var errs []error
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func number(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// fields reads a file of "name number" lines.
func fields(file string) (map[string]int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			values[name] = n
		}
	}
	return values, lines.Err()
}
