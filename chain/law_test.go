package chain

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

func TestFriendVoteIsClipped(t *testing.T) {
	b := newBench(t, 4, []string{"honest", "friend"}, nil, nil)
	for _, v := range b.validators[:3] {
		b.must(v, b.weigh(1, v, "honest", 1))
	}
	crook := b.validators[3]
	b.must(crook, b.weigh(1, crook, "friend", 1))
	b.until(5 * tempo)

	honest, friend := b.neuron("honest"), b.neuron("friend")
	if friend.Consensus != 0 || friend.Incentive != 0 || friend.Claimable != 0 {
		t.Errorf("friend has consensus %d, incentive %d, claimable %d; want nothing: a quarter of the stake voted for it",
			friend.Consensus, friend.Incentive, friend.Claimable)
	}
	if honest.Incentive != 65535 {
		t.Errorf("honest miner has incentive %d, want all of it", honest.Incentive)
	}
	fair, unfair := b.neuron("v0"), b.neuron("v3")
	if unfair.ValidatorTrust != 0 || unfair.Dividends != 0 || fair.Dividends == 0 {
		t.Errorf("the friend's validator has trust %d and dividends %d, an honest one dividends %d; want 0, 0 and more",
			unfair.ValidatorTrust, unfair.Dividends, fair.Dividends)
	}
}

