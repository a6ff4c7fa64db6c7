// Package scenario runs what-if stories of a subnet through the epoch law.
//
// A scenario is JSON: some neurons, hyperparameters, and steps in which
// validators send weights, stake moves, neurons are replaced, and an epoch
// runs. The format is that of the test vectors taken from Bittensor, see
// testdata/README.md. Start at [Parse].
package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// ErrFormat means that a file is no set of scenarios.
var ErrFormat = errors.New("scenario: bad format")

// A Scenario is a subnet and what happens to it.
type Scenario struct {
	ID      string   `json:"id"`
	Note    string   `json:"note"`
	N       int      `json:"n"` // neurons
	Modes   []string `json:"modes"`
	Params  params   `json:"params"`
	Initial initial  `json:"initial"`
	Steps   []Step   `json:"steps"`
}

// A Step is what happens before one epoch, and that epoch.
type Step struct {
	Block    *yuma.Height    `json:"block"`
	Emission *coin.Amount    `json:"emission"`
	Params   params          `json:"params"` // override those of the scenario for this epoch
	Ops      []op            `json:"ops"`
	Comment  string          `json:"comment"`
	Expect   json.RawMessage `json:"expect"` // what a test of the law should find; not read here
	Trace    json.RawMessage `json:"trace"`  // and on the way there
}

// params are hyperparameters that replace the format's defaults.
type params struct {
	Kappa          *uint16      `json:"kappa"`
	BondsAverage   *uint32      `json:"bonds_moving_average"`
	BondsPenalty   *uint16      `json:"bonds_penalty"`
	Yuma3          *bool        `json:"yuma3"`
	LiquidAlpha    *bool        `json:"liquid_alpha"`
	AlphaLow       *uint16      `json:"alpha_low"`
	AlphaHigh      *uint16      `json:"alpha_high"`
	AlphaSteepness *int16       `json:"alpha_sigmoid_steepness"`
	MaxValidators  *uint16      `json:"max_allowed_validators"`
	StakeThreshold *coin.Amount `json:"stake_threshold"`
	Owner          *yuma.UID    `json:"owner_uid"`
	ActivityCutoff *yuma.Blocks `json:"activity_cutoff"`
	Tempo          *yuma.Blocks `json:"tempo"`
	LastStep       *yuma.Height `json:"last_step_block"`
}

// initial is the state of the neurons at the start; what is missing is 0.
type initial struct {
	Stake      perUID[coin.Amount]  `json:"stake"`
	Registered perUID[yuma.Height]  `json:"block_at_registration"`
	Updated    perUID[yuma.Height]  `json:"last_update"`
	Permit     perUID[bool]         `json:"validator_permit"`
	Committed  perUID[*yuma.Height] `json:"commit_block"`
}

// op is one event of a step. Which fields it has depends on its name.
type op struct {
	Name   string          `json:"op"`
	UID    *yuma.UID       `json:"uid"`
	UIDs   []yuma.UID      `json:"uids"`
	Dests  []yuma.UID      `json:"dests"`
	Values []uint16        `json:"values"`
	Block  *yuma.Height    `json:"block"`
	Stake  coin.Amount     `json:"stake"`
	Amount coin.Amount     `json:"amount"`
	Field  string          `json:"field"`
	Value  json.RawMessage `json:"value"`
}

// UnmarshalJSON reads hyperparameters and refuses unknown ones.
func (p *params) UnmarshalJSON(b []byte) error { type plain params; return strict(b, (*plain)(p)) }

// UnmarshalJSON reads the initial state and refuses unknown fields.
func (i *initial) UnmarshalJSON(b []byte) error { type plain initial; return strict(b, (*plain)(i)) }

// UnmarshalJSON reads an event and refuses unknown fields.
func (o *op) UnmarshalJSON(b []byte) error { type plain op; return strict(b, (*plain)(o)) }

// strict decodes b into v and refuses fields that v does not have.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return plainly(d.Decode(v))
}

// plainly says of a value of the wrong kind what is wanted instead, without
// Go's names for it.
func plainly(err error) error {
	var kind *json.UnmarshalTypeError
	if !errors.As(err, &kind) {
		return err
	}
	var wanted string
	switch kind.Type.Kind() {
	case reflect.Bool:
		wanted = "true or false"
	case reflect.Uint16:
		wanted = "a whole number from 0 to 65535"
	case reflect.Uint32, reflect.Uint64:
		wanted = "a whole number of at least 0"
	case reflect.Int, reflect.Int16:
		wanted = "a whole number"
	case reflect.String:
		wanted = "a string"
	case reflect.Slice:
		wanted = "a list"
	case reflect.Map, reflect.Struct:
		wanted = "an object"
	default:
		wanted = "something else"
	}
	if kind.Field == "" {
		return fmt.Errorf("found a %s where there must be %s", kind.Value, wanted)
	}
	return fmt.Errorf("%q is a %s, but must be %s", kind.Field, kind.Value, wanted)
}

// perUID is a value for every uid, written as a list of all or as an object
// from uids to values.
type perUID[T any] struct {
	all  []T
	some map[yuma.UID]T
}

// UnmarshalJSON reads either form.
func (p *perUID[T]) UnmarshalJSON(b []byte) error {
	*p = perUID[T]{}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return json.Unmarshal(b, &p.some)
	}
	return json.Unmarshal(b, &p.all)
}

