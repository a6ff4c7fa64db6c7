package main

import (
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/inventory"
)

func TestProviderStatusShowsSharesOfEachResource(t *testing.T) {
	storage := func(disk, nvme int64) map[string]int64 { return map[string]int64{"": disk << 30, "beta3": nvme << 30} }
	const h100 = "vendor/nvidia/model/h100/ram/80Gi"
	s := api.Status{
		Capacity: inventory.Amounts{CPU: 4000, Memory: 8 << 30, GPU: 2, GPUs: map[string]int64{h100: 2}, Storage: storage(100, 50)},
		Free:     inventory.Amounts{CPU: 2000, Memory: 8 << 30, GPU: 1, GPUs: map[string]int64{h100: 1}, Storage: storage(75, 0)},
		Sold:     inventory.Amounts{CPU: 1000, GPU: 1, GPUs: map[string]int64{h100: 1}, Storage: storage(25, 50)},
		Used:     api.Usage{CPU: 8000, Storage: storage(1, 5)},
	}
	var out strings.Builder
	printUse(&out, s)
	for _, want := range []string{"[###.......] 25 %", "[##########] 200 %", "disk beta3", "[##########] 100 %", "[#.........] 10 %", "h100", "[#####.....] 50 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if bar(1, 0) != "" {
		t.Error("a bar of nothing")
	}
}