func TestPermitsLagOneEpoch(t *testing.T) {
	b := newBench(t, 4, []string{"m"}, nil, nil)
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if m := b.neuron("m"); m.Incentive != 0 || !b.neuron("v0").Permit {
		t.Errorf("first epoch: incentive %d and permit %v; want none, for permits were given by it", m.Incentive, b.neuron("v0").Permit)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if m := b.neuron("m"); m.Incentive != 65535 {
		t.Errorf("second epoch: incentive %d, want 65535", m.Incentive)
	}
}

func TestSharesFollowRootWeights(t *testing.T) {
	b := newBench(t, 4, []string{"m"}, []string{"builder"}, nil)
	shares := func() (one, two uint64) { return b.metagraph(1).Subnet.Share, b.metagraph(2).Subnet.Share }
	builder := b.person("builder")
	b.must(builder, &subnetv1.MsgRegisterSubnet{Owner: builder.String(), Kind: "text", Name: "second", MaxPrice: nplx(100 * coin.PLX)})
	if one, two := shares(); one != two || one < 1<<62 {
		t.Errorf("shares %d and %d without weights; want equal halves", one, two)
	}
	for _, v := range b.validators[:3] {
		b.must(v, &subnetv1.MsgSetWeights{Account: v.String(), Netuid: subnet.Root, Uids: []uint32{1, 2}, Weights: []uint32{1, 3}})
	}
	b.until(b.metagraph(subnet.Root).Subnet.NextEpoch)
	one, two := shares()
	if ratio := float64(two) / float64(one); ratio < 2.999 || ratio > 3.001 {
		t.Errorf("shares %d and %d after weights of 1 to 3", one, two)
	}
	if n := b.metagraph(subnet.Root).Subnet.Neurons; n != 3 {
		t.Errorf("the root has %d members, want the 3 who spoke", n)
	}
	log := b.do(b.validators[0], &subnetv1.MsgSetWeights{Account: b.validators[0].String(), Netuid: subnet.Root, Uids: []uint32{9}, Weights: []uint32{1}})
	if log == "" {
		t.Error("weights on a subnet that does not exist were accepted")
	}
}

// commitment returns the hash that hides weights.
func commitment(p *person, netuid uint32, uid, weight uint16, salt []byte) []byte {
	b := binary.BigEndian.AppendUint32(p.address().Bytes(), netuid)
	b = yuma.AppendRow(b, yuma.Row{{UID: yuma.UID(uid), Value: weight}})
	b = binary.BigEndian.AppendUint64(b, 0)
	sum := sha256.Sum256(append(b, salt...))
	return sum[:]
}

// commitMsg returns the message by which p commits to a single weight.
func commitMsg(p *person, uid uint32) *subnetv1.MsgCommitWeights {
	return &subnetv1.MsgCommitWeights{Account: p.String(), Netuid: 1, Hash: commitment(p, 1, uint16(uid), 65535, []byte("salt"))}
}

// revealMsg returns the message that reveals what commitMsg committed to.
func revealMsg(p *person, uid uint32) *subnetv1.MsgRevealWeights {
	return &subnetv1.MsgRevealWeights{Account: p.String(), Netuid: 1, Uids: []uint32{uid}, Weights: []uint32{7}, Salt: []byte("salt")}
}

// hiddenWeights is a bench whose subnet is full and hides weights, after its
// first epoch. That paid validators only, so the miner is the next to go.
func hiddenWeights(t *testing.T) *bench {
	b := newBench(t, 3, []string{"m"}, []string{"late"}, func(o *GenesisOptions) {
		h := o.Subnets[0].Hyperparameters
		h.CommitReveal, h.MaxUids, h.ImmunityPeriod = true, 4, 0
	})
	b.until(b.metagraph(1).Subnet.NextEpoch)
	return b
}

func TestCommitReveal(t *testing.T) {
	b := hiddenWeights(t)
	v, m := b.validators[0], b.uid(1, "m")
	if log := b.do(v, b.weigh(1, v, "m", 1)); !strings.Contains(log, "commit them") {
		t.Errorf("open weights: %q; want to be told to commit", log)
	}
	b.must(v, commitMsg(v, m))
	if log := b.do(v, revealMsg(v, m)); !strings.Contains(log, "no commit is due") {
		t.Errorf("early reveal: %q", log)
	}
	if log := b.do(v, commitMsg(v, m)); !strings.Contains(log, "committed in this epoch already: wait") {
		t.Errorf("second commit: %q", log)
	}
	b.until(b.metagraph(1).Subnet.NextEpoch)
	wrong := revealMsg(v, m)
	wrong.Salt = []byte("other")
	if log := b.do(v, wrong); !strings.Contains(log, "not what was committed") {
		t.Errorf("wrong salt: %q", log)
	}
	b.must(v, revealMsg(v, m))
	if log := b.do(v, revealMsg(v, m)); !strings.Contains(log, "no commit is due") {
		t.Errorf("second reveal: %q", log)
	}

	// A commit that nobody reveals expires.
	b.must(v, commitMsg(v, m))
	b.until(b.metagraph(1).Subnet.NextEpoch)
	b.until(b.metagraph(1).Subnet.NextEpoch)
	if log := b.do(v, revealMsg(v, m)); !strings.Contains(log, "no commit is due") {
		t.Errorf("late reveal: %q", log)
	}
}

func TestScenarioUIDReusedBetweenCommitAndReveal(t *testing.T) {
	for _, taken := range []bool{false, true} {
		b := hiddenWeights(t)
		m := b.uid(1, "m")
		for _, v := range b.validators {
			b.must(v, commitMsg(v, m))
		}
		name, want := "m", uint32(65535)
		if taken { // between commit and reveal, somebody takes the slot
			late := b.person("late")
			b.must(late, &subnetv1.MsgRegisterNeuron{Account: late.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
			if name, want = "late", 0; b.uid(1, name) != m {
				t.Fatalf("late got uid %d, want the miner's, %d", b.uid(1, name), m)
			}
		}
		b.until(b.metagraph(1).Subnet.NextEpoch)
		for _, v := range b.validators {
			b.must(v, revealMsg(v, m))
			b.must(v, commitMsg(v, m)) // speaking again does not make old weights new
		}
		b.until(b.metagraph(1).Subnet.NextEpoch)
		if got := b.neuron(name).Incentive; got != want {
			t.Errorf("slot taken %v: incentive %d, want %d", taken, got, want)
		}
	}
}

func TestSlotStartsAfresh(t *testing.T) {
	b := newBench(t, 4, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.MaxUids = 5
		o.Subnets[0].Hyperparameters.ImmunityPeriod = 0
	})
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
	}
	b.until(3 * tempo)
	// The miner has earned most; a validator, the worst of the others, goes.
	rich := b.person("rich")
	b.must(rich, &subnetv1.MsgRegisterNeuron{Account: rich.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)})
	got := b.neuron("rich")
	if got.Permit || got.Stake != 0 || got.ValidatorEmission != 0 || got.Neuron.LastUpdate != 0 {
		t.Errorf("a new neuron starts as %+v; want nothing of its predecessor", got)
	}
	views := &subnetv1.QueryWeightsResponse{}
	b.query("/plexus.subnet.v1.Query/Weights", &subnetv1.QueryWeightsRequest{Netuid: 1}, views)
	if len(views.Rows) != 3 {
		t.Errorf("%d rows of weights, want those of the 3 validators left", len(views.Rows))
	}
}

