package chain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/coin"
)

// topUp returns the message by which somebody pays into a deployment of the
// tenant.
func (b *bench) topUp(by string, dseq uint64, amount coin.Amount, granter string) *marketv1.MsgDeposit {
	m := &marketv1.MsgDeposit{Account: b.person(by).String(), Owner: b.person("tenant").String(), Dseq: dseq, Amount: nplx(amount)}
	if granter != "" {
		m.Granter = b.person(granter).String()
	}
	return m
}

func TestDepositorsAreRefundedInOrder(t *testing.T) {
	b := provided(t, nil)
	had := map[string]int64{}
	for _, name := range []string{"tenant", "friend", "rich"} {
		had[name] = b.has(name)
	}
	dseq := b.deploy(100, group("web", "10"))
	b.must(b.person("friend"), b.topUp("friend", dseq, 100, ""))
	b.must(b.person("rich"), b.topUp("rich", dseq, 100, ""))
	b.rent("p0", dseq, 1, 1, "10")
	opened := b.app.LastBlockHeight()
	if e := b.deployed(dseq).Escrow; e.Funds != 300 || e.Runway != 30 || len(e.Account.Deposits) != 3 {
		t.Errorf("escrow %+v", e)
	}
	b.must(b.person("tenant"), b.topUp("tenant", dseq, 5, "")) // a crumb of its own takes no further place
	if e := b.deployed(dseq).Escrow; e.Account.Dry != opened+30 || len(e.Account.Deposits) != 3 {
		t.Errorf("escrow %+v", e)
	}
	b.until(opened + 14)
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: dseq})
	for name, spent := range map[string]int64{"tenant": 105, "friend": 45, "rich": 0} { // 15 blocks at 10
		if got := had[name] - b.has(name); got != spent {
			t.Errorf("%s spent %d, want %d", name, got, spent)
		}
	}
}

func TestDepositMovesTheEnd(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(100, group("a", "7.5"), group("b", "2.5"))
	b.rent("p0", dseq, 1, 1, "7.5")
	b.rent("p1", dseq, 2, 1, "2.5")
	first := b.deployed(dseq).Escrow.Account.Dry
	b.must(b.person("tenant"), b.topUp("tenant", dseq, 50, ""))
	second := b.deployed(dseq).Escrow.Account.Dry
	if second != first+5 {
		t.Errorf("50 more at 10 per block: dry at %d, then at %d", first, second)
	}
	b.must(b.person("p1"), &marketv1.MsgCloseBid{Provider: b.person("p1").String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 2, Oseq: 1})
	if third := b.deployed(dseq).Escrow.Account.Dry; third <= second {
		t.Errorf("with one lease less: dry at %d, then at %d", second, third)
	}
	b.until(b.deployed(dseq).Escrow.Account.Dry)
	if d := b.deployed(dseq); d.Deployment.State != marketv1.DeploymentState_DEPLOYMENT_STATE_CLOSED || d.Groups[1].State != marketv1.GroupState_GROUP_STATE_INSUFFICIENT_FUNDS {
		t.Errorf("at the end: %+v", d)
	}
}

func TestAllowancesPay(t *testing.T) {
	b := provided(t, nil)
	friend, tenant := b.person("friend"), b.person("tenant")
	had := b.has("friend")
	b.must(friend, &marketv1.MsgSetAllowance{Granter: friend.String(), Grantee: tenant.String(), Limit: nplx(500), Expires: b.time.Unix() + 60})
	m := b.deployment(300, group("web", "10"))
	m.Granter = friend.String()
	b.must(tenant, m)
	const dseq = 1
	b.refuses("tenant", "has 200nplx left, and 201nplx are asked of it", b.topUp("tenant", dseq, 201, "friend"))
	b.refuses("rich", "an allowance is for deployments of one's own", b.topUp("rich", dseq, 150, "friend"))
	b.must(tenant, b.topUp("tenant", dseq, 200, "friend"))
	b.must(tenant, b.topUp("tenant", dseq, 50, ""))
	if got := had - b.has("friend"); got != 500 {
		t.Errorf("the friend paid in %d, want 500", got)
	}
	b.rent("p0", dseq, 1, 1, "10")
	opened := b.app.LastBlockHeight()
	b.until(opened + 9)
	b.must(tenant, &marketv1.MsgCloseDeployment{Owner: tenant.String(), Dseq: dseq})
	if got := had - b.has("friend"); got != 100 {
		t.Errorf("the friend spent %d, want 100 of 10 blocks", got)
	}
	var r marketv1.QueryAllowancesResponse
	b.query("/plexus.market.v1.Query/Allowances", &marketv1.QueryAllowancesRequest{Grantee: tenant.String()}, &r)
	if len(r.Allowances) != 1 || r.Allowances[0].Left != 400 {
		t.Errorf("allowances %+v, want 400 left again", r.Allowances)
	}
	b.pass(60)
	next := b.deploy(100, group("web", "10"))
	b.refuses("tenant", "ended at second", b.topUp("tenant", next, 10, "friend"))
	b.must(friend, &marketv1.MsgSetAllowance{Granter: friend.String(), Grantee: tenant.String(), Limit: nplx(0)})
	b.refuses("tenant", "there is no allowance of", b.topUp("tenant", next, 10, "friend"))
	b.roundTrip()
}

