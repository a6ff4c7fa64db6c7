// Package subnet says what a subnet is to those who serve on it.
//
// A kind of subnet is a [Mechanism]: it makes challenges, works on tasks, and
// turns answers into scores. Package neuron runs a Mechanism without knowing
// its kind; node plugs the kinds in. A kind lives in a room of its own below
// this one, and proves itself by the conformance kit in subnettest.
//
// Start at [Mechanism] and [Task].
package subnet

import (
	"context"
	"errors"
	"time"

	"github.com/plexus-network/plexus/yuma"
)

// Peer is a neuron as a mechanism sees it.
type Peer struct {
	UID     yuma.UID
	Account string // bech32 address of the coldkey
	PeerID  string // libp2p peer id in text form
}

// TaskID names a task. It is random, and part of what seeds the answer.
type TaskID [16]byte

// Task is one piece of work that one validator gives to one miner. Its bytes
// do not tell whether it is a challenge or a user's.
type Task struct {
	ID        TaskID
	Netuid    yuma.Netuid
	Validator Peer
	Miner     Peer
	Height    yuma.Height // block that the answer is bound to
	BlockHash [32]byte    // its hash
	Body      []byte      // the kind's own encoding
	Timeout   time.Duration
}

// Answer is what came back.
type Answer struct {
	Body     []byte        // all chunks of the answer in the kind's own encoding, concatenated; with Err, those that came before it
	First    time.Duration // from the request until the first chunk
	Total    time.Duration // from the request until the end
	Err      error         // why there is no complete answer; nil if there is one
	Organic  bool          // a user's task: scored, but never repeated
	Full     bool          // whoever asked wants it checked, whatever the validator's draw says
	Received time.Time
	Asked    []byte // the body of the request that Receipt is about; nil if nothing came
	Cuts     []int  // the lengths of the pieces that Body came in, which Receipt is about
	Receipt  []byte // what proves the exchange to anyone, a p2p.Receipt as JSON; nil if nothing came
}

// Trial is a task with its answer.
type Trial struct {
	Task   Task
	Answer Answer
}

// Score is a validator's verdict on one trial.
type Score struct {
	Value  float64 // 0 worthless to 1 flawless
	Reject bool    // proven cheating: the miner's whole score drops to 0
	Reason string  // for people: why the score is not 1
	Units  int     // work delivered, in the kind's own unit: tokens, for text
	// Checked tells that this very answer was examined, and not let pass
	// because its miner is known.
	Checked bool
}

// Errors of [Mechanism.Work] that the asker is told; it learns of any other
// only that the miner failed.
var (
	// ErrBadTask means that the task's body cannot be worked on by anyone.
	ErrBadTask = errors.New("subnet: bad task")
	// ErrBusy means that the same task may succeed a little later.
	ErrBusy = errors.New("subnet: busy")
)

// Mechanism is a kind of subnet. Its methods may be called from many
// goroutines.
type Mechanism interface {
	// Kind names the kind as the chain does: "text".
	Kind() string

	// Challenge makes the body of a new task, of the shape users' tasks have.
	Challenge(ctx context.Context) ([]byte, error)

	// Work answers t as a miner, emitting chunks in order. An error of emit or
	// the end of ctx stops it.
	Work(ctx context.Context, t Task, emit func(chunk []byte) error) error

	// Score judges trials, one Score per trial in order. It may remember what
	// it learned of a miner; Snapshot and Restore keep that over restarts.
	Score(ctx context.Context, trials []Trial) ([]Score, error)

	// Forget drops what is remembered of a slot that changed hands.
	Forget(uid yuma.UID)

	// Snapshot returns what Score remembers, for Restore. Restore(nil) forgets
	// all and never fails; it returns an error for bytes Snapshot did not make.
	Snapshot() ([]byte, error)
	Restore(state []byte) error
}

// Crowd is a Mechanism that has challenges for several miners at once.
type Crowd interface {
	// CrowdChallenge makes a body that goes to this many miners at the same
	// time, whose trials are then scored together; 0 miners means none now.
	CrowdChallenge(ctx context.Context) (body []byte, miners int, err error)
}
