package chain

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	dbm "github.com/cosmos/cosmos-db"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/coin"
)

// trading starts a chain on which n leases are open, of a hundred providers and
// one deployment each; a tenant has a hundred. Their money ends from height
// 1,000,000 on.
func trading(tb testing.TB, n int) *bench { return tradingBy(tb, n, 100) }

// tradingBy is trading with that many deployments of each tenant.
func tradingBy(tb testing.TB, n, each int) *bench {
	tb.Helper()
	Configure()
	b := &bench{t: tb, db: dbm.NewMemDB(), step: time.Second, people: map[string]*person{}, absent: map[int]bool{}, initial: 1, unchecked: true}
	o := GenesisOptions{ChainID: "plexus-test", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	v := b.person("v0")
	b.validators = []*person{v}
	o.Validators = []GenesisValidator{{Moniker: "v0", Operator: v.String(), Key: v.consKey}}
	for _, name := range []string{"rich", "tenant", "p0", "p1"} {
		o.Accounts = append(o.Accounts, GenesisAccount{Address: b.person(name).String(), Balance: 100_000 * coin.PLX})
	}
	doc, err := Genesis(o)
	if err != nil {
		tb.Fatal(err)
	}
	b.doc, b.time = doc.AppState, doc.GenesisTime
	b.open()
	b.initChain(doc.AppState, doc.Consensus.Params)
	g, total := b.crowded(n, each)
	ctx := b.app.NewContext(false)
	if total > 0 {
		if err := b.app.Bank.SendCoinsFromAccountToModule(ctx, b.person("rich").address(), market.ModuleName, sdk.NewCoins(nplx(total))); err != nil {
			tb.Fatal(err)
		}
	}
	if err := b.app.Market.InitGenesis(ctx, g); err != nil {
		tb.Fatal(err)
	}
	b.block()
	return b
}

// crowded returns the state of a market with n open leases, so many of each
// tenant, and the money in it.
func (b *bench) crowded(n, each int) (*marketv1.GenesisState, coin.Amount) {
	const sellers, funds = 100, 1_000_000
	g := market.DefaultGenesis()
	var total coin.Amount
	for i := range sellers {
		p := marketv1.Provider{
			Account: newPerson(fmt.Sprint("seller", i)).String(), State: marketv1.ProviderState_PROVIDER_STATE_ACTIVE,
			HostUri: "https://a.example", Deposit: 1000, Leases: uint64((n + sellers - 1 - i) / sellers),
		}
		g.Providers = append(g.Providers, p)
		total += 1000
	}
	for i := range n {
		owner, provider := newPerson(fmt.Sprint("tenant", i/each)).String(), g.Providers[i%sellers].Account
		dseq, hash := uint64(i%each+1), sha256.Sum256(fmt.Append(nil, i))
		id := marketv1.DeploymentID{Owner: owner, Dseq: dseq}
		bid := marketv1.BidID{Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 1, Provider: provider}
		price := marketv1.Price{Denom: coin.Denom, Amount: fmt.Sprintf("0.%03d000000000000000", 1+i%999)}
		g.Deployments = append(g.Deployments, marketv1.Deployment{
			Id: id, State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE, Hash: hash[:], Denom: coin.Denom, Groups: 1,
		})
		spec := group("web", "10")
		g.Groups = append(g.Groups, marketv1.Group{
			Id: marketv1.GroupID{Owner: owner, Dseq: dseq, Gseq: 1}, State: marketv1.GroupState_GROUP_STATE_OPEN, Spec: spec, Orders: 1,
		})
		g.Orders = append(g.Orders, marketv1.Order{
			Id: marketv1.OrderID{Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 1}, State: marketv1.OrderState_ORDER_STATE_ACTIVE, Bids: 1, Provider: provider,
		})
		g.Bids = append(g.Bids, marketv1.Bid{
			Id: bid, State: marketv1.BidState_BID_STATE_ACTIVE, Price: price, Deposit: 50,
			Offers: []marketv1.Offer{{Resources: spec.Units[0].Resources, Count: 1}},
		})
		g.Leases = append(g.Leases, marketv1.Lease{
			Id: bid, State: marketv1.LeaseState_LEASE_STATE_ACTIVE, Price: price, Payment: marketv1.AccountState_ACCOUNT_STATE_OPEN,
		})
		g.Accounts = append(g.Accounts, marketv1.Account{
			Id: id, State: marketv1.AccountState_ACCOUNT_STATE_OPEN, Denom: coin.Denom, Rate: price.Amount, Payments: 1,
			Deposits: []marketv1.Deposit{{Depositor: owner, Amount: funds}}, Dry: int64(funds * 1000 / (1 + i%999)),
		})
		total += funds + 50
	}
	return g, total
}

// ahead returns the state as the end of the next block would find it.
func (b *bench) ahead() sdk.Context {
	return b.ctx().WithBlockHeight(b.app.LastBlockHeight() + 1).WithBlockTime(b.time.Add(time.Second))
}

// BenchmarkMarketEndBlock is what the end of a block costs in which nothing or
// one deployment of one lease is due, and what a whole block without
// transactions does, by open leases.
func BenchmarkMarketEndBlock(b *testing.B) {
	for _, n := range []int{0, 1000, 10_000, 100_000} {
		chain := trading(b, n)
		end := func(b *testing.B, height int64) {
			for b.Loop() {
				ctx, _ := chain.ahead().WithBlockHeight(height).CacheContext()
				if err := chain.app.Market.EndBlock(ctx); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprintf("due=0/open=%d", n), func(b *testing.B) { end(b, chain.app.LastBlockHeight()+1) })
		b.Run(fmt.Sprintf("block/open=%d", n), func(b *testing.B) {
			for b.Loop() {
				chain.block()
			}
		})
		dry := chain.brief()
		b.Run(fmt.Sprintf("due=1/open=%d", n), func(b *testing.B) { end(b, dry) })
	}
}

// brief has the tenant rent from p0 for a hundred blocks or so, and returns the
// height at which the money is at its end.
func (b *bench) brief() int64 {
	b.must(b.person("p0"), b.provider("p0", 10*coin.PLX))
	dseq := b.deploy(coin.PLX, group("web", "10000000"))
	m := b.bid("p0", dseq, 1, 1, "10000000")
	m.Deposit = nplx(coin.PLX / 2)
	b.must(b.person("p0"), m)
	b.must(b.person("tenant"), b.take("p0", dseq, 1, 1))
	return b.deployed(dseq).Escrow.Account.Dry
}

// BenchmarkMarketDry is what the end of one deployment with one lease costs
// when its money is at its end, in a market of 10,000 leases.
func BenchmarkMarketDry(b *testing.B) {
	chain := trading(b, 10_000)
	const first = 1_000_000 * 1000 / 999 // when the first are due
	n := 0
	for b.Loop() {
		ctx, _ := chain.ahead().WithBlockHeight(first).CacheContext()
		before := len(ctx.EventManager().Events())
		if err := chain.app.Market.EndBlock(ctx); err != nil {
			b.Fatal(err)
		}
		for _, e := range ctx.EventManager().Events()[before:] {
			if e.Type == "plexus.market.v1.EventDeploymentClosed" {
				n++
			}
		}
	}
	if n == 0 {
		b.Fatal("nothing was due")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/deployment")
}

// perBlock is how many transactions the blocks of these benchmarks have.
const perBlock = 500

// BenchmarkMarketTransactions is how many deployments, bids and leases a second
// the state machine takes in, each in a transaction of its own, while 10,000
// leases are open; signatures are checked.
func BenchmarkMarketTransactions(b *testing.B) {
	chain := trading(b, 10_000)
	for _, p := range []string{"p0", "p1"} {
		chain.must(chain.person(p), chain.provider(p, 10*coin.PLX))
	}
	var dseq uint64
	spent := map[string]time.Duration{}
	blocks := 0
	for b.Loop() {
		first := dseq + 1
		step := func(name, by string, msg func(dseq uint64) sdk.Msg) {
			b.StopTimer()
			txs := chain.stack(chain.person(by), first, msg)
			b.StartTimer()
			began := time.Now()
			for _, r := range chain.block(txs...).TxResults {
				if r.Code != 0 {
					b.Fatal(r.Log)
				}
			}
			spent[name] += time.Since(began)
		}
		step("deployments", "tenant", func(uint64) sdk.Msg { return chain.deployment(coin.PLX, group("web", "10")) })
		offers := []marketv1.Offer{{Resources: group("web", "10").Units[0].Resources, Count: 1}}
		step("bids", "p0", func(dseq uint64) sdk.Msg {
			return &marketv1.MsgCreateBid{
				Provider: chain.person("p0").String(), Owner: chain.person("tenant").String(), Dseq: dseq, Gseq: 1, Oseq: 1,
				Price: marketv1.Price{Denom: coin.Denom, Amount: "9.5"}, Deposit: nplx(coin.PLX / 2), Offers: offers,
			}
		})
		step("leases", "tenant", func(dseq uint64) sdk.Msg { return chain.take("p0", dseq, 1, 1) })
		dseq += perBlock
		blocks++
	}
	for name, time := range spent {
		b.ReportMetric(float64(blocks*perBlock)/time.Seconds(), name+"/s")
	}
}

// stack signs a block's worth of transactions of one person, for deployments
// from a dseq on.
func (b *bench) stack(p *person, first uint64, msg func(dseq uint64) sdk.Msg) [][]byte {
	account := b.app.Accounts.GetAccount(b.ctx(), p.address())
	var txs [][]byte
	for i := range uint64(perBlock) {
		txs = append(txs, b.signed(p, account.GetAccountNumber(), account.GetSequence()+i, 390_000, 0, msg(first+i)))
	}
	return txs
}

// rents has the tenant rent a group of a deployment each, so many, from p0.
func (b *bench) rents(leases int) (dseq uint64) {
	b.must(b.person("p0"), b.provider("p0", 10*coin.PLX))
	var groups []marketv1.GroupSpec
	for i := range leases {
		groups = append(groups, group(fmt.Sprintf("g%02d", i), "10"))
	}
	dseq = b.deploy(100*coin.PLX, groups...)
	for i := range uint32(leases) {
		m := b.bid("p0", dseq, i+1, 1, "9.5")
		m.Deposit = nplx(coin.PLX / 2)
		b.must(b.person("p0"), m)
		b.must(b.person("tenant"), b.take("p0", dseq, i+1, 1))
	}
	return dseq
}

// due is the height at which withdrawals of these benchmarks are made: there is
// something to pay even at a thousandth of a unit per block, and money is left.
const due = 5000

// withdrawal runs a withdrawal in a block to come, of which nothing is kept, and
// returns the gas of its message.
func (b *bench) withdrawal(provider, owner string, dseq uint64) uint64 {
	b.t.Helper()
	m := &marketv1.MsgWithdrawLease{Provider: provider, Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 1}
	ctx, _ := b.ahead().WithBlockHeight(due).WithGasMeter(storetypes.NewInfiniteGasMeter()).CacheContext()
	if _, err := b.app.MsgServiceRouter().Handler(m)(ctx, m); err != nil {
		b.t.Fatal(err)
	}
	return ctx.GasMeter().GasConsumed()
}

// BenchmarkMarketSettle is what a withdrawal costs, which settles an account, by
// the open leases of its deployment, of its owner and of the whole market.
func BenchmarkMarketSettle(b *testing.B) {
	for _, n := range []int{1, 10, 20} {
		chain := trading(b, 0)
		dseq := chain.rents(n)
		b.Run(fmt.Sprintf("deployment=%d", n), func(b *testing.B) {
			var gas uint64
			for b.Loop() {
				gas = chain.withdrawal(chain.person("p0").String(), chain.person("tenant").String(), dseq)
			}
			b.ReportMetric(float64(gas), "gas")
		})
	}
	for _, c := range []struct{ owner, market int }{{1, 1}, {10, 10}, {100, 100}, {1000, 1000}, {100, 10_000}, {100, 100_000}} {
		chain := tradingBy(b, c.market, c.owner)
		b.Run(fmt.Sprintf("owner=%d/market=%d", c.owner, c.market), func(b *testing.B) {
			var gas uint64
			for b.Loop() {
				gas = chain.withdrawal(newPerson("seller0").String(), newPerson("tenant0").String(), 1)
			}
			b.ReportMetric(float64(gas), "gas")
		})
	}
}

// TestSettlingCostsTheSameWhateverTheLeases measures in gas, which counts what is
// read and written and does not depend on the machine.
func TestSettlingCostsTheSameWhateverTheLeases(t *testing.T) {
	gas := map[string]uint64{}
	for _, n := range []int{1, 20} { // as many as a deployment may have
		chain := trading(t, 0)
		dseq := chain.rents(n)
		gas[fmt.Sprint("deployment ", n)] = chain.withdrawal(chain.person("p0").String(), chain.person("tenant").String(), dseq)
	}
	if one, all := gas["deployment 1"], gas["deployment 20"]; all > one+one/50 {
		t.Errorf("settling one lease of twenty took %d gas, of one %d", all, one)
	}
	for _, n := range []int{1, 1000} {
		chain := tradingBy(t, n, n)
		gas[fmt.Sprint("owner ", n)] = chain.withdrawal(newPerson("seller0").String(), newPerson("tenant0").String(), 1)
	}
	if one, all := gas["owner 1"], gas["owner 1000"]; all > one+one/50 {
		t.Errorf("settling one lease of an owner's thousand took %d gas, of one %d", all, one)
	}
}
