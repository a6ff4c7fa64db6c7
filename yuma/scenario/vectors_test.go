package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
)

// expectation is what a vector says of one epoch.
type expectation struct {
	Stake             values[float64] `json:"stake_weight_u16"`
	Consensus         values[float64] `json:"consensus_u16"`
	Incentive         values[float64] `json:"incentive_u16"`
	Dividends         values[float64] `json:"dividends_u16"`
	ValidatorTrust    values[float64] `json:"validator_trust_u16"`
	Rank              values[float64] `json:"rank_u16"`
	Trust             values[float64] `json:"trust_u16"`
	Emission          values[float64] `json:"emission"`
	ServerEmission    values[float64] `json:"server_emission"`
	ValidatorEmission values[float64] `json:"validator_emission"`
	Permit            []bool          `json:"validator_permit"`
	Bonds             [][3]uint16     `json:"bonds_u16"`
	BondRows          [][][2]uint16   `json:"bonds_rows"`

	SumEmission *struct{ Value, Tolerance float64 } `json:"sum_emission"`
	DivShares   *proportions                        `json:"dividends_proportion"`
	BondShares  *struct {
		Rows      [][]float64
		Cols      []uint16
		Tolerance float64
	} `json:"bonds_proportion"`
}

type proportions struct {
	Values    []float64
	Tolerance float64
}

// values are given by a list or by uid.
type values[T any] map[int]T

func (v *values[T]) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); b[0] == '{' {
		return json.Unmarshal(b, (*map[int]T)(v))
	}
	var list []T
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*v = values[T]{}
	for i, x := range list {
		(*v)[i] = x
	}
	return nil
}

// drift gathers how far results lie from the vectors.
type drift struct {
	worst map[string]float64 // by field
	fails []string
}

// see notes the distance of one number and whether it is more than allowed.
func (d *drift) see(field string, step, uid int, got, want, allowed float64) {
	off := math.Abs(got - want)
	d.worst[field] = max(d.worst[field], off)
	if off > allowed {
		d.fails = append(d.fails, fmt.Sprintf("step %d: %s of uid %d is %v, want %v ± %v", step, field, uid, got, want, allowed))
	}
}

// compare checks one epoch against what a vector expects. All proportions are
// equal to the unit, through all epochs, but for the share of stake, which the
// original knows to 32 bits only; amounts may differ by what these bits lose.
func (d *drift) compare(k int, e Epoch, emission float64, want expectation) {
	allowed := amountTolerance(emission)
	for _, f := range []struct {
		name    string
		got     []uint16
		want    values[float64]
		allowed float64
	}{
		{"stake_weight_u16", e.Stake, want.Stake, 1},
		{"consensus_u16", e.Consensus, want.Consensus, 0},
		{"incentive_u16", e.Incentive, want.Incentive, 0},
		{"dividends_u16", e.Dividends, want.Dividends, 0},
		{"validator_trust_u16", e.ValidatorTrust, want.ValidatorTrust, 0},
		{"rank_u16", e.Rank, want.Rank, 0},
		{"trust_u16", e.Trust, want.Trust, 0},
	} {
		for i, w := range f.want {
			d.see(f.name, k, i, float64(f.got[i]), w, f.allowed)
		}
	}
	total := 0.0
	for i := range e.Emission {
		total += float64(e.Emission[i])
		if w, ok := want.Emission[i]; ok {
			d.see("emission", k, i, float64(e.Emission[i]), w, allowed)
		}
		if w, ok := want.ServerEmission[i]; ok {
			d.see("server_emission", k, i, float64(e.ServerEmission[i]), w, allowed)
		}
		if w, ok := want.ValidatorEmission[i]; ok {
			d.see("validator_emission", k, i, float64(e.ValidatorEmission[i]), w, allowed)
		}
	}
	if s := want.SumEmission; s != nil {
		d.see("sum_emission", k, -1, total, s.Value, s.Tolerance)
	}
	if want.Permit != nil && !slices.Equal(e.Permit, want.Permit) {
		d.fails = append(d.fails, fmt.Sprintf("step %d: permits are %v, want %v", k, e.Permit, want.Permit))
	}
	d.compareBonds(k, e, want)
	if p := want.DivShares; p != nil {
		for i, w := range p.Values {
			d.see("dividends", k, i, float64(e.Dividends[i])/65535, w, p.Tolerance)
		}
	}
}

