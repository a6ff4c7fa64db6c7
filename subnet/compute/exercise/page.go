package exercise

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Sizes of what fills memory and disks, in bytes.
const (
	blockSize  = sha256.Size
	pageBlocks = 2048
	PageSize   = blockSize * pageBlocks // 64 KiB
)

// maxPages bounds a fill: 64 GiB.
const maxPages = 1 << 20

// Fill asks to fill the memory with pages that are made of a nonce.
//
// A page is cheap to keep and dear to have again. Its blocks are a hash chain
// at first, and are then replaced in order by
//
//	b[i] ← SHA-256(b[i−1] ‖ b[i] ‖ b[x] ‖ b[y] ‖ b[z])
//
// with x, y and z told by the bits of b[i−1]. Who keeps only some of the blocks
// needs nearly all of the others for the next one that is asked for, as in the
// memory-hard functions (Argon2d, RFC 9106 section 3.4): 4,000 hashes instead
// of a look. [Look] asks for many.
type Fill struct {
	Nonce Nonce `json:"nonce"`
	Pages int   `json:"pages"` // 1 to 2²⁰
}

// Check tells why an exercise is refused, [ErrBad].
func (f *Fill) Check() error {
	if f.Pages < 1 || f.Pages > maxPages {
		return fmt.Errorf("%w: %d pages, 1 to %d are allowed", ErrBad, f.Pages, maxPages)
	}
	return nil
}

// page makes a page in dst, which has PageSize bytes.
func (f *Fill) page(number int, dst []byte) {
	b := append([]byte("plexus/compute/page/v1"), f.Nonce[:]...)
	h := sha256.Sum256(binary.BigEndian.AppendUint32(b, uint32(number)))
	for i := range pageBlocks {
		copy(dst[i*blockSize:], h[:])
		h = sha256.Sum256(h[:])
	}
	var in [5 * blockSize]byte
	copy(in[:], dst[PageSize-blockSize:])
	for i := range pageBlocks {
		bits := binary.LittleEndian.Uint64(in[:8])
		copy(in[blockSize:], dst[i*blockSize:][:blockSize])
		for k := range 3 {
			from := int(bits >> (16 * k) % pageBlocks)
			copy(in[(2+k)*blockSize:], dst[from*blockSize:][:blockSize])
		}
		h = sha256.Sum256(in[:])
		copy(dst[i*blockSize:], h[:])
		copy(in[:], h[:])
	}
}

// Look asks for the first 8 bytes of Count blocks of what was filled or
// written, at places that the seed draws.
type Look struct {
	Seed  Nonce  `json:"seed"`
	Count int    `json:"count"` // 1 to 2¹⁶
	Place string `json:"place"` // [Memory], [Scratch] or [Volume]
}

// Where pages lie.
const (
	Memory  = "memory"
	Scratch = "scratch" // the container's own disk
	Volume  = "volume"  // its persistent volume
)

const (
	maxLooks = 1 << 16
	lookSize = 8
)

// Check tells why an exercise is refused, [ErrBad].
func (l *Look) Check() error {
	switch {
	case l.Count < 1 || l.Count > maxLooks:
		return fmt.Errorf("%w: %d looks, 1 to %d are allowed", ErrBad, l.Count, maxLooks)
	case l.Place != Memory && l.Place != Scratch && l.Place != Volume:
		return fmt.Errorf("%w: no place %.20q", ErrBad, l.Place)
	}
	return nil
}

// Size is the length of the answer in bytes.
func (l *Look) Size() int { return l.Count * lookSize }

// blocks yields the numbers of the blocks to look at, of so many pages.
func (l *Look) blocks(pages int, each func(i, block int) error) error {
	draw := rand.New(rand.NewChaCha8(l.Seed))
	for i := range l.Count {
		if err := each(i, draw.IntN(pages*pageBlocks)); err != nil {
			return err
		}
	}
	return nil
}

// Verify makes a sample of the pages again, drawn by r, of what f filled. It is
// [ErrShort] or [ErrWrong] for an answer that is neither.
func (l *Look) Verify(f Fill, answer []byte, sample int, r *rand.Rand) error {
	if len(answer) != l.Size() {
		return fmt.Errorf("%w: %d bytes of blocks, %d are right", ErrShort, len(answer), l.Size())
	}
	chosen := map[int]bool{}
	for range sample {
		chosen[r.IntN(l.Count)] = true
	}
	page := make([]byte, PageSize)
	return l.blocks(f.Pages, func(i, block int) error {
		if !chosen[i] {
			return nil
		}
		f.page(block/pageBlocks, page)
		want := page[block%pageBlocks*blockSize:][:lookSize]
		if got := answer[i*lookSize:][:lookSize]; string(got) != string(want) {
			return fmt.Errorf("%w: block %d of %s", ErrWrong, block, l.Place)
		}
		return nil
	})
}

// Write asks to write what fills the memory to a disk, and to wait until the
// disk has it.
type Write struct {
	Place string `json:"place"` // [Scratch] or [Volume]
}

// Check tells why an exercise is refused, [ErrBad].
func (w *Write) Check() error {
	if w.Place != Scratch && w.Place != Volume {
		return fmt.Errorf("%w: no disk %.20q", ErrBad, w.Place)
	}
	return nil
}

// Stream asks for the bytes that [Stream.Reader] yields.
type Stream struct {
	Nonce Nonce `json:"nonce"`
	Bytes int64 `json:"bytes"` // 1 to 2³²
}

const maxStream = 1 << 32

// Check tells why an exercise is refused, [ErrBad].
func (s *Stream) Check() error {
	if s.Bytes < 1 || s.Bytes > maxStream {
		return fmt.Errorf("%w: a stream of %d bytes, 1 to %d are allowed", ErrBad, s.Bytes, int64(maxStream))
	}
	return nil
}

// Reader yields the stream.
func (s *Stream) Reader() *Random { return &Random{rand.NewChaCha8(s.Nonce), s.Bytes} }
