package chain

import (
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
)

func TestBidsAreRefused(t *testing.T) {
	b := provided(t, func(p *marketv1.Params) { p.MaxBids = 2 })
	b.must(b.person("rich"), b.provider("rich", 1000))
	gpu := group("gpu", "10")
	gpu.Units[0].Resources.Gpu = 1
	gpu.Units[0].Resources.GpuAttributes = []marketv1.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}
	far := group("far", "10")
	far.Attributes = []marketv1.Attribute{{Key: "region", Value: "moon"}}
	dseq := b.deploy(1000, far, gpu, group("web", "10"))
	own := b.deployment(1000, group("web", "10"))
	own.Owner = b.person("p1").String()
	b.must(b.person("p1"), own)
	for _, c := range []struct {
		name   string
		change func(*marketv1.MsgCreateBid)
		want   string
	}{
		{"a price of 0", func(m *marketv1.MsgCreateBid) { m.Price.Amount = "0" }, "its price is 0"},
		{"no price", func(m *marketv1.MsgCreateBid) { m.Price.Amount = "" }, "not an amount"},
		{"a price below 0", func(m *marketv1.MsgCreateBid) { m.Price.Amount = "-1" }, "write digits and at most one point"},
		{"a price of 19 decimals", func(m *marketv1.MsgCreateBid) { m.Price.Amount = "0.0000000000000000001" }, "has 19 decimals, and at most 18 count"},
		{"too high a price", func(m *marketv1.MsgCreateBid) { m.Price.Amount = "10.000000000000000001" }, "is above the order's 10nplx"},
		{"another denom", func(m *marketv1.MsgCreateBid) { m.Price.Denom, m.Deposit.Denom = "uakt", "uakt" }, "it is in uakt, and the order in nplx"},
		{"a deposit in another denom", func(m *marketv1.MsgCreateBid) { m.Deposit.Denom = "uakt" }, "a deposit in uakt for a price in nplx"},
		{"a small deposit", func(m *marketv1.MsgCreateBid) { m.Deposit = nplx(49) }, "a deposit of 49 is below 50 nplx"},
		{"an unknown order", func(m *marketv1.MsgCreateBid) { m.Oseq = 2 }, "there is no order"},
		{"an unknown deployment", func(m *marketv1.MsgCreateBid) { m.Dseq = 9 }, "there is no order"},
		{"an owner that is none", func(m *marketv1.MsgCreateBid) { m.Owner = "nobody" }, `"nobody"`},
		{"an offer too few", func(m *marketv1.MsgCreateBid) { m.Offers = nil }, "it offers 0 resource units, and 1 are asked for"},
		{"a replica too many", func(m *marketv1.MsgCreateBid) { m.Offers[0].Count = 2 }, "it offers 2 replicas of unit 1, and 1 are asked for"},
		{"less memory", func(m *marketv1.MsgCreateBid) { m.Offers[0].Resources.Memory-- }, "is not what is asked for"},
		{"an endpoint of no kind", func(m *marketv1.MsgCreateBid) {
			m.Offers[0].Resources.Endpoints = []marketv1.Endpoint{{Kind: 9}}
		}, "endpoint of kind 9"},
		{"too long a life", func(m *marketv1.MsgCreateBid) { m.Lifetime = 31 }, "a bid for 31 blocks; it may stand for 30 at most"},
		{"too short a notice", func(m *marketv1.MsgCreateBid) { m.Reclaim = 4 }, "a notice of 4 s is outside of 5 to 100 s"},
		{"too long a notice", func(m *marketv1.MsgCreateBid) { m.Reclaim = 1 << 63 }, "is outside of 5 to 100 s"},
		{"a region that it is not in", func(m *marketv1.MsgCreateBid) { *m = *b.bid("p0", dseq, 1, 1, "10") }, "provider lacks attribute region=moon"},
		{"a GPU that it has not", func(m *marketv1.MsgCreateBid) { *m = *b.bid("p0", dseq, 2, 1, "10") }, "provider lacks attribute capabilities/gpu/vendor/nvidia/model/a100=true for resource unit 1"},
	} {
		m := b.bid("p0", dseq, 3, 1, "10")
		c.change(m)
		if log := b.do(b.person("p0"), m); !strings.Contains(log, c.want) {
			t.Errorf("%s: %q, want %q", c.name, log, c.want)
		}
	}
	m := b.bid("p0", dseq, 3, 1, "10")
	m.Provider = b.person("friend").String()
	b.refuses("friend", "there is no provider", m)
	m = b.bid("p1", dseq, 3, 1, "10")
	m.Owner, m.Dseq, m.Gseq = own.Owner, 1, 1
	b.refuses("p1", "a provider cannot bid on its own order", m)

	b.must(b.person("p0"), b.bid("p0", dseq, 3, 1, "10"))
	b.refuses("p0", "has bid on order", b.bid("p0", dseq, 3, 1, "9"))
	b.must(b.person("p1"), b.bid("p1", dseq, 3, 1, "10"))
	b.refuses("p2", "the order has 2 bids already, and at most 2 count", b.bid("p2", dseq, 3, 1, "10"))
	b.must(b.person("tenant"), b.take("p1", dseq, 3, 1))
	b.refuses("rich", "the order is active", b.bid("rich", dseq, 3, 1, "10"))
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq})
	b.refuses("rich", "the order is closed", b.bid("rich", dseq, 3, 1, "10"))
}

