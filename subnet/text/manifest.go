package text

import (
	"bytes"
	_ "embed" // measured.json
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// What a manifest says of its miners' sampler.
const (
	// Sampler is [engine.Sampling] under the seed that [Seed] gives.
	Sampler = "S1"
	// AnySampler is whatever a miner's server has: only answers at temperature
	// 0 are compared token by token, and what is warmer is judged by
	// [Surprisal]. Challenges are then all at temperature 0.
	AnySampler = "any"
)

// maxProbe bounds the tokens of a probe.
const maxProbe = 256

// maxManifest bounds the bytes of a manifest.
const maxManifest = 64 << 10

// Manifest is what a subnet's owner declares on chain: the one model that all
// miners run, and how far an honest miner may be from it. It is the subnet's
// kind parameters, as JSON. Fields that are left out have the defaults stated
// here; Model, FileHash and Precision must be given.
type Manifest struct {
	Model        string `json:"model"`                   // its name, as users call it
	FileHash     string `json:"file_hash"`               // sha256 of the model file, 64 hex digits
	TemplateHash string `json:"template_hash,omitempty"` // sha256 of the chat template; empty means the file's own
	Precision    string `json:"precision"`               // "q8_0", "f16", "f32-ref" …
	Sampler      string `json:"sampler,omitempty"`       // "S1" or "any"; "S1"

	MaxTokens int `json:"max_tokens,omitempty"` // of an answer; 512
	Evidence  int `json:"evidence,omitempty"`   // log-probabilities that come with each token, 1 to 20; 5

	// Distance is how far the reported log-probabilities may be from the
	// checker's, as a mean over an answer of 0 (equal) to 0.5; 0.08.
	Distance float64 `json:"distance,omitempty"`
	// Gate is the time until the first chunk that earns nothing for speed, in
	// milliseconds; 10000.
	Gate int `json:"gate_ms,omitempty"`
	// Penalty is how long a proven cheat earns nothing, in seconds; 600. It
	// doubles each time that it cheats again after that.
	Penalty int `json:"penalty_s,omitempty"`

	// Probe is how many tokens of another answer, at the highest temperature,
	// come with each answer at temperature 0; 16, and −1 means none.
	Probe int `json:"probe,omitempty"`

	// Greedy and Sampled are the margins expected at temperature 0 and above,
	// Probed those of probes. Command calibrate measures them.
	Greedy  Calibration `json:"greedy,omitzero"`
	Sampled Calibration `json:"sampled,omitzero"`
	Probed  Calibration `json:"probed,omitzero"`
}

// Calibration is what the sequential test expects: how often the margin of a
// token falls into each of the bins {0, ≤ 0.02, ≤ 0.1, ≤ 0.5, ≤ 2, > 2}, in
// nats, for an honest miner and for the mildest cheat that it shall find. Each
// histogram sums to 1. The zero Calibration means the defaults.
type Calibration struct {
	Honest [bins]float64 `json:"honest"`
	Cheat  [bins]float64 `json:"cheat"`
}

// bins is the number of bins of a margin, and edges are their upper ends.
const bins = 6

var edges = [bins - 1]float64{0, 0.02, 0.1, 0.5, 2}

// The defaults are wide for the honest: they leave room for several times the
// rounding that batching and instruction sets cause in q8_0 (0.06 nats per
// log-probability), and for tokens at the rim of the sampler's candidates.
// The cheat is a model about a fifth of whose tokens differ; what differs more
// is found sooner.
var (
	defaultGreedy = Calibration{
		Honest: [bins]float64{0.970, 0.012, 0.009, 0.006, 0.002, 0.001},
		Cheat:  [bins]float64{0.840, 0.015, 0.025, 0.050, 0.045, 0.025},
	}
	defaultSampled = Calibration{
		Honest: [bins]float64{0.960, 0.013, 0.013, 0.007, 0.004, 0.003},
		Cheat:  [bins]float64{0.800, 0.020, 0.035, 0.065, 0.050, 0.030},
	}
	defaultProbed = defaultSampled
)

// ParseManifest reads kind parameters and fills the defaults in. The error
// names the field that is wrong.
func ParseManifest(params []byte) (Manifest, error) {
	if len(params) > maxManifest {
		return Manifest{}, fmt.Errorf("text: a manifest of %d bytes, at most %d are allowed", len(params), maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("text: manifest: %w", err)
	}
	if d.More() {
		return Manifest{}, errors.New("text: manifest: more than one JSON value")
	}
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("text: manifest: %w", err)
	}
	return m, nil
}

// ManifestOf declares the model that an engine runs, with what was measured of
// the models that ship, and the defaults for others.
func ManifestOf(m engine.Model) Manifest {
	measured := shipped()[calibrated{m.FileHash, m.Precision}]
	return Manifest{
		Model: m.Name, FileHash: m.FileHash, TemplateHash: m.TemplateHash, Precision: m.Precision,
		Greedy: measured.Greedy, Sampled: measured.Sampled, Probed: measured.Probed,
	}.withDefaults()
}

// Measured is what command calibrate found out about a model file, in the form
// in which it goes into a manifest.
type Measured struct {
	Model     string      `json:"model"`
	FileHash  string      `json:"file_hash"`
	Precision string      `json:"precision"`
	Against   string      `json:"against"` // the cheat that Cheat was measured of
	Greedy    Calibration `json:"greedy"`
	Sampled   Calibration `json:"sampled"`
	Probed    Calibration `json:"probed"`
}

// calibrated is what a measurement holds for.
type calibrated struct{ fileHash, precision string }

//go:embed measured.json
var measuredJSON []byte

// shipped are the measurements of the models that ship.
var shipped = sync.OnceValue(func() map[calibrated]Measured {
	var all []Measured
	if err := json.Unmarshal(measuredJSON, &all); err != nil {
		panic(fmt.Sprintf("text: measured.json: %v", err)) // a test reads it
	}
	of := map[calibrated]Measured{}
	for _, m := range all {
		of[calibrated{m.FileHash, m.Precision}] = m
	}
	return of
})

// JSON returns the manifest as kind parameters.
func (m Manifest) JSON() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and finite numbers always encode
	}
	return b
}

