package tenant

import (
	"testing"

	"github.com/plexus-network/plexus/ledger"
)

func TestRankIsBesideTheBest(t *testing.T) {
	got := map[string]Measure{}
	for _, m := range rank(&ledger.Metagraph{Netuid: 5, Name: "machines", LastEpoch: 70, Neurons: []ledger.Neuron{
		{Account: "validator", Dividends: 9}, {Account: "half", Incentive: 20_000}, {Account: "best", Incentive: 40_000}, {Account: "fresh"},
	}}) {
		got[m.account] = m
	}
	for account, want := range map[string]Measure{
		"best":  {Score: 1, Place: 1},
		"half":  {Score: 0.5, Place: 2},
		"fresh": {},
	} {
		want.Netuid, want.Subnet, want.Height, want.Of, want.account = 5, "machines", 70, 2, account
		if got[account] != want {
			t.Errorf("%s: %+v, want %+v", account, got[account], want)
		}
	}
}