func TestBidsAreClosed(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(1000, group("web", "10"))
	close := func(provider string, oseq uint32, reason marketv1.Reason) *marketv1.MsgCloseBid {
		return &marketv1.MsgCloseBid{Provider: b.person(provider).String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: oseq, Reason: reason}
	}
	b.must(b.person("p0"), b.bid("p0", dseq, 1, 1, "10"))
	b.must(b.person("p1"), b.bid("p1", dseq, 1, 1, "10"))
	b.must(b.person("p2"), b.bid("p2", dseq, 1, 1, "10"))
	b.refuses("p0", "there is no bid", close("p0", 2, 0))
	b.refuses("p0", "REASON_OWNER is no reason of a provider: those are 10000 to 10003", close("p0", 1, marketv1.Reason_REASON_OWNER))
	b.refuses("p0", "is no reason of a provider", close("p0", 1, marketv1.Reason_REASON_NON_DELIVERY))
	b.must(b.person("p0"), close("p0", 1, 0))
	if got := b.bidOf("p0", dseq, 1, 1); got.State != marketv1.BidState_BID_STATE_CLOSED || got.Reason != marketv1.Reason_REASON_PROVIDER {
		t.Errorf("a bid that its provider closed: %+v", got)
	}
	b.refuses("p0", "is closed already", close("p0", 1, 0))
	b.must(b.person("tenant"), b.take("p1", dseq, 1, 1))
	b.refuses("p2", "is lost already: outbid", close("p2", 1, 0))
	b.refuses("tenant", "order is active and cannot become active", b.take("p2", dseq, 1, 1))
	b.refuses("tenant", "there is no lease", &marketv1.MsgCloseLease{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1, Provider: b.person("p2").String()})
	b.must(b.person("p1"), close("p1", 1, marketv1.Reason_REASON_MANIFEST_TIMEOUT))
	b.refuses("p1", "is closed already: manifest timeout", close("p1", 1, 0))
	b.refuses("tenant", "closed at height", &marketv1.MsgCloseLease{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1, Provider: b.person("p1").String()})
	if g := b.deployed(dseq).Groups[0]; g.State != marketv1.GroupState_GROUP_STATE_PAUSED || g.Reason != marketv1.Reason_REASON_MANIFEST_TIMEOUT {
		t.Errorf("the group is %+v", g)
	}
}

