package chain

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/coin"
)

// provided is a chain with a tenant, a friend of it, and the providers p0 to
// p2. Spans are short and deposits small; the network takes a tenth.
func provided(t testing.TB, change func(*marketv1.Params)) *bench {
	t.Helper()
	b := newBench(t, 3, nil, []string{"rich", "tenant", "friend", "p0", "p1", "p2", "auditor"}, func(o *GenesisOptions) {
		p := market.DefaultParams()
		p.Currencies[0] = marketv1.Currency{Denom: coin.Denom, MinDeposit: 100, MinBidDeposit: 50, Take: 1000}
		p.OrderLifetime, p.BidLifetime, p.Retention, p.VotingPeriod = 60, 30, 25, 20
		p.MinReclaim, p.MaxReclaim, p.Unbonding = 5, 100, 40
		p.ProviderDeposit, p.ReportDeposit, p.Court = 1000, 200, 1
		if change != nil {
			change(&p)
		}
		o.MarketParams = &p
	})
	for _, name := range []string{"p0", "p1", "p2"} {
		b.must(b.person(name), b.provider(name, 1000))
	}
	return b
}

// provider returns the message by which somebody enters the market.
func (b *bench) provider(name string, deposit coin.Amount) *marketv1.MsgCreateProvider {
	return &marketv1.MsgCreateProvider{
		Account: b.person(name).String(), HostUri: "https://" + name + ".example.com:8443", Deposit: nplx(deposit),
		Attributes: []marketv1.Attribute{{Key: "region", Value: "us-west"}},
	}
}

// group returns a group of one small replica at a price.
func group(name, price string) marketv1.GroupSpec {
	return marketv1.GroupSpec{Name: name, Units: []marketv1.ResourceUnit{{
		Resources: marketv1.Resources{
			Id: 1, Cpu: 100, Memory: 1 << 27, Storage: []marketv1.Volume{{Name: "default", Size_: 1 << 28}},
		},
		Count: 1, Price: marketv1.Price{Denom: coin.Denom, Amount: price},
	}}}
}

// deployment returns the message by which the tenant deploys groups.
func (b *bench) deployment(deposit coin.Amount, groups ...marketv1.GroupSpec) *marketv1.MsgCreateDeployment {
	hash := sha256.Sum256([]byte("manifest"))
	return &marketv1.MsgCreateDeployment{Owner: b.person("tenant").String(), Hash: hash[:], Groups: groups, Deposit: nplx(deposit)}
}

// deploy has the tenant deploy groups and returns the dseq.
func (b *bench) deploy(deposit coin.Amount, groups ...marketv1.GroupSpec) uint64 {
	b.t.Helper()
	r := b.block(b.tx(b.person("tenant"), 0, b.deployment(deposit, groups...)))
	var resp marketv1.MsgCreateDeploymentResponse
	b.answer(r.TxResults[0].Code, r.TxResults[0].Log, r.TxResults[0].Data, &resp)
	return resp.Dseq
}

// answer reads the response of the only message of a transaction, which must
// have succeeded.
func (b *bench) answer(code uint32, log string, data []byte, into wire) {
	b.t.Helper()
	if code != 0 {
		b.t.Fatal(log)
	}
	var all sdk.TxMsgData
	if err := all.Unmarshal(data); err != nil {
		b.t.Fatal(err)
	}
	if err := into.Unmarshal(all.MsgResponses[0].Value); err != nil {
		b.t.Fatal(err)
	}
}

// bid returns the message by which a provider bids on an order of the tenant.
func (b *bench) bid(provider string, dseq uint64, gseq, oseq uint32, price string) *marketv1.MsgCreateBid {
	b.t.Helper()
	m := &marketv1.MsgCreateBid{
		Provider: b.person(provider).String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: gseq, Oseq: oseq,
		Price: marketv1.Price{Denom: coin.Denom, Amount: price}, Deposit: nplx(50),
	}
	var g marketv1.QueryGroupResponse
	b.query("/plexus.market.v1.Query/Group", &marketv1.QueryGroupRequest{Owner: m.Owner, Dseq: dseq, Gseq: gseq}, &g)
	for _, u := range g.Group.Spec.Units {
		m.Offers = append(m.Offers, marketv1.Offer{Resources: u.Resources, Count: u.Count})
	}
	return m
}

