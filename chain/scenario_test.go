package chain

import (
	"fmt"
	"math"
	"strings"
	"testing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// The scenarios are those that the failures of Bittensor's chain suggest. Each
// test's name says its scenario; TestScenarioUIDReusedBetweenCommitAndReveal
// stands with the other tests of hidden weights, and
// TestScenarioSubnetDissolvedWithPendingPay with those of dissolution.

// full is a bench whose subnet has no free slot, after two epochs in which
// everybody's weight was on m. dud, which earned nothing, is the next to go.
func full(t *testing.T) *bench {
	b := newBench(t, 3, []string{"m", "dud"}, []string{"late"}, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.MaxUids, h.ImmunityPeriod = 5, 0
	})
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	return b
}

// enter registers late on subnet 1 and returns its uid.
func (b *bench) enter() uint32 {
	b.t.Helper()
	late := b.person("late")
	b.must(late, &subnetv1.MsgRegisterNeuron{Account: late.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
	return b.uid(1, "late")
}

func TestScenarioUIDReusedBetweenWeightsAndEpoch(t *testing.T) {
	b := full(t)
	dud := b.uid(1, "dud")
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1, "dud", 3))
	}
	if uid := b.enter(); uid != dud {
		t.Fatalf("late got uid %d, want that of dud, %d", uid, dud)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if n := b.neuron("late"); n.Incentive != 0 || n.Consensus != 0 || n.Claimable != 0 {
		t.Errorf("late earned by the weights on its predecessor: %+v", n)
	}
	if m := b.neuron("m"); m.Incentive != math.MaxUint16 {
		t.Errorf("m has incentive %d, want all: the weights on it still count", m.Incentive)
	}
	for _, v := range b.validators { // weights set now are on late
		b.must(v, b.weigh(1, v, "m", 1, "late", 3))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if n := b.neuron("late"); n.Incentive < math.MaxUint16/2 {
		t.Errorf("late has incentive %d by weights of its own, want three quarters", n.Incentive)
	}
}

func TestScenarioUIDReusedBetweenEpochAndPayout(t *testing.T) {
	b := full(t)
	uid := b.uid(1, "m")
	earned := b.claimable("m")
	for _, v := range b.validators { // m falls from grace, but does not claim
		b.must(v, b.weigh(1, v, "dud", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if got := b.enter(); got != uid || earned == 0 {
		t.Fatalf("late got uid %d, want that of m, %d, which earned %v", got, uid, earned)
	}
	if got := b.claimable("late"); got != 0 {
		t.Errorf("late can claim %v of what m earned", got)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if n := b.neuron("late"); n.Claimable != 0 || n.ServerEmission != 0 {
		t.Errorf("late earned %+v in m's slot", n)
	}
	b.must(b.person("m"), claimMsg(b.person("m")))
	if got := b.app.Bank.GetBalance(b.ctx(), b.person("m").address(), coin.Denom).Amount; !got.Equal(sdkInt(earned)) {
		t.Errorf("m was paid %v after it lost its slot, want all it earned, %d", got, earned)
	}
}

func TestScenarioTempoChangedMidEpoch(t *testing.T) {
	for _, to := range []int64{2 * tempo, tempo / 2} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			b := newBench(t, 3, []string{"m"}, nil, func(o *GenesisOptions) {
				p := subnet.DefaultParams()
				p.Freeze = 2
				o.SubnetParams = &p
			})
			for _, v := range b.validators {
				b.must(v, b.weigh(1, v, "m", 1))
			}
			b.until(b.metagraph(1).Subnet.NextEpoch)
			b.until(b.metagraph(1).Subnet.NextEpoch + 3)
			s := b.metagraph(1).Subnet
			owner := b.person("owner")
			b.must(owner, &subnetv1.MsgUpdateSubnet{Authority: owner.String(), Netuid: 1, Hyperparameters: fmt.Sprintf(`{"tempo":%d}`, to)})
			if got := b.metagraph(1).Subnet; got.NextEpoch != s.NextEpoch || got.Epoch != s.Epoch {
				t.Errorf("the epoch that runs ends at %d, want %d as before the change", got.NextEpoch, s.NextEpoch)
			}
			for i := range int64(3) { // nothing is skipped, run twice or lost
				want := s.NextEpoch + i*to
				b.until(want - 1)
				pot := b.metagraph(1).Subnet.Pending
				b.block()
				got := b.metagraph(1).Subnet
				if got.LastEpoch != want || got.Epoch != s.Epoch+uint64(i)+1 || got.NextEpoch != want+to {
					t.Errorf("epoch %d was at %d and the next is at %d; want number %d at %d, then %d",
						got.Epoch, got.LastEpoch, got.NextEpoch, s.Epoch+uint64(i)+1, want, want+to)
				}
				if left := got.Pending; left > pot+uint64(coin.PLX) || left > 100 {
					t.Errorf("%d of a pot of %d and more are left pending", left, pot)
				}
			}
		})
	}
}

func TestScenario128SubnetsDueInOneBlock(t *testing.T) {
	const many, most, first = 128, 2, 320
	b := newBench(t, 2, []string{"m"}, nil, func(o *GenesisOptions) {
		of := o.Subnets[0]
		o.Subnets = nil
		for netuid := range uint64(many + 1) {
			if netuid == 0 {
				continue
			}
			s, h := of, *of.Hyperparameters
			h.Tempo = first - netuid // plus netuid, by which first epochs are staggered
			s.Hyperparameters = &h
			o.Subnets = append(o.Subnets, s)
		}
	})
	b.unchecked = true
	due := b.subnet(1).NextEpoch
	b.until(due - 1)
	for i := range int64(many / most) {
		b.block()
		for _, netuid := range b.netuids() {
			s, turn := b.subnet(netuid), due+int64(netuid-1)/most
			if s.LastEpoch != 0 && s.LastEpoch != turn || s.LastEpoch == 0 && turn <= due+i {
				t.Fatalf("at block %d, subnet %d ran at %d; want %d, %d a block and the lowest first", due+i, netuid, s.LastEpoch, turn, most)
			}
			if want := turn + first - int64(netuid); s.LastEpoch != 0 && s.NextEpoch != want {
				t.Errorf("the next epoch of subnet %d is at %d, want a tempo after %d, %d", netuid, s.NextEpoch, turn, want)
			}
		}
	}
	for _, netuid := range b.netuids() {
		if s := b.subnet(netuid); s.Epoch != 1 {
			t.Errorf("subnet %d ran %d epochs, want 1", netuid, s.Epoch)
		}
	}
	if err := b.app.Check(b.ctx()); err != nil {
		t.Error(err)
	}
}

// subnet returns a subnet.
func (b *bench) subnet(netuid uint32) subnetv1.Subnet {
	b.t.Helper()
	r := &subnetv1.QuerySubnetResponse{}
	b.query("/plexus.subnet.v1.Query/Subnet", &subnetv1.QuerySubnetRequest{Netuid: netuid}, r)
	return r.Subnet
}

func TestScenarioTwentyRegistrationsInABlockAgainstAQuote(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("r", i))
	}
	b := newBench(t, 1, nil, names, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.BurnMin, h.MaxUids = uint64(coin.PLX), 64
	})
	quote := &subnetv1.QueryPriceResponse{}
	b.query("/plexus.subnet.v1.Query/Price", &subnetv1.QueryPriceRequest{Netuid: 1}, quote)
	most := coin.Amount(quote.Price.Amount.Uint64()) * 2 // what each is ready to pay: twice the quote
	var txs [][]byte
	for _, name := range names {
		p := b.person(name)
		txs = append(txs, b.tx(p, 0, &subnetv1.MsgRegisterNeuron{Account: p.String(), Netuid: 1, MaxPrice: nplx(most)}))
	}
	had := b.schedule().Burned
	results := b.block(txs...).TxResults
	seated, paid := 0, coin.Amount(0)
	for i, name := range names {
		left := b.app.Bank.GetBalance(b.ctx(), b.person(name).address(), coin.Denom).Amount.Uint64()
		cost := 10_000*coin.PLX - coin.Amount(left)
		paid += cost
		switch in := results[i].Code == 0; {
		case in:
			seated++
			if cost == 0 || cost > most {
				t.Errorf("%s paid %v, want at most its max price, %v", name, cost, most)
			}
		case cost != 0:
			t.Errorf("%s paid %v for nothing", name, cost)
		case !strings.Contains(results[i].Log, "above your max 2plx"):
			t.Errorf("%s was refused by %q, want the price and its max in it", name, results[i].Log)
		}
	}
	// 1.26² ≤ 2 < 1.26³: the quote and two rises.
	if seated != 3 || int(b.metagraph(1).Subnet.Neurons) != 1+seated {
		t.Errorf("%d were seated, want 3, before the price rose above twice the quote", seated)
	}
	if burned := coin.Amount(b.schedule().Burned - had); burned != paid {
		t.Errorf("%v were burned, but people paid %v", burned, paid)
	}
}