func TestLeaseThatOneBlockCannotPayIsRefused(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(100, group("a", "60"), group("b", "60"))
	b.rent("p0", dseq, 1, 1, "60")
	b.must(b.person("p1"), b.bid("p1", dseq, 2, 1, "60"))
	if log := b.do(b.person("tenant"), b.take("p1", dseq, 2, 1)); log == "" {
		t.Error("a lease that nobody can pay was opened")
	}
}

// TestReclaim goes through the cases that Akash's tests have of a provider that
// takes its machine back.
func TestReclaim(t *testing.T) {
	b := provided(t, nil)
	tenant := b.person("tenant").String()
	for want, window := range map[string]uint64{"a notice of 4 s is outside of 5 to 100 s": 4, "a notice of 101 s is outside": 101} {
		m := b.deployment(1000, group("web", "10"))
		m.Reclaim = window
		b.refuses("tenant", want, m)
	}
	m := b.deployment(10_000, group("api", "10"), group("web", "10"))
	m.Reclaim = 10
	b.must(b.person("tenant"), m)
	const dseq = 1
	bid := b.bid("p0", dseq, 1, 1, "10")
	b.refuses("p0", "a notice of 0 s is shorter than the 10 s that the tenant asks for", bid)
	bid.Reclaim = 9
	b.refuses("p0", "a notice of 9 s is shorter than the 10 s", bid)
	bid.Reclaim = 20
	b.must(b.person("p0"), bid)
	b.must(b.person("tenant"), b.take("p0", dseq, 1, 1))
	second := b.bid("p1", dseq, 2, 1, "10")
	second.Reclaim = 10
	b.must(b.person("p1"), second)
	b.must(b.person("tenant"), b.take("p1", dseq, 2, 1))
	free := b.deploy(10_000, group("web", "10"))
	b.rent("p2", free, 1, 1, "10") // promises nothing

	reclaim := func(p string, dseq uint64, gseq, oseq uint32) *marketv1.MsgReclaimLease {
		return &marketv1.MsgReclaimLease{Provider: b.person(p).String(), Owner: tenant, Dseq: dseq, Gseq: gseq, Oseq: oseq}
	}
	close := &marketv1.MsgCloseBid{Provider: b.person("p0").String(), Owner: tenant, Dseq: dseq, Gseq: 1, Oseq: 1}
	b.refuses("p0", "promises a notice of 20 s; give it first", close)
	b.refuses("p0", "there is no lease", reclaim("p0", dseq, 1, 2))
	b.refuses("p2", "was agreed on without", reclaim("p2", free, 1, 1))
	b.must(b.person("p0"), reclaim("p0", dseq, 1, 1))
	l := b.leased("p0", dseq, 1, 1).Lease
	if l.State != marketv1.LeaseState_LEASE_STATE_RECLAIMING || l.Deadline != b.time.Unix()+20 || l.Reclaim != 20 {
		t.Fatalf("a lease under notice: %+v", l)
	}
	b.refuses("p0", "lease is reclaiming and cannot become reclaiming", reclaim("p0", dseq, 1, 1))
	b.refuses("p0", "ends in 18 s", close)
	b.must(b.person("p1"), reclaim("p1", dseq, 2, 1))
	b.must(b.person("tenant"), &marketv1.MsgCloseLease{Owner: tenant, Dseq: dseq, Gseq: 2, Oseq: 1, Provider: b.person("p1").String()}) // the tenant always may
	b.roundTrip()
	for b.time.Unix() < l.Deadline-1 {
		b.block()
	}
	if l := b.leased("p0", dseq, 1, 1).Lease; b.time.Unix() < l.Deadline && l.State != marketv1.LeaseState_LEASE_STATE_RECLAIMING {
		t.Errorf("before the deadline: %+v", l)
	}
	b.pass(2)
	l = b.leased("p0", dseq, 1, 1).Lease
	if l.State != marketv1.LeaseState_LEASE_STATE_CLOSED || l.Reason != marketv1.Reason_REASON_RECLAIM_DEADLINE {
		t.Errorf("after the deadline: %+v", l)
	}
	if o := b.ordered(dseq, 1, 2); o.State != marketv1.OrderState_ORDER_STATE_OPEN || o.Reclaim != 10 {
		t.Errorf("the group is ordered again: %+v", o)
	}
}

