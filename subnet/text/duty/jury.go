package duty

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// A juror follows the open cases of its subnet and votes on each once.
type juror struct {
	*Duty
	pace
	seen uint64 // number of the latest case
	open []*matter
}

// A matter is an open case.
type matter struct {
	pace
	registryv1.Case
	voted   bool
	replays bool   // its evidence was replayed
	fault   string // why that proves nothing; empty if it convicts
}

// look hears what is new, and votes where it can.
func (j *juror) look(ctx context.Context, now yuma.Height) {
	if now < j.rest {
		return
	}
	err := j.follow(ctx)
	if err == nil && len(j.open) > 0 {
		err = j.hearAll(ctx, now)
	}
	switch {
	case err == nil:
		j.went()
	case ctx.Err() == nil:
		j.failed(now)
		j.Log.Warn("cases of fraud cannot be followed", "err", err, "next try", j.rest)
	}
}

// follow takes in the cases that were opened since the last time.
func (j *juror) follow(ctx context.Context) error {
	newer, err := j.Chain.CasesAfter(ctx, j.seen)
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(newer) {
		j.seen = max(j.seen, c.Id)
		if c.Netuid != uint32(j.Netuid) || c.Verdict != registryv1.Verdict_VERDICT_OPEN {
			continue
		}
		j.Log.Info("a miner is accused", "case", c.Id, "uid", c.Uid, "by", c.Reporter)
		j.open = append(j.open, &matter{Case: c})
		j.Judge.Suspect(yuma.UID(c.Uid))
	}
	return nil
}

// accused tells whether there is an open case against a miner.
func (j *juror) accused(account string) bool {
	return slices.ContainsFunc(j.open, func(m *matter) bool { return m.Miner == account })
}

// hearAll votes on what is open, and forgets what is not any more.
func (j *juror) hearAll(ctx context.Context, now yuma.Height) error {
	graph, err := j.Chain.Metagraph(ctx, j.Netuid)
	if err != nil {
		return err
	}
	permitted := j.permitted(graph)
	j.open = slices.DeleteFunc(j.open, func(m *matter) bool {
		if now < m.rest {
			return false
		}
		ended, err := j.refresh(ctx, m)
		if err == nil && !ended && !m.voted && permitted {
			if err = j.hear(ctx, now, graph, m); err != nil {
				ended, _ = j.refresh(ctx, m) // others may have ended it meanwhile
			}
		}
		switch {
		case err == nil, ended:
			m.went()
		case ctx.Err() == nil:
			m.failed(now)
			j.Log.Log(ctx, m.gravity(), "a case cannot be judged", "case", m.Id, "err", err, "next try", m.rest)
		}
		return ended
	})
	return nil
}

// refresh reads how a case stands, and whether it ended.
func (j *juror) refresh(ctx context.Context, m *matter) (ended bool, err error) {
	c, votes, err := j.Chain.Case(ctx, m.Id)
	if errors.Is(err, ledger.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	m.voted = slices.ContainsFunc(votes, func(v registryv1.Vote) bool { return v.Account == j.Actor.Account() })
	return c.Verdict != registryv1.Verdict_VERDICT_OPEN, nil
}

// hear votes on a case once it is clear how.
func (j *juror) hear(ctx context.Context, now yuma.Height, graph *ledger.Metagraph, m *matter) error {
	if int(m.Uid) >= len(graph.Neurons) || graph.Neurons[m.Uid].Registered != yuma.Height(m.Since) {
		return nil // the slot is another's: a verdict would do nothing
	}
	guilty, why, err := j.weigh(ctx, now, graph, m)
	if err != nil || why == "" {
		return err
	}
	verdict, err := j.Chain.VoteFraud(ctx, j.Actor, m.Id, guilty)
	if err != nil {
		return err
	}
	j.Log.Info("voted on a case of fraud", "case", m.Id, "uid", m.Uid, "guilty", guilty, "why", why, "case stands", verdict)
	return nil
}

// weigh says how to vote and why; while why is empty it is too early to tell.
//
// A bundle is what its accuser chose to show: of very many honest answers the
// worst could be enough of them (see [text.Bundle]). So the validator's own test
// of the miner comes first, on which a case puts it anew, and all that it
// says is checked again. Who fails that test is guilty whatever the bundle
// shows, and who passes it at length is not, whatever it shows. A miner that a
// validator could not test until the last quarter of the time for votes, as one
// that hides from it, is judged by the bundle.
func (j *juror) weigh(ctx context.Context, now yuma.Height, graph *ledger.Metagraph, m *matter) (guilty bool, why string, err error) {
	uid := yuma.UID(m.Uid)
	if j.Judge.Opinion(uid) == text.Rejected {
		return true, "it fails this validator's own test", nil
	}
	if !m.replays {
		if m.fault, err = j.replay(ctx, graph, m); err != nil {
			return false, "", err
		}
		m.replays = true
	}
	switch opinion := j.Judge.Opinion(uid); {
	case opinion == text.Rejected:
		return true, "it fails this validator's own test", nil
	case m.fault != "":
		return false, "the bundle does not convict: " + m.fault, nil
	case opinion == text.Trusted:
		return false, "it passes this validator's own test since it was accused", nil
	case now >= lastCall(m.Case):
		return true, "the bundle convicts, and this validator could not test the miner itself", nil
	}
	return false, "", nil
}

// lastCall is the height from which on a juror waits for its own test no more.
func lastCall(c registryv1.Case) yuma.Height {
	return yuma.Height(c.Deadline - (c.Deadline-c.Height)/4)
}

// replay fetches the evidence of a case and replays it. Where it proves nothing
// against the accused, fault says why.
func (j *juror) replay(ctx context.Context, graph *ledger.Metagraph, m *matter) (fault string, err error) {
	if hash := sha256.Sum256(graph.KindParams); !bytes.Equal(hash[:], m.Manifest) {
		return "it is about a model that the subnet does not declare", nil
	}
	if !bytes.Equal(graph.KindParams, j.Params) {
		return "", errors.New("the subnet declares another model than this validator runs: start it again")
	}
	encoded, err := j.Chain.Evidence(ctx, m.Case)
	if err != nil {
		return "", err
	}
	b, err := text.DecodeBundle(encoded)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // it is what the bundle lacks
	}
	f, fault, err := j.check(ctx, b)
	if err != nil || fault != "" {
		return fault, err
	}
	switch peer := j.peerOf(ctx, graph, f.UID, f.To); {
	case uint32(f.UID) != m.Uid:
		return fmt.Sprintf("it accuses uid %d", f.UID), nil
	case f.From < yuma.Height(m.Since) || f.To > yuma.Height(m.Height):
		return fmt.Sprintf("its exchanges are of blocks %d to %d; the miner has its slot since %d and was accused at %d", f.From, f.To, m.Since, m.Height), nil
	case peer != f.Accused:
		return fmt.Sprintf("it accuses peer %s; the miner was %s", f.Accused, peer), nil
	}
	return j.unbound(ctx, f)
}

// unbound tells, as a fault, that exchanges are bound to blocks that are not
// the chain's. Blocks that the node has dropped are not looked at.
func (d *Duty) unbound(ctx context.Context, f text.Finding) (fault string, err error) {
	for _, at := range slices.Sorted(maps.Keys(f.Blocks)) {
		hash, err := d.Chain.BlockHash(ctx, at)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return "", err
		}
		if err == nil && hash != f.Blocks[at] {
			return fmt.Sprintf("an exchange is bound to a block %d that is not the chain's", at), nil
		}
	}
	return "", nil
}
