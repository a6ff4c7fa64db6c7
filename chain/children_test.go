package chain

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// childrenDelay is that of the test chains.
const childrenDelay = 3

// kindergarten is a bench of 3 validators with a miner each to lend to.
func kindergarten(t testing.TB) *bench {
	return newBench(t, 3, []string{"c0", "c1", "c2", "m"}, []string{"rich"}, func(o *GenesisOptions) {
		p := subnet.DefaultParams()
		p.ChildrenDelay, p.CommitmentInterval, p.UpdateInterval = childrenDelay, 1, 1
		o.SubnetParams = &p
		o.Subnets[0].Hyperparameters.WorkMin = 1
	})
}

// lend returns the message by which p lends proportions of its stake to names.
func (b *bench) lend(p *person, pairs ...any) *subnetv1.MsgSetChildren {
	m := &subnetv1.MsgSetChildren{Account: p.String(), Netuid: 1}
	for i := 0; i < len(pairs); i += 2 {
		m.Loans = append(m.Loans, subnetv1.Loan{Child: b.person(pairs[i].(string)).String(), Proportion: uint32(pairs[i+1].(int))})
	}
	return m
}

// family returns what a name lends on subnet 1 and is lent.
func (b *bench) family(name string) *subnetv1.QueryFamilyResponse {
	b.t.Helper()
	r := &subnetv1.QueryFamilyResponse{}
	b.query("/plexus.subnet.v1.Query/Family", &subnetv1.QueryFamilyRequest{Netuid: 1, Account: b.person(name).String()}, r)
	return r
}

func TestLoansAreRefused(t *testing.T) {
	b := kindergarten(t)
	v := b.validators[0]
	for want, m := range map[string]*subnetv1.MsgSetChildren{
		"has no stake to lend":  b.lend(b.person("m"), "c0", 1),
		"the parent itself":     b.lend(v, "v0", 1),
		"is named twice":        b.lend(v, "c0", 1, "c0", 1),
		"6 children; at most 5": b.lend(v, "c0", 1, "c1", 1, "c2", 1, "m", 1, "v1", 1, "v2", 1),
		"from 1 to 35535 is":    b.lend(v, "c0", 30_000, "c1", 35_536),
		"from 1 to 65535 is":    b.lend(v, "c0", 0),
		"on the root":           {Account: v.String(), Netuid: subnet.Root},
		"no subnet 7":           {Account: v.String(), Netuid: 7},
	} {
		signer := v
		if m.Account != v.String() {
			signer = b.person("m")
		}
		if log := b.do(signer, m); !strings.Contains(log, want) {
			t.Errorf("want %q, got %q", want, log)
		}
	}
	b.must(v, b.lend(v, "c0", 1))
	if log := b.do(v, b.lend(v, "c0", 2)); !strings.Contains(log, "changes of children: at most once in 3 blocks: wait 2 blocks") {
		t.Errorf("changed again at once: %q", log)
	}
	c := b.person("c0")
	b.until(2 * tempo)
	b.send(v, c)
	take := func(take uint32) *subnetv1.MsgSetChildTake {
		return &subnetv1.MsgSetChildTake{Account: c.String(), Netuid: 1, Take: take}
	}
	if log := b.do(c, take(11_797)); !strings.Contains(log, "at most 11796, 18 %") {
		t.Errorf("a greedy child: %q", log)
	}
	b.must(c, take(100))
	if log := b.do(c, take(101)); !strings.Contains(log, "rises of a child's take") {
		t.Errorf("a take that rises at once: %q", log)
	}
	b.must(c, take(99))
}