// Verify tells whether an engine runs the model declared, and how it differs.
func (m Manifest) Verify(have engine.Model) error {
	switch {
	case have.FileHash != m.FileHash:
		return fmt.Errorf("text: the engine runs %q with hash %.12s…, the subnet declares %q with hash %.12s…: get the declared file",
			have.Name, have.FileHash, m.Model, m.FileHash)
	case m.TemplateHash != "" && have.TemplateHash != m.TemplateHash:
		return fmt.Errorf("text: the engine's chat template has hash %.12s…, the subnet declares %.12s…",
			have.TemplateHash, m.TemplateHash)
	case have.Precision != m.Precision:
		return fmt.Errorf("text: the engine computes in %q, the subnet declares %q", have.Precision, m.Precision)
	}
	return nil
}

func (m Manifest) withDefaults() Manifest {
	m.Sampler = or(m.Sampler, Sampler)
	m.MaxTokens = or(m.MaxTokens, 512)
	m.Evidence = or(m.Evidence, 5)
	m.Distance = or(m.Distance, 0.08)
	m.Gate = or(m.Gate, 10_000)
	m.Penalty = or(m.Penalty, 600)
	m.Greedy = or(m.Greedy, defaultGreedy)
	m.Sampled = or(m.Sampled, defaultSampled)
	m.Probed = or(m.Probed, defaultProbed)
	m.Probe = or(m.Probe, 16)
	return m
}

// or returns v, or fallback where v is zero.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (m Manifest) check() error {
	if m.Model == "" || len(m.Model) > 128 {
		return fmt.Errorf("model has %d bytes, 1 to 128 are allowed", len(m.Model))
	}
	if err := checkHash("file_hash", m.FileHash); err != nil {
		return err
	}
	if m.TemplateHash != "" {
		if err := checkHash("template_hash", m.TemplateHash); err != nil {
			return err
		}
	}
	switch {
	case m.Precision == "" || len(m.Precision) > 32:
		return fmt.Errorf("precision has %d bytes, 1 to 32 are allowed", len(m.Precision))
	case m.Sampler != Sampler && m.Sampler != AnySampler:
		return fmt.Errorf("sampler is %.20q, %q and %q are known", m.Sampler, Sampler, AnySampler)
	case m.Probe < -1 || m.Probe > maxProbe:
		return fmt.Errorf("probe is %d, -1 to %d are allowed", m.Probe, maxProbe)
	case m.MaxTokens < 1 || m.MaxTokens > maxTokens:
		return fmt.Errorf("max_tokens is %d, 1 to %d are allowed", m.MaxTokens, maxTokens)
	case m.Evidence < 1 || m.Evidence > maxTopCount:
		return fmt.Errorf("evidence is %d, 1 to %d are allowed", m.Evidence, maxTopCount)
	case !(m.Distance > 0 && m.Distance <= 0.5):
		return fmt.Errorf("distance is %v, more than 0 to 0.5 is allowed", m.Distance)
	case m.Gate < 1 || m.Gate > math.MaxInt32:
		return fmt.Errorf("gate_ms is %d, 1 or more is allowed", m.Gate)
	case m.Penalty < 1 || m.Penalty > int((365*24*time.Hour).Seconds()):
		return fmt.Errorf("penalty_s is %d, a second to a year is allowed", m.Penalty)
	}
	if err := m.Greedy.check(); err != nil {
		return fmt.Errorf("greedy: %w", err)
	}
	if err := m.Sampled.check(); err != nil {
		return fmt.Errorf("sampled: %w", err)
	}
	if err := m.Probed.check(); err != nil {
		return fmt.Errorf("probed: %w", err)
	}
	return nil
}

func checkHash(name, digits string) error {
	if b, err := hex.DecodeString(digits); err != nil || len(b) != 32 {
		return fmt.Errorf("%s is %.70q, a sha256 in 64 hex digits is wanted", name, digits)
	}
	return nil
}

// check refuses histograms that are none, and those with which no test ends.
func (c Calibration) check() error {
	drift := 0.0
	var honest, cheat float64
	for i := range bins {
		h, f := c.Honest[i], c.Cheat[i]
		if !(h > 0 && h < 1 && f > 0 && f < 1) {
			return fmt.Errorf("bin %d is %v for the honest and %v for the cheat, all must be above 0 and below 1", i, h, f)
		}
		honest, cheat = honest+h, cheat+f
		drift += h * math.Log(f/h)
	}
	if math.Abs(honest-1) > 1e-6 || math.Abs(cheat-1) > 1e-6 {
		return fmt.Errorf("the honest bins sum to %v and the cheat's to %v, both must sum to 1", honest, cheat)
	}
	if drift > -1e-4 {
		return fmt.Errorf("honest and cheat are too alike to tell apart (%.2g nats per token)", -drift)
	}
	return nil
}
