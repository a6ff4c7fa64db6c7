// Package yuma turns validators' weights into what each neuron earns.
//
// Validators send weights, their opinions of miners. At the end of each tempo
// an epoch finds the stake-weighted consensus on every miner, clips the
// weights above it, pays miners by what remains, and pays validators by the
// bonds they grew on miners before others valued them. An epoch is a pure
// function of its [Input], in integers, so that every node computes the same
// bytes, and its memory grows with the stored entries, not with neurons².
//
// The law is that of Bittensor's Yuma Consensus (opentensor/subtensor,
// epoch/run_epoch.rs), with fractions of 64 bits, exact stake in the median,
// and every unit of the emission accounted for. Start at [Epoch].
package yuma

import (
	"errors"
	"fmt"
	"math"

	"github.com/plexus-network/plexus/coin"
)

// UID is a neuron's slot in its subnet, below [MaxNeurons].
type UID uint16

// Netuid is a subnet's number. Subnet 0 is the root.
type Netuid uint16

// Height is a block of the chain, counted from 1; 0 is before the first.
type Height uint64

// Blocks is a number of blocks.
type Blocks uint64

// Add returns the height b blocks later, or the greatest height there is.
func (h Height) Add(b Blocks) Height {
	if sum := h + Height(b); sum >= h {
		return sum
	}
	return math.MaxUint64
}

// Since returns how many blocks h is past then, and 0 if it is not.
func (h Height) Since(then Height) Blocks {
	if h < then {
		return 0
	}
	return Blocks(h - then)
}

// MaxNeurons is how many neurons a subnet can have.
const MaxNeurons = 4096

// Rule is how bonds grow. The zero value is [Yuma3].
type Rule uint8

// Yuma3 keeps a bond per validator and miner, whatever the stake. Yuma2 shares
// out each miner's bonds among validators in proportion to stake.
const (
	Yuma3 Rule = iota
	Yuma2
)

// Params are a subnet's hyperparameters of the epoch. Fields of 16 bits are
// proportions of 65535. Start from [DefaultParams]; the zero value is valid
// but leaves no validator a permit.
type Params struct {
	Kappa          uint16      // stake that must back a weight for it to count
	BondsPenalty   uint16      // β: how much of the weight above consensus earns no bond
	BondsAverage   uint32      // millionths of an old bond that stay per epoch, at most 10⁶
	Rule           Rule        // how bonds grow
	LiquidAlpha    bool        // bonds move faster on miners that were found early; Yuma3 only
	AlphaLow       uint16      // slowest liquid alpha
	AlphaHigh      uint16      // fastest liquid alpha, at least AlphaLow
	AlphaSteepness int16       // slope of liquid alpha, in hundredths
	MaxValidators  uint16      // permits, besides that of the owner
	StakeThreshold coin.Amount // less stake than this counts as none
	ActivityCutoff Blocks      // a validator that sent no weights for longer is inactive
	OwnerCut       uint16      // part of the emission that goes to the subnet's owner
}

// DefaultParams returns what a new subnet starts with.
func DefaultParams() Params {
	return Params{
		Kappa:          32767,
		BondsPenalty:   math.MaxUint16,
		BondsAverage:   900_000,
		AlphaLow:       45875,
		AlphaHigh:      58982,
		AlphaSteepness: 1000,
		MaxValidators:  64,
		ActivityCutoff: 5000,
	}
}

// Validate tells which hyperparameter is out of its bounds, if any.
func (p Params) Validate() error {
	switch {
	case p.BondsAverage > 1e6:
		return fmt.Errorf("bonds average of %d millionths exceeds 1000000", p.BondsAverage)
	case p.Rule > Yuma2:
		return fmt.Errorf("unknown rule of bonds %d", p.Rule)
	case p.AlphaLow > p.AlphaHigh:
		return fmt.Errorf("lowest alpha %d exceeds the highest %d", p.AlphaLow, p.AlphaHigh)
	case p.MaxValidators > MaxNeurons:
		return fmt.Errorf("%d validators, at most %d", p.MaxValidators, MaxNeurons)
	}
	return nil
}

// A Neuron is what an epoch must know of a registered account.
type Neuron struct {
	Stake      coin.Amount // as a validator
	Registered Height      // when it took its uid
	Updated    Height      // when it last set or committed weights
	Committed  Height      // its oldest commitment not revealed or expired; 0 means none
	Permit     bool        // whether the last epoch gave it a validator permit
	Owner      bool        // the subnet's owner: always permitted, may weigh itself, no threshold
}

// An Input is all that an epoch depends on. [Epoch] does not change it.
type Input struct {
	Block    Height      // the height of this epoch
	Previous Height      // the height of the last epoch; 0 means none
	Tempo    Blocks      // blocks between epochs
	Emission coin.Amount // to be shared out, with what earlier epochs left over
	Params   Params
	Neurons  []Neuron // by uid
	Weights  []Row    // by uid; nil where a neuron set none; may be shorter than Neurons
	Bonds    []Row    // as returned by the last epoch, by the same rules
}

// An Outcome is what an epoch makes of one neuron. Fields of 16 bits are
// proportions of 65535, rounded down.
type Outcome struct {
	Stake          uint16 // its share of the subnet's stake
	Consensus      uint16 // the weight that stake of Kappa agrees it deserves at least
	Incentive      uint16 // its share of the miners' reward; ranks are the same number
	Dividends      uint16 // its share of the validators' reward
	ValidatorTrust uint16 // how much of its weights consensus let stand
	Trust          uint16 // how much of the weights given to it consensus let stand

	Active bool // whether its weights are recent enough for its stake to count
	Permit bool // whether it is a validator from now on

	Mined     coin.Amount // earned by incentive
	Validated coin.Amount // earned by dividends
}

// Emission returns all that the neuron earned.
func (o Outcome) Emission() coin.Amount { return o.Mined + o.Validated }

// A Result is what an epoch computed. Mined and Validated of all neurons,
// OwnerCut and Remainder add up to the emission to the unit.
type Result struct {
	Neurons   []Outcome // by uid
	Bonds     []Row     // by uid, to be stored; nil without a new permit
	OwnerCut  coin.Amount
	Remainder coin.Amount // what rounding left; the caller adds it to the next emission
}

// ErrInput means that an epoch cannot be computed from its input.
var ErrInput = errors.New("yuma: bad input")
