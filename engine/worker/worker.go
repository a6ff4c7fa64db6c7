// Package worker keeps an engine in another process and makes it look like one
// in this process.
//
// [Serve] is the worker's side: it answers requests that come in frames over a
// pipe. [Engine] is the other side: it starts a worker, restarts one that died,
// and goes on with the answers that were being written, token for token, so
// that their readers see a pause. Neither side trusts the other's frames: sizes
// and counts are bounded, because a model file may have taken the worker over.
//
// The package knows pipes only; engine/local starts the processes.
package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/plexus-network/plexus/engine"
)

// Load says which model a worker opens, and how.
type Load struct {
	Path     string
	Threads  int // 0 means one less than there are processors, at least 1
	Context  int // tokens per session; 0 means the engine's default
	Sessions int // computed at the same time; 0 means the engine's default
	Queue    int // waiting for a session; 0 means four per session

	Accelerators []string // paths of the engine's back ends for graphics processors
}

// Opened is what a worker says of the model it opened.
type Opened struct {
	Model  engine.Model
	Build  string // for which processor the worker's code was compiled
	Device string // what computes in its place, as "CUDA0: NVIDIA H100", or ""
	Faster string // an instruction set that the machine has and the build does not use, or ""
}

// A Served engine is what a worker runs.
type Served interface {
	engine.Checker
	engine.BoundScorer
	engine.ToolRenderer
	// Resume goes on with an answer of which made are the tokens so far.
	Resume(ctx context.Context, r engine.ChatRequest, made []engine.Token, emit func(engine.Delta) error) (engine.Usage, error)
	// Piece is the bytes of one token; control tokens have none.
	Piece(t engine.Token) string
}

// kind is what a frame carries.
type kind uint8

// Frames to the worker, and from it.
const (
	kindLoad kind = iota + 1
	kindChat
	kindScore
	kindEmbed
	kindRender
	kindEncode
	kindCancel

	kindOpened
	kindPieces
	kindDelta
	kindTokens
	kindScores
	kindVectors
	kindDone
)

// chatRequest is a request with what was made of its answer before.
type chatRequest struct {
	engine.ChatRequest
	Text []byte         // Prompt, which need not be UTF-8
	Said []engine.Token `json:",omitempty"` // what was made before
}

type scoreRequest struct {
	Prompt, Continuation []engine.Token
	Constraint           engine.Constraint
	Made                 int `json:",omitempty"`
}

type renderRequest struct {
	Messages []engine.Message
	Tools    []engine.Tool `json:",omitempty"`
}

// done ends a request.
type done struct {
	Usage engine.Usage
	Code  string // of sentinels, "" where all went well
	Error string
}

// sentinels are the errors that keep their identity across the pipe.
var sentinels = []struct {
	code string
	err  error
}{
	{"request", engine.ErrRequest},
	{"unsupported", engine.ErrUnsupported},
	{"too-long", engine.ErrTooLong},
	{"busy", engine.ErrBusy},
	{"closed", engine.ErrClosed},
	{"bad-model", engine.ErrBadModel},
	{"canceled", context.Canceled},
}

// encodeError writes err so that decodeError can read it.
func encodeError(err error) (code, text string) {
	if err == nil {
		return "", ""
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.code, err.Error()
		}
	}
	return "other", err.Error()
}

// remoteError is an error of the worker.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

func decodeError(code, text string) error {
	if code == "" {
		return nil
	}
	for _, s := range sentinels {
		if s.code == code {
			return &remoteError{text, s.err}
		}
	}
	return &remoteError{text, nil}
}

// errFrame means that a frame is not of the form that it must have.
var errFrame = errors.New("worker: a frame that cannot be read")

func frameError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFrame, fmt.Sprintf(format, args...))
}