func TestAuditorsSign(t *testing.T) {
	b := provided(t, nil)
	auditor, other, p0 := b.person("auditor").String(), b.person("friend").String(), b.person("p0").String()
	signed := group("web", "10")
	signed.Attributes = []marketv1.Attribute{{Key: "region", Value: "us-west"}, {Key: "tier", Value: "gold"}}
	signed.SignedBy = marketv1.SignedBy{AllOf: []string{auditor}}
	any := signed
	any.Name, any.SignedBy = "xweb", marketv1.SignedBy{AnyOf: []string{other, auditor}}
	dseq := b.deploy(1000, signed, any)
	b.refuses("p0", "provider has no signature of "+auditor, b.bid("p0", dseq, 1, 1, "10"))
	sign := func(by string, pairs ...string) *marketv1.MsgSignAttributes {
		m := &marketv1.MsgSignAttributes{Auditor: by, Provider: p0}
		for i := 0; i < len(pairs); i += 2 {
			m.Attributes = append(m.Attributes, marketv1.Attribute{Key: pairs[i], Value: pairs[i+1]})
		}
		return m
	}
	b.refuses("auditor", "no attributes to sign", sign(auditor))
	b.refuses("auditor", `attribute "tier" stands twice`, sign(auditor, "tier", "a", "tier", "b"))
	b.refuses("auditor", "there is no provider", &marketv1.MsgSignAttributes{Auditor: auditor, Provider: other, Attributes: sign(auditor, "aa", "b").Attributes})
	b.must(b.person("auditor"), sign(auditor, "tier", "silver", "region", "us-west"))
	b.refuses("p0", "provider lacks attribute tier=gold signed by "+auditor, b.bid("p0", dseq, 1, 1, "10"))
	b.must(b.person("auditor"), sign(auditor, "tier", "gold", "extra", "x"))
	b.must(b.person("p0"), b.bid("p0", dseq, 1, 1, "10"))
	b.must(b.person("p0"), b.bid("p0", dseq, 2, 1, "10"))

	remove := func(keys ...string) *marketv1.MsgDeleteAttributes {
		return &marketv1.MsgDeleteAttributes{Auditor: auditor, Provider: p0, Keys: keys}
	}
	b.refuses("auditor", `has not signed "absent"`, remove("absent"))
	b.refuses("friend", "there is no signature of", &marketv1.MsgDeleteAttributes{Auditor: other, Provider: p0})
	b.must(b.person("auditor"), remove("extra"))
	var r marketv1.QueryProviderResponse
	b.query("/plexus.market.v1.Query/Provider", &marketv1.QueryProviderRequest{Account: p0}, &r)
	if len(r.Audits) != 1 || len(r.Audits[0].Attributes) != 2 || r.Audits[0].Attributes[0].Key != "region" {
		t.Errorf("audits of p0: %+v, want region and tier", r.Audits)
	}
	b.must(b.person("auditor"), remove())
	b.refuses("auditor", "there is no signature of", remove())
}

