package chain

import (
	"bytes"
	"strings"
	"testing"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// easyWork is a bench whose subnet takes two registrations by easy work in a
// block.
func easyWork(t *testing.T, change func(*subnetv1.Hyperparameters)) *bench {
	return newBench(t, 1, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.WorkQuota, h.WorkMin, h.WorkHalfLife, h.WorkIncrease = 2, 8, 14_400, 200
		if change != nil {
			change(h)
		}
	})
}

// workQuote returns what registration by work takes on subnet 1.
func (b *bench) workQuote() *subnetv1.QueryWorkResponse {
	b.t.Helper()
	q := &subnetv1.QueryWorkResponse{}
	b.query("/plexus.subnet.v1.Query/Work", &subnetv1.QueryWorkRequest{Netuid: 1}, q)
	return q
}

// toil returns the message by which p registers on subnet 1 by work that meets
// the present difficulty, or by work that does not.
func (b *bench) toil(p *person, good bool) *subnetv1.MsgRegisterByWork {
	b.t.Helper()
	q := b.workQuote()
	m := &subnetv1.MsgRegisterByWork{Account: p.String(), Netuid: 1, Height: q.Height}
	for coin.Hashes(q.Difficulty).Meets(coin.Seal(p.address(), 1, q.Hash, m.Nonce)) != good {
		m.Nonce++
	}
	return m
}

func TestNewcomerRegistersByWork(t *testing.T) {
	b := priced(easyWork(t, nil))
	b.block()
	if q := b.workQuote(); q.Height != b.app.LastBlockHeight() || !bytes.Equal(q.Hash, blockHash(q.Height)) || q.Quota != 2 || q.Difficulty != 8 || q.After != 16 {
		t.Fatalf("the quote is %+v", q)
	}
	p := b.person("newcomer")
	if log := b.check(b.tx(p, 0, b.toil(p, false))); !strings.Contains(log, "does not meet the difficulty of 8") {
		t.Errorf("bad work: %q", log)
	}
	if log := b.check(b.tx(p, 0, claimMsg(p))); !strings.Contains(log, "pays its fee") {
		t.Errorf("a claim of a stranger: %q", log)
	}
	work := b.toil(p, true)
	tx := b.tx(p, 0, work)
	if log := b.check(tx); log != "" {
		t.Fatalf("good work: %q", log)
	}
	if r := b.block(tx).TxResults[0]; r.Code != 0 {
		t.Fatalf("good work: %s", r.Log)
	}
	if n := b.neuron("newcomer"); n.Neuron.Account != p.String() {
		t.Errorf("the newcomer is %+v", n)
	}
	account := b.app.Accounts.GetAccount(b.ctx(), p.address())
	if account == nil || account.GetSequence() != 1 {
		t.Fatalf("the newcomer's account is %v, want one of sequence 1", account)
	}
	if log := b.check(tx); log == "" {
		t.Error("the same transaction passes again")
	}
	if log := b.do(p, work); !strings.Contains(log, "has a neuron on subnet 1 already") {
		t.Errorf("registered twice: %q", log)
	}
	if q := b.workQuote(); q.Difficulty < 13 || q.Difficulty > 16 {
		t.Errorf("difficulty %d after a registration, want 16 or, as every block rounds down, little less", q.Difficulty)
	}
}

func TestWorkIsBound(t *testing.T) {
	b := easyWork(t, nil)
	p, thief := b.person("newcomer"), b.person("thief")
	stolen := b.toil(p, true)
	stolen.Account = thief.String()
	for coin.Hashes(8).Meets(coin.Seal(thief.address(), 1, blockHash(stolen.Height), stolen.Nonce)) { // by chance
		stolen.Nonce++
	}
	if log := b.do(thief, stolen); !strings.Contains(log, "does not meet the difficulty") {
		t.Errorf("stolen work: %q", log)
	}
	if b.app.Accounts.GetAccount(b.ctx(), thief.address()) != nil {
		t.Error("bad work made an account")
	}
	old := b.toil(p, true)
	b.until(old.Height + 99)
	if log := b.check(b.tx(p, 0, old)); log != "" {
		t.Errorf("work of 99 blocks ago: %q", log)
	}
	b.block()
	if log := b.do(p, old); !strings.Contains(log, "bind it to one of the 99 before") {
		t.Errorf("old work: %q", log)
	}
	for netuid, want := range map[uint32]string{subnet.Root: "takes no registration by work", 9: "there is no subnet 9"} {
		lost := b.toil(p, true)
		lost.Netuid = netuid
		if log := b.do(p, lost); !strings.Contains(log, want) {
			t.Errorf("work for subnet %d: %q", netuid, log)
		}
	}
}

