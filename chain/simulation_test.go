package chain

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// A storm is a bench with people who do whatever comes to their minds.
type storm struct {
	*bench
	rng  *rand.Rand
	rich []*person
	all  []*person
}

// newStorm returns a chain of 5 validators, 2 subnets, 4 miners and 6 rich.
func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{rng: rand.New(rand.NewPCG(seed, 1))}
	names := []string{"r0", "r1", "r2", "r3", "r4", "r5"}
	s.bench = newBench(t, 5, []string{"m0", "m1", "m2", "m3"}, names, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.MaxUids = 12
		o.Subnets[0].Hyperparameters.OwnerCut = 5000
		second := o.Subnets[0]
		second.Name = "second"
		h := *second.Hyperparameters
		h.CommitReveal, h.LiquidAlpha, h.BondRule = true, true, subnetv1.BondRule_BOND_RULE_YUMA3
		second.Hyperparameters = &h
		o.Subnets = append(o.Subnets, second)
		p := subnet.DefaultParams()
		p.EpochsPerBlock, p.Freeze, p.UpdateInterval, p.SubnetPriceDecay = 1, 2, 1, 100
		p.ChildrenDelay, p.CommitmentInterval = 5, 3
		o.Subnets[0].Hyperparameters.WorkMin = 2
		o.SubnetParams = &p
	})
	for _, name := range names {
		s.rich = append(s.rich, s.person(name))
	}
	s.all = append(append(s.all, s.rich...), s.validators...)
	return s
}

// pick returns one of list.
func pick[T any](s *storm, list []T) T { return list[s.rng.IntN(len(list))] }

// whim returns a person and what it does, which may well be refused.
func (s *storm) whim() (*person, sdk.Msg) {
	rich, val, any := pick(s, s.rich), pick(s, s.validators), pick(s, s.all)
	netuid := uint32(s.rng.IntN(4))
	amount := coin.Amount(1+s.rng.IntN(300)) * coin.PLX / 3
	switch s.rng.IntN(19) {
	case 0:
		return rich, &subnetv1.MsgRegisterSubnet{Owner: rich.String(), Kind: "text", Name: fmt.Sprint("n", s.rng.IntN(9)), MaxPrice: nplx(800 * coin.PLX)}
	case 1, 2:
		return rich, &subnetv1.MsgRegisterNeuron{Account: rich.String(), Netuid: netuid, MaxPrice: nplx(amount)}
	case 3, 4, 5, 6:
		m := &subnetv1.MsgSetWeights{Account: val.String(), Netuid: netuid}
		for range 1 + s.rng.IntN(5) {
			m.Uids = append(m.Uids, uint32(s.rng.IntN(12)))
			m.Weights = append(m.Weights, uint32(s.rng.IntN(65536)))
		}
		return val, m
	case 7:
		return any, claimMsg(any)
	case 8, 9:
		return rich, delegateMsg(rich, val, amount)
	case 10:
		return rich, stakingtypes.NewMsgUndelegate(rich.String(), val.val().String(), nplx(amount))
	case 11:
		return val, distrtypes.NewMsgWithdrawValidatorCommission(val.val().String())
	case 12:
		owner := s.person("owner")
		return owner, &subnetv1.MsgUpdateSubnet{Authority: owner.String(), Netuid: netuid, Hyperparameters: fmt.Sprintf(`{"tempo":%d,"max_uids":%d}`, 8+s.rng.IntN(8), 10+s.rng.IntN(6))}
	case 13:
		m := s.lend(val, fmt.Sprint("r", s.rng.IntN(6)), 1+s.rng.IntN(30_000), fmt.Sprint("m", s.rng.IntN(4)), 1+s.rng.IntN(30_000))
		m.Netuid = netuid
		return val, m
	case 14:
		return rich, &subnetv1.MsgSetCommitment{Account: rich.String(), Netuid: netuid, Data: make([]byte, s.rng.IntN(64))}
	case 15:
		return rich, &subnetv1.MsgSetChildTake{Account: rich.String(), Netuid: netuid, Take: uint32(s.rng.IntN(12_000))}
	case 16:
		return rich, &subnetv1.MsgRotate{Account: rich.String(), To: pick(s, s.rich).String()}
	case 17:
		return rich, s.toil(rich, s.rng.IntN(4) > 0)
	default:
		return val, &subnetv1.MsgCommitWeights{Account: val.String(), Netuid: 2, Hash: make([]byte, 32)}
	}
}

