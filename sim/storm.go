package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// Options says what to simulate. The zero value works.
type Options struct {
	Seed     uint64
	Blocks   int                              // 0 means 1,000
	Messages int                              // a block tries fewer than this many transactions; 0 means 23
	Exports  int                              // blocks between two exports, which are imported and compared; 0 means 250
	Log      func(format string, args ...any) // nil means none; told of progress
}

// A Report is what became of a simulation.
type Report struct {
	Hash    []byte         // of the state after the last block
	Done    map[string]int // messages that succeeded, by type URL
	Refused map[string]int // messages that did not
	Epochs  int            // of all subnets
	Subnets int            // that came
	Jailed  int            // times that a validator was
	Passed  int            // proposals that governance carried out
	Ended   map[string]int // cases of fraud, by their verdict
	Missed  int            // audits whose seed was not shown
	Exports int            // of the state, imported and compared
	Kills   int            // of the second state machine, within a block
	Dry     int            // deployments that ended with their money
	Slashed int            // providers that were convicted
}

// A Failure is an invariant that did not hold.
type Failure struct {
	Seed     uint64
	Messages int   // of [Options]; 0 means the default
	Exports  int   // likewise
	Height   int64 // of the block after which it did not
	Err      error
}

// Error tells what failed and how to see it again.
func (f *Failure) Error() string {
	again := fmt.Sprintf("-seed %d -blocks %d", f.Seed, f.Height)
	if f.Messages != 0 {
		again += fmt.Sprint(" -messages ", f.Messages)
	}
	if f.Exports != 0 {
		again += fmt.Sprint(" -exports ", f.Exports)
	}
	return fmt.Sprintf("seed %d, block %d: %v\nto see it again: make sim ARGS='%s'", f.Seed, f.Height, f.Err, again)
}

// Unwrap returns what failed.
func (f *Failure) Unwrap() error { return f.Err }

// How often something befalls a storm: once in that many blocks on average, but
// for audits of solvency, which are regular.
const (
	pausesIn   = 90  // time leaps by two days, and proposals are decided
	lullsIn    = 60  // blocks become slow or fast
	absencesIn = 25  // a validator leaves or comes back
	crimesIn   = 400 // a validator signs twice
	killsIn    = 50  // the second state machine dies within a block
	solventIn  = 20
)

// What [Options] are unless they say otherwise.
const (
	defaultMessages = 23
	defaultExports  = 250
)

// A Storm is a chain whose people do whatever comes to their minds. All that
// happens follows from its seed.
type Storm struct {
	*Chain
	Report
	rng       *rand.Rand
	people    []*Person // all, operators among them
	rich      []*Person
	operators []*Person
	crew      map[string]*Person // people by address
	secrets   []secret
	favours   []favour
	pledges   []pledge
	twin      *Replica
	proposed  uint64 // proposals so far
	newcomers int
	messages  int               // a block tries fewer transactions than this
	exports   int64             // blocks between two exports
	subnets   []subnetv1.Subnet // at the beginning of the block
}

// Run simulates a storm. The error, unless nil, is a [Failure].
func Run(o Options) (*Report, error) {
	blocks := o.Blocks
	if blocks == 0 {
		blocks = 1000
	}
	s, err := newStorm(o.Seed)
	if err != nil {
		return nil, &Failure{Seed: o.Seed, Messages: o.Messages, Exports: o.Exports, Err: err}
	}
	s.messages, s.exports = cmp.Or(max(o.Messages, 0), defaultMessages), int64(cmp.Or(max(o.Exports, 0), defaultExports))
	for range blocks {
		height := s.height
		if err := s.safely(s.block); err != nil {
			return &s.Report, &Failure{Seed: o.Seed, Messages: o.Messages, Exports: o.Exports, Height: height, Err: err}
		}
		if o.Log != nil && height%500 == 0 {
			o.Log("block %d: %d messages done, %d refused, %d epochs", height, total(s.Done), total(s.Refused), s.Epochs)
		}
	}
	s.Hash = s.App.LastCommitID().Hash
	return &s.Report, nil
}

// total returns the sum of a count by type.
func total(count map[string]int) (sum int) {
	for _, n := range count {
		sum += n
	}
	return sum
}

// safely turns a panic of f into an error.
func (s *Storm) safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// block lets fate and people act, makes a block and checks what it led to.
func (s *Storm) block() error {
	s.fate()
	txs, err := s.whims()
	if err != nil {
		return err
	}
	done, err := s.Block(txs...)
	if err != nil {
		return err
	}
	s.count(txs, done)
	if err := s.Audit(); err != nil {
		return err
	}
	height := s.App.LastBlockHeight()
	if height%solventIn == 0 {
		if err := s.Solvent(); err != nil {
			return err
		}
	}
	if height%s.exports == 0 {
		s.Exports++
		return s.comesBack()
	}
	return nil
}

