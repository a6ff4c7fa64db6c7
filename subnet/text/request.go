package text

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	textv1 "github.com/plexus-network/plexus/api/plexus/text/v1"
	"github.com/plexus-network/plexus/engine"
)

// ErrMalformed means that a request or an answer cannot be understood, or is
// out of its bounds.
var ErrMalformed = errors.New("text: malformed")

// Bounds of a request. What a manifest allows may be less.
const (
	maxRequest  = 1 << 20 // bytes of an encoded request
	maxMessages = 1024
	maxTokens   = 1 << 17 // tokens of a prompt, and of an answer
	maxStops    = 16
	maxStop     = 256 // bytes of a stop text
	maxUserSeed = 64  // bytes
	maxTopCount = 20  // alternatives per token that an asker may want
)

// Request asks for a continuation, as a user of the subnet would. Exactly one
// of Messages, Prompt and Tokens is set. The zero sampling fields take the
// likeliest token.
type Request struct {
	Messages []engine.Message // go through the model's chat template; at most 1024
	Prompt   string           // text without a template
	Tokens   []engine.Token   // used as they are

	MaxTokens   int      // at most this many new tokens; 0 means the manifest's limit
	Stop        []string // at most 16 texts of 256 bytes that end the answer
	Temperature float32  // 0 to 2
	TopP        float32  // 0 to 1
	MinP        float32  // 0 to 1
	TopK        int      // 0 means all that the sampler looks at
	UserSeed    []byte   // mixed into the answer's seed; at most 64 bytes
	TopCount    int      // alternatives per token wanted, 0 to 20

	// Made is how many of the last Tokens are the answer so far, of which the
	// text is out: fewer than all. The answer goes on in mid-character and in
	// mid-stop-text where they end, and MaxTokens counts what is new.
	Made int

	// Constraint binds the answer. Its Within is not sent: it is the limit of
	// the answer's tokens, see Mechanism.
	Constraint engine.Constraint

	// Reveal, if not 0, seals the answer: the miner commits to it within this
	// time and tells it after; whole milliseconds, at most 10 minutes.
	Reveal time.Duration
}

// Encode returns the request's bytes for a task's body, or [ErrMalformed].
func (r Request) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	m := textv1.Request{
		Prompt: r.Prompt, MaxTokens: uint32(r.MaxTokens), Stop: r.Stop,
		Temperature: r.Temperature, TopP: r.TopP, MinP: r.MinP, TopK: uint32(r.TopK),
		UserSeed: r.UserSeed, TopCount: uint32(r.TopCount), Made: uint32(r.Made),
		RevealMs: uint32(r.Reveal.Milliseconds()),
	}
	encodeConstraint(&m, r.Constraint)
	for _, t := range r.Messages {
		m.Messages = append(m.Messages, encodeMessage(t))
	}
	for _, t := range r.Tokens {
		m.Tokens = append(m.Tokens, uint32(t))
	}
	b, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(b) > maxRequest {
		return nil, fmt.Errorf("%w: a request of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxRequest)
	}
	return b, nil
}

