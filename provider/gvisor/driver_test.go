package gvisor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/gvisor"
)

func TestUnsupportedDriversAreRefused(t *testing.T) {
	path := warden(t)
	known, err := gvisor.Drivers(t.Context(), path)
	if err != nil || !slices.Contains(known, "580.105.08") {
		t.Fatalf("known drivers %q, %v", known, err)
	}
	flags := gvisor.Runtime(path).GPU
	for driver, nearest := range map[string]string{"580.105.09": "580.105.08", "470.129.02": "535.129.03", "999.1": known[len(known)-1], "": known[0]} {
		_, err := flags(t.Context(), &gpu.Kit{Driver: driver})
		if !errors.Is(err, gvisor.ErrDriver) || !strings.Contains(err.Error(), " is "+nearest+":") {
			t.Errorf("driver %q: %v, want %s as the nearest", driver, err, nearest)
		}
	}
	got, err := flags(t.Context(), &gpu.Kit{Driver: "580.105.08"})
	if want := []string{"--nvproxy-driver-version=580.105.08"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("a known driver: %q, %v, want %q", got, err, want)
	}
	got, err = flags(t.Context(), &gpu.Kit{Driver: "580.105.09", Unsupported: true})
	if err != nil || !slices.Contains(got, "--nvproxy-allow-unsupported-driver") {
		t.Errorf("an unknown driver, knowingly: %q, %v", got, err)
	}
}
