package p2p

import (
	"errors"
	"fmt"
	"strings"
	"time"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// Errors of calls and records. What a remote peer refuses comes as a
// [*Refused], which matches these with [errors.Is] where one applies.
var (
	// ErrUnreachable means that no connection to the peer could be made, or
	// that it was lost before the answer ended.
	ErrUnreachable = errors.New("p2p: peer unreachable")
	// ErrReplay means that the request had been accepted before.
	ErrReplay = errors.New("p2p: request replayed")
	// ErrBadSignature means that a request, answer, record or receipt is not
	// signed by the peer that it names.
	ErrBadSignature = errors.New("p2p: bad signature")
	// ErrExpired means that a request or record is out of its time, be it too
	// late or, by a wrong clock, too early.
	ErrExpired = errors.New("p2p: expired")
	// ErrTooLarge means that a message is over its size limit.
	ErrTooLarge = errors.New("p2p: message too large")
	// ErrMalformed means that a message or record cannot be understood.
	ErrMalformed = errors.New("p2p: malformed")
	// ErrNoRecord means that nobody holds a valid record of the peer.
	ErrNoRecord = errors.New("p2p: no record of peer")
)

// A Code sorts refusals by what the caller should do about them.
type Code = axonv1.Code

// The codes of a refusal. The host uses all but Forbidden; policies and handlers
// use what says best what is wrong.
const (
	Malformed     Code = axonv1.Code_CODE_MALFORMED
	Expired       Code = axonv1.Code_CODE_EXPIRED
	BadSignature  Code = axonv1.Code_CODE_BAD_SIGNATURE
	Replayed      Code = axonv1.Code_CODE_REPLAYED
	Forbidden     Code = axonv1.Code_CODE_FORBIDDEN
	Busy          Code = axonv1.Code_CODE_BUSY
	TooLarge      Code = axonv1.Code_CODE_TOO_LARGE
	UnknownMethod Code = axonv1.Code_CODE_UNKNOWN_METHOD
	Internal      Code = axonv1.Code_CODE_INTERNAL
	WrongReceiver Code = axonv1.Code_CODE_WRONG_RECEIVER
)

// Refused is the error of a request that the receiver did not serve, or did
// not serve to the end. A [Policy] or [Handler] returns one to choose what the
// caller sees; Call returns one that the receiver has signed.
type Refused struct {
	Code       Code
	Message    string        // for people, at most 512 bytes on the wire
	RetryAfter time.Duration // 0 means no hint; whole milliseconds on the wire
}

// Error says who refused, why, and when to come back.
func (r *Refused) Error() string {
	if r.RetryAfter > 0 {
		return fmt.Sprintf("p2p: refused (%s): %q, retry after %v", codeNames[r.Code], r.Message, r.RetryAfter)
	}
	return fmt.Sprintf("p2p: refused (%s): %q", codeNames[r.Code], r.Message)
}

// Unwrap returns the sentinel that the code stands for, or nil.
func (r *Refused) Unwrap() error {
	return codeErrors[r.Code]
}

var codeNames = map[Code]string{
	Malformed:     "malformed",
	Expired:       "expired",
	BadSignature:  "bad signature",
	Replayed:      "replayed",
	Forbidden:     "forbidden",
	Busy:          "busy",
	TooLarge:      "too large",
	UnknownMethod: "unknown method",
	Internal:      "internal error",
	WrongReceiver: "wrong receiver",
}

var codeErrors = map[Code]error{
	Malformed:    ErrMalformed,
	Expired:      ErrExpired,
	BadSignature: ErrBadSignature,
	Replayed:     ErrReplay,
	TooLarge:     ErrTooLarge,
}

// refusal turns what a check, policy or handler returned into what the caller
// is told. Unknown errors stay private: they may speak of paths and keys.
func refusal(err error) *axonv1.Refusal {
	r, ok := errors.AsType[*Refused](err)
	if !ok {
		r = &Refused{Code: Internal, Message: "the peer failed to serve the request"}
	}
	return &axonv1.Refusal{
		Code:         r.Code,
		Message:      clip(r.Message, maxMessage),
		RetryAfterMs: r.RetryAfter.Milliseconds(),
	}
}

// refused is the inverse of refusal, for what came over the wire.
func refused(m *axonv1.Refusal) *Refused {
	wait := min(max(m.RetryAfterMs, 0), maxRetryAfter.Milliseconds())
	return &Refused{
		Code:       m.Code,
		Message:    clip(m.Message, maxMessage),
		RetryAfter: time.Duration(wait) * time.Millisecond,
	}
}

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
