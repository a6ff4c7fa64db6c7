// Package exercise is work that shows what a rented machine has: hash chains for
// its cores, pages that cannot be had again cheaply for its memory and disks,
// streams for its network. One end does it, a [Server] inside the rented
// container; the other asks for it and checks a sample of the answers.
//
// Every exercise begins with a nonce that the asker has just drawn, so nothing
// can be worked out before, and the asker takes the time by its own clock.
// Who fakes an answer does the work, or is found by the sample. Start at
// [Chains] and [Fill].
package exercise

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Nonce is what an exercise begins with: 32 random bytes, in JSON as hexadecimal digits.
type Nonce [32]byte

// MarshalText writes hexadecimal digits.
func (n Nonce) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", n[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (n *Nonce) UnmarshalText(text []byte) error {
	if len(text) != 64 {
		return fmt.Errorf("a nonce of %d characters, 64 hexadecimal digits are wanted", len(text))
	}
	for i := range n {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high > 15 || low > 15 {
			return errors.New("a nonce that is not hexadecimal")
		}
		n[i] = high<<4 | low
	}
	return nil
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	default:
		return 255
	}
}

// ErrBad means that an exercise asks for what none may.
var ErrBad = errors.New("exercise: cannot be asked for")

// ErrShort means that an answer does not have the length that it must have.
var ErrShort = errors.New("exercise: an answer of the wrong length")

// ErrWrong means that an answer has the right form and is not the right one:
// the work was not done.
var ErrWrong = errors.New("exercise: a wrong answer")

// maxRequest bounds the bytes of a request but an upload's.
const maxRequest = 4096

// read decodes a request.
func read(body []byte, into interface{ Check() error }) error {
	if len(body) > maxRequest {
		return fmt.Errorf("%w: a request of more than %d bytes", ErrBad, maxRequest)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", ErrBad, err)
	}
	return into.Check()
}

// Chains asks for hash chains, which cannot be computed but step by step: as
// many at the same time as there are cores to be seen.
//
// Chain c begins with SHA-256("plexus/compute/chain/v1" ‖ nonce ‖ c), and each
// step hashes the value before. The answer is the value after each Every steps,
// of one chain after the other.
type Chains struct {
	Nonce  Nonce  `json:"nonce"`
	Chains int    `json:"chains"` // 1 to 256
	Steps  uint64 `json:"steps"`  // of each, a multiple of Every, at most 2⁴⁰
	Every  uint64 `json:"every"`  // at least 1; at most 1024 values of a chain are told
}

// Limits of an exercise.
const (
	maxChains = 256
	maxSteps  = 1 << 40
	maxMarks  = 1024
)

// Check tells why an exercise is refused, [ErrBad].
func (c *Chains) Check() error {
	switch {
	case c.Chains < 1 || c.Chains > maxChains:
		return fmt.Errorf("%w: %d chains, 1 to %d are allowed", ErrBad, c.Chains, maxChains)
	case c.Every < 1 || c.Steps < c.Every || c.Steps > maxSteps || c.Steps%c.Every != 0 || c.Steps/c.Every > maxMarks:
		return fmt.Errorf("%w: %d steps told each %d", ErrBad, c.Steps, c.Every)
	}
	return nil
}

func (c *Chains) marks() int { return int(c.Steps / c.Every) }

// Size is the length of the answer in bytes.
func (c *Chains) Size() int { return c.Chains * c.marks() * sha256.Size }

func (c *Chains) start(chain int) [32]byte {
	b := append([]byte("plexus/compute/chain/v1"), c.Nonce[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint32(b, uint32(chain)))
}

// walk hashes n times; it heeds stop now and then.
func walk(h [32]byte, n uint64, stop func() bool) [32]byte {
	for i := range n {
		if i%(1<<16) == 0 && stop() {
			break
		}
		h = sha256.Sum256(h[:])
	}
	return h
}

func never() bool { return false }

// do computes one chain's part of the answer into dst.
func (c *Chains) do(chain int, dst []byte, stop func() bool) {
	h := c.start(chain)
	for i := range c.marks() {
		h = walk(h, c.Every, stop)
		copy(dst[i*sha256.Size:], h[:])
	}
}

// Verify computes a sample of the answer's segments again, drawn by r: who left
// out a part f of the work is found with probability 1 − (1 − f)^sample. It is
// [ErrShort] or [ErrWrong] for an answer that is neither.
func (c *Chains) Verify(answer []byte, sample int, r *rand.Rand) error {
	if len(answer) != c.Size() {
		return fmt.Errorf("%w: %d bytes of hash chains, %d are right", ErrShort, len(answer), c.Size())
	}
	for range sample {
		chain, mark := r.IntN(c.Chains), r.IntN(c.marks())
		at := (chain*c.marks() + mark) * sha256.Size
		from := c.start(chain)
		if mark > 0 {
			from = [32]byte(answer[at-sha256.Size : at])
		}
		if walk(from, c.Every, never) != [32]byte(answer[at:at+sha256.Size]) {
			return fmt.Errorf("%w: hash chain %d, between steps %d and %d", ErrWrong, chain, uint64(mark)*c.Every, uint64(mark+1)*c.Every)
		}
	}
	return nil
}
