package chain

import (
	"fmt"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// accusation returns the message by which somebody reports p0's lease of
// deployment 1.
func (b *bench) accusation(by string) *marketv1.MsgReportNonDelivery {
	return &marketv1.MsgReportNonDelivery{
		Account: b.person(by).String(), Owner: b.person("tenant").String(), Dseq: 1, Gseq: 1, Oseq: 1,
		Provider: b.person("p0").String(), Evidence: []byte("no answer on port 80"),
	}
}

// ballot returns the message by which somebody votes on a case.
func (b *bench) ballot(by string, id uint64, guilty bool) *marketv1.MsgVoteNonDelivery {
	return &marketv1.MsgVoteNonDelivery{Account: b.person(by).String(), Case: id, Guilty: guilty}
}

// tried returns a case of non-delivery.
func (b *bench) tried(id uint64) marketv1.Case {
	b.t.Helper()
	r := &marketv1.QueryCaseResponse{}
	b.query("/plexus.market.v1.Query/Case", &marketv1.QueryCaseRequest{Id: id}, r)
	return r.Case
}

// seller returns a provider.
func (b *bench) seller(name string) marketv1.Provider {
	b.t.Helper()
	r := &marketv1.QueryProviderResponse{}
	b.query("/plexus.market.v1.Query/Provider", &marketv1.QueryProviderRequest{Account: b.person(name).String()}, r)
	return r.Provider
}

// rented is a chain with validators that have permits and one lease of p0.
func rented(t *testing.T, change func(*marketv1.Params)) *bench {
	t.Helper()
	b := provided(t, change)
	for !b.metagraph(1).Neurons[0].Permit {
		b.block()
	}
	b.rent("p0", b.deploy(100_000, group("web", "10")), 1, 1, "10")
	return b
}

func TestTwoThirdsSlashAProvider(t *testing.T) {
	b := rented(t, nil)
	tenant, burned := b.has("tenant"), b.schedule().Burned
	b.must(b.person("tenant"), b.accusation("tenant"))
	if got := tenant - b.has("tenant"); got != 200 {
		t.Errorf("a report cost %d, want 200", got)
	}
	b.refuses("v0", "case 1 is about lease", b.accusation("v0"))
	b.refuses("friend", "has no neuron on subnet 1", b.ballot("friend", 1, true))
	b.must(b.person("v0"), b.ballot("v0", 1, true))
	if c := b.tried(1); c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_OPEN || c.Guilty*3 != c.All {
		t.Fatalf("a third of stake decided: %+v", c)
	}
	b.roundTrip() // which goes on past the deadline
	if c := b.tried(1); c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_LAPSED || b.has("tenant") != tenant {
		t.Errorf("a case that nobody decided: %+v; the tenant has %d, want its %d", c, b.has("tenant"), tenant)
	}
	b.must(b.person("tenant"), b.accusation("tenant")) // and may report again
	b.must(b.person("v0"), b.ballot("v0", 2, true))
	b.must(b.person("v1"), b.ballot("v1", 2, true))
	c, p := b.tried(2), b.seller("p0")
	if c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_CONVICTED || c.Slashed != 200 || p.Deposit != 800 || p.Slashed != 200 || p.Convicted != 1 || p.Cases != 0 {
		t.Errorf("two thirds said guilty: %+v, %+v; want a fifth of 1000 slashed", c, p)
	}
	l := b.leased("p0", 1, 1, 1).Lease
	if l.State != marketv1.LeaseState_LEASE_STATE_CLOSED || l.Reason != marketv1.Reason_REASON_NON_DELIVERY {
		t.Errorf("the lease is %+v", l)
	}
	if got := b.schedule().Burned - burned; got != 200+l.Paid/10 {
		t.Errorf("%d were burned, want the 200 and a tenth of the %d that the lease paid at its end", got, l.Paid)
	}
	if o := b.ordered(1, 1, 2); o.State != marketv1.OrderState_ORDER_STATE_OPEN {
		t.Errorf("the group is ordered again: %+v", o)
	}
	b.refuses("p0", "it takes 1000 to bid: add 200 by update-provider", b.bid("p0", 1, 1, 2, "10"))
	b.must(b.person("p0"), &marketv1.MsgUpdateProvider{Account: b.person("p0").String(), HostUri: "https://p0", Add: 200})
	b.must(b.person("p0"), b.bid("p0", 1, 1, 2, "10"))
	b.refuses("v0", "is about lease", b.accusation("v0")) // not twice for one lease
	if got := tenant - b.has("tenant"); got != 0 {
		t.Errorf("the report cost the tenant %d in the end", got)
	}
}

func TestAThirdAcquitsAProvider(t *testing.T) {
	b := rented(t, nil)
	tenant, p0 := b.has("tenant"), b.seller("p0")
	b.must(b.person("tenant"), b.accusation("tenant"))
	b.must(b.person("v0"), b.ballot("v0", 1, true))
	b.must(b.person("v0"), b.ballot("v0", 1, false)) // changed its mind
	b.must(b.person("v1"), b.ballot("v1", 1, false))
	c := b.tried(1)
	if c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED || c.Slashed != 0 {
		t.Errorf("%+v", c)
	}
	if got := b.seller("p0"); got.Deposit != p0.Deposit || got.Cases != 0 {
		t.Errorf("the acquitted is %+v", got)
	}
	if got := tenant - b.has("tenant"); got != 200 {
		t.Errorf("a false report cost %d, want 200", got)
	}
	if l := b.leased("p0", 1, 1, 1).Lease; l.State != marketv1.LeaseState_LEASE_STATE_ACTIVE || l.Case != 0 {
		t.Errorf("the lease is %+v", l)
	}
	b.refuses("v2", "ended at height", b.ballot("v2", 1, true))
	b.must(b.person("rich"), banktypes.NewMsgSend(b.person("rich").address(), b.person("v0").address(), sdk.NewCoins(nplx(200))))
	b.must(b.person("v0"), b.accusation("v0")) // validators may report too
	b.until(b.tried(2).Deadline)
	if c := b.tried(2); c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_LAPSED {
		t.Errorf("at its deadline: %+v", c)
	}
	b.until(b.tried(2).Until)
	if err := b.refused("/plexus.market.v1.Query/Case", &marketv1.QueryCaseRequest{Id: 2}); !strings.Contains(err, "there is no case 2") {
		t.Errorf("a case that was kept long enough: %q", err)
	}
}

func TestGovernanceDecidesACase(t *testing.T) {
	for _, guilty := range []bool{true, false} {
		t.Run(fmt.Sprint(guilty), func(t *testing.T) {
			b := rented(t, func(p *marketv1.Params) { p.Court, p.VotingPeriod = 0, 1000 })
			b.must(b.person("tenant"), b.accusation("tenant"))
			b.decide(&marketv1.MsgVoteNonDelivery{Account: governance().String(), Case: 1, Guilty: guilty})
			want := marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED
			if guilty {
				want = marketv1.CaseVerdict_CASE_VERDICT_CONVICTED
			}
			if c := b.tried(1); c.Verdict != want || (c.Slashed > 0) != guilty {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestReportsOfNonDeliveryAreBounded(t *testing.T) {
	b := rented(t, nil)
	for _, c := range []struct {
		by     string
		change func(*marketv1.MsgReportNonDelivery)
		want   string
	}{
		{"tenant", func(m *marketv1.MsgReportNonDelivery) { m.Evidence = nil }, "evidence of 0 bytes; it must have 1 to 65536"},
		{"tenant", func(m *marketv1.MsgReportNonDelivery) { m.Evidence = make([]byte, 64<<10+1) }, "evidence of 65537 bytes"},
		{"tenant", func(m *marketv1.MsgReportNonDelivery) { m.Oseq = 2 }, "there is no lease"},
		{"tenant", func(m *marketv1.MsgReportNonDelivery) { m.Provider = b.person("p1").String() }, "there is no lease"},
		{"friend", func(*marketv1.MsgReportNonDelivery) {}, "only the tenant and the validators of subnet 1 report"},
		{"p0", func(*marketv1.MsgReportNonDelivery) {}, "only the tenant and the validators of subnet 1 report"},
	} {
		m := b.accusation(c.by)
		c.change(m)
		b.refuses(c.by, c.want, m)
	}
	b.refuses("v0", "there is no case 3", b.ballot("v0", 3, true))
}

func TestLeavingProviderIsUnbonded(t *testing.T) {
	b := rented(t, nil)
	p0, leave := b.person("p0"), &marketv1.MsgDeleteProvider{Account: b.person("p0").String()}
	other := b.deploy(1000, group("api", "10"), group("web", "10"))
	b.must(p0, b.bid("p0", other, 1, 1, "10"))
	b.must(p0, leave)
	leaves := b.seller("p0").Leaves
	if leaves != b.time.Unix()+40 {
		t.Fatalf("it leaves at %d, want in 40 s of %d", leaves, b.time.Unix())
	}
	b.refuses("p0", "is leaving the market already", leave)
	b.refuses("p0", "is leaving the market and may not bid", b.bid("p0", other, 2, 1, "10"))
	b.refuses("p0", "is leaving the market until second", b.provider("p0", 1000))
	b.refuses("tenant", "is leaving the market: take another bid", b.take("p0", other, 1, 1))
	b.refuses("friend", "there is no provider", &marketv1.MsgDeleteProvider{Account: b.person("friend").String()})
	had := b.has("p0")
	for b.time.Unix() < leaves-1 {
		b.block()
	}
	if l := b.leased("p0", 1, 1, 1).Lease; l.State != marketv1.LeaseState_LEASE_STATE_ACTIVE {
		t.Errorf("before the end of the unbonding: %+v", l)
	}
	b.pass(5)
	l := b.leased("p0", 1, 1, 1).Lease
	if l.State != marketv1.LeaseState_LEASE_STATE_CLOSED || l.Reason != marketv1.Reason_REASON_PROVIDER_LEFT {
		t.Errorf("after the unbonding: %+v", l)
	}
	if err := b.refused("/plexus.market.v1.Query/Provider", &marketv1.QueryProviderRequest{Account: p0.String()}); !strings.Contains(err, "there is no provider") {
		t.Errorf("%q", err)
	}
	if got, want := b.has("p0")-had, int64(1000+50+50+l.Paid-l.Paid/10); got != want {
		t.Errorf("it got %d, want %d: its deposit, those of its bids, and the lease's money", got, want)
	}
	b.must(p0, b.provider("p0", 1000)) // and may come again
}

func TestAccusedProviderStaysUntilItsCaseEnds(t *testing.T) {
	b := rented(t, nil)
	b.must(b.person("p0"), &marketv1.MsgDeleteProvider{Account: b.person("p0").String()})
	b.must(b.person("tenant"), b.accusation("tenant"))
	b.pass(100) // the unbonding is over
	b.block()
	if p := b.seller("p0"); p.Cases != 1 || p.Deposit != 1000 {
		t.Fatalf("an accused provider that would be gone: %+v", p)
	}
	b.must(b.person("v0"), b.ballot("v0", 1, true))
	b.must(b.person("v1"), b.ballot("v1", 1, true))
	if c := b.tried(1); c.Slashed != 200 {
		t.Errorf("%+v", c)
	}
	b.block()
	if err := b.refused("/plexus.market.v1.Query/Provider", &marketv1.QueryProviderRequest{Account: b.person("p0").String()}); !strings.Contains(err, "there is no provider") {
		t.Errorf("after the verdict: %q", err)
	}
}

func TestLeavingProviderWithManyLeasesGoesInSteps(t *testing.T) {
	const many = 70 // more than one block closes for a leaver
	b := provided(t, nil)
	var deploys, bids, takes []sdk.Msg
	for i := range uint64(many) {
		deploys = append(deploys, b.deployment(10_000, group("web", "10")))
		takes = append(takes, b.take("p0", i+1, 1, 1))
	}
	b.crowd(b.person("tenant"), deploys)
	for i := range uint64(many) {
		bids = append(bids, b.bid("p0", i+1, 1, 1, "10"))
	}
	b.crowd(b.person("p0"), bids)
	b.crowd(b.person("tenant"), takes)
	b.must(b.person("p0"), &marketv1.MsgDeleteProvider{Account: b.person("p0").String()})
	b.pass(60)
	if p := b.seller("p0"); p.Leases != many-50 {
		t.Errorf("%d leases run after the first block, want %d", p.Leases, many-50)
	}
	b.block()
	if err := b.refused("/plexus.market.v1.Query/Provider", &marketv1.QueryProviderRequest{Account: b.person("p0").String()}); !strings.Contains(err, "there is no provider") {
		t.Errorf("after the second: %q", err)
	}
}

// TestTheRootIsACourt: without another court, the members of the root vote.
func TestTheRootIsACourt(t *testing.T) {
	b := rented(t, func(p *marketv1.Params) { p.Court = 0 })
	for _, v := range b.validators { // which makes it a member of the root
		b.must(v, &subnetv1.MsgSetWeights{Account: v.String(), Netuid: 0, Uids: []uint32{1}, Weights: []uint32{1}})
	}
	b.must(b.person("tenant"), b.accusation("tenant"))
	b.refuses("friend", "has no neuron on subnet 0", b.ballot("friend", 1, true))
	b.must(b.person("v0"), b.ballot("v0", 1, true))
	if c := b.tried(1); c.Guilty == 0 || c.Guilty*3 != c.All {
		t.Errorf("a third of stake said guilty: %+v", c)
	}
	b.must(b.person("v1"), b.ballot("v1", 1, true))
	if c := b.tried(1); c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_CONVICTED {
		t.Errorf("%+v", c)
	}
}
