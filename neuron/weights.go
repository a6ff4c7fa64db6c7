package neuron

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// window returns the heights [from, to) at which to send weights for the
// coming epoch: late, so that they say the latest, but some blocks before the
// epoch, since a transaction takes a few, and not all validators at once.
func window(graph *ledger.Metagraph, account string) (from, to yuma.Height) {
	reserve := min(3, graph.Tempo/3)
	spread := graph.Tempo/5 + 1
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(account), graph.EpochNumber))
	before := reserve + yuma.Height(binary.BigEndian.Uint64(h[:8])%uint64(spread))
	to = graph.NextEpoch
	return to - min(before, to), to
}

// speaker sets a validator's weights once per epoch. It is used by one
// goroutine.
type speaker struct {
	self Self
	view *view
	row  func(graph *ledger.Metagraph, self yuma.UID) yuma.Row
	keep func() error // has spoken and commits on disk when it returns

	spoken  uint64 // number of the last epoch spoken for, plus 1
	commits []commit

	failures int
	rest     yuma.Height // no try before this height
}

// speak does what is due at the latest block.
func (s *speaker) speak(ctx context.Context) {
	head, graph, ok := s.view.now()
	if !ok || head.Height < s.rest {
		return
	}
	err := s.reveal(ctx, graph)
	if err == nil {
		err = s.set(ctx, head.Height, graph)
	}
	switch {
	case err == nil:
		s.failures = 0
	case ctx.Err() == nil:
		s.failures++
		s.rest = head.Height + min(1<<min(s.failures, 10), max(graph.Tempo, 1))
		s.self.Log.Warn("weights not set", "err", err, "next try", s.rest)
	}
}

// set sends weights if this is the time.
func (s *speaker) set(ctx context.Context, height yuma.Height, graph *ledger.Metagraph) error {
	from, to := window(graph, s.self.Account)
	if height < from || height >= to || s.spoken == graph.EpochNumber+1 {
		return nil
	}
	n, err := s.view.account(s.self.Account)
	if err != nil {
		return err
	}
	if n.LastUpdate > 0 && n.LastUpdate+graph.WeightsRateLimit > height+1 {
		return nil
	}
	row := s.row(graph, n.UID)
	if len(row) == 0 {
		return nil
	}
	if graph.CommitReveal {
		err = s.commit(ctx, graph, row)
	} else {
		err = s.self.Chain.SetWeights(ctx, s.self.Actor, s.self.Netuid, row, graph.WeightsVersion)
	}
	if err != nil {
		return err
	}
	s.self.Log.Info("weights set", "epoch", graph.EpochNumber, "height", height, "miners", len(row), "hidden", graph.CommitReveal)
	s.spoken = graph.EpochNumber + 1
	return errors.Join(s.keep(), s.view.refetch(ctx))
}

// maxCommits bounds the commits that wait.
const maxCommits = 64

// commit hides a row. Its salt is on disk before anyone knows of it, for
// without it the weights are lost.
func (s *speaker) commit(ctx context.Context, graph *ledger.Metagraph, row yuma.Row) error {
	c := commit{Row: row, Version: graph.WeightsVersion, Salt: make([]byte, 32), Reveal: graph.EpochNumber + uint64(graph.RevealEpochs)}
	rand.Read(c.Salt)
	s.commits = append(s.commits, c)
	s.commits = s.commits[max(len(s.commits)-maxCommits, 0):]
	if err := s.keep(); err != nil {
		return err
	}
	reveal, err := s.self.Chain.CommitWeights(ctx, s.self.Actor, s.self.Netuid, row, c.Version, c.Salt)
	if _, refused := errors.AsType[*ledger.TxError](err); refused {
		s.commits = s.commits[:len(s.commits)-1]
	}
	if err != nil {
		return err // if it may yet be in a block, its salt stays
	}
	s.commits[len(s.commits)-1].Reveal = reveal
	return nil
}

// reveal shows the rows whose epoch it is, and drops those whose epoch is over.
func (s *speaker) reveal(ctx context.Context, graph *ledger.Metagraph) error {
	var errs []error
	kept := len(s.commits)
	s.commits = slices.DeleteFunc(s.commits, func(c commit) bool {
		if c.Reveal != graph.EpochNumber {
			return c.Reveal < graph.EpochNumber
		}
		err := s.self.Chain.RevealWeights(ctx, s.self.Actor, s.self.Netuid, c.Row, c.Version, c.Salt)
		if err != nil {
			errs = append(errs, fmt.Errorf("reveal: %w", err))
		}
		_, refused := errors.AsType[*ledger.TxError](err)
		return err == nil || refused
	})
	if len(s.commits) != kept {
		errs = append(errs, s.keep())
	}
	return errors.Join(errs...)
}
