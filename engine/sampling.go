package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/plexus-network/plexus/engine/exact"
)

// Sampling says how the next token is picked out of a model's candidates. It
// is sampler S1: the pick is a function of the candidates, the seed and the
// token's position, so whoever has the model can check it. The zero value
// takes the likeliest token.
//
// S1 walks the candidates from the likeliest on, at most MaxTop of them, drops
// those that TopK, TopP and MinP exclude, and takes the one with the largest
// ℓ + T·g, where ℓ is its log-probability, T the temperature and g Gumbel
// noise drawn from SHA-256(seed ‖ position ‖ token). Taking the maximum of ℓ
// plus Gumbel noise is sampling from the softmax (the Gumbel-max trick).
type Sampling struct {
	Temperature float32 // 0 takes the likeliest; at most MaxTemperature
	TopP        float32 // keep the likeliest tokens up to this mass; 0 or 1 keeps all
	MinP        float32 // keep tokens with at least this share of the likeliest's probability; 0 keeps all
	TopK        int     // keep this many; 0 means MaxTop
	Seed        Seed
}

// MaxTemperature bounds Temperature.
const MaxTemperature = 2

// Check returns an error that wraps ErrRequest where a number is outside its
// range; engines check every request.
func (s Sampling) Check() error {
	switch {
	case !(s.Temperature >= 0 && s.Temperature <= MaxTemperature):
		return fmt.Errorf("%w: temperature is %v, want 0 to %d", ErrRequest, s.Temperature, MaxTemperature)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("%w: top-p is %v, want 0 to 1", ErrRequest, s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return fmt.Errorf("%w: min-p is %v, want 0 to 1", ErrRequest, s.MinP)
	case s.TopK < 0:
		return fmt.Errorf("%w: top-k is %d, want 0 or more", ErrRequest, s.TopK)
	}
	return nil
}

// clip bounds a margin: a token that the reference would never pick counts as
// this far off (reference: Token-DiFR clips alike).
const clip = 8

// Pick returns the index in top of the token that S1 takes at position, the
// token's index in the whole sequence. top is sorted, likeliest first, and not
// empty.
func (s Sampling) Pick(top []Candidate, position int) int {
	best, bestValue := 0, math.Inf(-1)
	for i, c := range top[:s.keep(top)] {
		if v := s.value(c, position); v > bestValue {
			best, bestValue = i, v
		}
	}
	return best
}

// Margin tells how far token was from being the one that S1 takes at position:
// 0 when it is the pick, at most 8, in nats scaled as ℓ + T·g. A token that is
// not among the candidates S1 keeps counts 8.
func (s Sampling) Margin(top []Candidate, position int, token Token) float64 {
	if len(top) == 0 {
		return clip
	}
	best, own := math.Inf(-1), math.Inf(-1)
	for _, c := range top[:s.keep(top)] {
		v := s.value(c, position)
		best = max(best, v)
		if c.Token == token {
			own = v
		}
	}
	return min(best-own, clip)
}

// value is ℓ + T·g.
func (s Sampling) value(c Candidate, position int) float64 {
	if s.Temperature == 0 {
		return float64(c.LogProb)
	}
	return float64(c.LogProb) + float64(s.Temperature)*gumbel(s.Seed, position, c.Token)
}

// keep returns how many of the likeliest candidates stay.
func (s Sampling) keep(top []Candidate) int {
	n := min(len(top), MaxTop)
	if s.Temperature == 0 {
		// All stay, so that Margin tells a near tie from a wild guess.
		return n
	}
	if s.TopK > 0 {
		n = min(n, s.TopK)
	}
	// TopP and MinP look at the tempered distribution, as servers do.
	first := float64(top[0].LogProb)
	mass, total := 0.0, 0.0
	tempered := func(c Candidate) float64 {
		return exact.Exp((float64(c.LogProb) - first) / float64(s.Temperature))
	}
	for _, c := range top[:n] {
		total += tempered(c)
	}
	for i, c := range top[:n] {
		p := tempered(c)
		if s.MinP > 0 && p < float64(s.MinP) {
			return max(i, 1)
		}
		mass += p
		if s.TopP > 0 && s.TopP < 1 && mass >= float64(s.TopP)*total {
			return i + 1
		}
	}
	return n
}

// gumbel returns −ln(−ln u) with u drawn from SHA-256(seed ‖ position ‖ token),
// position and token as little-endian uint32, u from the top 53 bits of the
// first 8 hash bytes read little-endian, shifted by half a step off zero.
func gumbel(seed Seed, position int, token Token) float64 {
	var b [40]byte
	copy(b[:], seed[:])
	binary.LittleEndian.PutUint32(b[32:], uint32(position))
	binary.LittleEndian.PutUint32(b[36:], uint32(token))
	h := sha256.Sum256(b[:])
	u := (float64(binary.LittleEndian.Uint64(h[:8])>>11) + 0.5) / (1 << 53)
	return -exact.Log(-exact.Log(u))
}
