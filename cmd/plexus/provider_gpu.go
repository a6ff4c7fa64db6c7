package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/gpu"
)

// readGPUs decides which graphics processors are for sale: those of the flags,
// or all that this machine has.
func (s *seller) readGPUs(ctx context.Context) error {
	if len(s.gpus) == 0 && s.c.Engine == onCluster {
		return nil // this machine's are not the cluster's
	}
	if len(s.gpus) == 0 {
		found, err := gpu.Find(ctx, "/")
		if err != nil {
			return fmt.Errorf("%w; or sell none with --gpu none", err)
		}
		s.c.GPUs = found.Devices
		return nil
	}
	if len(s.gpus) == 1 && s.gpus[0] == "none" {
		return nil
	}
	for _, text := range s.gpus {
		var d gpu.Device
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("--gpu %w", err)
		}
		if slices.ContainsFunc(s.c.GPUs, func(had gpu.Device) bool { return had.Number == d.Number }) {
			return fmt.Errorf("--gpu %q: device %d stands twice", text, d.Number)
		}
		s.c.GPUs = append(s.c.GPUs, d)
	}
	return nil
}

// gpuName is a kind of GPU for people.
func gpuName(key string) string {
	k, err := market.ParseGPUKind(key)
	if err != nil {
		return key
	}
	return k.String()
}

// gpusFree says how many of each kind of GPU are free.
func gpusFree(free, all map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%d of %d %s", free[k], all[k], gpuName(k)))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}
