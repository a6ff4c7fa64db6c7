package compute

import (
	"testing"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/subnettest"
)

func TestKit(t *testing.T) {
	subnettest.Run(t, func(t *testing.T) subnet.Mechanism {
		t.Helper()
		m, err := New(Manifest{MaxPrice: 1}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}