// follow runs a block in the second state machine, which dies now and then
// between deciding a block and keeping it.
func (s *Storm) follow(b *abci.RequestFinalizeBlock, done *abci.ResponseFinalizeBlock) error {
	if s.one(killsIn) {
		s.Kills++
		if _, err := s.twin.App.FinalizeBlock(b); err != nil {
			return err
		}
		if err := s.twin.Restart(); err != nil {
			return err
		}
	}
	twin, err := s.twin.Apply(b)
	if err != nil {
		return fmt.Errorf("second state machine: %w", err)
	}
	if !bytes.Equal(twin.AppHash, done.AppHash) {
		return fmt.Errorf("two state machines that were fed the same blocks have the hashes %x and %x", done.AppHash, twin.AppHash)
	}
	return nil
}

// fate decides what befalls the network before a block.
func (s *Storm) fate() {
	s.Step = max(s.Step, time.Second)
	if s.Step > time.Hour { // the pause is over
		s.Step = time.Second
	}
	if s.one(lullsIn) {
		s.Step = pick(s, []time.Duration{time.Second, 3 * time.Second, 30 * time.Second})
	}
	if s.one(pausesIn) {
		s.Step = 49 * time.Hour // votes on proposals last for 48
	}
	if s.one(absencesIn) {
		p := pick(s, s.operators)
		s.Absent[p.Address()] = !s.Absent[p.Address()] && s.away() < 2
	}
	if s.one(crimesIn) && s.signers() > 4 {
		s.SignTwice(pick(s, s.operators))
	}
}

// away returns how many operators sign nothing.
func (s *Storm) away() (n int) {
	for _, p := range s.operators {
		if s.Absent[p.Address()] {
			n++
		}
	}
	return n
}

// signers returns how many validators there are.
func (s *Storm) signers() int { return len(s.validators[s.height]) }

// one tells, once in n times on average, that something happens.
func (s *Storm) one(n int) bool { return s.rng.IntN(n) == 0 }

// pick returns one of list.
func pick[T any](s *Storm, list []T) T { return list[s.rng.IntN(len(list))] }

// whims returns a block's transactions, at most one of a person.
func (s *Storm) whims() ([][]byte, error) {
	r := &subnetv1.QuerySubnetsResponse{}
	if err := s.Query("/plexus.subnet.v1.Query/Subnets", &subnetv1.QuerySubnetsRequest{}, r); err != nil {
		return nil, err
	}
	s.subnets = r.Subnets
	var txs [][]byte
	acted := map[string]bool{}
	for range s.rng.IntN(s.messages) {
		p, msgs := s.whim()
		if len(msgs) == 0 || acted[p.Address()] {
			continue
		}
		if _, newcomer := msgs[0].(*subnetv1.MsgRegisterByWork); !newcomer && !s.Exists(p) {
			continue
		}
		acted[p.Address()] = true
		tx, err := s.Sign(p, s.fee(msgs[0]), msgs...)
		if err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// count notes which messages succeeded, and what else the block did.
func (s *Storm) count(txs [][]byte, done *abci.ResponseFinalizeBlock) {
	for i, r := range done.TxResults {
		tx, err := s.App.Encoding.TxConfig.TxDecoder()(txs[i])
		if err != nil {
			continue
		}
		for _, m := range tx.GetMsgs() {
			if url := sdk.MsgTypeURL(m); r.Code == 0 {
				s.Done[url]++
			} else {
				s.Refused[url]++
			}
		}
		s.events(r.Events)
	}
	s.events(done.Events)
}

// events counts what events tell.
func (s *Storm) events(events []abci.Event) {
	for _, e := range events {
		switch e.Type {
		case "plexus.subnet.v1.EventEpoch":
			s.Epochs++
		case "plexus.subnet.v1.EventSubnetRegistered":
			s.Subnets++
		case "plexus.market.v1.EventDeploymentClosed":
			if attribute(e, "reason") == `"REASON_INSUFFICIENT_FUNDS"` {
				s.Dry++
			}
		case "plexus.market.v1.EventNonDeliveryEnded":
			if attribute(e, "verdict") == `"CASE_VERDICT_CONVICTED"` {
				s.Slashed++
			}
		case "slash":
			for _, a := range e.Attributes {
				if a.Key == "jailed" {
					s.Jailed++
				}
			}
		case "plexus.registry.v1.EventFraudEnded":
			for _, a := range e.Attributes {
				if a.Key == "verdict" {
					s.Ended[a.Value]++
				}
			}
		case "plexus.registry.v1.EventAuditMissed":
			s.Missed++
		case "submit_proposal":
			s.proposed++
		case "active_proposal":
			for _, a := range e.Attributes {
				if a.Key == "proposal_result" && a.Value == "proposal_passed" {
					s.Passed++
				}
			}
		}
	}
}

// attribute returns what an event says of a key; empty if nothing.
func attribute(e abci.Event, key string) string {
	for _, a := range e.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}