func TestChildVotesWithLentStake(t *testing.T) {
	b := kindergarten(t)
	v, c := b.validators[0], b.person("c0")
	stake := b.neuron("v0").Stake
	b.until(2 * tempo)
	b.send(v, c)
	if log := b.do(c, b.weigh(1, c, "m", 1)); !strings.Contains(log, "has no stake") {
		t.Errorf("weights of a child without a parent: %q", log)
	}
	b.must(c, &subnetv1.MsgSetChildTake{Account: c.String(), Netuid: 1, Take: 6554}) // a tenth
	b.must(v, b.lend(v, "c0", 65535))
	if f := b.family("c0"); f.Stake != 0 || len(f.Parents) != 0 {
		t.Errorf("before the delay, the child has %+v", f)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if f := b.family("c0"); f.Stake != stake || len(f.Parents) != 1 || f.Parents[0].Account != v.String() {
		t.Errorf("after the epoch, the child has %+v, want all of %d", f, stake)
	}
	if f := b.family("v0"); f.Stake != 0 || len(f.Family.Loans) != 1 {
		t.Errorf("the parent has %+v, want no votes left", f)
	}
	for _, p := range []*person{c, b.validators[1], b.validators[2]} {
		b.must(p, b.weigh(1, p, "m", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	before := b.person("c0").earned(b)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	child, parent := b.neuron("c0"), b.neuron("v0")
	if child.Stake != stake || child.Dividends == 0 || parent.Dividends != 0 {
		t.Errorf("the child has stake %d and dividends %d, the parent dividends %d; want %d, some and none",
			child.Stake, child.Dividends, parent.Dividends, stake)
	}
	kept := b.person("c0").earned(b) - before
	if part := float64(kept) / float64(child.ValidatorEmission); part < 0.0999 || part > 0.1001 {
		t.Errorf("the child kept %d of %d, want its take, a tenth", kept, child.ValidatorEmission)
	}
}

// earned returns what p can claim.
func (p *person) earned(b *bench) uint64 {
	b.t.Helper()
	r := &subnetv1.QueryClaimableResponse{}
	b.query("/plexus.subnet.v1.Query/Claimable", &subnetv1.QueryClaimableRequest{Account: p.String()}, r)
	return r.Amount.Amount.Uint64()
}

// TestVotesAreNeverMadeUp lends stake at random, and compares the sum of votes
// with that of stake.
func TestVotesAreNeverMadeUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := kindergarten(t)
	names := []string{"v0", "v1", "v2", "c0", "c1", "c2", "nobody"}
	var stake uint64
	for _, name := range names[:3] {
		stake += b.neuron(name).Stake
	}
	for range 8 {
		var txs [][]byte
		for i, v := range b.validators {
			var pairs []any
			left := 65535
			for _, at := range rng.Perm(len(names))[:rng.IntN(6)] {
				if part := rng.IntN(left + 1); part > 0 && at != i {
					left -= part
					pairs = append(pairs, names[at], part)
				}
			}
			txs = append(txs, b.tx(v, 0, b.lend(v, pairs...)))
		}
		for _, r := range b.block(txs...).TxResults {
			if r.Code != 0 {
				t.Fatal(r.Log)
			}
		}
		b.until(b.metagraph(1).Subnet.NextEpoch)
		var votes uint64
		for _, n := range b.metagraph(1).Neurons {
			votes += n.Stake
		}
		if votes != stake {
			t.Fatalf("the neurons vote with %d, but have %d of stake", votes, stake)
		}
	}
}

// traces returns what the store of the subnets still says of an account: keys
// and values with its bytes or its address.
func (b *bench) traces(p *person) []string {
	b.t.Helper()
	var found []string
	it := b.ctx().KVStore(b.app.keys[subnet.ModuleName]).Iterator(nil, nil)
	defer it.Close()
	for ; it.Valid(); it.Next() {
		for _, part := range [][]byte{it.Key(), it.Value()} {
			if bytes.Contains(part, p.address()) || bytes.Contains(part, []byte(p.String())) {
				found = append(found, string(it.Key()))
				break
			}
		}
	}
	return found
}

// TestRotationMovesEverything lets accounts do at random what makes them own
// something, rotates them, and looks for what stayed behind: in the whole store.
func TestRotationMovesEverything(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 3))
		b := kindergarten(t)
		owners := []*person{b.validators[0], b.person("rich"), b.person("c0")}
		done := 0
		for range 15 {
			p := owners[rng.IntN(len(owners))]
			if b.app.Accounts.GetAccount(b.ctx(), p.address()) != nil && b.do(p, b.deed(p, rng.IntN(9))) == "" {
				done++
			}
			b.until(b.app.LastBlockHeight() + int64(rng.IntN(6)))
		}
		if done < 4 {
			t.Fatalf("seed %d: only %d deeds", seed, done)
		}
		for i, p := range owners {
			if b.app.Accounts.GetAccount(b.ctx(), p.address()) != nil {
				b.rotate(p, b.person(fmt.Sprint("heir", i)))
			}
		}
	}
}