func TestStormKeepsInvariants(t *testing.T) {
	s := newStorm(t, 7)
	refused, done := 0, 0
	for height := int64(2); height <= 160; height++ {
		s.absent[4] = height > 40 && height < 60
		var txs [][]byte
		used := map[*person]bool{}
		for range s.rng.IntN(5) {
			p, msg := s.whim()
			if used[p] || s.app.Accounts.GetAccount(s.ctx(), p.address()) == nil {
				continue
			}
			used[p] = true
			txs = append(txs, s.tx(p, 0, msg))
		}
		switch height {
		case 50: // v3 signs twice: slashed and jailed for ever
			s.misbehave(s.validators[3])
			continue
		case 80:
			s.step = 30e9 // a slow chain mints for 10 s per block at most
		case 90:
			s.step = 1e9
		case 100: // the process ends and starts again
			s.open()
		}
		for _, r := range s.block(txs...).TxResults {
			if r.Code == 0 {
				done++
			} else {
				refused++
			}
		}
	}
	if done < 100 || refused < 20 {
		t.Errorf("%d transactions done and %d refused; the storm is too mild", done, refused)
	}
	if m := s.metagraph(1); m.Subnet.Epoch < 10 {
		t.Errorf("subnet 1 ran %d epochs, want at least 10", m.Subnet.Epoch)
	}
	v, err := s.app.Staking.GetValidator(s.ctx(), s.validators[3].val())
	if err != nil || !v.IsJailed() {
		t.Errorf("the double signer is jailed: %v, %v", v.IsJailed(), err)
	}
	for _, n := range s.metagraph(1).Neurons { // unless it was pruned
		if n.Neuron.Account == s.validators[3].String() && n.Dividends != 0 {
			t.Errorf("the jailed validator has dividends %d", n.Dividends)
		}
	}
	s.roundTrip()
}

// misbehave makes a block with evidence that p signed twice.
func (b *bench) misbehave(p *person) {
	b.t.Helper()
	b.time = b.time.Add(b.step)
	height := b.app.LastBlockHeight() + 1
	_, err := b.app.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: height, Time: b.time, ProposerAddress: b.validators[0].cons(), DecidedLastCommit: b.votes(),
		Misbehavior: []abci.Misbehavior{{
			Type: abci.MisbehaviorType_DUPLICATE_VOTE, Validator: abci.Validator{Address: p.cons(), Power: 1},
			Height: height - 1, Time: b.time.Add(-b.step), TotalVotingPower: 5,
		}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.app.Commit(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.app.Check(b.ctx()); err != nil {
		b.t.Fatal(err)
	}
}

// roundTrip starts a second chain from the state of the first, and compares
// what both say of their own modules, at once and 30 blocks later.
func (b *bench) roundTrip() {
	b.t.Helper()
	doc, err := b.app.Export("plexus-test")
	if err != nil {
		b.t.Fatal(err)
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &state); err != nil {
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
	if _, err := twin.app.InitChain(&abci.RequestInitChain{
		ChainId: "plexus-test", Time: b.time, AppStateBytes: doc.AppState, InitialHeight: doc.InitialHeight,
		ConsensusParams: &params, Validators: validators,
	}); err != nil {
		b.t.Fatal(err)
	}
	twin.block()
	if err := twin.app.Check(twin.ctx()); err != nil {
		b.t.Fatalf("the imported chain: %v", err)
	}
	b.block()
	for range 30 {
		b.block()
		twin.block()
	}
	mine, theirs := b.export(), twin.export()
	if string(mine[subnet.ModuleName]) != string(theirs[subnet.ModuleName]) {
		b.t.Errorf("after 30 blocks the subnets differ:\n%s\n%s", mine[subnet.ModuleName], theirs[subnet.ModuleName])
	}
}
