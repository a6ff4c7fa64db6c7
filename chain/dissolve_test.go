package chain

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// crowded returns a bench whose two subnets are as many as are allowed. The
// validators and the miner m serve on both, and the root gives the second less.
func crowded(t *testing.T, change func(*subnetv1.Params)) *bench {
	b := newBench(t, 3, []string{"m"}, []string{"builder"}, func(o *GenesisOptions) {
		o.Subnets = append(o.Subnets, o.Subnets[0])
		p := subnet.DefaultParams()
		p.MaxSubnets, p.SubnetImmunity = 2, 0
		if change != nil {
			change(&p)
		}
		o.SubnetParams = &p
	})
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
		b.must(v, b.weigh(2, v, "m", 1))
		b.must(v, &subnetv1.MsgSetWeights{Account: v.String(), Netuid: subnet.Root, Uids: []uint32{1, 2}, Weights: []uint32{3, 1}})
	}
	b.until(b.metagraph(subnet.Root).Subnet.NextEpoch)
	b.until(b.metagraph(2).Subnet.NextEpoch + 3) // some emission is pending
	return b
}

// found returns the message by which the builder makes a subnet.
func (b *bench) found(name string) *subnetv1.MsgRegisterSubnet {
	return &subnetv1.MsgRegisterSubnet{Owner: b.person("builder").String(), Kind: "text", Name: name, MaxPrice: nplx(5000 * coin.PLX)}
}

// netuids returns the numbers of all subnets but the root.
func (b *bench) netuids() []uint32 {
	b.t.Helper()
	r := &subnetv1.QuerySubnetsResponse{}
	b.query("/plexus.subnet.v1.Query/Subnets", &subnetv1.QuerySubnetsRequest{}, r)
	var all []uint32
	for _, s := range r.Subnets[1:] {
		all = append(all, s.Netuid)
	}
	return all
}

// claimable returns what a name can claim.
func (b *bench) claimable(name string) coin.Amount {
	b.t.Helper()
	r := &subnetv1.QueryClaimableResponse{}
	b.query("/plexus.subnet.v1.Query/Claimable", &subnetv1.QueryClaimableRequest{Account: b.person(name).String()}, r)
	return coin.Amount(r.Amount.Amount.Uint64())
}

// The weakest subnet makes room for a new one, with pay pending: a last epoch
// splits it.
func TestScenarioSubnetDissolvedWithPendingPay(t *testing.T) {
	b := crowded(t, nil)
	before := b.claimable("m")
	pot := b.dissolved(b.block(b.tx(b.person("builder"), 0, b.found("third"))))
	if pot == 0 || before == 0 {
		t.Fatalf("pot %v and claimable %v; the test needs both", pot, before)
	}
	if got := fmt.Sprint(b.netuids()); got != "[1 3]" {
		t.Errorf("subnets %s are left, want 1 and 3", got)
	}
	if got := b.claimable("m") - before; got != pot/2 {
		t.Errorf("the last epoch paid the miner %v of %v, want half", got, pot)
	}
	if w := b.weights(subnet.Root); len(w) != 3 || fmt.Sprint(w[0].Uids) != "[1]" {
		t.Errorf("the root's weights are %v, want them on subnet 1 only", w)
	}
	b.must(b.person("m"), claimMsg(b.person("m")))
	if log := b.do(b.validators[0], &subnetv1.MsgSetWeights{Account: b.validators[0].String(), Netuid: 2, Uids: []uint32{3}, Weights: []uint32{1}}); !strings.Contains(log, "no subnet 2") {
		t.Errorf("weights on a dissolved subnet: %q", log)
	}
	b.roundTrip()
}

// weights returns the rows of a subnet.
func (b *bench) weights(netuid uint32) []subnetv1.RowView {
	b.t.Helper()
	r := &subnetv1.QueryWeightsResponse{}
	b.query("/plexus.subnet.v1.Query/Weights", &subnetv1.QueryWeightsRequest{Netuid: netuid}, r)
	return r.Rows
}

// dissolved returns the pot of the subnet that a block dissolved.
func (b *bench) dissolved(r *abci.ResponseFinalizeBlock) coin.Amount {
	b.t.Helper()
	for _, e := range r.Events {
		if e.Type != "plexus.subnet.v1.EventSubnetDissolved" {
			continue
		}
		for _, a := range e.Attributes {
			if a.Key != "pot" {
				continue
			}
			pot, err := strconv.ParseUint(strings.Trim(a.Value, `"`), 10, 64)
			if err != nil {
				b.t.Fatal(err)
			}
			return coin.Amount(pot)
		}
	}
	b.t.Fatalf("the block dissolved nothing: %v", r.TxResults)
	return 0
}