// take returns the message by which the tenant takes a bid.
func (b *bench) take(provider string, dseq uint64, gseq, oseq uint32) *marketv1.MsgCreateLease {
	return &marketv1.MsgCreateLease{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: gseq, Oseq: oseq, Provider: b.person(provider).String()}
}

// rent has a provider bid on an order and the tenant take it.
func (b *bench) rent(provider string, dseq uint64, gseq, oseq uint32, price string) {
	b.t.Helper()
	b.must(b.person(provider), b.bid(provider, dseq, gseq, oseq, price))
	b.must(b.person("tenant"), b.take(provider, dseq, gseq, oseq))
}

// has returns what a person has, in nplx.
func (b *bench) has(name string) int64 {
	return b.app.Bank.GetBalance(b.ctx(), b.person(name).address(), coin.Denom).Amount.Int64()
}

// deployed returns a deployment of the tenant.
func (b *bench) deployed(dseq uint64) *marketv1.QueryDeploymentResponse {
	b.t.Helper()
	r := &marketv1.QueryDeploymentResponse{}
	b.query("/plexus.market.v1.Query/Deployment", &marketv1.QueryDeploymentRequest{Owner: b.person("tenant").String(), Dseq: dseq}, r)
	return r
}

// leased returns a lease of the tenant.
func (b *bench) leased(provider string, dseq uint64, gseq, oseq uint32) *marketv1.QueryLeaseResponse {
	b.t.Helper()
	r := &marketv1.QueryLeaseResponse{}
	b.query("/plexus.market.v1.Query/Lease", &marketv1.QueryLeaseRequest{
		Owner: b.person("tenant").String(), Dseq: dseq, Gseq: gseq, Oseq: oseq, Provider: b.person(provider).String(),
	}, r)
	return r
}

// bidOf returns a bid on an order of the tenant.
func (b *bench) bidOf(provider string, dseq uint64, gseq, oseq uint32) marketv1.Bid {
	b.t.Helper()
	r := &marketv1.QueryBidResponse{}
	b.query("/plexus.market.v1.Query/Bid", &marketv1.QueryBidRequest{
		Owner: b.person("tenant").String(), Dseq: dseq, Gseq: gseq, Oseq: oseq, Provider: b.person(provider).String(),
	}, r)
	return r.Bid
}

// ordered returns an order of the tenant.
func (b *bench) ordered(dseq uint64, gseq, oseq uint32) marketv1.Order {
	b.t.Helper()
	r := &marketv1.QueryOrderResponse{}
	b.query("/plexus.market.v1.Query/Order", &marketv1.QueryOrderRequest{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: gseq, Oseq: oseq}, r)
	return r.Order
}

// refuses makes a block in which a message must be refused with a text.
func (b *bench) refuses(p string, want string, msg sdk.Msg) {
	b.t.Helper()
	if log := b.do(b.person(p), msg); !strings.Contains(log, want) || want == "" {
		b.t.Errorf("%T of %s is refused by %q, want %q", msg, p, log, want)
	}
}

