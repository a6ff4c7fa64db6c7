package gvisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/provider/gpu"
)

// ErrDriver means that the sandbox does not know the graphics driver of this
// machine: it passes on only calls whose layout it knows, version by version.
var ErrDriver = errors.New("gvisor: unsupported graphics driver")

// driverFlags are the sandbox's for workloads with GPUs, or an error that wraps
// [ErrDriver].
func driverFlags(ctx context.Context, warden string, k *gpu.Kit) ([]string, error) {
	known, err := Drivers(ctx, warden)
	if err != nil {
		return nil, err
	}
	flags := []string{"--nvproxy-driver-version=" + k.Driver}
	switch {
	case slices.Contains(known, k.Driver):
		return flags, nil
	case k.Unsupported:
		return append(flags, "--nvproxy-allow-unsupported-driver"), nil
	}
	return nil, fmt.Errorf("%w: the driver is %s, and the nearest of the %d versions that the sandbox knows is %s: install that one, or go on at your own risk with gpu_unsupported_driver (plexus provider init --gpu-unsupported-driver)",
		ErrDriver, k.Driver, len(known), nearest(k.Driver, known))
}

// Drivers are the versions of NVIDIA's driver that the sandbox in the warden
// at path knows, in order.
func Drivers(ctx context.Context, path string) ([]string, error) {
	cmd := exec.CommandContext(ctx, path, "runsc", "nvproxy", "list-supported-drivers")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("gvisor: ask for the supported drivers: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	known := strings.Fields(string(out))
	if len(known) == 0 {
		return nil, errors.New("gvisor: the warden names no supported drivers")
	}
	return known, nil
}

// nearest returns the version of known that is next to v: the one with the
// smallest difference in the first number, then in the second, then the third.
// known is not empty.
func nearest(v string, known []string) string {
	want := numbers(v)
	return slices.MinFunc(known, func(a, b string) int {
		x, y := numbers(a), numbers(b)
		for i := range want {
			if d := apart(want[i], x[i]) - apart(want[i], y[i]); d != 0 {
				return d
			}
		}
		return 0
	})
}

func apart(a, b int) int { return max(a-b, b-a) }

func numbers(version string) [3]int {
	var n [3]int
	for i, text := range strings.SplitN(version, ".", 3) {
		n[i], _ = strconv.Atoi(text) // what is no number counts as 0
	}
	return n
}
