package subnet

import (
	"testing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// TestCompleteFillsOnlyWhatIsNew: a field that the old version knew keeps its
// value, zero too; what came later takes its default.
func TestCompleteFillsOnlyWhatIsNew(t *testing.T) {
	defaults := subnetv1.Params{MaxSubnets: 1, SubnetPriceMin: 2, SubnetPriceDecay: 3, EpochsPerBlock: 4, Freeze: 5, MaxUids: 6}
	have := subnetv1.Params{MaxSubnets: 100, SubnetPriceMin: 0, SubnetPriceDecay: 300}
	if err := complete(&have, &defaults, 3); err != nil {
		t.Fatal(err)
	}
	if want := (subnetv1.Params{MaxSubnets: 100, SubnetPriceDecay: 300, EpochsPerBlock: 4, Freeze: 5, MaxUids: 6}); have != want {
		t.Errorf("completed to %v, want %v", have, want)
	}
	before := have
	if err := complete(&have, &defaults, 1000); err != nil || have != before {
		t.Errorf("nothing is new, but %v became %v, %v", before, have, err)
	}
}
