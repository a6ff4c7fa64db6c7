package open

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/subnet/open/quiz"
)

// maxManifest bounds the bytes of a manifest.
const maxManifest = 64 << 10

// Manifest is what a subnet's owner declares on chain, as JSON: how hard the
// questions are, and how sharply the better earn more. Fields that are left out
// have the defaults stated here, so {} is a manifest.
type Manifest struct {
	Levels    int     `json:"levels,omitempty"`     // questions are of level 1 to this; 5
	Free      float64 `json:"free,omitempty"`       // share of questions without one right answer, 0 to 0.9; 0.25
	Weight    float64 `json:"weight,omitempty"`     // of the rating in the score, 0 to 1; 0.3
	Sharpness float64 `json:"sharpness,omitempty"`  // power that the score is raised to, 1 to 16; 4
	MaxBytes  int     `json:"max_bytes,omitempty"`  // of an answer's text; 2048
	MaxTokens int     `json:"max_tokens,omitempty"` // that a miner's engine spends on an answer; 256
	Penalty   int     `json:"penalty_s,omitempty"`  // how long a proven cheat earns nothing, in seconds; 600
}

// ParseManifest reads kind parameters and fills the defaults in. The error
// names the field that is wrong. No bytes at all are {}.
func ParseManifest(params []byte) (Manifest, error) {
	var m Manifest
	if len(params) > maxManifest {
		return m, fmt.Errorf("open: a manifest of %d bytes, at most %d are allowed", len(params), maxManifest)
	}
	if len(params) == 0 {
		return m.withDefaults(), nil
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("open: manifest: %w", err)
	}
	if d.More() {
		return Manifest{}, errors.New("open: manifest: more than one JSON value")
	}
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("open: manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) withDefaults() Manifest {
	m.Levels = or(m.Levels, quiz.Levels)
	m.Free = or(m.Free, 0.25)
	m.Weight = or(m.Weight, 0.3)
	m.Sharpness = or(m.Sharpness, 4)
	m.MaxBytes = or(m.MaxBytes, 2048)
	m.MaxTokens = or(m.MaxTokens, 256)
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
	switch {
	case m.Levels < 1 || m.Levels > quiz.Levels:
		return fmt.Errorf("levels is %d, 1 to %d are allowed", m.Levels, quiz.Levels)
	case !(m.Free >= 0 && m.Free <= 0.9):
		return fmt.Errorf("free is %v, 0 to 0.9 is allowed", m.Free)
	case !(m.Weight >= 0 && m.Weight <= 1):
		return fmt.Errorf("weight is %v, 0 to 1 is allowed", m.Weight)
	case !(m.Sharpness >= 1 && m.Sharpness <= 16):
		return fmt.Errorf("sharpness is %v, 1 to 16 is allowed", m.Sharpness)
	case m.MaxBytes < 64 || m.MaxBytes > maxText:
		return fmt.Errorf("max_bytes is %d, 64 to %d are allowed", m.MaxBytes, maxText)
	case m.MaxTokens < 1 || m.MaxTokens > 1<<17:
		return fmt.Errorf("max_tokens is %d, 1 to %d are allowed", m.MaxTokens, 1<<17)
	case m.Penalty < 1 || m.Penalty > int((365*24*time.Hour).Seconds()):
		return fmt.Errorf("penalty_s is %d, a second to a year is allowed", m.Penalty)
	}
	return nil
}