func TestFieldsAreBounded(t *testing.T) {
	b := provided(t, nil)
	tenant := b.person("tenant").String()
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		change func(*marketv1.MsgCreateDeployment)
		want   string
	}{
		{func(m *marketv1.MsgCreateDeployment) { m.Hash = nil }, "hash of the manifest of 0 bytes; it must have 32"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups = nil }, "a deployment needs at least one group"},
		{func(m *marketv1.MsgCreateDeployment) { m.Deposit = nplx(99) }, "a deposit of 99nplx; it must be at least 100nplx"},
		{func(m *marketv1.MsgCreateDeployment) { m.Deposit.Denom = "uakt" }, "a deposit in uakt; it must be in nplx"},
		{func(m *marketv1.MsgCreateDeployment) { m.Deposit = nplx(20_000 * coin.PLX) }, "is smaller than"},
		{func(m *marketv1.MsgCreateDeployment) {
			m.Groups[0].Units[0].Price.Denom = "uakt"
			m.Deposit.Denom = "uakt"
		}, `deployments are not paid in "uakt"; they are in nplx`},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Name = "" }, "name of a group"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Name = "a\x00b" }, "it must be 1 to 63 bytes of printable text"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units = nil }, "asks for no resources"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units[0].Count = 0 }, "count is 0"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units[0].Resources.Cpu = 9 }, "cpu of 9 thousandths of a core is outside of 10 to 384000"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units[0].Price.Amount = "10000001" }, "is above 10000000"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units[0].Price.Amount = "ten" }, "write digits and at most one point"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Units[0].Resources.Storage[0].Name = long }, "name of a volume"},
		{func(m *marketv1.MsgCreateDeployment) {
			m.Groups[0].Units[0].Resources.Storage = make([]marketv1.Volume, 17)
		}, "17 volumes and 0 endpoints; there are at most 16 and 64"},
		{func(m *marketv1.MsgCreateDeployment) {
			m.Groups[0].Units[0].Resources.Storage = append(m.Groups[0].Units[0].Resources.Storage, m.Groups[0].Units[0].Resources.Storage[0])
		}, `two volumes are named "default"`},
		{func(m *marketv1.MsgCreateDeployment) {
			m.Groups[0].Attributes = []marketv1.Attribute{{Key: "region", Value: long}}
		}, "printable text of at most 256 bytes"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Attributes = []marketv1.Attribute{{Key: "1"}} }, "attribute key"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].Attributes = make([]marketv1.Attribute, 257) }, "257 attributes; there are at most 256"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].SignedBy.AllOf = []string{"me"} }, `auditor "me"`},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups[0].SignedBy.AnyOf = make([]string, 17) }, "17 auditors in a list; there are at most 16"},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups = append(m.Groups, group("a", "10")) }, `group "a" stands behind "web": sort groups by name`},
		{func(m *marketv1.MsgCreateDeployment) { m.Groups = append(m.Groups, group("web", "10")) }, `two groups are named "web"`},
		{func(m *marketv1.MsgCreateDeployment) { m.Dseq = 1 << 53 }, "at most 9007199254740991"},
		{func(m *marketv1.MsgCreateDeployment) { m.Granter = "plx1" }, "plx1"},
		{func(m *marketv1.MsgCreateDeployment) { m.Granter = b.person("friend").String() }, "there is no allowance of"},
	} {
		m := b.deployment(1000, group("web", "10"))
		c.change(m)
		if log := b.do(b.person("tenant"), m); !strings.Contains(log, c.want) {
			t.Errorf("refused by %q, want %q", log, c.want)
		}
	}
	for _, c := range []struct {
		change func(*marketv1.MsgCreateProvider)
		want   string
	}{
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "http://a.example" }, "write https://, a host and maybe a port"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://" }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://a.example/path" }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://a.example:0" }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://a.example:65536" }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://u:p@a.example" }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.HostUri = "https://" + long }, "host_uri"},
		{func(m *marketv1.MsgCreateProvider) { m.Email = long }, "email: it must be printable text"},
		{func(m *marketv1.MsgCreateProvider) { m.Website = "a\nb" }, "website: it must be printable text"},
		{func(m *marketv1.MsgCreateProvider) { m.TlsPin = []byte{1} }, "tls_pin of 1 bytes; it must have none or 32"},
		{func(m *marketv1.MsgCreateProvider) { m.Deposit = nplx(999) }, "a deposit of 999nplx; it must be at least 1000nplx"},
		{func(m *marketv1.MsgCreateProvider) { m.Deposit.Denom = "uakt" }, "it must be in nplx"},
		{func(m *marketv1.MsgCreateProvider) { m.Attributes = append(m.Attributes, m.Attributes[0]) }, `attribute "region" stands twice`},
	} {
		m := b.provider("friend", 1000)
		c.change(m)
		if log := b.do(b.person("friend"), m); !strings.Contains(log, c.want) {
			t.Errorf("refused by %q, want %q", log, c.want)
		}
	}
	for _, uri := range []string{"https://a", "https://192.0.2.1:8443", "https://[2001:db8::1]:8443", "https://[2001:db8::1]"} {
		m := &marketv1.MsgUpdateProvider{Account: b.person("p0").String(), HostUri: uri}
		b.must(b.person("p0"), m)
	}
	dseq := b.deploy(1000, group("web", "10"))
	for _, c := range []struct {
		by   string
		msg  sdk.Msg
		want string
	}{
		{"friend", &marketv1.MsgDeposit{Account: b.person("friend").String(), Owner: tenant, Dseq: dseq, Amount: nplx(99)}, "it must be at least 100nplx"},
		{"tenant", &marketv1.MsgDeposit{Account: tenant, Owner: tenant, Dseq: dseq, Amount: nplx(0)}, "it must be at least 1nplx"},
		{"friend", &marketv1.MsgSetAllowance{Granter: b.person("friend").String(), Grantee: b.person("friend").String(), Limit: nplx(1)}, "needs no allowance of its own"},
		{"friend", &marketv1.MsgSetAllowance{Granter: b.person("friend").String(), Grantee: tenant, Limit: nplx(1), Expires: 5}, "an allowance until second 5, but it is"},
	} {
		b.refuses(c.by, c.want, c.msg)
	}
}

