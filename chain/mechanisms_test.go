package chain

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// mechanised returns a bench whose subnet 1 has mechanisms that share its
// emission by split, with no limit on how often it changes.
func mechanised(t *testing.T, miners []string, split []uint32, change func(*GenesisOptions)) *bench {
	b := newBench(t, 3, miners, nil, change)
	b.must(b.person("owner"), &subnetv1.MsgSetMechanisms{Authority: b.person("owner").String(), Netuid: 1, Count: uint32(len(split)), Split: split})
	return b
}

// in returns m for another mechanism.
func in(mechanism uint32, m *subnetv1.MsgSetWeights) *subnetv1.MsgSetWeights {
	m.Mechanism = mechanism
	return m
}

// outcome returns the metagraph of one mechanism of subnet 1.
func (b *bench) outcome(mechanism uint32, fields ...string) *subnetv1.QueryMetagraphResponse {
	b.t.Helper()
	m := &subnetv1.QueryMetagraphResponse{}
	b.query("/plexus.subnet.v1.Query/Metagraph", &subnetv1.QueryMetagraphRequest{Netuid: 1, Mechanism: mechanism, Fields: fields}, m)
	return m
}

func TestMechanismsPayApart(t *testing.T) {
	b := mechanised(t, []string{"talker", "trainer"}, []uint32{math.MaxUint16 - 16384, 16384}, nil)
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "talker", 1))
		b.must(v, in(1, b.weigh(1, v, "trainer", 1))) // at once: rate limits are apart, too
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	talker, trainer := b.uid(1, "talker"), b.uid(1, "trainer")
	first, second := b.outcome(0).Neurons, b.outcome(1).Neurons
	if first[talker].Incentive != math.MaxUint16 || first[trainer].Incentive != 0 {
		t.Errorf("mechanism 0: incentives %d and %d, want all for the talker", first[talker].Incentive, first[trainer].Incentive)
	}
	if second[talker].Incentive != 0 || second[trainer].Incentive != math.MaxUint16 {
		t.Errorf("mechanism 1: incentives %d and %d, want all for the trainer", second[talker].Incentive, second[trainer].Incentive)
	}
	most, least := float64(first[talker].ServerEmission), float64(second[trainer].ServerEmission)
	if ratio := most / least; math.Abs(ratio-3) > 0.001 {
		t.Errorf("emissions of %.0f and %.0f, want 3 to 1", most, least)
	}
	if got := len(b.rowsOf(1)); got != 3 {
		t.Errorf("%d rows of weights in mechanism 1, want 3", got)
	}
	b.roundTrip()

	// A mechanism that goes away leaves nothing behind.
	b.until(b.app.LastBlockHeight() + 100)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	owner := b.person("owner")
	b.must(owner, &subnetv1.MsgSetMechanisms{Authority: owner.String(), Netuid: 1, Count: 1})
	v := b.validators[0]
	if log := b.do(v, in(1, b.weigh(1, v, "trainer", 1))); !strings.Contains(log, "mechanisms 0 to 0, and none of number 1") {
		t.Errorf("weights in a mechanism that is gone: %q", log)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
}

// rowsOf returns the weights in a mechanism of subnet 1.
func (b *bench) rowsOf(mechanism uint32) []subnetv1.RowView {
	b.t.Helper()
	r := &subnetv1.QueryWeightsResponse{}
	b.query("/plexus.subnet.v1.Query/Weights", &subnetv1.QueryWeightsRequest{Netuid: 1, Mechanism: mechanism}, r)
	return r.Rows
}

func TestMechanismsAreBounded(t *testing.T) {
	b := newBench(t, 1, nil, nil, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.MaxUids, o.Subnets[0].Hyperparameters.Tempo = 1024, 60
	})
	owner := b.person("owner")
	set := func(count uint32, split ...uint32) string {
		return b.do(owner, &subnetv1.MsgSetMechanisms{Authority: owner.String(), Netuid: 1, Count: count, Split: split})
	}
	for _, c := range []struct{ name, want, got string }{
		{"none", "count is 0", set(0)},
		{"too many", "9 mechanisms; a subnet has 1 to 8", set(9)},
		{"huge", "mechanisms; a subnet has 1 to 8", set(math.MaxUint32)},
		{"too wide", "5 mechanisms of 1024 uids are 5120; at most 4096", set(5)},
		{"short split", "split has 1 proportions for 2", set(2, 65535)},
		{"low split", "adds up to 65534", set(2, 65533, 1)},
		{"high split", "adds up to 4294967296", set(2, math.MaxUint32, 1)},
		{"good", "", set(4)},
		{"too soon", "wait 99 blocks", set(2)},
		{"stranger", "only the owner", b.do(b.validators[0], &subnetv1.MsgSetMechanisms{Authority: b.validators[0].String(), Netuid: 1, Count: 2})},
	} {
		if c.want == "" && c.got != "" || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want it to say %q", c.name, c.got, c.want)
		}
	}
	b.until(b.app.LastBlockHeight() + 100)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if log := b.do(owner, &subnetv1.MsgUpdateSubnet{Authority: owner.String(), Netuid: 1, Hyperparameters: `{"max_uids":2048}`}); !strings.Contains(log, "4 mechanisms of 2048") {
		t.Errorf("wider with mechanisms: %q", log)
	}
}

