package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// A storm begins with so many people. The first two of the rich may become
// validators.
const (
	founders = 6
	richMen  = 10
	poorMen  = 6
)

// newStorm returns a chain before its first block.
func newStorm(seed uint64) (*Storm, error) {
	s := &Storm{
		Report: Report{Done: map[string]int{}, Refused: map[string]int{}, Ended: map[string]int{}},
		rng:    rand.New(rand.NewPCG(seed, 1)),
		crew:   map[string]*Person{},
	}
	o := chain.GenesisOptions{Unbonding: time.Hour}
	for i := range founders {
		p := s.join(fmt.Sprint("v", i), &o, 1000*coin.PLX)
		s.operators = append(s.operators, p)
		o.Validators = append(o.Validators, chain.GenesisValidator{Moniker: p.Name(), Operator: p.Address(), Key: p.Consensus(0)})
	}
	for i := range richMen {
		s.rich = append(s.rich, s.join(fmt.Sprint("r", i), &o, 20_000*coin.PLX))
	}
	s.operators = append(s.operators, s.rich[0], s.rich[1])
	for i := range poorMen {
		s.join(fmt.Sprint("m", i), &o, coin.PLX)
	}
	o.Subnets = s.genesisSubnets()
	p := stormParams()
	o.SubnetParams = &p
	t := tradeParams()
	o.MarketParams = &t
	var err error
	if s.Chain, err = NewChain(o, s.operators, func(state map[string]json.RawMessage) error {
		return errors.Join(quickJail(state), stormCourt(state))
	}); err != nil {
		return nil, err
	}
	if s.twin, err = s.Fork(); err != nil {
		return nil, err
	}
	s.Follow = s.follow
	_, err = s.Block()
	return s, err
}

// join adds a person with coins.
func (s *Storm) join(name string, o *chain.GenesisOptions, balance coin.Amount) *Person {
	p := NewPerson(name)
	s.people = append(s.people, p)
	s.crew[p.Address()] = p
	o.Accounts = append(o.Accounts, chain.GenesisAccount{Address: p.Address(), Balance: balance})
	return p
}

// genesisSubnets returns three subnets of different laws, with the founders
// and the poor as neurons.
func (s *Storm) genesisSubnets() []chain.GenesisSubnet {
	var neurons []chain.GenesisNeuron
	for _, p := range append(s.people[:founders:founders], s.people[founders+richMen:]...) {
		neurons = append(neurons, chain.GenesisNeuron{Account: p.Address()})
	}
	open, hidden, old := stormHyperparameters(), stormHyperparameters(), stormHyperparameters()
	open.OwnerCut = 5000
	hidden.CommitReveal, hidden.LiquidAlpha = true, true
	old.BondRule, old.BondsPenalty, old.Kappa = subnetv1.BondRule_BOND_RULE_YUMA2, 0, 40_000
	var all []chain.GenesisSubnet
	for i, h := range []subnetv1.Hyperparameters{open, hidden, old} {
		all = append(all, chain.GenesisSubnet{
			Owner: s.rich[i].Address(), Kind: "text", Name: fmt.Sprint("subnet ", i), Hyperparameters: &h, Neurons: neurons,
		})
	}
	return all
}

// stormHyperparameters let much happen in few blocks.
func stormHyperparameters() subnetv1.Hyperparameters {
	h := subnet.DefaultHyperparameters()
	h.Tempo, h.WeightsRateLimit, h.AxonRateLimit, h.ImmunityPeriod = 10, 1, 1, 5
	h.MaxUids, h.MaxValidators, h.ActivityCutoff = 14, 8, 60
	h.WorkQuota, h.WorkMin, h.WorkHalfLife, h.WorkIncrease = 2, 2, 30, 150
	return h
}

// stormParams let subnets come, change and go in few blocks.
func stormParams() subnetv1.Params {
	p := subnet.DefaultParams()
	p.MaxSubnets, p.SubnetImmunity, p.SubnetPriceMin, p.SubnetPriceDecay = 6, 120, uint64(coin.PLX), 10
	p.EpochsPerBlock, p.Freeze, p.UpdateInterval = 2, 1, 3
	p.ChildrenDelay, p.CommitmentInterval = 5, 3
	return p
}

// quickJail makes x/slashing look at few blocks, so that validators that are
// away are jailed.
func quickJail(state map[string]json.RawMessage) error {
	var g map[string]json.RawMessage
	if err := json.Unmarshal(state[slashingtypes.ModuleName], &g); err != nil {
		return err
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(g["params"], &params); err != nil {
		return err
	}
	params["signed_blocks_window"] = json.RawMessage(`"20"`)
	params["min_signed_per_window"] = json.RawMessage(`"0.5"`)
	var err error
	if g["params"], err = json.Marshal(params); err != nil {
		return err
	}
	state[slashingtypes.ModuleName], err = json.Marshal(g)
	return err
}

// bonded tells what stake a person's validator has; 0 if there is none, or it
// is jailed or not bonded.
func (s *Storm) bonded(p *Person) math.Int {
	ctx, err := s.State()
	if err != nil {
		return math.ZeroInt()
	}
	v, err := s.App.Staking.GetValidator(ctx, p.Operator())
	if err != nil || !v.IsBonded() {
		return math.ZeroInt()
	}
	return v.Tokens
}

// someone returns an address that may be nobody's.
func (s *Storm) someone() sdk.AccAddress { return pick(s, s.people).Account() }
