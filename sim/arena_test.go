package sim

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// arenaTempo is the tempo of an arena.
const arenaTempo = 10

// An arena is a chain with one subnet on which somebody attacks. Uids 0, 1, …
// are the validators, and those that follow the miners.
type arena struct {
	*Chain
	t          *testing.T
	rng        *rand.Rand
	validators []*Person
	miners     int
	hidden     bool // weights are committed and revealed
	secrets    map[string]*subnetv1.MsgRevealWeights

	mined, validated []uint64 // by uid, since the beginning
}

// newArena starts a chain of validators of 1,000 PLX each.
func newArena(t *testing.T, validators, miners int, change func(*subnetv1.Hyperparameters)) *arena {
	t.Helper()
	return editedArena(t, validators, miners, change, nil)
}

// editedArena is an arena whose genesis is edited.
func editedArena(t *testing.T, validators, miners int, change func(*subnetv1.Hyperparameters), edit func(map[string]json.RawMessage) error) *arena {
	t.Helper()
	a := &arena{t: t, rng: rand.New(rand.NewPCG(1, 2)), miners: miners, secrets: map[string]*subnetv1.MsgRevealWeights{}}
	h := subnet.DefaultHyperparameters()
	h.Tempo, h.WeightsRateLimit, h.ActivityCutoff = arenaTempo, 1, 139 // 13.9 tempos, as by default
	if change != nil {
		change(&h)
	}
	a.hidden = h.CommitReveal
	s := chain.GenesisSubnet{Kind: "text", Owner: NewPerson("owner").Address(), Hyperparameters: &h}
	var o chain.GenesisOptions
	for i := range validators {
		p := NewPerson(fmt.Sprint("v", i))
		a.validators = append(a.validators, p)
		o.Validators = append(o.Validators, chain.GenesisValidator{Moniker: p.Name(), Operator: p.Address(), Key: p.Consensus(0)})
		s.Neurons = append(s.Neurons, chain.GenesisNeuron{Account: p.Address()})
	}
	for i := range miners {
		s.Neurons = append(s.Neurons, chain.GenesisNeuron{Account: NewPerson(fmt.Sprint("m", i)).Address()})
	}
	a.mined, a.validated = make([]uint64, len(s.Neurons)), make([]uint64, len(s.Neurons))
	o.Subnets = []chain.GenesisSubnet{s}
	p := NewPerson("bank")
	o.Accounts = []chain.GenesisAccount{{Address: p.Address(), Balance: 1_000_000 * coin.PLX}}
	var err error
	if a.Chain, err = NewChain(o, a.validators, edit); err != nil {
		t.Fatal(err)
	}
	a.block()
	return a
}

// block makes a block in which all of txs must succeed.
func (a *arena) block(txs ...[]byte) {
	a.t.Helper()
	done, err := a.Block(txs...)
	if err != nil {
		a.t.Fatal(err)
	}
	for i, r := range done.TxResults {
		if r.Code != 0 {
			a.t.Fatalf("block %d, transaction %d: %s", a.height-1, i, r.Log)
		}
	}
}

// sign returns a transaction without a fee.
func (a *arena) sign(p *Person, msg sdk.Msg) []byte {
	a.t.Helper()
	tx, err := a.Sign(p, 0, msg)
	if err != nil {
		a.t.Fatal(err)
	}
	return tx
}

// metagraph returns the subnet's state.
func (a *arena) metagraph() *subnetv1.QueryMetagraphResponse {
	a.t.Helper()
	m := &subnetv1.QueryMetagraphResponse{}
	if err := a.Query("/plexus.subnet.v1.Query/Metagraph", &subnetv1.QueryMetagraphRequest{Netuid: 1}, m); err != nil {
		a.t.Fatal(err)
	}
	return m
}

// rows returns the weights that anybody can read, by validator.
func (a *arena) rows() [][]float64 {
	a.t.Helper()
	r := &subnetv1.QueryWeightsResponse{}
	if err := a.Query("/plexus.subnet.v1.Query/Weights", &subnetv1.QueryWeightsRequest{Netuid: 1}, r); err != nil {
		a.t.Fatal(err)
	}
	rows := make([][]float64, len(a.validators))
	for _, row := range r.Rows {
		rows[row.Uid] = make([]float64, a.miners)
		for i, uid := range row.Uids {
			rows[row.Uid][int(uid)-len(a.validators)] = float64(row.Values[i])
		}
	}
	return rows
}

// message returns the weights that a validator is to set.
func (a *arena) message(validator int, opinion []float64) *subnetv1.MsgRevealWeights {
	m := &subnetv1.MsgRevealWeights{Account: a.validators[validator].Address(), Netuid: 1, Salt: []byte("salt")}
	top := slices.Max(opinion)
	for i, w := range opinion {
		m.Uids = append(m.Uids, uint32(len(a.validators)+i))
		m.Weights = append(m.Weights, uint32(math.Round(w/max(top, 1e-9)*math.MaxUint16)))
	}
	return m
}

// speak makes a block in which validators set weights, or commit to them.
func (a *arena) speak(opinions map[int][]float64) {
	a.t.Helper()
	var txs [][]byte
	for i, p := range a.validators {
		opinion := opinions[i]
		if opinion == nil {
			continue
		}
		m := a.message(i, opinion)
		if !a.hidden {
			txs = append(txs, a.sign(p, &subnetv1.MsgSetWeights{Account: m.Account, Netuid: 1, Uids: m.Uids, Weights: m.Weights}))
			continue
		}
		hash, err := Commitment(p, len(a.mined), m)
		if err != nil {
			a.t.Fatal(err)
		}
		a.secrets[p.Address()] = m
		txs = append(txs, a.sign(p, &subnetv1.MsgCommitWeights{Account: m.Account, Netuid: 1, Hash: hash}))
	}
	a.block(txs...)
}

// reveal makes a block in which all reveal what they committed to in the epoch
// before.
func (a *arena) reveal() {
	a.t.Helper()
	var txs [][]byte
	for _, p := range a.validators {
		if m := a.secrets[p.Address()]; m != nil {
			txs = append(txs, a.sign(p, m))
		}
	}
	clear(a.secrets)
	a.block(txs...)
}

// settle makes blocks until the epoch has run, and adds up what it paid.
func (a *arena) settle() {
	a.t.Helper()
	for next := a.metagraph().Subnet.NextEpoch; a.height <= next; {
		a.block()
	}
	for i, n := range a.metagraph().Neurons {
		a.mined[i] += n.ServerEmission
		a.validated[i] += n.ValidatorEmission
	}
}

// forget starts to count anew.
func (a *arena) forget() { clear(a.mined); clear(a.validated) }

// sum adds up the amounts of some uids.
func sum(amounts []uint64, from, to int) float64 {
	var all uint64
	for _, x := range amounts[from:to] {
		all += x
	}
	return float64(all)
}

// noisy returns what a validator measures of qualities, by up to part too much
// or too little.
func (a *arena) noisy(quality []float64, part float64) []float64 {
	seen := make([]float64, len(quality))
	for i, q := range quality {
		seen[i] = q * (1 + part*(2*a.rng.Float64()-1))
	}
	return seen
}