// A bid may say which device it gives, in more words than the order; the lease
// owes that one, and its bid says so for as long as the lease is remembered.
func TestBidNamesItsGPUInMoreWords(t *testing.T) {
	b := provided(t, nil)
	key := func(words string) []marketv1.Attribute {
		return []marketv1.Attribute{{Key: "vendor/nvidia/model/" + words, Value: "true"}}
	}
	gpu := group("gpu", "10")
	gpu.Units[0].Resources.Gpu = 1
	gpu.Units[0].Resources.GpuAttributes = key("a100")
	const exact = "a100/ram/80Gi"
	for _, p := range []string{"p0", "p1"} {
		claims := []marketv1.Attribute{{Key: "capabilities/gpu/vendor/nvidia/model/a100", Value: "true"}}
		if p == "p0" {
			claims = append(claims, marketv1.Attribute{Key: "capabilities/gpu/vendor/nvidia/model/" + exact, Value: "true"})
		}
		b.must(b.person(p), &marketv1.MsgUpdateProvider{Account: b.person(p).String(), HostUri: "https://" + p, Attributes: claims})
	}
	dseq := b.deploy(1000, gpu)
	bid := func(p, words string) *marketv1.MsgCreateBid {
		m := b.bid(p, dseq, 1, 1, "10")
		m.Offers[0].Resources.GpuAttributes = key(words)
		return m
	}
	b.refuses("p1", "the provider does not claim attribute capabilities/gpu/vendor/nvidia/model/a100/ram/80Gi=true", bid("p1", exact))
	b.refuses("p0", "a GPU of nvidia/t4, which is none of those asked for", bid("p0", "t4"))
	b.refuses("p0", "a GPU of nvidia/a*, which is a pattern", bid("p0", "a*"))
	b.must(b.person("p1"), bid("p1", "a100"))
	b.must(b.person("p0"), bid("p0", exact))
	b.must(b.person("tenant"), b.take("p0", dseq, 1, 1))
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq})
	if l := b.leased("p0", dseq, 1, 1).Lease; l.State != marketv1.LeaseState_LEASE_STATE_CLOSED {
		t.Errorf("the lease is %+v", l)
	}
	if got := b.bidOf("p0", dseq, 1, 1).Offers[0].Resources.GpuAttributes; len(got) != 1 || got[0] != key(exact)[0] {
		t.Errorf("the bid of the lease names %v, want %s", got, exact)
	}
}
