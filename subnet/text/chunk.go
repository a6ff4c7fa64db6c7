package text

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	textv1 "github.com/plexus-network/plexus/api/plexus/text/v1"
	"github.com/plexus-network/plexus/engine"
)

// Bounds of an answer.
const (
	maxAnswer = 8 << 20   // bytes of all chunks together
	maxChunk  = 256 << 10 // bytes of one chunk
)

// Chunk is a piece of an answer. Pieces follow each other without anything
// between them, so the body of an answer is their concatenation.
type Chunk struct {
	Text   string              // whole UTF-8; Tokens may run ahead of it
	Tokens []engine.TokenScore // Top holds what the manifest or the request asks for
	Finish engine.Finish       // empty until the last chunk
	Usage  engine.Usage        // on the last chunk

	Marks      []Mark              // of the blocks of tokens that this chunk completes: see [Roll]
	Commitment Mark                // first and alone, of a sealed answer
	Salt       Salt                // on the last chunk of a sealed answer
	Probe      []engine.TokenScore // on the last chunk of an answer at temperature 0; without alternatives
}

// Encode returns the chunk's bytes: its length as a varint, and a message. It
// returns [ErrMalformed] for a chunk that DecodeChunks would not take.
func (c Chunk) Encode() ([]byte, error) {
	m := textv1.Chunk{Text: c.Text}
	for _, t := range c.Tokens {
		m.Tokens = append(m.Tokens, encodeToken(t))
	}
	for i := range c.Marks {
		m.Marks = append(m.Marks, c.Marks[i][:])
	}
	for _, t := range c.Probe {
		m.Probe = append(m.Probe, encodeToken(t))
	}
	m.Commitment, m.Salt = optional(c.Commitment), optional(c.Salt)
	switch c.Finish {
	case "":
	case engine.FinishStop:
		m.Finish = textv1.Finish_FINISH_STOP
	case engine.FinishLength:
		m.Finish = textv1.Finish_FINISH_LENGTH
	default:
		return nil, fmt.Errorf("%w: chunk ends by %q", ErrMalformed, c.Finish)
	}
	if c.Finish != "" {
		m.Usage = &textv1.Usage{
			Prompt: uint32(c.Usage.Prompt), Cached: uint32(c.Usage.Cached), Completion: uint32(c.Usage.Completion),
		}
	}
	size := m.Size()
	if size > maxChunk {
		return nil, fmt.Errorf("%w: a chunk of %d bytes, at most %d are allowed", ErrMalformed, size, maxChunk)
	}
	b := binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(size))
	head := len(b)
	b = b[:head+size]
	if _, err := m.MarshalToSizedBuffer(b[head:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, nil
}

// optional leaves 32 bytes out where they are zero.
func optional(b [32]byte) []byte {
	if b == [32]byte{} {
		return nil
	}
	return b[:]
}

// fixed is the inverse of optional.
func fixed(name string, b []byte) (out [32]byte, err error) {
	if n := len(b); n != 0 && n != len(out) {
		return out, fmt.Errorf("a %s of %d bytes, %d are wanted", name, n, len(out))
	}
	copy(out[:], b)
	return out, nil
}

func encodeToken(t engine.TokenScore) textv1.Token {
	m := textv1.Token{Id: uint32(t.Token), Logprob: t.LogProb}
	for _, c := range t.Top {
		m.TopIds = append(m.TopIds, uint32(c.Token))
		m.TopLogprobs = append(m.TopLogprobs, c.LogProb)
	}
	return m
}

// DecodeChunks returns the chunks in b, in order. It returns [ErrMalformed]
// for a broken or unbounded chunk, for text after the last, and for numbers
// that cannot be; a body cut between two chunks decodes, and its last chunk
// has no Finish.
func DecodeChunks(b []byte) ([]Chunk, error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%w: an answer of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxAnswer)
	}
	var chunks []Chunk
	tokens := 0
	for len(b) > 0 {
		if n := len(chunks); n > 0 && chunks[n-1].Finish != "" {
			return nil, fmt.Errorf("%w: %d bytes after the last chunk", ErrMalformed, len(b))
		}
		size, n := binary.Uvarint(b)
		if n <= 0 || size > maxChunk || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: chunk %d is cut off or longer than %d bytes", ErrMalformed, len(chunks), maxChunk)
		}
		c, err := decodeChunk(b[n : n+int(size)])
		if err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", ErrMalformed, len(chunks), err)
		}
		tokens += len(c.Tokens) + len(c.Probe)
		if tokens > maxTokens {
			return nil, fmt.Errorf("%w: more than %d tokens", ErrMalformed, maxTokens)
		}
		chunks = append(chunks, c)
		b = b[n+int(size):]
	}
	return chunks, nil
}