func TestWorkQuota(t *testing.T) {
	b := easyWork(t, func(h *subnetv1.Hyperparameters) { h.WorkIncrease = 101 })
	var txs [][]byte
	for _, name := range []string{"a", "b", "c"} {
		p := b.person(name)
		txs = append(txs, b.tx(p, 0, b.toil(p, true)))
	}
	price := b.metagraph(1).Subnet.Burn
	results := b.block(txs...).TxResults
	if results[0].Code != 0 || results[1].Code != 0 || !strings.Contains(results[2].Log, "takes 2 by work in one block") {
		t.Errorf("three in a block of two: %q, %q, %q", results[0].Log, results[1].Log, results[2].Log)
	}
	if b.app.Accounts.GetAccount(b.ctx(), b.person("c").address()) != nil {
		t.Error("who came too late has an account")
	}
	if log := b.do(b.person("c"), b.toil(b.person("c"), true)); log != "" {
		t.Errorf("in the next block: %q", log)
	}
	if got := b.metagraph(1).Subnet.Burn; got != price {
		t.Errorf("the price to burn went from %d to %d by work", price, got)
	}
}

func TestWorkIsSpent(t *testing.T) {
	b := easyWork(t, func(h *subnetv1.Hyperparameters) { h.MaxUids, h.ImmunityPeriod, h.WorkIncrease = 2, 0, 101 })
	b.until(tempo + 3) // the validator has earned, so others are pruned
	p, rich := b.person("newcomer"), b.person("rich")
	work := b.toil(p, true)
	b.must(p, work)
	b.must(rich, &subnetv1.MsgRegisterNeuron{Account: rich.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
	for _, n := range b.metagraph(1).Neurons {
		if n.Neuron.Account == p.String() {
			t.Fatal("the newcomer was not pruned")
		}
	}
	if log := b.do(p, work); !strings.Contains(log, "registered this account already") {
		t.Errorf("spent work: %q", log)
	}
}

func TestCommitments(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		p := subnet.DefaultParams()
		p.CommitmentInterval = 5
		o.SubnetParams = &p
		o.Subnets[0].Hyperparameters.MaxUids, o.Subnets[0].Hyperparameters.ImmunityPeriod = 2, 0
	})
	m := b.person("m")
	set := func(data string) *subnetv1.MsgSetCommitment {
		return &subnetv1.MsgSetCommitment{Account: m.String(), Netuid: 1, Data: []byte(data)}
	}
	read := func() []subnetv1.Commitment {
		r := &subnetv1.QueryCommitmentsResponse{}
		b.query("/plexus.subnet.v1.Query/Commitments", &subnetv1.QueryCommitmentsRequest{Netuid: 1}, r)
		return r.Commitments
	}
	if log := b.do(m, set(strings.Repeat("x", 4097))); !strings.Contains(log, "4097 bytes; at most 4096") {
		t.Errorf("a long one: %q", log)
	}
	b.must(m, set("sha256:abc"))
	if got := read(); len(got) != 1 || string(got[0].Data) != "sha256:abc" || got[0].Uid != b.uid(1, "m") {
		t.Errorf("commitments are %+v", got)
	}
	if log := b.do(m, set("other")); !strings.Contains(log, "at most once in 5 blocks: wait 4 blocks") {
		t.Errorf("again at once: %q", log)
	}
	if log := b.do(b.person("rich"), &subnetv1.MsgSetCommitment{Account: b.person("rich").String(), Netuid: 1}); !strings.Contains(log, "register one first") {
		t.Errorf("of no neuron: %q", log)
	}
	b.until(b.app.LastBlockHeight() + 4)
	b.must(m, set("other"))
	b.until(2 * tempo) // the validator earns, so the miner is the next to go
	rich := b.person("rich")
	b.must(rich, &subnetv1.MsgRegisterNeuron{Account: rich.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
	if got := read(); len(got) != 0 {
		t.Errorf("the successor inherits %+v", got)
	}
}