// TestLeaseFromOrderToRefund goes the whole way, ended in each of the ways in
// which it can be: the provider has what the lease earned less a tenth, which
// is burned, and everybody else what they had, to the unit.
func TestLeaseFromOrderToRefund(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     string
		end    func(*bench, uint64) sdk.Msg
		reason marketv1.Reason
		group  marketv1.GroupState
	}{
		{"the deployment is closed", "tenant", func(b *bench, dseq uint64) sdk.Msg {
			return &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq}
		}, marketv1.Reason_REASON_OWNER, marketv1.GroupState_GROUP_STATE_CLOSED},
		{"the tenant closes the lease", "tenant", func(b *bench, dseq uint64) sdk.Msg {
			return &marketv1.MsgCloseLease{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1, Provider: b.person("p0").String()}
		}, marketv1.Reason_REASON_OWNER, marketv1.GroupState_GROUP_STATE_OPEN},
		{"the provider closes its bid", "p0", func(b *bench, dseq uint64) sdk.Msg {
			return &marketv1.MsgCloseBid{Provider: b.person("p0").String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1, Reason: marketv1.Reason_REASON_UNSTABLE}
		}, marketv1.Reason_REASON_UNSTABLE, marketv1.GroupState_GROUP_STATE_PAUSED},
		{"the group is paused", "tenant", func(b *bench, dseq uint64) sdk.Msg {
			return &marketv1.MsgPauseGroup{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1}
		}, marketv1.Reason_REASON_OWNER, marketv1.GroupState_GROUP_STATE_PAUSED},
		{"the group is closed", "tenant", func(b *bench, dseq uint64) sdk.Msg {
			return &marketv1.MsgCloseGroup{Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1}
		}, marketv1.Reason_REASON_OWNER, marketv1.GroupState_GROUP_STATE_CLOSED},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := provided(t, nil)
			tenant, p0, burned := b.has("tenant"), b.has("p0"), b.schedule().Burned
			dseq := b.deploy(10_000, group("web", "25"))
			b.must(b.person("p1"), b.bid("p1", dseq, 1, 1, "25"))
			b.rent("p0", dseq, 1, 1, "12.25")
			if got := b.bidOf("p1", dseq, 1, 1); got.State != marketv1.BidState_BID_STATE_LOST || got.Reason != marketv1.Reason_REASON_OUTBID {
				t.Errorf("the losing bid is %+v", got)
			}
			opened := b.app.LastBlockHeight()
			for range 3 { // withdrawing often loses nothing
				b.must(b.person("p0"), &marketv1.MsgWithdrawLease{Provider: b.person("p0").String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1})
			}
			b.until(opened + 9)
			b.must(b.person(c.by), c.end(b, dseq))
			l := b.leased("p0", dseq, 1, 1).Lease
			if l.State != marketv1.LeaseState_LEASE_STATE_CLOSED || l.Reason != c.reason || l.Closed != opened+10 {
				t.Errorf("the lease is %+v, want it closed at %d for %v", l, opened+10, c.reason)
			}
			if l.Paid != 122 { // 10 blocks at 12.25
				t.Errorf("the lease paid %d, want 122", l.Paid)
			}
			if g := b.deployed(dseq).Groups[0]; g.State != c.group {
				t.Errorf("the group is %v, want %v", g.State, c.group)
			}
			if b.deployed(dseq).Deployment.State == marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE {
				b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq})
			}
			take := int64(b.schedule().Burned - burned)
			if got := b.has("p0") - p0; got+take != 122 || take < 10 || take > 12 { // a tenth of 12, 12, 12 and 86, rounded down
				t.Errorf("the provider got %d and %d were burned, want 122 together, a tenth of it burned", got, take)
			}
			if got := tenant - b.has("tenant"); got != 122 {
				t.Errorf("the tenant paid %d, want 122", got)
			}
		})
	}
}

