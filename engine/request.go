package engine

import "fmt"

// Limits on the stop texts of a request.
const (
	maxStops    = 64
	maxStopSize = 1024
)

// Check returns an error that wraps ErrRequest where r breaks a rule that needs
// no model to see. Engines check every request.
func (r ChatRequest) Check() error {
	set := 0
	for _, is := range []bool{len(r.Tokens) > 0, len(r.Messages) > 0, r.Prompt != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("%w: %d of tokens, messages and prompt are set, want exactly one", ErrRequest, set)
	case r.MaxTokens < 0:
		return fmt.Errorf("%w: max tokens is %d, want 0 or more", ErrRequest, r.MaxTokens)
	case r.TopCount < 0 || r.TopCount > MaxTop:
		return fmt.Errorf("%w: %d alternatives per token, want 0 to %d", ErrRequest, r.TopCount, MaxTop)
	case len(r.Stop) > maxStops:
		return fmt.Errorf("%w: %d stop texts, the most is %d", ErrRequest, len(r.Stop), maxStops)
	}
	for _, s := range r.Stop {
		if s == "" || len(s) > maxStopSize {
			return fmt.Errorf("%w: a stop text of %d bytes, want 1 to %d", ErrRequest, len(s), maxStopSize)
		}
	}
	if r.Made < 0 || r.Made > 0 && r.Made >= len(r.Tokens) {
		return fmt.Errorf("%w: %d tokens of the answer are made, of %d tokens that are given", ErrRequest, r.Made, len(r.Tokens))
	}
	if err := r.Constraint.Check(); err != nil {
		return err
	}
	return r.Sampling.Check()
}
