package chain

import (
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

// schedule returns where the schedule stands.
func (b *bench) schedule() *emissionv1.QueryScheduleResponse {
	b.t.Helper()
	s := &emissionv1.QueryScheduleResponse{}
	b.query("/plexus.emission.v1.Query/Schedule", &emissionv1.QueryScheduleRequest{}, s)
	return s
}

// outstanding returns what validators and their delegators can withdraw, and
// what distribution keeps for the community.
func (b *bench) outstanding() (validators, community math.LegacyDec) {
	b.t.Helper()
	ctx := b.ctx()
	validators = math.LegacyZeroDec()
	for _, p := range b.validators {
		r, err := b.app.Distribution.GetValidatorOutstandingRewards(ctx, p.val())
		if err != nil {
			b.t.Fatal(err)
		}
		validators = validators.Add(r.Rewards.AmountOf(coin.Denom))
	}
	pool, err := b.app.Distribution.FeePool.Get(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return validators, pool.CommunityPool.AmountOf(coin.Denom)
}

func TestPayout(t *testing.T) {
	miners := []string{"m0", "m1", "m2"}
	b := newBench(t, 4, miners, nil, nil)
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m0", 3, "m1", 2, "m2", 1))
	}
	b.until(6*tempo + 5)

	claimable := math.ZeroInt()
	var pending uint64
	for _, n := range b.metagraph(1).Neurons {
		claimable = claimable.Add(math.NewIntFromUint64(n.Claimable))
	}
	pending = b.metagraph(1).Subnet.Pending
	s := b.schedule()
	validators, community := b.outstanding()
	sum := math.LegacyNewDecFromInt(claimable).Add(validators).Add(community).
		Add(math.LegacyNewDecFromInt(math.NewIntFromUint64(pending + s.State.Unallocated)))
	if want := math.LegacyNewDecFromInt(math.NewIntFromUint64(s.Scheduled)); !sum.Equal(want) {
		t.Errorf("claimable %s + validators %s + community %s + pending %d + unallocated %d = %s, want the schedule %s",
			claimable, validators, community, pending, s.State.Unallocated, sum, want)
	}
	if s.State.Minted != s.Scheduled || s.Scheduled == 0 {
		t.Errorf("minted %d, scheduled %d", s.State.Minted, s.Scheduled)
	}
	m0, m1, m2 := b.neuron("m0"), b.neuron("m1"), b.neuron("m2")
	if m0.Incentive <= m1.Incentive || m1.Incentive <= m2.Incentive || m2.Incentive == 0 {
		t.Errorf("incentives %d, %d, %d; want them in proportion 3 to 2 to 1", m0.Incentive, m1.Incentive, m2.Incentive)
	}
	if v := b.neuron("v0"); v.Dividends == 0 || !v.Permit || v.Claimable != 0 {
		t.Errorf("validator: dividends %d, permit %v, claimable %d; want dividends, a permit and nothing to claim", v.Dividends, v.Permit, v.Claimable)
	}

	// A miner claims, without a coin for a fee.
	want := b.neuron("m0").Claimable
	b.must(b.person("m0"), claimMsg(b.person("m0")))
	if got := b.app.Bank.GetBalance(b.ctx(), b.person("m0").address(), coin.Denom); !got.Equal(sdk.NewCoin(coin.Denom, math.NewIntFromUint64(want))) {
		t.Errorf("m0 got %s, want %d", got, want)
	}
}
