package gvisor_test

import (
	"errors"
	"os"
	"testing"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/gvisor"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/runc"
	"github.com/plexus-network/plexus/provider/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// warden is the embedded program, or skips where nobody asked for containers:
// `go test` on a fresh clone has none, and `make warden` makes one.
func warden(t testing.TB) string {
	t.Helper()
	path, err := gvisor.Unpack(t.TempDir())
	if errors.Is(err, gvisor.ErrNotBuilt) && os.Getenv("PLEXUS_SANDBOX") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, dir string) sandboxtest.Closer {
	e, err := gvisor.Open(oci.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConforms(t *testing.T) {
	warden(t)
	sandboxtest.Run(t, open)
}

func BenchmarkGVisor(b *testing.B) {
	warden(b)
	sandboxtest.Bench(b, open)
}

// BenchmarkRunc is runc watched by the same warden, for a fair comparison.
func BenchmarkRunc(b *testing.B) {
	shim := gvisor.Shim(warden(b))
	sandboxtest.Bench(b, func(t testing.TB, dir string) sandboxtest.Closer {
		e, err := runc.Open(oci.Options{Dir: dir, Shim: shim})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestUnpackKeepsWhatIsThere(t *testing.T) {
	warden(t)
	dir := t.TempDir()
	first, err := gvisor.Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := gvisor.Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(second)
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(before, after) {
		t.Errorf("unpacked to %s and again to %s", first, second)
	}
}

func openGPUs(t testing.TB, dir string, k *gpu.Kit) sandboxtest.Closer {
	e, err := gvisor.Open(oci.Options{Dir: dir, GPUs: k})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestGPUs(t *testing.T) {
	warden(t)
	sandboxtest.GPUs(t, openGPUs)
}

func TestAddresses(t *testing.T) {
	warden(t)
	sandboxtest.Addresses(t, func(t testing.TB, dir string, o network.Options) sandboxtest.Closer {
		e, err := gvisor.Open(oci.Options{Dir: dir, Network: o})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