func TestSlotStartsAfreshInAllMechanisms(t *testing.T) {
	b := mechanised(t, []string{"m"}, []uint32{0, math.MaxUint16}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.MaxUids, o.Subnets[0].Hyperparameters.ImmunityPeriod = 4, 0
		o.Accounts = append(o.Accounts, GenesisAccount{Address: newPerson("late").String(), Balance: 10 * coin.PLX})
	})
	for _, v := range b.validators[:2] {
		b.must(v, in(1, b.weigh(1, v, "m", 1)))
	}
	b.until(3 * tempo)
	late := b.person("late")
	b.must(late, &subnetv1.MsgRegisterNeuron{Account: late.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
	got := b.outcome(1).Neurons[b.uid(1, "late")]
	if got.Permit || got.Incentive != 0 || got.ServerEmission != 0 || len(got.Neuron.LastUpdates) != 0 {
		t.Errorf("a new neuron starts as %+v; want nothing of its predecessor", got)
	}
	if m := b.outcome(1).Neurons[b.uid(1, "m")]; m.ServerEmission == 0 {
		t.Error("the miner earned nothing in mechanism 1, or was pruned for what it did not earn in mechanism 0")
	}
}

func TestMetagraphFields(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, nil, nil)
	b.until(2 * tempo)
	n := b.outcome(0, "stake", "permit").Neurons[1]
	if n.Stake == 0 || !n.Permit || n.Neuron.Uid != 1 || n.Neuron.Account != "" || n.ValidatorEmission != 0 || n.Active {
		t.Errorf("selected stake and permit, got %+v", n)
	}
	request := &subnetv1.QueryMetagraphRequest{Netuid: 1, Fields: []string{"stakes"}}
	data, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.app.Query(t.Context(), &abci.RequestQuery{Path: "/plexus.subnet.v1.Query/Metagraph", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Log, `no field "stakes"; there are neuron, stake,`) {
		t.Errorf("an unknown field: %q", r.Log)
	}
}

func TestOwnersIncentiveIsUnallocatedAgain(t *testing.T) {
	b := newBench(t, 3, []string{"owner", "m"}, nil, nil)
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "owner", 3, "m", 1))
	}
	b.until(4 * tempo)
	owner, m := b.neuron("owner"), b.neuron("m")
	if owner.Incentive < 3*m.Incentive-3 || owner.ServerEmission == 0 {
		t.Fatalf("incentives %d and %d; the test needs 3 to 1", owner.Incentive, m.Incentive)
	}
	if owner.Claimable != 0 || m.Claimable == 0 {
		t.Errorf("the owner can claim %d and the miner %d, want nothing and something", owner.Claimable, m.Claimable)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch - 1)
	var returned string
	for _, e := range b.block().Events {
		for _, a := range e.Attributes {
			if e.Type == "plexus.subnet.v1.EventEpoch" && a.Key == "epoch" {
				returned = a.Value
			}
		}
	}
	want := fmt.Sprintf(`"returned":"%d"`, b.neuron("owner").ServerEmission)
	if !strings.Contains(returned, want) {
		t.Errorf("the epoch's event is %.300s…, want it to hold %s", returned, want)
	}
}

