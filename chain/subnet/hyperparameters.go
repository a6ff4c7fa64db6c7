package subnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// Bounds of what a message or a genesis may carry, in bytes.
const (
	maxName       = 64
	maxKind       = 32
	maxKindParams = 16 << 10
	maxBulk       = 4 << 10 // JSON of hyperparameters
)

// DefaultParams allow 128 subnets at 100 PLX and more.
func DefaultParams() subnetv1.Params {
	return subnetv1.Params{
		MaxSubnets:       128,
		SubnetPriceMin:   uint64(100 * coin.PLX),
		SubnetPriceDecay: 100_800,
		EpochsPerBlock:   2,
		Freeze:           10,
		MaxUids:          yuma.MaxNeurons,
		MaxOwnerCut:      11_796, // 18 %
		UpdateInterval:   100,

		CommitmentInterval: 100,
		ChildrenDelay:      7200,
		SubnetImmunity:     100_800,
	}
}

// DefaultHyperparameters are those of a new subnet.
func DefaultHyperparameters() subnetv1.Hyperparameters {
	law, price, work := yuma.DefaultParams(), coin.DefaultPrice(), coin.DefaultWork()
	return subnetv1.Hyperparameters{
		Tempo:              360,
		MaxUids:            256,
		MaxValidators:      uint32(law.MaxValidators),
		MinAllowedWeights:  1,
		WeightsRateLimit:   100,
		ActivityCutoff:     uint64(law.ActivityCutoff),
		ImmunityPeriod:     5000,
		Kappa:              uint32(law.Kappa),
		BondRule:           subnetv1.BondRule_BOND_RULE_YUMA3,
		BondsMovingAverage: law.BondsAverage,
		BondsPenalty:       uint32(law.BondsPenalty),
		AlphaLow:           uint32(law.AlphaLow),
		AlphaHigh:          uint32(law.AlphaHigh),
		AlphaSteepness:     int32(law.AlphaSteepness),
		RevealEpochs:       1,
		BurnMin:            uint64(price.Min),
		BurnMax:            uint64(price.Max),
		BurnHalfLife:       uint64(price.HalfLife),
		BurnIncrease:       price.Growth,
		AxonRateLimit:      50,
		RegistrationOpen:   true,
		WorkQuota:          1,
		WorkMin:            uint64(work.Min),
		WorkHalfLife:       uint64(work.HalfLife),
		WorkIncrease:       work.Growth,
	}
}

// A bound is the range of one parameter.
type bound struct {
	name             string
	value, low, high uint64
}

// check returns an error for the first value out of its range.
func check(bounds []bound) error {
	for _, b := range bounds {
		if b.value < b.low || b.value > b.high {
			return fmt.Errorf("%s is %d; it must be from %d to %d", b.name, b.value, b.low, b.high)
		}
	}
	return nil
}

// validateParams tells what is wrong with the module's parameters, if anything.
func validateParams(p subnetv1.Params) error {
	return check([]bound{
		{"max_subnets", uint64(p.MaxSubnets), 1, 1024},
		{"subnet_price_min", p.SubnetPriceMin, 1, uint64(coin.Cap)},
		{"subnet_price_decay", p.SubnetPriceDecay, 1, 1 << 32},
		{"epochs_per_block", uint64(p.EpochsPerBlock), 1, 64},
		{"freeze", p.Freeze, 0, 1000},
		{"max_uids", uint64(p.MaxUids), 1, yuma.MaxNeurons},
		{"max_owner_cut", uint64(p.MaxOwnerCut), 0, math.MaxUint16},
		{"update_interval", p.UpdateInterval, 0, 1 << 32},
		{"commitment_interval", p.CommitmentInterval, 0, 1 << 32},
		{"children_delay", p.ChildrenDelay, 0, 1 << 32},
		{"subnet_immunity", p.SubnetImmunity, 0, 1 << 32},
	})
}

