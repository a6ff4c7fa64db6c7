package embed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// maxManifest bounds the bytes of a manifest.
const maxManifest = 64 << 10

// Manifest is what a subnet's owner declares on chain: the one model that all
// miners run, and how far an honest miner's vectors may be from it. It is the
// subnet's kind parameters, as JSON. Fields that are left out have the defaults
// stated here; Model, FileHash and Precision must be given.
type Manifest struct {
	Model     string `json:"model"`     // its name, as users call it
	FileHash  string `json:"file_hash"` // sha256 of the model file, 64 hex digits
	Precision string `json:"precision"` // "q8_0", "f16", "f32-ref" …

	Texts int `json:"texts,omitempty"` // of a request, at most; 1 to 256; 64

	// Tolerance is the largest 1 − cosine between an honest miner's vector and
	// the checker's. The default goes by the precision: see tolerances.
	Tolerance float64 `json:"tolerance,omitempty"`
	// Gate is the time until the first chunk that earns nothing for speed, in
	// milliseconds; 10000.
	Gate int `json:"gate_ms,omitempty"`
	// Penalty is how long a proven cheat earns nothing, in seconds; 600. It
	// doubles each time that it cheats again after that.
	Penalty int `json:"penalty_s,omitempty"`
}

// tolerances are the defaults by precision class, above what rounding does in
// it: a relative error of 2⁻²⁴, 2⁻¹¹ or 2⁻⁸ per number, squared and summed over
// layers, with room to spare. f32-ref is equal on every machine.
var tolerances = map[string]float64{
	"f32-ref": 1e-9,
	"f32":     1e-6,
	"f16":     1e-5,
	"bf16":    1e-4,
}

// tolerance is the default of a class that is not listed: q8_0, and what is
// coarser. In q8_0 the stock model's vectors by libllama and by the reference
// engine differ by up to 1.5·10⁻⁴, and those of texts that a tenth is cut off
// by 2.8·10⁻³ and more (TestAgreementOfStockModels measures it).
const tolerance = 1e-3

// ParseManifest reads kind parameters and fills the defaults in. The error
// names the field that is wrong.
func ParseManifest(params []byte) (Manifest, error) {
	if len(params) > maxManifest {
		return Manifest{}, fmt.Errorf("embed: a manifest of %d bytes, at most %d are allowed", len(params), maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("embed: manifest: %w", err)
	}
	if d.More() {
		return Manifest{}, errors.New("embed: manifest: more than one JSON value")
	}
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("embed: manifest: %w", err)
	}
	return m, nil
}

// ManifestOf declares the model that an engine runs, with all defaults.
func ManifestOf(m engine.Model) Manifest {
	return Manifest{Model: m.Name, FileHash: m.FileHash, Precision: m.Precision}.withDefaults()
}

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
		return fmt.Errorf("embed: the engine runs %q with hash %.12s…, the subnet declares %q with hash %.12s…: get the declared file",
			have.Name, have.FileHash, m.Model, m.FileHash)
	case have.Precision != m.Precision:
		return fmt.Errorf("embed: the engine computes in %q, the subnet declares %q", have.Precision, m.Precision)
	}
	return nil
}

func (m Manifest) withDefaults() Manifest {
	m.Texts = or(m.Texts, 64)
	m.Tolerance = or(m.Tolerance, or(tolerances[m.Precision], tolerance))
	m.Gate = or(m.Gate, 10_000)
	m.Penalty = or(m.Penalty, 600)
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
	hash, err := hex.DecodeString(m.FileHash)
	switch {
	case m.Model == "" || len(m.Model) > 128:
		return fmt.Errorf("model has %d bytes, 1 to 128 are allowed", len(m.Model))
	case err != nil || len(hash) != 32:
		return fmt.Errorf("file_hash is %.70q, a sha256 in 64 hex digits is wanted", m.FileHash)
	case m.Precision == "" || len(m.Precision) > 32:
		return fmt.Errorf("precision has %d bytes, 1 to 32 are allowed", len(m.Precision))
	case m.Texts < 1 || m.Texts > maxTexts:
		return fmt.Errorf("texts is %d, 1 to %d are allowed", m.Texts, maxTexts)
	case !(m.Tolerance > 0 && m.Tolerance <= 0.1):
		return fmt.Errorf("tolerance is %v, more than 0 to 0.1 is allowed", m.Tolerance)
	case m.Gate < 1 || m.Gate > int(time.Hour.Milliseconds()):
		return fmt.Errorf("gate_ms is %d, a millisecond to an hour is allowed", m.Gate)
	case m.Penalty < 1 || m.Penalty > int((365*24*time.Hour).Seconds()):
		return fmt.Errorf("penalty_s is %d, a second to a year is allowed", m.Penalty)
	}
	return nil
}