func TestScenarioRotationWithChildrenPendingChildrenDelegationsCommitsBondsAndCommitment(t *testing.T) {
	b := newBench(t, 3, []string{"c0", "m"}, []string{"rich"}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.CommitReveal = true
		p := subnet.DefaultParams()
		p.ChildrenDelay, p.CommitmentInterval = 1, 1
		o.SubnetParams = &p
	})
	v, other, child, heir := b.validators[0], b.validators[1], b.person("c0"), b.person("heir")
	m, uid := b.uid(1, "m"), b.uid(1, "c0")
	b.must(v, b.lend(v, "c0", 30_000))
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.must(b.person("rich"), delegateMsg(b.person("rich"), v, 100*coin.PLX))
	b.send(v, child, heir)
	b.must(child, delegateMsg(child, other, 1))
	for _, p := range []*person{child, other, b.validators[2]} { // bonds of the child on m
		b.must(p, commitMsg(p, m))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	for _, p := range []*person{child, other, b.validators[2]} {
		b.must(p, revealMsg(p, m))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.must(child, &subnetv1.MsgSetCommitment{Account: child.String(), Netuid: 1, Data: []byte("mine")})
	b.must(child, commitMsg(child, m))      // not revealed yet
	b.must(other, b.lend(other, "c0", 500)) // pending until the epoch
	votes, bonds := b.family("c0").Stake, b.bondsOf(uid)
	if bonds == "" || votes == 0 {
		t.Fatalf("the child votes with %d and has bonds %q; the test needs both", votes, bonds)
	}

	for want, to := range map[string]*person{"not to itself": child, "has a neuron on subnet 1 already": v} {
		if log := b.do(child, &subnetv1.MsgRotate{Account: child.String(), To: to.String()}); !strings.Contains(log, want) {
			t.Errorf("rotated to %v: %q, want %q", to, log, want)
		}
	}
	b.rotateOnly(child, heir)
	if got := b.family("heir").Stake; b.uid(1, "heir") != uid || got != votes {
		t.Errorf("the heir has uid %d and votes with %d, want %d and %d", b.uid(1, "heir"), got, uid, votes)
	}
	if got := b.bondsOf(uid); got != bonds {
		t.Errorf("the slot's bonds were %s and are %s", bonds, got)
	}
	if d, err := b.app.Staking.GetDelegatorDelegations(b.ctx(), child.address(), 5); err != nil || len(d) != 1 {
		t.Errorf("delegations of the old account: %v, %v; they are x/staking's, and stay", d, err)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if f := b.family("heir"); len(f.Parents) != 2 {
		t.Errorf("the heir has parents %v, want the pending one too", f.Parents)
	}
	if log := b.do(child, revealMsg(child, m)); !strings.Contains(log, "has no") {
		t.Errorf("the old account reveals: %q", log)
	}
	b.must(heir, revealMsg(heir, m))

	// A parent rotates: what it lends goes along, its stake stays where it is,
	// with all delegations to it.
	stake := b.neuron("v0").Stake + b.family("c0").Stake
	b.rotateOnly(v, b.person("seat"))
	if f := b.family("seat"); len(f.Family.Loans) != 1 || f.Stake != 0 {
		t.Errorf("the parent's successor lends %v and votes with %d, want the one loan and nothing", f.Family.Loans, f.Stake)
	}
	if val, err := b.app.Staking.GetValidator(b.ctx(), v.val()); err != nil || val.Tokens.Uint64() < stake {
		t.Errorf("the validator has %v of stake, %v; want its %d", val.Tokens, err, stake)
	}
}

// rotateOnly moves all that p owns to heir, and looks for what stayed behind.
func (b *bench) rotateOnly(p, heir *person) {
	b.t.Helper()
	b.must(p, &subnetv1.MsgRotate{Account: p.String(), To: heir.String()})
	for _, at := range b.traces(p) {
		if at[0] != commitPrefix { // whose hash covers the account
			b.t.Errorf("%v is still named at %q", p, at)
		}
	}
}

// commitPrefix begins the keys of commits.
const commitPrefix = 6

// bondsOf returns the bonds of a uid on subnet 1 in text.
func (b *bench) bondsOf(uid uint32) string {
	b.t.Helper()
	for _, r := range b.bonds().Rows {
		if r.Uid == uid {
			return r.String()
		}
	}
	return ""
}