func TestLeaseEndsWithItsMoney(t *testing.T) {
	b := provided(t, nil)
	tenant, p0 := b.has("tenant"), b.has("p0")
	dseq := b.deploy(103, group("web", "10"))
	b.rent("p0", dseq, 1, 1, "10")
	opened := b.app.LastBlockHeight()
	if e := b.deployed(dseq).Escrow; e.Runway != 10 || e.Account.Dry != opened+10 {
		t.Errorf("escrow %+v, want a runway of 10 blocks to %d", e, opened+10)
	}
	b.until(opened + 9)
	if l := b.leased("p0", dseq, 1, 1); l.Lease.State != marketv1.LeaseState_LEASE_STATE_ACTIVE || l.Owed != 90 || l.Runway != 1 {
		t.Errorf("a block before the end: %+v", l)
	}
	b.block() // the last that is paid: nobody has to poke
	d := b.deployed(dseq)
	if d.Deployment.State != marketv1.DeploymentState_DEPLOYMENT_STATE_CLOSED || d.Deployment.Reason != marketv1.Reason_REASON_INSUFFICIENT_FUNDS ||
		d.Groups[0].State != marketv1.GroupState_GROUP_STATE_INSUFFICIENT_FUNDS {
		t.Errorf("at the end of the money: %+v", d)
	}
	l := b.leased("p0", dseq, 1, 1).Lease
	if l.State != marketv1.LeaseState_LEASE_STATE_INSUFFICIENT_FUNDS || l.Paid != 100 || l.Closed != opened+10 {
		t.Errorf("the lease is %+v, want 100 paid through %d", l, opened+10)
	}
	if got := tenant - b.has("tenant"); got != 100 {
		t.Errorf("the tenant paid %d of 103, want 100", got)
	}
	if got := b.has("p0") - p0; got != 90 {
		t.Errorf("the provider got %d, want 90 and its deposit back", got)
	}
	for _, c := range []struct {
		by   string
		msg  sdk.Msg
		want string
	}{
		{"friend", &marketv1.MsgDeposit{Account: b.person("friend").String(), Owner: b.person("tenant").String(), Dseq: dseq, Amount: nplx(500)}, "closed at height"},
		{"tenant", &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq}, "insufficient funds"},
		{"p0", &marketv1.MsgWithdrawLease{Provider: b.person("p0").String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1}, "closed at height"},
	} {
		b.refuses(c.by, c.want, c.msg)
	}
}

func TestManifestIsUpdated(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(1000, group("web", "10"))
	other := sha256.Sum256([]byte("other"))
	m := &marketv1.MsgUpdateDeployment{Owner: b.person("tenant").String(), Dseq: dseq, Hash: other[:]}
	b.must(b.person("tenant"), m)
	if d := b.deployed(dseq).Deployment; string(d.Hash) != string(other[:]) || d.Updated != b.app.LastBlockHeight() {
		t.Errorf("the deployment is %+v", d)
	}
	b.refuses("tenant", "has the manifest", m)
	b.refuses("tenant", "hash of the manifest of 3 bytes; it must have 32", &marketv1.MsgUpdateDeployment{Owner: m.Owner, Dseq: dseq, Hash: []byte("abc")})
	b.refuses("tenant", "there is no deployment", &marketv1.MsgUpdateDeployment{Owner: m.Owner, Dseq: 99, Hash: other[:]})
}