// each calls set with every value given, for a subnet of n neurons.
func (p perUID[T]) each(n int, set func(yuma.UID, T)) error {
	if p.all != nil && len(p.all) != n {
		return fmt.Errorf("%d values for %d neurons", len(p.all), n)
	}
	for i, v := range p.all {
		set(yuma.UID(i), v)
	}
	for uid, v := range p.some {
		if int(uid) >= n {
			return fmt.Errorf("uid %d in a subnet of %d neurons", uid, n)
		}
		set(uid, v)
	}
	return nil
}

// Parse reads a file of scenarios: {"scenarios": [...]}, a list of them, or a
// single one. It returns [ErrFormat] and says where a field is wrong.
func Parse(file []byte) ([]Scenario, error) {
	raws, err := split(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, located(file, plainly(err)))
	}
	scenarios := make([]Scenario, len(raws))
	for k, raw := range raws {
		s := &scenarios[k]
		if err := json.Unmarshal(raw, s); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFormat, name(raw, k), plainly(err))
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFormat, name(raw, k), err)
		}
	}
	return scenarios, nil
}

// split finds the scenarios of a file.
func split(file []byte) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(file), []byte("[")) {
		err := json.Unmarshal(file, &list)
		return list, err
	}
	var outer struct {
		Scenarios []json.RawMessage `json:"scenarios"`
		Steps     json.RawMessage   `json:"steps"`
	}
	if err := json.Unmarshal(file, &outer); err != nil {
		return nil, err
	}
	switch {
	case outer.Scenarios != nil:
		return outer.Scenarios, nil
	case outer.Steps != nil:
		return []json.RawMessage{file}, nil
	}
	return nil, errors.New(`neither "scenarios" nor "steps" found`)
}

// located adds the line to a syntax error.
func located(file []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	line := 1 + bytes.Count(file[:min(int(syntax.Offset), len(file))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}

// name is what an error calls the k-th scenario.
func name(raw []byte, k int) string {
	var s struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &s); err != nil || s.ID == "" {
		return fmt.Sprintf("scenario number %d", k+1)
	}
	return fmt.Sprintf("scenario %q", s.ID)
}

// check tells what is missing or out of bounds.
func (s *Scenario) check() error {
	if s.N < 1 || s.N > yuma.MaxNeurons {
		return fmt.Errorf("n is %d, it must be from 1 to %d", s.N, yuma.MaxNeurons)
	}
	for _, mode := range s.Modes {
		if mode != "sparse" && mode != "dense" {
			return fmt.Errorf(`modes: %q is neither "sparse" nor "dense"`, mode)
		}
	}
	for k, step := range s.Steps {
		if step.Block == nil || step.Emission == nil {
			return fmt.Errorf("step %d needs a block and an emission", k+1)
		}
	}
	if _, err := newState(s, false); err != nil {
		return err
	}
	return nil
}

// Dense tells whether the scenario is meant for the dense variant of the law
// alone, in which the subnet's owner is a neuron like any other.
func (s *Scenario) Dense() bool { return len(s.Modes) == 1 && s.Modes[0] == "dense" }

// over lays p over the parameters that are below it.
func (p params) over(below params) params {
	return params{
		Kappa:          either(p.Kappa, below.Kappa),
		BondsAverage:   either(p.BondsAverage, below.BondsAverage),
		BondsPenalty:   either(p.BondsPenalty, below.BondsPenalty),
		Yuma3:          either(p.Yuma3, below.Yuma3),
		LiquidAlpha:    either(p.LiquidAlpha, below.LiquidAlpha),
		AlphaLow:       either(p.AlphaLow, below.AlphaLow),
		AlphaHigh:      either(p.AlphaHigh, below.AlphaHigh),
		AlphaSteepness: either(p.AlphaSteepness, below.AlphaSteepness),
		MaxValidators:  either(p.MaxValidators, below.MaxValidators),
		StakeThreshold: either(p.StakeThreshold, below.StakeThreshold),
		Owner:          either(p.Owner, below.Owner),
		ActivityCutoff: either(p.ActivityCutoff, below.ActivityCutoff),
		Tempo:          either(p.Tempo, below.Tempo),
		LastStep:       either(p.LastStep, below.LastStep),
	}
}

// law returns the hyperparameters of the epoch.
func (p params) law() yuma.Params {
	d := yuma.DefaultParams()
	rule := yuma.Yuma2
	if value(p.Yuma3, false) {
		rule = yuma.Yuma3
	}
	return yuma.Params{
		Kappa:          value(p.Kappa, d.Kappa),
		BondsPenalty:   value(p.BondsPenalty, d.BondsPenalty),
		BondsAverage:   value(p.BondsAverage, d.BondsAverage),
		Rule:           rule,
		LiquidAlpha:    value(p.LiquidAlpha, false),
		AlphaLow:       value(p.AlphaLow, d.AlphaLow),
		AlphaHigh:      value(p.AlphaHigh, d.AlphaHigh),
		AlphaSteepness: value(p.AlphaSteepness, d.AlphaSteepness),
		MaxValidators:  value(p.MaxValidators, 128),
		StakeThreshold: value(p.StakeThreshold, 0),
		ActivityCutoff: value(p.ActivityCutoff, d.ActivityCutoff),
	}
}

// either returns a, or b where a is missing.
func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// value returns what p points to, or missing where it is nil.
func value[T any](p *T, missing T) T {
	if p == nil {
		return missing
	}
	return *p
}