func TestSubnetChangesHands(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, []string{"heir", "stranger"}, nil)
	owner, heir, stranger := b.person("owner"), b.person("heir"), b.person("stranger")
	offer := func(p *person, to string) string {
		return b.do(p, &subnetv1.MsgOfferSubnet{Authority: p.String(), Netuid: 1, Heir: to})
	}
	accept := func(p *person) string {
		return b.do(p, &subnetv1.MsgAcceptSubnet{Account: p.String(), Netuid: 1})
	}
	for _, c := range []struct{ name, want, got string }{
		{"stranger offers", "only the owner", offer(stranger, heir.String())},
		{"nothing offered", "is not offered to", accept(heir)},
		{"to nobody", "bech32", offer(owner, "plx1")},
		{"to itself", "owns subnet 1 already", offer(owner, owner.String())},
		{"offer", "", offer(owner, heir.String())},
		{"stranger accepts", "is not offered to", accept(stranger)},
		{"accept", "", accept(heir)},
		{"twice", "is not offered to", accept(heir)},
		{"old owner", "only the owner", offer(owner, owner.String())},
	} {
		if c.want == "" && c.got != "" || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want it to say %q", c.name, c.got, c.want)
		}
	}
	if s := b.metagraph(1).Subnet; s.Owner != heir.String() || s.Heir != "" {
		t.Errorf("owner %s and heir %q, want %s and none", s.Owner, s.Heir, heir)
	}
	if b.ask(&subnetv1.MsgOfferSubnet{Authority: governance().String(), Netuid: 0, Heir: heir.String()}) == nil {
		t.Error("the root was offered")
	}
}

func TestIdentity(t *testing.T) {
	b := newBench(t, 1, nil, nil, nil)
	owner := b.person("owner")
	set := func(id subnetv1.Identity) string {
		return b.do(owner, &subnetv1.MsgSetIdentity{Authority: owner.String(), Netuid: 1, Identity: id})
	}
	good := subnetv1.Identity{Description: "Answers.\nOpen models only.", Url: "https://plexus.example/text", Contact: "text@plexus.example", Metadata: `{"logo":"…"}`}
	for _, c := range []struct{ name, want, got string }{
		{"no https", "not of the form https://", set(subnetv1.Identity{Url: "javascript:alert(1)"})},
		{"secret", "not of the form https://", set(subnetv1.Identity{Url: "https://user:word@plexus.example"})},
		{"long", "description has 1025 bytes; at most 1024", set(subnetv1.Identity{Description: strings.Repeat("a", 1025)})},
		{"bell", "unprintable character at byte 1", set(subnetv1.Identity{Contact: "a\a"})},
		{"lines", "unprintable character at byte 1", set(subnetv1.Identity{Contact: "a\nb"})},
		{"good", "", set(good)},
		{"too soon", "wait 99 blocks", set(good)},
	} {
		if c.want == "" && c.got != "" || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want it to say %q", c.name, c.got, c.want)
		}
	}
	if got := b.metagraph(1).Subnet.Identity; got != good {
		t.Errorf("identity %v, want %v", got, good)
	}
	b.roundTrip()
}

func TestOwnerCut(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, nil, func(o *GenesisOptions) { o.Subnets[0].Hyperparameters.OwnerCut = 11_796 })
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	before := b.claimable("owner")
	b.until(b.metagraph(1).Subnet.NextEpoch)
	cut := b.claimable("owner") - before
	var paid coin.Amount
	for _, n := range b.metagraph(1).Neurons {
		paid += coin.Amount(n.ServerEmission + n.ValidatorEmission)
	}
	if part := float64(cut) / float64(cut+paid); math.Abs(part-0.18) > 0.0001 {
		t.Errorf("the owner got %v of %v, want 18 %%", cut, cut+paid)
	}
}

func TestSplitsAreKept(t *testing.T) {
	split := []uint32{1, 2, 65532}
	b := mechanised(t, nil, split, nil)
	if got := b.metagraph(1).Subnet; got.Mechanisms != 3 || !slices.Equal(got.Split, split) {
		t.Errorf("%d mechanisms of split %v, want 3 of %v", got.Mechanisms, got.Split, split)
	}
}

func TestRotationMakesNoOwnerOfAMiner(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, nil, nil)
	owner, m := b.person("owner"), b.person("m")
	if log := b.do(owner, &subnetv1.MsgRotate{Account: owner.String(), To: m.String()}); !strings.Contains(log, "offer it the subnet first") {
		t.Errorf("a rotation of the owner to a miner: %q", log)
	}
	b.must(owner, &subnetv1.MsgOfferSubnet{Authority: owner.String(), Netuid: 1, Heir: m.String()})
	b.must(m, &subnetv1.MsgAcceptSubnet{Account: m.String(), Netuid: 1})
	if got := b.metagraph(1).Subnet.Owner; got != m.String() {
		t.Errorf("owner %s, want the miner %s, who accepted", got, m)
	}
}
