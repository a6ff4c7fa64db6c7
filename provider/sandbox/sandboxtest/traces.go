package sandboxtest

import (
	"os"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// traces checks that nothing stays mounted when the last lease is released,
// and that a lease can begin after that.
func (k *kit) traces(t *testing.T) {
	for range 2 {
		l := k.lease(t)
		w := k.workload(l, "web", "serve", "alive")
		w.Volumes = []sandbox.Volume{{Name: "data", Size: 16 << 20, Path: "/data"}}
		at := k.start(t, w)
		get(t, at.Address, "/", "")
		u, err := k.engine.Usage(t.Context(), w.ID)
		if err != nil || u.Volumes[""] <= 0 || u.Volumes[""] > u.Disk {
			t.Errorf("usage %+v, %v; want some of the disk in volumes", u, err)
		}
		if err := k.engine.Release(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, k.dir+"/engine/") {
				t.Errorf("still mounted: %s", line)
			}
		}
	}
}
