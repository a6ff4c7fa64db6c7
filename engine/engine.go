// Package engine runs language models: it turns tokens into the tokens that
// follow, and tells how likely a given text was.
//
// Every engine is a [Text]. engine/local opens a GGUF file: in a child process
// of its own, so that a crash in native code ends a worker and not the node, or
// in the reference engine of engine/ref, which computes the same in plain Go
// with the same bits on every machine. engine/remote speaks to a server that
// someone else runs. What a token costs in luck is not the engine's to decide: [Sampling]
// picks by a seed, so that a second engine can check the pick.
//
// Start at [Text] and [Sampling].
package engine

import (
	"context"
	"errors"
)

// Token is an index into a model's vocabulary, from 0.
type Token int32

// Seed drives every random choice of one answer. The zero Seed is a seed like
// any other.
type Seed [32]byte

// Role says who speaks in a [Message].
type Role string

// The roles that chat templates know. ToolResult is what came of a call.
const (
	System     Role = "system"
	User       Role = "user"
	Assistant  Role = "assistant"
	ToolResult Role = "tool"
)

// Message is one turn of a conversation.
type Message struct {
	Role    Role   `json:"role"`
	Content string `json:"content"`

	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`   // of an Assistant
	ToolCallID string     `json:"tool_call_id,omitempty"` // of a ToolResult: the call that it answers
}

// Candidate is a token that a model might say next.
type Candidate struct {
	Token   Token   `json:"token"`
	LogProb float32 `json:"logprob"` // natural logarithm, ≤ 0, at temperature 1
}

// TokenScore is what a model thinks of one token of a text.
type TokenScore struct {
	Token   Token       `json:"token"`
	LogProb float32     `json:"logprob"`       // natural logarithm, ≤ 0, at temperature 1
	Top     []Candidate `json:"top,omitempty"` // the likeliest tokens in its place, likeliest first
}

// ChatRequest asks for a continuation. Exactly one of Tokens, Messages and
// Prompt is set; Tokens are used as they are, Messages go through the model's
// chat template, and Prompt is text without a template.
type ChatRequest struct {
	Tokens   []Token
	Messages []Message
	Prompt   string

	MaxTokens int      // at most this many new tokens; 0 means as many as fit the context
	Stop      []string // ends the answer before the first of these texts
	Sampling  Sampling
	TopCount  int // alternatives reported per token, 0 to MaxTop

	Constraint Constraint // what the answer may say
	Made       int        // how many of the last Tokens are the answer so far; Constraint holds from the first of them
}

// MaxTop is the most alternatives per token that an engine reports. It is what
// sampler S1 looks at, so a score with MaxTop alternatives can be checked.
const MaxTop = 50

// Delta is a piece of an answer, as it is made. Text is whole UTF-8; Tokens
// may run ahead of it while a character or a stop text is unfinished. The token
// that ends the turn is the last one and has no text. All texts together are
// what Decode makes of all tokens, up to a stop text. A back end that does not
// tell tokens leaves Tokens empty.
type Delta struct {
	Text   string
	Tokens []TokenScore
}

// Finish says why an answer ended.
type Finish string

// The reasons to end, named as the OpenAI API names them.
const (
	FinishStop   Finish = "stop"   // the model ended its turn, or a stop text came
	FinishLength Finish = "length" // MaxTokens or the context was full
)

// Usage counts an answer's tokens.
type Usage struct {
	Prompt     int // tokens of the rendered prompt
	Cached     int // of them, tokens found in the KV cache
	Completion int // tokens made, including the one that ended the turn
	Finish     Finish
}

// Model describes what an engine runs.
type Model struct {
	Name         string
	Architecture string // as in GGUF: "llama", "qwen3"; empty when unknown
	Precision    string // "f32-ref", "f16", "q8_0" …; empty when unknown
	Parameters   int64  // 0 when unknown
	Context      int    // tokens, prompt and answer together; 0 when unknown
	Vocabulary   int    // tokens; 0 when unknown
	FileHash     string // sha256 of the GGUF file in hex; empty for remote engines
	TemplateHash string // sha256 of the chat template in hex; empty for remote engines
}

// Text is a model that answers and scores. Its methods may be called from
// many goroutines: the engine batches what runs at the same time.
type Text interface {
	// Model describes the model; it does not change while the engine is open.
	Model() Model

	// Chat answers r, calling emit from one goroutine, in order. An error of
	// emit or the end of ctx stops the answer at the next token and is
	// returned. Usage is exact for what was emitted, also on error.
	Chat(ctx context.Context, r ChatRequest, emit func(Delta) error) (Usage, error)

	// Score returns one TokenScore, with MaxTop alternatives, for each token
	// of continuation as it follows prompt. It returns ErrUnsupported where
	// the back end cannot score, and ErrTooLong when both do not fit.
	Score(ctx context.Context, prompt, continuation []Token) ([]TokenScore, error)

	// Embed returns a vector per text, all of one length, each of norm 1.
	Embed(ctx context.Context, texts []string) ([][]float32, error)

	// Close ends the engine and waits for its answers to stop.
	Close() error
}

// Tokenizer turns text into a model's tokens and back. Engines on a model file
// have one; plain OpenAI back ends do not.
type Tokenizer interface {
	// Render puts a conversation through the model's chat template, ready for
	// the assistant's turn. It returns an error for a role it does not know.
	Render(messages []Message) ([]Token, error)
	// Encode returns the tokens of text, without adding any at its ends.
	Encode(text string) ([]Token, error)
	// Decode returns the text of tokens; control tokens have none. Bytes that
	// are no UTF-8 become U+FFFD each.
	Decode(tokens []Token) string
	// Ends tells whether t ends the assistant's turn.
	Ends(t Token) bool
}

// Checker is an engine that can check another's answer: it has the tokenizer
// and the scores.
type Checker interface {
	Text
	Tokenizer
}

// Errors that callers test for.
var (
	ErrRequest     = errors.New("engine: bad request")
	ErrUnsupported = errors.New("engine: not supported by this back end")
	ErrTooLong     = errors.New("engine: does not fit the model's context")
	ErrBusy        = errors.New("engine: too many sessions")
	ErrWorkerDied  = errors.New("engine: the worker died")
	ErrClosed      = errors.New("engine: closed")
	ErrBadModel    = errors.New("engine: not a usable model file")
)