// DecodeRequest is the inverse of [Request.Encode]. It returns [ErrMalformed]
// for what Encode would not have made.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) > maxRequest {
		return Request{}, fmt.Errorf("%w: a request of %d bytes, at most %d are allowed", ErrMalformed, len(b), maxRequest)
	}
	var m textv1.Request
	if err := m.Unmarshal(b); err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrMalformed, err)
	}
	if len(m.Messages) > maxMessages || len(m.Tokens) > maxTokens {
		return Request{}, fmt.Errorf("%w: %d messages and %d tokens, at most %d and %d are allowed",
			ErrMalformed, len(m.Messages), len(m.Tokens), maxMessages, maxTokens)
	}
	r := Request{
		Prompt: m.Prompt, MaxTokens: int(m.MaxTokens), Stop: m.Stop,
		Temperature: m.Temperature, TopP: m.TopP, MinP: m.MinP, TopK: int(m.TopK),
		UserSeed: m.UserSeed, TopCount: int(m.TopCount), Made: int(m.Made),
		Reveal: time.Duration(m.RevealMs) * time.Millisecond,
	}
	var err error
	if r.Constraint, err = decodeConstraint(&m); err != nil {
		return Request{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, t := range m.Messages {
		r.Messages = append(r.Messages, decodeMessage(t))
	}
	for _, t := range m.Tokens {
		r.Tokens = append(r.Tokens, engine.Token(t)) // above 2³¹−1 it turns negative, and check refuses it
	}
	return r, r.check()
}

// check tells what is out of bounds.
func (r Request) check() error {
	if err := r.checkPrompt(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := r.checkSampling(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := r.checkConstraint(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func (r Request) checkPrompt() error {
	given := 0
	for _, set := range []bool{len(r.Messages) > 0, r.Prompt != "", len(r.Tokens) > 0} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("%d of messages, prompt and tokens are set, exactly one must be", given)
	case len(r.Messages) > maxMessages:
		return fmt.Errorf("%d messages, at most %d are allowed", len(r.Messages), maxMessages)
	case len(r.Tokens) > maxTokens:
		return fmt.Errorf("%d tokens, at most %d are allowed", len(r.Tokens), maxTokens)
	case r.Made < 0 || r.Made > 0 && r.Made >= len(r.Tokens):
		return fmt.Errorf("%d tokens are made already, fewer than the %d tokens that are given must be", r.Made, len(r.Tokens))
	case !utf8.ValidString(r.Prompt):
		return errors.New("the prompt is not UTF-8")
	}
	for i, m := range r.Messages {
		if err := checkMessage(m); err != nil {
			return fmt.Errorf("message %d %w", i, err)
		}
	}
	for i, t := range r.Tokens {
		if t < 0 {
			return fmt.Errorf("token %d of the prompt is %d", i, t)
		}
	}
	return nil
}

func (r Request) checkSampling() error {
	switch {
	case r.MaxTokens < 0 || r.MaxTokens > maxTokens:
		return fmt.Errorf("max tokens is %d, 0 to %d are allowed", r.MaxTokens, maxTokens)
	case r.TopK < 0 || r.TopK > math.MaxInt32:
		return fmt.Errorf("top k is %d, 0 or more is allowed", r.TopK)
	case r.TopCount < 0 || r.TopCount > maxTopCount:
		return fmt.Errorf("top count is %d, 0 to %d are allowed", r.TopCount, maxTopCount)
	case r.Reveal < 0 || r.Reveal > maxReveal || r.Reveal%time.Millisecond != 0:
		return fmt.Errorf("reveal is %v, whole milliseconds from 0 to %v are allowed", r.Reveal, maxReveal)
	case len(r.UserSeed) > maxUserSeed:
		return fmt.Errorf("a user seed of %d bytes, at most %d are allowed", len(r.UserSeed), maxUserSeed)
	case len(r.Stop) > maxStops:
		return fmt.Errorf("%d stop texts, at most %d are allowed", len(r.Stop), maxStops)
	}
	for i, s := range r.Stop {
		if s == "" || len(s) > maxStop || !utf8.ValidString(s) {
			return fmt.Errorf("stop text %d has %d bytes, UTF-8 of 1 to %d bytes is allowed", i, len(s), maxStop)
		}
	}
	for _, f := range []struct {
		name  string
		value float32
		most  float32
	}{
		{"temperature", r.Temperature, engine.MaxTemperature},
		{"top p", r.TopP, 1},
		{"min p", r.MinP, 1},
	} {
		if !(f.value >= 0 && f.value <= f.most) { // also catches NaN
			return fmt.Errorf("%s is %v, 0 to %v is allowed", f.name, f.value, f.most)
		}
	}
	return nil
}