// TestDepositsByGrant pays for a friend who granted that by x/authz.
func TestDepositsByGrant(t *testing.T) {
	b := provided(t, nil)
	friend, tenant := b.person("friend"), b.person("tenant")
	dseq := b.deploy(100, group("web", "10"))
	grant, err := authz.NewMsgGrant(friend.address(), tenant.address(), authz.NewGenericAuthorization(sdk.MsgTypeURL(&marketv1.MsgDeposit{})), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.must(friend, grant)
	pays := authz.NewMsgExec(tenant.address(), []sdk.Msg{b.topUp("friend", dseq, 200, "")})
	b.must(tenant, &pays)
	had := b.has("friend")
	b.must(tenant, &marketv1.MsgCloseDeployment{Owner: tenant.String(), Dseq: dseq})
	if got := b.has("friend") - had; got != 200 {
		t.Errorf("the friend got %d back, want 200", got)
	}
}

func TestTakeGoesToTheCommunityPool(t *testing.T) {
	b := provided(t, func(p *marketv1.Params) { p.TakeTo = marketv1.TakeTo_TAKE_TO_COMMUNITY_POOL })
	dseq := b.deploy(1000, group("web", "100"))
	b.rent("p0", dseq, 1, 1, "100")
	_, before := b.outstanding()
	r := b.block(b.tx(b.person("p0"), 0, &marketv1.MsgWithdrawLease{Provider: b.person("p0").String(), Owner: b.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1}))
	var resp marketv1.MsgWithdrawLeaseResponse
	b.answer(r.TxResults[0].Code, r.TxResults[0].Log, r.TxResults[0].Data, &resp)
	if !resp.Paid.Equal(nplx(90)) || !resp.Take.Equal(nplx(10)) {
		t.Errorf("withdrew %+v, want 90 and 10", resp)
	}
	if _, after := b.outstanding(); after.Sub(before).LT(math.LegacyNewDec(10)) {
		t.Errorf("the community pool went from %v to %v, want 10 more at least", before, after)
	}
}

// TestAnyListedDenomPays brings a foreign denom in by the genesis, lists it by
// governance, and rents in it.
func TestAnyListedDenomPays(t *testing.T) {
	const denom = "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2"
	b := provided(t, nil).with(denom, "tenant", "p0")
	foreign := group("web", "10")
	foreign.Units[0].Price.Denom = denom
	m := b.deployment(1000, foreign)
	m.Deposit.Denom = denom
	b.refuses("tenant", "deployments are not paid in", m)
	p := market.DefaultParams()
	p.Currencies = append(p.Currencies, marketv1.Currency{Denom: denom, MinDeposit: 1000, MinBidDeposit: 10, Take: 500})
	p.TakeTo, p.ProviderDeposit = marketv1.TakeTo_TAKE_TO_COMMUNITY_POOL, 1000
	b.decide(&marketv1.MsgUpdateParams{Authority: governance().String(), Params: p})
	b.must(b.person("tenant"), m)
	bid := b.bid("p0", 1, 1, 1, "10")
	bid.Price.Denom, bid.Deposit.Denom = denom, denom
	b.must(b.person("p0"), bid)
	b.must(b.person("tenant"), b.take("p0", 1, 1, 1))
	b.until(b.app.LastBlockHeight() + 9)
	b.must(b.person("tenant"), &marketv1.MsgCloseDeployment{Owner: b.person("tenant").String(), Dseq: 1})
	for name, want := range map[string]int64{"tenant": 9900, "p0": 10_095} {
		if got := b.app.Bank.GetBalance(b.ctx(), b.person(name).address(), denom).Amount.Int64(); got != want {
			t.Errorf("%s has %d, want %d", name, got, want)
		}
	}
}

// with returns the chain as a new one in which some have 10,000 of a denom.
func (b *bench) with(denom string, names ...string) *bench {
	b.t.Helper()
	rich, err := b.reborn(func(state map[string]json.RawMessage) {
		var bank banktypes.GenesisState
		b.app.Encoding.Codec.MustUnmarshalJSON(state[banktypes.ModuleName], &bank)
		for _, name := range names {
			c := sdk.NewInt64Coin(denom, 10_000)
			bank.Supply = bank.Supply.Add(c)
			for i := range bank.Balances {
				if bank.Balances[i].Address == b.person(name).String() {
					bank.Balances[i].Coins = bank.Balances[i].Coins.Add(c)
				}
			}
		}
		state[banktypes.ModuleName] = b.app.Encoding.Codec.MustMarshalJSON(&bank)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return rich
}

// reborn exports the chain, changes the state, and begins a new chain with it,
// if that is possible.
func (b *bench) reborn(change func(map[string]json.RawMessage)) (next *bench, err error) {
	b.t.Helper()
	doc, err := b.app.Export("plexus-test")
	if err != nil {
		b.t.Fatal(err)
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &state); err != nil {
		b.t.Fatal(err)
	}
	change(state)
	text, err := json.Marshal(state)
	if err != nil {
		b.t.Fatal(err)
	}
	twin := *b
	twin.db, twin.initial = nil, doc.InitialHeight
	twin.open()
	params := doc.Consensus.Params.ToProto()
	var validators []abci.ValidatorUpdate
	for _, v := range doc.Consensus.Validators {
		validators = append(validators, abci.Ed25519ValidatorUpdate(v.PubKey.Bytes(), v.Power))
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if _, err := twin.app.InitChain(&abci.RequestInitChain{
		ChainId: "plexus-test", Time: b.time, AppStateBytes: text, InitialHeight: doc.InitialHeight, ConsensusParams: &params, Validators: validators,
	}); err != nil {
		return nil, err
	}
	twin.block()
	return &twin, nil
}

// TestGenesisThatContradictsItselfIsRefused: a chain does not start on books
// that do not balance.
func TestGenesisThatContradictsItselfIsRefused(t *testing.T) {
	b := provided(t, nil)
	dseq := b.deploy(1000, group("web", "10"))
	b.rent("p0", dseq, 1, 1, "10")
	for name, c := range map[string]struct {
		change func(*marketv1.GenesisState)
		want   string
	}{
		"money that is not there":     {func(g *marketv1.GenesisState) { g.Accounts[0].Deposits[0].Amount++ }, "are in escrow, but the account has"},
		"a provider without its bond": {func(g *marketv1.GenesisState) { g.Providers[0].Deposit-- }, "are in escrow, but the account has"},
		"a lease that nobody pays":    {func(g *marketv1.GenesisState) { g.Accounts[0].Rate = "" }, "pays 1 leases 0.0"},
		"a lease without its bid":     {func(g *marketv1.GenesisState) { g.Bids = nil }, "not found"},
		"a lease past its money":      {func(g *marketv1.GenesisState) { g.Accounts[0].Dry = 1 }, "outlive their money"},
		"a group without its order":   {func(g *marketv1.GenesisState) { g.Groups[0].State = marketv1.GroupState_GROUP_STATE_PAUSED }, "is GROUP_STATE_PAUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.reborn(func(state map[string]json.RawMessage) {
				var g marketv1.GenesisState
				b.app.Encoding.Codec.MustUnmarshalJSON(state[market.ModuleName], &g)
				c.change(&g)
				state[market.ModuleName] = b.app.Encoding.Codec.MustMarshalJSON(&g)
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
