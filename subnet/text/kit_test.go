package text

import (
	"testing"

	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/subnettest"
)

func TestMechanism(t *testing.T) {
	subnettest.Run(t, func(*testing.T) subnet.Mechanism { return miner(declared) })
}
