package open

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	openv1 "github.com/plexus-network/plexus/api/plexus/open/v1"
	"github.com/plexus-network/plexus/subnet"
)

// ErrMalformed means that a request or an answer cannot be understood, or is
// out of its bounds.
var ErrMalformed = errors.New("open: malformed")

// Bounds of what travels.
const (
	maxRequest = 256 << 10 // bytes of an encoded request
	maxText    = 64 << 10  // bytes of an answer's text
	maxAnswer  = 256 << 10 // bytes of all chunks together
	saltSize   = 24
)

// Request asks for an answer to a prompt.
type Request struct {
	Salt     [saltSize]byte // random; makes requests for the same prompt differ
	Prompt   string         // what a user says, UTF-8 of 1 byte to 256 KiB
	MaxBytes int            // of the answer's text; 0 means as much as the subnet allows
}

// Encode returns the request's bytes for a task's body, or [ErrMalformed].
func (r Request) Encode() ([]byte, error) {
	m := openv1.Request{Salt: r.Salt[:], Prompt: r.Prompt, MaxBytes: uint32(max(r.MaxBytes, 0))}
	b, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	_, err = DecodeRequest(b)
	return b, err
}

// DecodeRequest is the inverse of [Request.Encode]. It returns [ErrMalformed]
// for what Encode would not have made.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) > maxRequest {
		return Request{}, fmt.Errorf("%w: a request of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxRequest)
	}
	var m openv1.Request
	if err := m.Unmarshal(b); err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrMalformed, err)
	}
	switch {
	case len(m.Salt) != saltSize:
		return Request{}, fmt.Errorf("%w: a salt of %d bytes, %d are wanted", ErrMalformed, len(m.Salt), saltSize)
	case m.Prompt == "" || !utf8.ValidString(m.Prompt):
		return Request{}, fmt.Errorf("%w: the prompt has %d bytes, UTF-8 of 1 or more is wanted", ErrMalformed, len(m.Prompt))
	case m.MaxBytes > maxText:
		return Request{}, fmt.Errorf("%w: max_bytes is %d, at most %d are allowed", ErrMalformed, m.MaxBytes, maxText)
	}
	return Request{Salt: [saltSize]byte(m.Salt), Prompt: m.Prompt, MaxBytes: int(m.MaxBytes)}, nil
}

// encodeChunk returns a piece of an answer, the last one if there is a seal.
func encodeChunk(text string, seal []byte) ([]byte, error) {
	m := openv1.Chunk{Text: text, Seal: seal}
	body, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...), nil
}

// A Chunk is a piece of an answer, which is the concatenation of its pieces.
type Chunk struct {
	Text string // whole UTF-8
	Seal []byte // on the last piece, whose text is empty; see Mechanism.Work
}

// DecodeChunks reads whole chunks, as they come from a miner, or returns
// [ErrMalformed]. It checks no seal.
func DecodeChunks(b []byte) ([]Chunk, error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%w: an answer of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxAnswer)
	}
	var chunks []Chunk
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: chunk %d is cut off", ErrMalformed, len(chunks))
		}
		var m openv1.Chunk
		if err := m.Unmarshal(b[n : n+int(size)]); err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", ErrMalformed, len(chunks), err)
		}
		if !utf8.ValidString(m.Text) {
			return nil, fmt.Errorf("%w: chunk %d is not UTF-8", ErrMalformed, len(chunks))
		}
		chunks, b = append(chunks, Chunk{m.Text, m.Seal}), b[n+int(size):]
	}
	return chunks, nil
}

// decodeAnswer returns the text and the seal of an answer of at most most bytes
// of text, or [ErrMalformed].
func decodeAnswer(b []byte, most int) (text string, seal []byte, err error) {
	chunks, err := DecodeChunks(b)
	if err != nil {
		return "", nil, err
	}
	var said strings.Builder
	for i, c := range chunks {
		if seal != nil {
			return "", nil, fmt.Errorf("%w: %d chunks after the seal", ErrMalformed, len(chunks)-i)
		}
		said.WriteString(c.Text)
		if len(c.Seal) > 0 {
			seal = c.Seal
		}
	}
	switch {
	case seal == nil:
		return "", nil, fmt.Errorf("%w: the answer has no seal", ErrMalformed)
	case said.Len() > most:
		return "", nil, fmt.Errorf("%w: a text of %d bytes, at most %d were asked for", ErrMalformed, said.Len(), most)
	}
	return said.String(), seal, nil
}

// sealDomain keeps these hashes apart from all others.
const sealDomain = "plexus/open/seal/v1"

// sealOf binds a text to its task:
//
//	SHA-256( "plexus/open/seal/v1" ‖ netuid ‖ height ‖ block hash
//	         ‖ len ‖ validator's peer id ‖ len ‖ miner's peer id
//	         ‖ task id ‖ SHA-256(body) ‖ text )
func sealOf(t subnet.Task, text string) []byte {
	b := []byte(sealDomain)
	b = binary.BigEndian.AppendUint16(b, uint16(t.Netuid))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Height))
	b = append(b, t.BlockHash[:]...)
	for _, id := range []string{t.Validator.PeerID, t.Miner.PeerID} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(id))), id...)
	}
	b = append(b, t.ID[:]...)
	body := sha256.Sum256(t.Body)
	b = append(b, body[:]...)
	h := sha256.Sum256(append(b, text...))
	return h[:]
}