func TestImmuneSubnetsStay(t *testing.T) {
	b := crowded(t, func(p *subnetv1.Params) { p.SubnetImmunity = 500 })
	want := fmt.Sprintf("there are 2 subnets, as many as are allowed, and all are immune: wait %d blocks", 500-b.app.LastBlockHeight()-1)
	if log := b.do(b.person("builder"), b.found("third")); !strings.Contains(log, want) {
		t.Errorf("registration among the immune: %q", log)
	}
	if got := fmt.Sprint(b.netuids()); got != "[1 2]" {
		t.Errorf("subnets %s are left, want 1 and 2", got)
	}
}

func TestSubnetsComeAndGoInOneBlock(t *testing.T) {
	b := crowded(t, nil)
	builder := b.person("builder")
	var txs [][]byte
	for i := range uint64(4) {
		builder.sequence = max(builder.sequence, b.app.Accounts.GetAccount(b.ctx(), builder.address()).GetSequence()+i)
		txs = append(txs, b.tx(builder, 0, b.found(fmt.Sprint("n", i))))
	}
	for i, r := range b.block(txs...).TxResults {
		if r.Code != 0 {
			t.Errorf("registration %d: %s", i, r.Log)
		}
	}
	// Whoever came last has an equal share of what the root left, so the
	// oldest go first; numbers are not used again.
	if got := b.netuids(); len(got) != 2 || got[1] != 6 {
		t.Errorf("subnets %v are left, want two, the last of them 6", got)
	}
	b.until(b.app.LastBlockHeight() + 2*tempo)
}

func TestDissolvedWithoutNeuronsReturnsItsPot(t *testing.T) {
	b := newBench(t, 1, nil, nil, func(o *GenesisOptions) {
		o.Subnets = append(o.Subnets, GenesisSubnet{Kind: "text", Owner: o.Subnets[0].Owner})
	})
	for b.schedule().State.Unallocated == 0 {
		b.block()
	}
	pot := b.dissolved(b.dissolve(2))
	if got := coin.Amount(b.schedule().State.Unallocated); pot == 0 || got < pot {
		t.Errorf("unallocated %v, want the pot of %v in it", got, pot)
	}
}

// dissolve makes governance dissolve a subnet, as a passed proposal would.
func (b *bench) dissolve(netuid uint32) *abci.ResponseFinalizeBlock {
	b.t.Helper()
	if err := b.ask(&subnetv1.MsgDissolveSubnet{Authority: governance().String(), Netuid: netuid}); err != nil {
		b.t.Fatal(err)
	}
	return b.block()
}

// ask runs a message on the committed state, whoever has to sign it.
func (b *bench) ask(msg sdk.Msg) error {
	head := cmtproto.Header{ChainID: "plexus-test", Height: b.app.LastBlockHeight(), Time: b.time}
	ctx := sdk.NewContext(b.app.CommitMultiStore(), head, false, cosmosLog(nil))
	_, err := b.app.MsgServiceRouter().Handler(msg)(ctx, msg)
	return err
}

func TestOnlyGovernanceDissolves(t *testing.T) {
	b := crowded(t, nil)
	for _, c := range []struct {
		authority string
		netuid    uint32
		want      string
	}{
		{b.person("owner").String(), 1, "may dissolve"},
		{governance().String(), subnet.Root, "root"},
		{governance().String(), 9, "no subnet 9"},
	} {
		err := b.ask(&subnetv1.MsgDissolveSubnet{Authority: c.authority, Netuid: c.netuid})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s dissolves %d: %v, want it to say %q", c.authority, c.netuid, err, c.want)
		}
	}
}

func TestLargeSubnetIsSweptOverBlocks(t *testing.T) {
	b := newBench(t, 1, nil, nil, func(o *GenesisOptions) {
		h := *o.Subnets[0].Hyperparameters
		h.MaxUids = 1024
		o.Subnets[0].Hyperparameters = &h
		for i := range 1000 {
			o.Subnets[0].Neurons = append(o.Subnets[0].Neurons, GenesisNeuron{Account: sdk.AccAddress(fmt.Sprintf("a miner, number %04d", i)).String()})
		}
	})
	b.until(tempo + 5)
	b.dissolve(1)
	left := 0
	for ; left < 10 && b.sweeping(1); left++ {
		b.block()
	}
	if left != 2 {
		t.Errorf("2,000 entries and a few were swept in %d blocks after the first, want 2", left)
	}
	b.roundTrip()
}

// sweeping tells whether something is left of a dissolved subnet.
func (b *bench) sweeping(netuid uint32) bool {
	store := b.app.CommitMultiStore().GetKVStore(b.app.keys[subnet.ModuleName])
	return store.Has(binary.BigEndian.AppendUint32([]byte{14}, netuid))
}
