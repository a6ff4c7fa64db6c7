// Package batch runs many answers on one model at the same time.
//
// A [Model] computes rows of tokens, each in a slot that keeps its session's
// keys and values. The [Engine] on top fills every step with one row of each
// answer that is being written and a bounded share of the prompts that are
// being read, so that a long prompt delays nobody; it keeps the slots of
// finished answers for prompts that begin alike, picks tokens by
// engine.Sampling, cuts answers into whole characters, and scores given texts.
//
// Start at [New]. One goroutine owns the model; it sleeps while there is
// nothing to do.
package batch

import (
	"fmt"

	"github.com/plexus-network/plexus/engine"
)

// A Row is one token to compute.
type Row struct {
	Token    engine.Token
	Slot     int  // whose session it belongs to, from 0
	Position int  // in the session, from 0; rows of a slot come in order, without gaps
	Logits   bool // whether the scores of the token that follows are wanted
}

// A Model computes. Its methods are called from one goroutine at a time.
type Model interface {
	// Decode computes rows and keeps them in their slots.
	Decode(rows []Row) error
	// Logits returns the scores that row i of the last Decode asked for. They
	// are valid until the next call.
	Logits(i int) engine.Logits
	// Trim forgets a slot's rows from position n on, and returns how many are
	// left: n, or 0 for a model that cannot forget a part.
	Trim(slot, n int) int
	// Copy makes the slot to equal to the slot from.
	Copy(from, to int)
	// Embed returns the mean of the last layer's states over tokens.
	Embed(tokens []engine.Token) ([]float32, error)
	// Close frees the model.
	Close()
}

// A Partial model's Logits are true of the engine.MaxTop likeliest tokens only,
// which is too little to pick under a constraint.
type Partial interface{ Partial() }

// A Vocabulary turns text into tokens and back.
type Vocabulary interface {
	Controls() map[string]engine.Token
	Begin() engine.Token
	Encode(text string) ([]engine.Token, error)
	// Piece is the bytes of a token; control tokens have none.
	Piece(t engine.Token) string
	Ends(t engine.Token) bool
	Size() int
}

// Options tunes an Engine. The zero value works.
type Options struct {
	Slots  int // sessions computed at the same time; 0 means 8
	Queue  int // answers that may wait for a slot; 0 means four per slot
	Rows   int // most rows in one step; 0 means 512
	Prompt int // most prompt rows in a step while answers are written; 0 means 128
}

func (o Options) withDefaults() Options {
	set := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	set(&o.Slots, 8)
	set(&o.Queue, 4*o.Slots)
	set(&o.Rows, 512)
	set(&o.Prompt, 128)
	o.Rows = max(o.Rows, o.Slots)
	return o
}

// request is an error that wraps engine.ErrRequest.
func request(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrRequest, fmt.Sprintf(format, args...))
}

// tooLong is an error that wraps engine.ErrTooLong.
func tooLong(what string, tokens, context int) error {
	return fmt.Errorf("%w: %s %d tokens, the context holds %d; shorten it or start a new conversation",
		engine.ErrTooLong, what, tokens, context)
}
