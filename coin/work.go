package coin

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/argon2"
)

// Hashes is a difficulty: how many seals a worker tries on average before one
// of them is good enough.
type Hashes uint64

// MaxHashes bounds a difficulty.
const MaxHashes Hashes = 1 << 48

// Work is the law of what a registration by proof of work takes. The
// difficulty jumps with every registration and decays by half in HalfLife
// blocks, as a [Price] does, so that however much power there is, it registers
// about log(2)/log(Growth) neurons per half-life and no step of the clock is
// worth waiting for.
type Work struct {
	Min      Hashes
	HalfLife uint32 // blocks until the difficulty has halved; 0 means no decay
	Growth   uint32 // percent of the difficulty left by a registration, at least 100
}

// DefaultWork is the law of a new subnet: 65,536 seals at least, about a minute
// of one core, twice as many after each registration, and a half-life of 360
// blocks.
func DefaultWork() Work { return Work{Min: 1 << 16, HalfLife: 360, Growth: 200} }

// price returns w as the law of a price in hashes.
func (w Work) price() Price {
	return Price{Min: Amount(w.Min), Max: Amount(max(MaxHashes, w.Min)), HalfLife: w.HalfLife, Growth: w.Growth}
}

// Decay returns what a difficulty has become after that many blocks.
func (w Work) Decay(d Hashes, blocks uint64) Hashes {
	return Hashes(w.price().Decay(Amount(d), blocks))
}

// Bump returns the difficulty that a registration at d leaves behind.
func (w Work) Bump(d Hashes) Hashes { return Hashes(w.price().Bump(Amount(d))) }

// sealMemory is the memory of one seal in KiB. It is what a core has as L2
// cache, and more than a lane of a GPU has of anything but its slow memory.
const sealMemory = 1024

// Seal returns the work of one nonce: Argon2id (RFC 9106) with one pass over
// 1 MiB, of the nonce (big-endian uint64), salted with
// "plexus/work/v1" ‖ block hash ‖ netuid (big-endian uint32) ‖ account.
// It takes about a millisecond.
func Seal(account []byte, netuid uint32, block []byte, nonce uint64) [32]byte {
	salt := append([]byte("plexus/work/v1"), block...)
	salt = binary.BigEndian.AppendUint32(salt, netuid)
	salt = append(salt, account...)
	return [32]byte(argon2.IDKey(binary.BigEndian.AppendUint64(nil, nonce), salt, 1, sealMemory, 1, 32))
}

// Meets tells whether a seal is good enough for difficulty d: whether its first
// 8 bytes, as a big-endian fraction of 2⁶⁴, are below 1/d.
func (d Hashes) Meets(seal [32]byte) bool {
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(seal[:8]), uint64(d))
	return hi == 0
}
