package embed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	embedv1 "github.com/plexus-network/plexus/api/plexus/embed/v1"
)

// ErrMalformed means that a request or an answer cannot be understood, or is
// out of its bounds.
var ErrMalformed = errors.New("embed: malformed")

// Bounds of what travels. What a manifest allows may be less.
const (
	maxRequest = 1 << 20   // bytes of an encoded request
	maxTexts   = 256       // of a request
	maxText    = 128 << 10 // bytes of a text
	maxNonce   = 32        // bytes
	maxAnswer  = 8 << 20   // bytes of all chunks together
	maxChunk   = 256 << 10 // bytes of one chunk
	maxWidth   = 8192      // numbers of a vector
)

// Request asks for one vector per text.
type Request struct {
	Texts []string // 1 to 256, UTF-8 of 1 to 128 KiB each, 1 MiB in all
	Nonce []byte   // makes requests for the same texts differ; at most 32 bytes
}

// Encode returns the request's bytes for a task's body, or [ErrMalformed].
func (r Request) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	m := embedv1.Request{Texts: r.Texts, Nonce: r.Nonce}
	b, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, checkSize(b)
}

// DecodeRequest is the inverse of [Request.Encode]. It returns [ErrMalformed]
// for what Encode would not have made.
func DecodeRequest(b []byte) (Request, error) {
	if err := checkSize(b); err != nil {
		return Request{}, err
	}
	var m embedv1.Request
	if err := m.Unmarshal(b); err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrMalformed, err)
	}
	r := Request{Texts: m.Texts, Nonce: m.Nonce}
	return r, r.check()
}

func checkSize(request []byte) error {
	if len(request) > maxRequest {
		return fmt.Errorf("%w: a request of %d bytes, at most %d are allowed", ErrMalformed, len(request), maxRequest)
	}
	return nil
}

func (r Request) check() error {
	if len(r.Texts) < 1 || len(r.Texts) > maxTexts {
		return fmt.Errorf("%w: %d texts, 1 to %d are allowed", ErrMalformed, len(r.Texts), maxTexts)
	}
	if len(r.Nonce) > maxNonce {
		return fmt.Errorf("%w: a nonce of %d bytes, at most %d are allowed", ErrMalformed, len(r.Nonce), maxNonce)
	}
	for i, s := range r.Texts {
		if s == "" || len(s) > maxText || !utf8.ValidString(s) {
			return fmt.Errorf("%w: text %d has %d bytes, UTF-8 of 1 to %d bytes is allowed", ErrMalformed, i, len(s), maxText)
		}
	}
	return nil
}

// answer is what a miner says: a vector per text, and the probe's.
type answer struct {
	vectors [][]float32
	probe   []float32
}

// encodeChunk returns vectors as one chunk, the last one if there is a probe.
func encodeChunk(vectors [][]float32, probe []float32) ([]byte, error) {
	var m embedv1.Chunk
	for _, v := range vectors {
		m.Vectors = append(m.Vectors, embedv1.Vector{Values: v})
	}
	if probe != nil {
		m.Probe = &embedv1.Vector{Values: probe}
	}
	size := m.Size()
	if size > maxChunk {
		return nil, fmt.Errorf("%w: a chunk of %d bytes, at most %d are allowed", ErrMalformed, size, maxChunk)
	}
	body, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return append(binary.AppendUvarint(nil, uint64(size)), body...), nil
}

// decodeAnswer puts an answer together from its chunks. It returns
// [ErrMalformed] where one is broken, unbounded or missing.
func decodeAnswer(b []byte) (answer, error) {
	if len(b) > maxAnswer {
		return answer{}, fmt.Errorf("%w: an answer of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxAnswer)
	}
	var a answer
	for chunk := 0; len(b) > 0; chunk++ {
		if a.probe != nil {
			return answer{}, fmt.Errorf("%w: %d bytes after the last chunk", ErrMalformed, len(b))
		}
		size, n := binary.Uvarint(b)
		if n <= 0 || size > maxChunk || size > uint64(len(b)-n) {
			return answer{}, fmt.Errorf("%w: chunk %d is cut off or longer than %d bytes", ErrMalformed, chunk, maxChunk)
		}
		if err := a.add(b[n : n+int(size)]); err != nil {
			return answer{}, fmt.Errorf("%w: chunk %d: %w", ErrMalformed, chunk, err)
		}
		b = b[n+int(size):]
	}
	if a.probe == nil {
		return answer{}, fmt.Errorf("%w: the answer has no end", ErrMalformed)
	}
	return a, nil
}

func (a *answer) add(chunk []byte) error {
	var m embedv1.Chunk
	if err := m.Unmarshal(chunk); err != nil {
		return err
	}
	if len(m.Vectors) > maxTexts-len(a.vectors) {
		return fmt.Errorf("more than %d vectors", maxTexts)
	}
	for _, v := range m.Vectors {
		if n := len(v.Values); n < 1 || n > maxWidth {
			return fmt.Errorf("a vector of %d numbers, 1 to %d are allowed", n, maxWidth)
		}
		a.vectors = append(a.vectors, v.Values)
	}
	if m.Probe == nil {
		return nil
	}
	if n := len(m.Probe.Values); n < 1 || n > maxWidth {
		return fmt.Errorf("a probe of %d numbers, 1 to %d are allowed", n, maxWidth)
	}
	a.probe = m.Probe.Values
	return nil
}
