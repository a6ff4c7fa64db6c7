package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// An Epoch is what one step's epoch computed, by uid. Fields of 16 bits are
// proportions of 65535, amounts count the smallest unit.
type Epoch struct {
	Block             yuma.Height   `json:"block"`
	Stake             []uint16      `json:"stake_weight_u16"`
	Consensus         []uint16      `json:"consensus_u16"`
	Incentive         []uint16      `json:"incentive_u16"`
	Dividends         []uint16      `json:"dividends_u16"`
	ValidatorTrust    []uint16      `json:"validator_trust_u16"`
	Rank              []uint16      `json:"rank_u16"` // the same as incentive
	Trust             []uint16      `json:"trust_u16"`
	Permit            []bool        `json:"validator_permit"` // for the next epoch
	Emission          []coin.Amount `json:"emission"`
	ServerEmission    []coin.Amount `json:"server_emission"`
	ValidatorEmission []coin.Amount `json:"validator_emission"`
	Remainder         coin.Amount   `json:"remainder"` // emission that rounding left over
	Bonds             [][3]uint16   `json:"bonds_u16"` // validator, miner, stored bond
}

// Run plays the scenario and returns its epochs, one per step. In the dense
// variant the subnet's owner has no privileges.
func (s *Scenario) Run(dense bool) ([]Epoch, error) {
	st, err := newState(s, dense)
	if err != nil {
		return nil, fmt.Errorf("scenario %q: %w", s.ID, err)
	}
	epochs := make([]Epoch, 0, len(s.Steps))
	for k, step := range s.Steps {
		e, err := st.step(step)
		if err != nil {
			return nil, fmt.Errorf("scenario %q: step %d: %w", s.ID, k+1, err)
		}
		epochs = append(epochs, e)
	}
	return epochs, nil
}

// state is a subnet between two steps.
type state struct {
	params  params
	dense   bool
	neurons []yuma.Neuron
	weights []yuma.Row
	bonds   []yuma.Row
}

// newState returns the subnet at the start of s.
func newState(s *Scenario, dense bool) (*state, error) {
	st := &state{
		params:  s.Params,
		dense:   dense,
		neurons: make([]yuma.Neuron, s.N),
		weights: make([]yuma.Row, s.N),
		bonds:   make([]yuma.Row, s.N),
	}
	return st, st.set(s.Initial)
}

// set overwrites the neurons with the values that are given.
func (st *state) set(given initial) error {
	n := len(st.neurons)
	if err := given.Stake.each(n, func(i yuma.UID, v coin.Amount) { st.neurons[i].Stake = v }); err != nil {
		return fmt.Errorf("stake: %w", err)
	}
	if err := given.Registered.each(n, func(i yuma.UID, v yuma.Height) { st.neurons[i].Registered = v }); err != nil {
		return fmt.Errorf("block_at_registration: %w", err)
	}
	if err := given.Updated.each(n, func(i yuma.UID, v yuma.Height) { st.neurons[i].Updated = v }); err != nil {
		return fmt.Errorf("last_update: %w", err)
	}
	if err := given.Permit.each(n, func(i yuma.UID, v bool) { st.neurons[i].Permit = v }); err != nil {
		return fmt.Errorf("validator_permit: %w", err)
	}
	zero := -1
	commit := func(i yuma.UID, v *yuma.Height) {
		if v != nil && *v == 0 {
			zero = int(i)
		}
		st.neurons[i].Committed = value(v, 0)
	}
	if err := given.Committed.each(n, commit); err != nil {
		return fmt.Errorf("commit_block: %w", err)
	}
	if zero >= 0 {
		return fmt.Errorf("commit_block: uid %d has block 0; write null for none", zero)
	}
	return nil
}

// step applies the events of a step and runs its epoch.
func (st *state) step(step Step) (Epoch, error) {
	for k, o := range step.Ops {
		if err := st.apply(o); err != nil {
			return Epoch{}, fmt.Errorf("op %d (%s): %w", k+1, o.Name, err)
		}
	}
	p := step.Params.over(st.params)
	if err := st.own(p.Owner); err != nil {
		return Epoch{}, err
	}
	in := yuma.Input{
		Block:    *step.Block,
		Previous: value(p.LastStep, 0),
		Tempo:    value(p.Tempo, 360),
		Emission: *step.Emission,
		Params:   p.law(),
		Neurons:  st.neurons,
		Weights:  st.weights,
		Bonds:    st.bonds,
	}
	result, err := yuma.Epoch(&in)
	if err != nil {
		return Epoch{}, err
	}
	st.bonds = result.Bonds
	for i, o := range result.Neurons {
		st.neurons[i].Permit = o.Permit
	}
	return newEpoch(in.Block, result), nil
}

