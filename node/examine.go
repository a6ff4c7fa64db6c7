package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// An Examination is what a would-be miner should know before it serves.
type Examination struct {
	Account    string       `json:"account"`
	Netuid     yuma.Netuid  `json:"netuid"`
	Registered bool         `json:"registered"`
	UID        yuma.UID     `json:"uid"`
	Price      coin.Amount  `json:"price_nplx"` // of registering now
	Model      string       `json:"model"`
	Answers    []Trial      `json:"answers"` // to challenges as validators make them
	Passes     bool         `json:"passes"`  // none of them is held against it
	Rate       float64      `json:"tokens_per_s"`
	First      Milliseconds `json:"first_chunk_ms"` // the median
	Miners     int          `json:"miners"`         // with incentive, at the latest epoch
	// Typical is what the median miner with incentive earns in a day at the
	// latest epoch's rate, and Share what one more like it would leave for
	// this one: both in nplx, and 0 before an epoch ran.
	Typical coin.Amount `json:"typical_per_day_nplx"`
	Share   coin.Amount `json:"share_per_day_nplx"`
}

// A Trial is one answer and the verdict on it.
type Trial struct {
	Tokens int          `json:"tokens"`
	First  Milliseconds `json:"first_chunk_ms"`
	Total  Milliseconds `json:"total_ms"`
	Score  float64      `json:"score"`
	Reason string       `json:"reason,omitempty"` // why the score is not 1
	Reject bool         `json:"reject"`
}

// Milliseconds is a time for people and programs to read.
type Milliseconds int64

// challenges is how many answers an examination looks at.
const challenges = 8

// Examine answers challenges with what the options name, judges them as a
// validator would, and says what the chain says of the subnet. It serves
// nobody. tell is called after each challenge.
func Examine(ctx context.Context, o RoleOptions, tell func(done, of int)) (x Examination, err error) {
	err = o.run(ctx, func(ctx context.Context, r *lone) error { return r.examine(ctx, &x, tell) })
	return x, err
}

// examine fills in x.
func (r *lone) examine(ctx context.Context, x *Examination, tell func(done, of int)) error {
	x.Account, x.Netuid = r.Actor.Account(), r.Netuid
	if err := r.standing(ctx, x); err != nil {
		return err
	}
	mechanism, err := r.mechanism(ctx, text.Options{Log: r.Log})
	if err != nil {
		return err
	}
	x.Model = r.manifest.Model
	x.Passes = true
	tokens, spent := 0, time.Duration(0)
	var firsts []Milliseconds
	for i := range challenges {
		t, total, err := r.try(ctx, mechanism, x.UID)
		if err != nil {
			return fmt.Errorf("challenge %d: %w", i+1, err)
		}
		x.Answers = append(x.Answers, t)
		x.Passes = x.Passes && !t.Reject && t.Score > 0
		tokens, spent, firsts = tokens+t.Tokens, spent+total, append(firsts, t.First)
		tell(i+1, challenges)
	}
	slices.Sort(firsts)
	x.First = firsts[len(firsts)/2]
	x.Rate = float64(tokens) / max(spent.Seconds(), 1e-3)
	return nil
}

// try gives the mechanism a challenge of its own and judges the answer.
func (r *lone) try(ctx context.Context, m *text.Mechanism, uid yuma.UID) (Trial, time.Duration, error) {
	body, err := m.Challenge(ctx)
	if err != nil {
		return Trial{}, 0, err
	}
	head, err := r.Chain.Head(ctx)
	if err != nil {
		return Trial{}, 0, err
	}
	self := subnet.Peer{UID: uid, Account: r.Actor.Account(), PeerID: "examined"}
	task := subnet.Task{
		Netuid: r.Netuid, Validator: subnet.Peer{Account: self.Account, PeerID: "examiner"}, Miner: self,
		Height: head.Height, BlockHash: head.Hash, Body: body, Timeout: time.Minute,
	}
	rand.Read(task.ID[:])
	trial := subnet.Trial{Task: task}
	start := time.Now()
	trial.Answer.Err = m.Work(ctx, task, func(chunk []byte) error {
		if trial.Answer.First == 0 {
			trial.Answer.First = time.Since(start)
		}
		trial.Answer.Body = append(trial.Answer.Body, chunk...)
		return nil
	})
	trial.Answer.Total, trial.Answer.Received = time.Since(start), time.Now()
	if trial.Answer.Err != nil {
		return Trial{}, 0, trial.Answer.Err
	}
	scores, err := m.Score(ctx, []subnet.Trial{trial})
	if err != nil {
		return Trial{}, 0, err
	}
	return Trial{
		Tokens: scores[0].Units, First: Milliseconds(trial.Answer.First.Milliseconds()), Total: Milliseconds(trial.Answer.Total.Milliseconds()),
		Score: scores[0].Value, Reason: scores[0].Reason, Reject: scores[0].Reject,
	}, trial.Answer.Total, nil
}

// standing reads what the chain says of the subnet and of the account there.
func (r *lone) standing(ctx context.Context, x *Examination) error {
	graph, err := r.Chain.Mechanism(r.Mechanism).Metagraph(ctx, r.Netuid)
	if err != nil {
		return err
	}
	quote, err := r.Chain.Price(ctx, r.Netuid)
	if err != nil {
		return err
	}
	x.Price = quote.Price
	var earned []coin.Amount
	var sum coin.Amount
	for _, n := range graph.Neurons {
		if n.Account == x.Account {
			x.Registered, x.UID = true, n.UID
		}
		if n.ServerEmission > 0 {
			earned = append(earned, n.ServerEmission)
			sum += n.ServerEmission
		}
	}
	x.Miners = len(earned)
	if len(earned) == 0 {
		return nil
	}
	day, err := r.epochsPerDay(ctx, graph)
	if err != nil {
		return err
	}
	slices.Sort(earned)
	x.Typical = coin.Amount(float64(earned[len(earned)/2]) * day)
	x.Share = coin.Amount(float64(sum) / float64(len(earned)+1) * day)
	return nil
}

// epochsPerDay tells how many epochs a day has at the present pace of blocks.
func (r *lone) epochsPerDay(ctx context.Context, graph *ledger.Metagraph) (float64, error) {
	head, err := r.Chain.Head(ctx)
	if err != nil {
		return 0, err
	}
	back := min(head.Height-1, 100)
	if back == 0 || graph.Tempo == 0 {
		return 0, nil
	}
	then, err := r.Chain.Block(ctx, head.Height-back)
	if err != nil {
		return 0, err
	}
	perBlock := head.Time.Sub(then.Time) / time.Duration(back)
	return float64(24*time.Hour) / float64(max(perBlock, time.Millisecond)) / float64(graph.Tempo), nil
}