// deed returns one of 9 messages that make p own something, or nothing more.
func (b *bench) deed(p *person, i int) sdk.Msg {
	return []sdk.Msg{
		&subnetv1.MsgRegisterNeuron{Account: p.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)},
		&subnetv1.MsgRegisterSubnet{Owner: p.String(), Kind: "text", Name: "s", MaxPrice: nplx(1000 * coin.PLX)},
		&subnetv1.MsgSetWeights{Account: p.String(), Netuid: 1, Uids: []uint32{1}, Weights: []uint32{1}},
		&subnetv1.MsgSetWeights{Account: p.String(), Netuid: subnet.Root, Uids: []uint32{1}, Weights: []uint32{1}},
		&subnetv1.MsgSetCommitment{Account: p.String(), Netuid: 1, Data: []byte("data")},
		&subnetv1.MsgSetChildTake{Account: p.String(), Netuid: 1, Take: 9},
		b.lend(p, "c0", 7, "m", 9),
		b.lend(p, "c1", 7, "rich", 5),
		b.lend(p),
	}[i]
}

// rotate moves all that p owns to heir, and checks that all of it arrives.
func (b *bench) rotate(p, heir *person) {
	b.t.Helper()
	had, owed := len(b.traces(p)), p.earned(b)
	b.must(p, &subnetv1.MsgRotate{Account: p.String(), To: heir.String()})
	if left := b.traces(p); len(left) > 0 {
		b.t.Fatalf("%d of %d entries still name the old account: %q", len(left), had, left)
	}
	if has := len(b.traces(heir)); has != had {
		b.t.Fatalf("the old account was in %d entries, the new one is in %d", had, has)
	}
	if got := heir.earned(b); got < owed {
		b.t.Fatalf("the old account could claim %d, the new one %d", owed, got)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
}

func TestWeightsBatch(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.WeightsRateLimit = 5
		o.Subnets = append(o.Subnets, o.Subnets[0])
	})
	v, m := b.validators[0], b.uid(1, "m")
	batch := func(sets ...subnetv1.MsgSetWeights) *subnetv1.MsgSetWeightsBatch {
		return &subnetv1.MsgSetWeightsBatch{Account: v.String(), Sets: sets}
	}
	one := subnetv1.MsgSetWeights{Netuid: 1, Uids: []uint32{m}, Weights: []uint32{1}}
	two := subnetv1.MsgSetWeights{Netuid: 2, Uids: []uint32{m}, Weights: []uint32{1}}
	far, stolen := two, two
	far.Netuid, stolen.Account = 9, b.validators[1].String()
	for want, msg := range map[string]*subnetv1.MsgSetWeightsBatch{
		"weights 2 of 2, of subnet 9: there is no subnet 9": batch(one, far),
		"weights 2 are of " + stolen.Account:                batch(one, stolen),
		"on 0 subnets":                                      batch(),
	} {
		if log := b.do(v, msg); !strings.Contains(log, want) {
			t.Errorf("want %q, got %q", want, log)
		}
	}
	rows := func(netuid uint32) int {
		r := &subnetv1.QueryWeightsResponse{}
		b.query("/plexus.subnet.v1.Query/Weights", &subnetv1.QueryWeightsRequest{Netuid: netuid}, r)
		return len(r.Rows)
	}
	if rows(1) != 0 {
		t.Error("a batch that failed set weights")
	}
	priced(b)
	if log := b.check(b.tx(v, 0, batch(one, two))); log != "" {
		t.Errorf("a batch without a fee: %q", log)
	}
	b.must(v, batch(one, two))
	if rows(1) != 1 || rows(2) != 1 {
		t.Errorf("the batch set %d and %d rows, want 1 and 1", rows(1), rows(2))
	}
	if log := b.do(v, batch(two)); !strings.Contains(log, "wait 4 blocks") {
		t.Errorf("a batch at once: %q", log)
	}
}

// send gives each of the others a coin of p's commission, so that they exist.
func (b *bench) send(p *person, others ...*person) {
	b.t.Helper()
	b.must(p, distrtypes.NewMsgWithdrawValidatorCommission(p.val().String()))
	for _, o := range others {
		b.must(p, banktypes.NewMsgSend(p.address(), o.address(), sdk.NewCoins(nplx(1))))
	}
}