func (d *drift) compareBonds(k int, e Epoch, want expectation) {
	bonds := map[[2]uint16]float64{}
	for _, b := range e.Bonds {
		bonds[[2]uint16{b[0], b[1]}] = float64(b[2])
	}
	for _, b := range want.Bonds {
		d.see("bonds_u16", k, int(b[0]), bonds[[2]uint16{b[0], b[1]}], float64(b[2]), 0)
	}
	if want.BondRows != nil {
		for i, row := range want.BondRows {
			for _, b := range row {
				at := [2]uint16{uint16(i), b[0]}
				d.see("bonds_u16", k, i, bonds[at], float64(b[1]), 0)
				delete(bonds, at)
			}
		}
		for at, v := range bonds {
			d.see("bonds_u16", k, int(at[0]), v, 0, 0)
		}
	}
	if p := want.BondShares; p != nil {
		for i, row := range p.Rows {
			for c, w := range row {
				d.see("bonds", k, i, bonds[[2]uint16{uint16(i), p.Cols[c]}]/65535, w, p.Tolerance)
			}
		}
	}
}

// amountTolerance is what 32 fraction bits lose of an emission in a few
// operations.
func amountTolerance(emission float64) float64 { return max(1, emission/(1<<28)) }

// trace holds numbers between 0 and 1 that the original printed on the way.
type trace struct {
	S, C, Tv, T, I, D []float64 // stake, consensus, trusts, incentive, dividends
	NVE, NE           []float64 // shares of the emission: of validators, of all
}

func (d *drift) compareTrace(k int, e Epoch, emission float64, want trace) {
	for _, f := range []struct {
		name string
		got  []uint16
		want []float64
	}{
		{"S", e.Stake, want.S},
		{"C", e.Consensus, want.C},
		{"Tv", e.ValidatorTrust, want.Tv},
		{"T", e.Trust, want.T},
		{"I", e.Incentive, want.I},
		{"D", e.Dividends, want.D},
	} {
		for i, w := range f.want {
			d.see("trace "+f.name, k, i, float64(f.got[i])/65535, w, 1.01/65535)
		}
	}
	for i, w := range want.NVE {
		d.see("trace nVE", k, i, float64(e.ValidatorEmission[i])/emission, w, 3e-9)
	}
	for i, w := range want.NE {
		d.see("trace nE", k, i, float64(e.Emission[i])/emission, w, 3e-9)
	}
}

func load(t testing.TB, file string) []Scenario {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check runs a scenario in one mode and returns how far it is off.
func check(t testing.TB, s *Scenario, mode string) *drift {
	t.Helper()
	epochs, err := s.Run(mode == "dense")
	if err != nil {
		t.Fatal(err)
	}
	d := &drift{worst: map[string]float64{}}
	for k, e := range epochs {
		if s.Steps[k].Trace != nil {
			var want trace
			if err := json.Unmarshal(s.Steps[k].Trace, &want); err != nil {
				t.Fatalf("%s, step %d: %v", s.ID, k+1, err)
			}
			d.compareTrace(k+1, e, float64(*s.Steps[k].Emission), want)
		}
		if s.Steps[k].Expect == nil {
			continue
		}
		var want expectation
		dec := json.NewDecoder(bytes.NewReader(s.Steps[k].Expect))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%s, step %d: %v", s.ID, k+1, err)
		}
		d.compare(k+1, e, float64(*s.Steps[k].Emission), want)
	}
	return d
}

func TestVectors(t *testing.T) {
	for _, file := range []string{"epoch.json", "derived.json", "plexus.json"} {
		for _, s := range load(t, file) {
			for _, mode := range s.Modes {
				t.Run(s.ID+"/"+mode, func(t *testing.T) {
					d := check(t, &s, mode)
					for k, f := range d.fails[:min(len(d.fails), 20)] {
						t.Error(strconv.Itoa(k+1) + ": " + f)
					}
					t.Logf("worst: %v", d.worst)
				})
			}
		}
	}
}