func TestRegistrationPrice(t *testing.T) {
	b := newBench(t, 1, nil, []string{"a", "b", "c"}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.BurnMin = uint64(coin.PLX)
		o.Subnets[0].Hyperparameters.BurnHalfLife = 0
	})
	quote := func() coin.Amount {
		p := &subnetv1.QueryPriceResponse{}
		b.query("/plexus.subnet.v1.Query/Price", &subnetv1.QueryPriceRequest{Netuid: 1}, p)
		return coin.Amount(p.Price.Amount.Uint64())
	}
	register := func(who string, most coin.Amount) string {
		p := b.person(who)
		return b.do(p, &subnetv1.MsgRegisterNeuron{Account: p.String(), Netuid: 1, MaxPrice: nplx(most)})
	}
	before := b.schedule()
	if log := register("a", quote()); log != "" {
		t.Fatal(log)
	}
	if got := quote(); got != coin.PLX*126/100 {
		t.Errorf("price %v after one registration, want 1.26plx", got)
	}
	if log := register("b", coin.PLX); !strings.Contains(log, "price is 1.26plx, above your max 1plx") {
		t.Errorf("too dear: %q", log)
	}
	if log := register("a", 5*coin.PLX); !strings.Contains(log, "has a neuron on subnet 1 already") {
		t.Errorf("twice: %q", log)
	}
	if got := b.schedule().Burned - before.Burned; got != uint64(coin.PLX) {
		t.Errorf("burned %d, want 1 PLX", got)
	}
}

func TestQuoteHoldsInTheNextBlock(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, string(rune('a'+i)))
	}
	b := newBench(t, 1, nil, names, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.BurnMin = uint64(coin.PLX)
		o.Subnets[0].Hyperparameters.MaxUids = 64
	})
	for _, name := range names {
		p := &subnetv1.QueryPriceResponse{}
		b.query("/plexus.subnet.v1.Query/Price", &subnetv1.QueryPriceRequest{Netuid: 1}, p)
		who := b.person(name)
		if log := b.do(who, &subnetv1.MsgRegisterNeuron{Account: who.String(), Netuid: 1, MaxPrice: p.Price}); log != "" {
			t.Fatalf("quoted %v: %s", p.Price, log)
		}
	}
}

func TestWeightsAreRefused(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, nil, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.WeightsRateLimit = 40
		o.Subnets[0].Hyperparameters.WeightsVersion = 3
	})
	v := b.validators[0]
	set := func(p *person, version uint64, uids, weights []uint32) string {
		return b.do(p, &subnetv1.MsgSetWeights{Account: p.String(), Netuid: 1, Uids: uids, Weights: weights, Version: version})
	}
	for _, c := range []struct {
		name, want, got string
	}{
		{"old version", "asks for 3", set(v, 2, []uint32{2}, []uint32{1})},
		{"unknown uid", "uid 7", set(v, 3, []uint32{7}, []uint32{1})},
		{"huge uid", "no uid 70000", set(v, 3, []uint32{70000}, []uint32{1})},
		{"huge weight", "at most 65535", set(v, 3, []uint32{2}, []uint32{65536})},
		{"twice", "uid 2", set(v, 3, []uint32{2, 2}, []uint32{1, 1})},
		{"lengths", "uids but", set(v, 3, []uint32{1, 2}, []uint32{1})},
		{"no stake", "has no stake", set(b.person("m"), 3, []uint32{0}, []uint32{1})},
		{"good", "", set(v, 3, []uint32{2}, []uint32{1})},
		{"too soon", "wait 39 blocks", set(v, 3, []uint32{2}, []uint32{1})},
	} {
		if c.want == "" && c.got != "" || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want it to say %q", c.name, c.got, c.want)
		}
	}
}

func TestAxon(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, nil, nil)
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m := b.person("m")
	sign := func(netuid uint32) []byte {
		proof, err := key.Sign(subnet.AxonStatement("plexus-test", netuid, m.address()))
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	msg := func(id string, proof []byte) *subnetv1.MsgUpdateAxon {
		return &subnetv1.MsgUpdateAxon{Account: m.String(), Netuid: 1, PeerId: id, Protocols: []string{"/plexus/axon/1.0.0"}, Proof: proof}
	}
	if log := b.do(m, msg(id.String(), sign(2))); !strings.Contains(log, "not the peer key's signature") {
		t.Errorf("proof for another subnet: %q", log)
	}
	if log := b.do(m, msg("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", nil)); !strings.Contains(log, "Ed25519") {
		t.Errorf("RSA peer: %q", log)
	}
	if log := b.do(m, msg("garbage", nil)); log == "" {
		t.Error("garbage was accepted")
	}
	b.must(m, msg(id.String(), sign(1)))
	if got := b.neuron("m").Neuron.Axon.PeerId; got != id.String() {
		t.Errorf("peer id %q, want %q", got, id)
	}
}

