package runc_test

import (
	"testing"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/runc"
	"github.com/plexus-network/plexus/provider/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

func open(t testing.TB, dir string) sandboxtest.Closer {
	e, err := runc.Open(oci.Options{Dir: dir, Shim: sandboxtest.Shim(t)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConforms(t *testing.T) { sandboxtest.Run(t, open) }

func TestGPUs(t *testing.T) {
	sandboxtest.GPUs(t, func(t testing.TB, dir string, k *gpu.Kit) sandboxtest.Closer {
		e, err := runc.Open(oci.Options{Dir: dir, Shim: sandboxtest.Shim(t), GPUs: k})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestAddresses(t *testing.T) {
	sandboxtest.Addresses(t, func(t testing.TB, dir string, o network.Options) sandboxtest.Closer {
		e, err := runc.Open(oci.Options{Dir: dir, Shim: sandboxtest.Shim(t), Network: o})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
