package oci

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/provider/shim"
)

// checkGPUs reports the graphics processors that workloads can be given.
func (e *Engine) checkGPUs(ctx context.Context, report *sandbox.Report) error {
	k := e.o.GPUs
	if k == nil || len(k.Devices) == 0 {
		return nil
	}
	if _, err := k.Grant(ctx, k.Devices); err != nil {
		return err
	}
	if e.runtime.GPU != nil {
		if _, err := e.runtime.GPU(ctx, k); err != nil {
			return err
		}
	}
	report.GPUs, report.Driver = k.Devices, k.Driver
	return nil
}

// A grant is what one container gets of the machine's graphics processors, and
// the runtime's flags for it.
type grant struct {
	gpu.Grant
	flags []string
}

// grant writes w into the books, if nobody else has its graphics processors.
// From then on they are w's, for as long as it runs.
func (e *Engine) grant(ctx context.Context, w sandbox.Workload, dir string) (grant, error) {
	var g grant
	if len(w.GPUs) == 0 {
		return g, writeJSON(filepath.Join(dir, workloadFile), w)
	}
	e.gpus.Lock()
	defer e.gpus.Unlock()
	if e.o.GPUs == nil {
		return g, fmt.Errorf("%w: %s asks for %d graphics processors, and this engine gives out none", sandbox.ErrInvalid, w.ID, len(w.GPUs))
	}
	if err := e.unused(w); err != nil {
		return g, err
	}
	devices, sees, err := visible(w)
	if err != nil {
		return g, err
	}
	if sees {
		if g.Grant, err = e.o.GPUs.Grant(ctx, devices); err != nil {
			return g, err
		}
		if e.runtime.GPU != nil {
			if g.flags, err = e.runtime.GPU(ctx, e.o.GPUs); err != nil {
				return g, err
			}
		}
	}
	return g, writeJSON(filepath.Join(dir, workloadFile), w)
}

// unused tells whether a workload that runs or is about to has one of w's
// devices.
func (e *Engine) unused(w sandbox.Workload) error {
	bookings, err := e.leases()
	if err != nil {
		return err
	}
	for _, b := range bookings {
		for _, name := range b.replicas() {
			id, dir := replicaID(b.Lease, name), e.replicaDir(b.Lease, name)
			if id == w.ID || !shim.Alive(dir) && !e.isBusy(id) {
				continue
			}
			other, err := readWorkload(dir)
			if err != nil {
				continue // a Start that has not come so far
			}
			for _, d := range w.GPUs {
				if slices.ContainsFunc(other.GPUs, func(o sandbox.GPU) bool { return o.Number == d.Number }) {
					return fmt.Errorf("%w: /dev/nvidia%d is in use by %s", sandbox.ErrInvalid, d.Number, id)
				}
			}
		}
	}
	return nil
}

func (e *Engine) isBusy(id sandbox.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.busy[id]
}

// visible are those of w's devices that its variable NVIDIA_VISIBLE_DEVICES
// lets it see, and whether it sees the driver at all. As with NVIDIA's own
// runtime, "all" or nothing said is all of them, numbers count within what was
// granted, "none" is the driver alone, and "void" or an empty text is neither.
func visible(w sandbox.Workload) (devices []sandbox.GPU, driver bool, err error) {
	text, said := variable(w.Process.Env, "NVIDIA_VISIBLE_DEVICES")
	switch {
	case !said || text == "all":
		return w.GPUs, true, nil
	case text == "none":
		return nil, true, nil
	case text == "void" || text == "":
		return nil, false, nil
	}
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n >= len(w.GPUs) {
			return nil, false, fmt.Errorf("%w: NVIDIA_VISIBLE_DEVICES is %q, but %s has %d devices: write all, none, or numbers from 0 to %d",
				sandbox.ErrInvalid, text, w.ID, len(w.GPUs), len(w.GPUs)-1)
		}
		if !slices.Contains(devices, w.GPUs[n]) {
			devices = append(devices, w.GPUs[n])
		}
	}
	return devices, true, nil
}

func variable(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// withDriver adds to an environment what finds the driver's files.
func withDriver(env []string, g gpu.Grant) []string {
	if len(g.Nodes) == 0 {
		return env
	}
	env = append(slices.Clone(env), g.Env...)
	env = listed(env, "LD_LIBRARY_PATH", g.Libraries, true)
	return listed(env, "PATH", g.Programs, false)
}

// listed adds folders to a variable that lists some, in front or behind.
func listed(env []string, name string, folders []string, front bool) []string {
	value, _ := variable(env, name)
	var has, more []string
	if value != "" {
		has = strings.Split(value, ":")
	}
	for _, f := range folders {
		if !slices.Contains(has, f) && !slices.Contains(more, f) {
			more = append(more, f)
		}
	}
	if len(more) == 0 {
		return env
	}
	if front {
		has = append(more, has...)
	} else {
		has = append(has, more...)
	}
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	return append(env, name+"="+strings.Join(has, ":"))
}

func driverMounts(g gpu.Grant) []specs.Mount {
	var all []specs.Mount
	for _, m := range g.Mounts {
		all = append(all, bind(m.Host, m.Container, true))
	}
	return all
}

func deviceNodes(g gpu.Grant) []specs.LinuxDevice {
	var all []specs.LinuxDevice
	for _, n := range g.Nodes {
		mode := os.FileMode(0o666) // every user of the container may compute
		all = append(all, specs.LinuxDevice{Path: n.Path, Type: "c", Major: int64(n.Major), Minor: int64(n.Minor), FileMode: &mode})
	}
	return all
}

// deviceRules forbid every device but the granted ones. Runtimes allow
// /dev/null and its like by themselves.
func deviceRules(g gpu.Grant) []specs.LinuxDeviceCgroup {
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for _, n := range g.Nodes {
		major, minor := int64(n.Major), int64(n.Minor)
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rw"})
	}
	return rules
}