func TestHyperparameters(t *testing.T) {
	b := newBench(t, 1, nil, []string{"stranger"}, nil)
	owner := b.person("owner")
	update := func(p *person, bulk string) string {
		return b.do(p, &subnetv1.MsgUpdateSubnet{Authority: p.String(), Netuid: 1, Hyperparameters: bulk})
	}
	b.until(b.metagraph(1).Subnet.NextEpoch) // far from the next
	for _, c := range []struct{ name, want, got string }{
		{"stranger", "only the owner", update(b.person("stranger"), `{"kappa":1}`)},
		{"unknown field", "unknown field", update(owner, `{"kapa":1}`)},
		{"out of bounds", "kappa is 70000; it must be from 0 to 65535", update(owner, `{"kappa":70000}`)},
		{"good", "", update(owner, `{"kappa":40000,"tempo":12}`)},
		{"too soon", "at most once in 100 blocks: wait 99 blocks", update(owner, `{"kappa":1}`)},
	} {
		if c.want == "" && c.got != "" || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want it to say %q", c.name, c.got, c.want)
		}
	}
	if h := b.metagraph(1).Subnet.Hyperparameters; h.Kappa != 40000 || h.Tempo != 12 {
		t.Errorf("kappa %d and tempo %d, want 40000 and 12", h.Kappa, h.Tempo)
	}
	b.until(b.app.LastBlockHeight() + 100)
	b.until(b.metagraph(1).Subnet.NextEpoch - 3)
	if log := update(owner, `{"kappa":1}`); !strings.Contains(log, "frozen") {
		t.Errorf("near an epoch: %q, want that it is frozen", log)
	}
}

func TestFailedEpochSkipsOneSubnet(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, nil, func(o *GenesisOptions) { o.Subnets = append(o.Subnets, o.Subnets[0]) })
	v := b.validators[0]
	b.must(v, b.weigh(1, v, "m", 1))
	b.unchecked = true
	b.corruptWeights(1)

	next := b.metagraph(1).Subnet.NextEpoch
	b.until(next - 1)
	r := b.block()
	var failed string
	for _, e := range r.Events {
		if e.Type == "plexus.subnet.v1.EventEpochFailed" {
			for _, a := range e.Attributes {
				failed += a.Key + "=" + a.Value + " "
			}
		}
	}
	if !strings.Contains(failed, "bad row") {
		t.Errorf("events tell %q, want why the epoch of subnet 1 failed", failed)
	}
	s := b.metagraph(1).Subnet
	if s.Epoch != 0 || s.Pending == 0 || s.NextEpoch != next+tempo {
		t.Errorf("epoch %d, pending %d, next at %d; want none run, its pot kept, and the next at %d", s.Epoch, s.Pending, s.NextEpoch, next+tempo)
	}
	b.until(b.metagraph(2).Subnet.NextEpoch)
	if got := b.metagraph(2).Subnet.Epoch; got != 1 {
		t.Errorf("subnet 2 ran %d epochs, want 1", got)
	}
}

// corruptWeights damages the stored weights of uid 0 in the next block.
func (b *bench) corruptWeights(netuid uint32) {
	store := b.app.CommitMultiStore().GetKVStore(b.app.keys[subnet.ModuleName])
	key := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{4}, netuid), 0)
	row := subnetv1.Row{Uid: 0, Entries: []byte{1, 2, 3}}
	bad, err := row.Marshal()
	if err != nil || !store.Has(key) {
		b.t.Fatalf("no weights to damage: %v", err)
	}
	store.Set(key, bad)
}

func TestBootstrapGivesWay(t *testing.T) {
	b := newBench(t, 2, []string{"m"}, []string{"saver"}, nil)
	for _, v := range b.validators {
		b.must(v, b.weigh(1, v, "m", 1))
	}
	genesis := b.schedule().State.Bootstrap
	if genesis != uint64(2000*coin.PLX) {
		t.Fatalf("bootstrap stake %d, want 2000 PLX", genesis)
	}
	saver := b.person("saver")
	b.must(saver, delegateMsg(saver, b.validators[0], 500*coin.PLX))
	b.until(101)
	s := b.schedule().State
	if s.BootstrapBurned != uint64(500*coin.PLX) || s.Bootstrap != genesis-uint64(500*coin.PLX) {
		t.Errorf("bootstrap %d, burned %d; want 1500 and 500 PLX", s.Bootstrap, s.BootstrapBurned)
	}
	b.must(saver, delegateMsg(saver, b.validators[1], 9000*coin.PLX))
	b.until(201)
	s = b.schedule().State
	if s.Bootstrap != 0 || s.BootstrapBurned != genesis {
		t.Errorf("bootstrap %d, burned %d; want all of it burned", s.Bootstrap, s.BootstrapBurned)
	}
	b.until(220)
	left, err := b.app.Staking.GetDelegatorDelegations(b.ctx(), authtypes.NewModuleAddress(emission.BootstrapName), 10)
	if err != nil || len(left) != 0 {
		t.Errorf("%d bootstrap delegations are left: %v", len(left), err)
	}
}