func decodeChunk(b []byte) (Chunk, error) {
	var m textv1.Chunk
	if err := m.Unmarshal(b); err != nil {
		return Chunk{}, err
	}
	if !utf8.ValidString(m.Text) {
		return Chunk{}, fmt.Errorf("its text is not UTF-8")
	}
	c := Chunk{Text: m.Text}
	var err error
	if c.Tokens, err = decodeTokens(m.Tokens); err != nil {
		return Chunk{}, err
	}
	if c.Probe, err = decodeTokens(m.Probe); err != nil {
		return Chunk{}, fmt.Errorf("probe: %w", err)
	}
	if err := decodeHashes(&c, m); err != nil {
		return Chunk{}, err
	}
	switch m.Finish {
	case textv1.Finish_FINISH_UNSPECIFIED:
		return c, nil
	case textv1.Finish_FINISH_STOP:
		c.Finish = engine.FinishStop
	case textv1.Finish_FINISH_LENGTH:
		c.Finish = engine.FinishLength
	default:
		return Chunk{}, fmt.Errorf("unknown finish %d", m.Finish)
	}
	u := m.Usage
	if u == nil || max(u.Prompt, u.Cached, u.Completion) > math.MaxInt32 {
		return Chunk{}, fmt.Errorf("the last chunk has usage %v", u)
	}
	c.Usage = engine.Usage{
		Prompt: int(u.Prompt), Cached: int(u.Cached), Completion: int(u.Completion), Finish: c.Finish,
	}
	return c, nil
}

func decodeTokens(all []textv1.Token) ([]engine.TokenScore, error) {
	var out []engine.TokenScore
	for i, t := range all {
		score, err := decodeToken(t)
		if err != nil {
			return nil, fmt.Errorf("token %d: %w", i, err)
		}
		out = append(out, score)
	}
	return out, nil
}

// decodeHashes reads a chunk's marks, commitment and salt.
func decodeHashes(c *Chunk, m textv1.Chunk) (err error) {
	if most := len(m.Tokens)/MarkEvery + 2; len(m.Marks) > most {
		return fmt.Errorf("%d marks with %d tokens", len(m.Marks), len(m.Tokens))
	}
	for _, b := range m.Marks {
		if len(b) != len(Mark{}) {
			return fmt.Errorf("a mark of %d bytes, %d are wanted", len(b), len(Mark{}))
		}
		c.Marks = append(c.Marks, Mark(b))
	}
	if c.Commitment, err = fixed("commitment", m.Commitment); err != nil {
		return err
	}
	c.Salt, err = fixed("salt", m.Salt)
	return err
}

func decodeToken(m textv1.Token) (engine.TokenScore, error) {
	if m.Id > math.MaxInt32 || !possible(m.Logprob) {
		return engine.TokenScore{}, fmt.Errorf("id %d with log-probability %v", m.Id, m.Logprob)
	}
	if len(m.TopIds) != len(m.TopLogprobs) || len(m.TopIds) > engine.MaxTop {
		return engine.TokenScore{}, fmt.Errorf("%d alternatives with %d log-probabilities, at most %d are allowed",
			len(m.TopIds), len(m.TopLogprobs), engine.MaxTop)
	}
	t := engine.TokenScore{Token: engine.Token(m.Id), LogProb: m.Logprob}
	for i, id := range m.TopIds {
		if id > math.MaxInt32 || !possible(m.TopLogprobs[i]) {
			return engine.TokenScore{}, fmt.Errorf("alternative %d with log-probability %v", id, m.TopLogprobs[i])
		}
		t.Top = append(t.Top, engine.Candidate{Token: engine.Token(id), LogProb: m.TopLogprobs[i]})
	}
	return t, nil
}

// possible tells whether p can be a log-probability.
func possible(p float32) bool { return p <= 0 && p >= -math.MaxFloat32 }
