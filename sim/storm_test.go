package sim

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

var (
	seed   = flag.Uint64("seed", 1, "what a storm's chances follow from")
	blocks = flag.Int("blocks", 0, "how long a storm lasts; 0 means 300, and the counts of what happened are not judged at other lengths")
)

// TestStormKeepsInvariants runs a storm: `make sim` runs long ones.
func TestStormKeepsInvariants(t *testing.T) {
	n := *blocks
	if n == 0 {
		n = 300
	}
	r, err := Run(Options{Seed: *seed, Blocks: n, Log: t.Logf})
	if r != nil {
		tell(t, r)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tell logs what became of a storm.
func tell(t *testing.T, r *Report) {
	t.Helper()
	kinds := map[string]bool{}
	for _, of := range []map[string]int{r.Done, r.Refused} {
		for url := range of {
			kinds[url] = true
		}
	}
	for _, url := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%-60s %6d done %6d refused", url, r.Done[url], r.Refused[url])
	}
	t.Logf("%d epochs, %d subnets came, %d times jailed, %d exports, %d kills, hash %x", r.Epochs, r.Subnets, r.Jailed, r.Exports, r.Kills, r.Hash)
}

var _ = bytes.Equal
var _ = errors.As
var _ = strings.Contains
var _ sdk.Msg = &subnetv1.MsgClaim{}