func TestGroupsPauseAndStart(t *testing.T) {
	b := provided(t, nil)
	owner := b.person("tenant").String()
	dseq := b.deploy(1000, group("api", "10"), group("web", "10"))
	b.must(b.person("p0"), b.bid("p0", dseq, 1, 1, "10"))
	b.must(b.person("tenant"), &marketv1.MsgPauseGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	if o, bid := b.ordered(dseq, 1, 1), b.bidOf("p0", dseq, 1, 1); o.State != marketv1.OrderState_ORDER_STATE_CLOSED || bid.State != marketv1.BidState_BID_STATE_CLOSED || bid.Reason != marketv1.Reason_REASON_OWNER {
		t.Errorf("a paused group has order %+v and bid %+v", o, bid)
	}
	for _, c := range []struct {
		msg  sdk.Msg
		want string
	}{
		{&marketv1.MsgPauseGroup{Owner: owner, Dseq: dseq, Gseq: 1}, "group is paused and cannot become paused"},
		{&marketv1.MsgStartGroup{Owner: owner, Dseq: dseq, Gseq: 2}, "group is open and cannot become open"},
		{&marketv1.MsgCloseGroup{Owner: owner, Dseq: dseq, Gseq: 3}, "there is no group 3 of deployment"},
		{&marketv1.MsgPauseGroup{Owner: owner, Dseq: dseq, Gseq: 0}, "there is no group 0 of deployment"},
	} {
		b.refuses("tenant", c.want, c.msg)
	}
	b.must(b.person("tenant"), &marketv1.MsgStartGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	if o := b.ordered(dseq, 1, 2); o.State != marketv1.OrderState_ORDER_STATE_OPEN || o.Bids != 0 {
		t.Errorf("a started group has order %+v", o)
	}
	b.rent("p0", dseq, 1, 2, "10") // the one that bid on the first order may bid again
	b.must(b.person("tenant"), &marketv1.MsgCloseGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	b.refuses("tenant", "group is closed and cannot become open", &marketv1.MsgStartGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	b.refuses("tenant", "group is closed and cannot become closed", &marketv1.MsgCloseGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	b.rent("p1", dseq, 2, 1, "10") // the other group goes on
	b.roundTrip()
}

func TestOrdersAndBidsExpire(t *testing.T) {
	b := provided(t, nil)
	owner := b.person("tenant").String()
	p0 := b.has("p0")
	dseq := b.deploy(1000, group("web", "10"))
	short := b.bid("p0", dseq, 1, 1, "10")
	short.Lifetime = 5
	b.must(b.person("p0"), short)
	bid := b.bidOf("p0", dseq, 1, 1)
	b.until(bid.Expires - 1)
	if got := b.bidOf("p0", dseq, 1, 1); got.State != marketv1.BidState_BID_STATE_OPEN || bid.Expires != bid.Created+5 {
		t.Errorf("before it expires: %+v", got)
	}
	b.block()
	if got := b.bidOf("p0", dseq, 1, 1); got.State != marketv1.BidState_BID_STATE_CLOSED || got.Reason != marketv1.Reason_REASON_EXPIRED || b.has("p0") != p0 {
		t.Errorf("when it expired: %+v; the provider has %d, want %d", got, b.has("p0"), p0)
	}
	b.refuses("tenant", "bid is closed and cannot become active", b.take("p0", dseq, 1, 1))
	b.refuses("p0", "has bid on order", b.bid("p0", dseq, 1, 1, "10"))
	b.must(b.person("p1"), b.bid("p1", dseq, 1, 1, "10"))
	o := b.ordered(dseq, 1, 1)
	b.until(o.Expires)
	got, g := b.ordered(dseq, 1, 1), b.deployed(dseq).Groups[0]
	if got.State != marketv1.OrderState_ORDER_STATE_CLOSED || got.Reason != marketv1.Reason_REASON_EXPIRED ||
		g.State != marketv1.GroupState_GROUP_STATE_PAUSED || g.Reason != marketv1.Reason_REASON_EXPIRED {
		t.Errorf("when the order expired: %+v, %+v", got, g)
	}
	b.roundTrip() // which goes on until the order is forgotten
	b.until(got.Until)
	if err := b.refused("/plexus.market.v1.Query/Order", &marketv1.QueryOrderRequest{Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 1}); !strings.Contains(err, "there is no order") {
		t.Errorf("an order that was kept long enough: %q", err)
	}
	b.must(b.person("tenant"), &marketv1.MsgStartGroup{Owner: owner, Dseq: dseq, Gseq: 1})
	b.rent("p0", dseq, 1, 2, "10")
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: owner, Dseq: dseq})
	b.until(b.deployed(dseq).Deployment.Until)
	if err := b.refused("/plexus.market.v1.Query/Deployment", &marketv1.QueryDeploymentRequest{Owner: owner, Dseq: dseq}); !strings.Contains(err, "was forgotten") {
		t.Errorf("a deployment that was kept long enough: %q", err)
	}
	if err := b.refused("/plexus.market.v1.Query/Lease", &marketv1.QueryLeaseRequest{Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 2, Provider: b.person("p0").String()}); !strings.Contains(err, "there is no lease") {
		t.Errorf("its lease: %q", err)
	}
	m := b.deployment(1000, group("web", "10"))
	m.Dseq = dseq
	b.refuses("tenant", "must be above the latest of this owner", m) // no name ever means another lease
}

func TestManyAccountsDryAtOnceEndInTurn(t *testing.T) {
	const many, most = 250, 200 // per block
	b := provided(t, nil)
	b.unchecked = true
	tenant := b.person("tenant")
	var deploys, bids, takes []sdk.Msg
	for i := range uint64(many) {
		deploys = append(deploys, b.deployment(200, group("web", "20")))
		m := &marketv1.MsgCreateBid{
			Provider: b.person("p0").String(), Owner: tenant.String(), Dseq: i + 1, Gseq: 1, Oseq: 1,
			Price: marketv1.Price{Denom: coin.Denom, Amount: "20"}, Deposit: nplx(50),
		}
		for _, u := range deploys[0].(*marketv1.MsgCreateDeployment).Groups[0].Units {
			m.Offers = append(m.Offers, marketv1.Offer{Resources: u.Resources, Count: u.Count})
		}
		bids, takes = append(bids, m), append(takes, b.take("p0", i+1, 1, 1))
	}
	for _, step := range []struct {
		by   *person
		msgs []sdk.Msg
	}{{tenant, deploys}, {b.person("p0"), bids}, {tenant, takes}} {
		b.crowd(step.by, step.msgs)
	}
	dry := b.deployed(1).Escrow.Account.Dry
	b.until(dry)
	open := 0
	for i := range uint64(many) {
		if b.deployed(i+1).Deployment.State == marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE {
			open++
		}
	}
	if open != many-most {
		t.Errorf("%d are open at %d, want the %d that one block does not end", open, dry, many-most)
	}
	b.block()
	for i := range uint64(many) {
		d := b.deployed(i + 1)
		if l := b.leased("p0", i+1, 1, 1).Lease; d.Deployment.State != marketv1.DeploymentState_DEPLOYMENT_STATE_CLOSED || l.Paid != 200 || l.Closed != dry {
			t.Fatalf("deployment %d: %+v, its lease %+v, want 200 paid through %d", i+1, d, l, dry)
		}
	}
	if err := b.app.Check(b.ctx()); err != nil {
		t.Error(err)
	}
}

// crowd makes a block of many messages of one person, 50 in a transaction.
func (b *bench) crowd(p *person, msgs []sdk.Msg) {
	b.t.Helper()
	account := b.app.Accounts.GetAccount(b.ctx(), p.address())
	number, sequence := account.GetAccountNumber(), account.GetSequence()
	var txs [][]byte
	for some := range slices.Chunk(msgs, 50) {
		txs = append(txs, b.signed(p, number, sequence, 30_000_000, 0, some...))
		sequence++
	}
	for _, r := range b.block(txs...).TxResults {
		if r.Code != 0 {
			b.t.Fatal(r.Log)
		}
	}
}

// pass makes a block that many seconds after the one before.
func (b *bench) pass(seconds int) { b.after(time.Duration(seconds) * time.Second) }

func TestTwentyGroupsEndTogether(t *testing.T) {
	b := provided(t, nil)
	var groups []marketv1.GroupSpec
	for i := range 20 {
		groups = append(groups, group(fmt.Sprintf("g%02d", i), "10"))
	}
	b.refuses("tenant", "21 groups; a deployment has at most 20", b.deployment(10_000, append(groups, group("h", "10"))...))
	dseq := b.deploy(2000, groups...)
	var bids, takes []sdk.Msg
	for i := range uint32(20) {
		bids, takes = append(bids, b.bid("p0", dseq, i+1, 1, "10")), append(takes, b.take("p0", dseq, i+1, 1))
	}
	b.must(b.person("p0"), bids...)
	b.must(b.person("tenant"), takes...)
	if e := b.deployed(dseq).Escrow; e.Runway != 10 || e.Account.Payments != 20 {
		t.Errorf("escrow %+v, want 20 payments for 10 blocks", e)
	}
	b.until(b.deployed(dseq).Escrow.Account.Dry)
	for i := range uint32(20) {
		if l := b.leased("p0", dseq, i+1, 1).Lease; l.State != marketv1.LeaseState_LEASE_STATE_INSUFFICIENT_FUNDS || l.Paid != 100 {
			t.Errorf("lease %d: %+v, want 100 paid", i+1, l)
		}
	}
}