// own makes the neuron at uid the owner, and nobody if uid is nil.
func (st *state) own(uid *yuma.UID) error {
	if uid != nil && int(*uid) >= len(st.neurons) {
		return fmt.Errorf("owner_uid %d in a subnet of %d neurons", *uid, len(st.neurons))
	}
	for i := range st.neurons {
		st.neurons[i].Owner = !st.dense && uid != nil && int(*uid) == i
	}
	return nil
}

// apply lets one event happen.
func (st *state) apply(o op) error {
	if o.Name == "set_weights" {
		return st.setWeights(o)
	}
	if o.Name == "set" {
		return st.setField(o)
	}
	if o.UID == nil {
		return errors.New("uid is missing")
	}
	if err := st.known(*o.UID); err != nil {
		return err
	}
	uid := *o.UID
	switch o.Name {
	case "replace_neuron":
		if o.Block == nil {
			return errors.New("block is missing")
		}
		st.neurons[uid] = yuma.Neuron{Stake: o.Stake, Registered: *o.Block, Updated: *o.Block}
		st.weights[uid], st.bonds[uid] = nil, nil
		dropColumn(st.weights, uid)
	case "add_stake":
		sum, err := st.neurons[uid].Stake.Add(o.Amount)
		if err != nil {
			return err
		}
		st.neurons[uid].Stake = sum
	case "reset_bonds":
		dropColumn(st.bonds, uid)
	default:
		return errors.New("unknown; there are set_weights, replace_neuron, add_stake, reset_bonds and set")
	}
	return nil
}

// setWeights gives every validator that is named the same weights.
func (st *state) setWeights(o op) error {
	if o.Block == nil {
		return errors.New("block is missing")
	}
	if len(o.UIDs) == 0 {
		return errors.New("uids is missing or empty: name the validators, as in [0, 1]")
	}
	for _, uid := range o.UIDs {
		if err := st.known(uid); err != nil {
			return err
		}
		row, err := yuma.NewWeights(uid, o.Dests, o.Values, len(st.neurons), 0)
		if err != nil {
			return err
		}
		st.weights[uid], st.neurons[uid].Updated = row, *o.Block
	}
	return nil
}

// setField overwrites one field of the neurons.
func (st *state) setField(o op) error {
	raw, err := json.Marshal(map[string]json.RawMessage{o.Field: o.Value})
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	var given initial
	if err := strict(raw, &given); err != nil {
		return err
	}
	return st.set(given)
}

// known tells whether uid is a neuron's.
func (st *state) known(uid yuma.UID) error {
	if int(uid) >= len(st.neurons) {
		return fmt.Errorf("uid %d in a subnet of %d neurons", uid, len(st.neurons))
	}
	return nil
}

// dropColumn removes all entries on miner j.
func dropColumn(rows []yuma.Row, j yuma.UID) {
	for i, row := range rows {
		rows[i] = slices.DeleteFunc(slices.Clone(row), func(e yuma.Entry) bool { return e.UID == j })
	}
}

// newEpoch lays out a result by field.
func newEpoch(block yuma.Height, r *yuma.Result) Epoch {
	e := Epoch{Block: block, Remainder: r.Remainder, Bonds: [][3]uint16{}}
	for i, o := range r.Neurons {
		e.Stake = append(e.Stake, o.Stake)
		e.Consensus = append(e.Consensus, o.Consensus)
		e.Incentive = append(e.Incentive, o.Incentive)
		e.Dividends = append(e.Dividends, o.Dividends)
		e.ValidatorTrust = append(e.ValidatorTrust, o.ValidatorTrust)
		e.Rank = append(e.Rank, o.Incentive)
		e.Trust = append(e.Trust, o.Trust)
		e.Permit = append(e.Permit, o.Permit)
		e.Emission = append(e.Emission, o.Emission())
		e.ServerEmission = append(e.ServerEmission, o.Mined)
		e.ValidatorEmission = append(e.ValidatorEmission, o.Validated)
		for _, b := range r.Bonds[i] {
			e.Bonds = append(e.Bonds, [3]uint16{uint16(i), uint16(b.UID), b.Value})
		}
	}
	return e
}