// validate tells what is wrong with a subnet's hyperparameters, if anything.
func validate(h subnetv1.Hyperparameters, p subnetv1.Params) error {
	if err := validateWork(h); err != nil {
		return err
	}
	err := check([]bound{
		{"tempo", h.Tempo, 5, 50_400},
		{"max_uids", uint64(h.MaxUids), 1, uint64(p.MaxUids)},
		{"max_validators", uint64(h.MaxValidators), 1, uint64(p.MaxUids)},
		{"min_allowed_weights", uint64(h.MinAllowedWeights), 0, uint64(h.MaxUids)},
		{"weights_rate_limit", h.WeightsRateLimit, 1, 50_400},
		{"activity_cutoff", h.ActivityCutoff, h.Tempo, 1_000_000},
		{"immunity_period", h.ImmunityPeriod, 0, 1_000_000},
		{"kappa", uint64(h.Kappa), 0, math.MaxUint16},
		{"bonds_moving_average", uint64(h.BondsMovingAverage), 0, 1_000_000},
		{"bonds_penalty", uint64(h.BondsPenalty), 0, math.MaxUint16},
		{"alpha_high", uint64(h.AlphaHigh), 1638, math.MaxUint16},
		{"alpha_low", uint64(h.AlphaLow), 1638, uint64(h.AlphaHigh)},
		{"alpha_steepness", uint64(max(h.AlphaSteepness, -h.AlphaSteepness)), 0, 10_000},
		{"stake_threshold", h.StakeThreshold, 0, uint64(coin.Cap)},
		{"reveal_epochs", uint64(h.RevealEpochs), 1, 100},
		{"burn_max", h.BurnMax, 1, uint64(coin.Cap)},
		{"burn_min", h.BurnMin, 0, h.BurnMax},
		{"burn_half_life", h.BurnHalfLife, 0, 14_400},
		{"burn_increase", uint64(h.BurnIncrease), 100, 1000},
		{"axon_rate_limit", h.AxonRateLimit, 1, 50_400},
		{"owner_cut", uint64(h.OwnerCut), 0, uint64(p.MaxOwnerCut)},
	})
	if err != nil {
		return err
	}
	if h.BondRule != subnetv1.BondRule_BOND_RULE_YUMA2 && h.BondRule != subnetv1.BondRule_BOND_RULE_YUMA3 {
		return fmt.Errorf("bond_rule is %d; it must be 2 (Yuma2) or 3 (Yuma3)", h.BondRule)
	}
	return law(h).Validate()
}

// validateWork checks the lane of registration by work, unless it is closed.
func validateWork(h subnetv1.Hyperparameters) error {
	if h.WorkQuota == 0 {
		return nil
	}
	return check([]bound{
		{"work_quota", uint64(h.WorkQuota), 1, 16},
		{"work_min", h.WorkMin, 1, uint64(coin.MaxHashes)},
		{"work_half_life", h.WorkHalfLife, 1, 14_400},
		{"work_increase", uint64(h.WorkIncrease), 101, 1000},
	})
}

// law returns what the epoch's law needs of h, which is valid.
func law(h subnetv1.Hyperparameters) yuma.Params {
	rule := yuma.Yuma3
	if h.BondRule == subnetv1.BondRule_BOND_RULE_YUMA2 {
		rule = yuma.Yuma2
	}
	return yuma.Params{
		Kappa:          uint16(h.Kappa),
		BondsPenalty:   uint16(h.BondsPenalty),
		BondsAverage:   h.BondsMovingAverage,
		Rule:           rule,
		LiquidAlpha:    h.LiquidAlpha,
		AlphaLow:       uint16(h.AlphaLow),
		AlphaHigh:      uint16(h.AlphaHigh),
		AlphaSteepness: int16(h.AlphaSteepness),
		MaxValidators:  uint16(h.MaxValidators),
		StakeThreshold: coin.Amount(h.StakeThreshold),
		ActivityCutoff: yuma.Blocks(h.ActivityCutoff),
		OwnerCut:       uint16(h.OwnerCut),
	}
}

// priceLaw returns the law of what a neuron costs on s.
func priceLaw(s *subnetv1.Subnet) coin.Price {
	h := s.Hyperparameters
	return coin.Price{
		Min:      coin.Amount(h.BurnMin),
		Max:      coin.Amount(h.BurnMax),
		HalfLife: uint32(h.BurnHalfLife),
		Growth:   h.BurnIncrease,
	}
}

// amend returns h with the fields replaced that the JSON object bulk names.
func amend(h subnetv1.Hyperparameters, bulk string) (subnetv1.Hyperparameters, error) {
	if len(bulk) > maxBulk {
		return h, fmt.Errorf("hyperparameters of %d bytes; at most %d", len(bulk), maxBulk)
	}
	d := json.NewDecoder(strings.NewReader(bulk))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, fmt.Errorf("hyperparameters: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return h, errors.New("hyperparameters: more than one JSON object")
	}
	return h, nil
}

// validateText bounds a subnet's kind, name and kind parameters.
func validateText(kind, name string, params []byte) error {
	for _, t := range []struct {
		what, value string
		max         int
	}{{"kind", kind, maxKind}, {"name", name, maxName}} {
		if t.value == "" || len(t.value) > t.max {
			return fmt.Errorf("%s has %d bytes; it must have 1 to %d", t.what, len(t.value), t.max)
		}
		if i := strings.IndexFunc(t.value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }); i >= 0 {
			return fmt.Errorf("%s %q has an unprintable character at byte %d", t.what, t.value, i)
		}
	}
	if len(params) > maxKindParams {
		return fmt.Errorf("kind_params have %d bytes; at most %d", len(params), maxKindParams)
	}
	return nil
}
