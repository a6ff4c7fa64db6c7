package duty

import (
	"context"
	"errors"
	"fmt"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// An auditor commits to the seed of each epoch before it begins and shows it
// after. Seeds follow from the secret, which is on disk before the first
// commitment, and the chain tells what was committed to: there is nothing else
// that a crash could lose.
type auditor struct {
	*Duty
	pace
	lost map[uint64]bool // epochs whose seed is not ours, which was told
}

// look does what is due at a height.
func (a *auditor) look(ctx context.Context, now yuma.Height) {
	if now < a.rest {
		return
	}
	next, err := a.settle(ctx, now)
	switch {
	case err == nil:
		a.went()
		a.rest = next
	case ctx.Err() == nil:
		a.failed(now)
		a.Log.Warn("the duty of audits is not done", "err", err, "next try", a.rest)
	}
}

// settle shows the seeds that are due, commits to those of this epoch and the
// next, and returns the height at which there is more to do.
func (a *auditor) settle(ctx context.Context, now yuma.Height) (next yuma.Height, err error) {
	graph, err := a.Chain.Metagraph(ctx, a.Netuid)
	if err != nil {
		return 0, err
	}
	tempo := uint64(graph.Tempo)
	if tempo == 0 {
		return 0, fmt.Errorf("subnet %d has no tempo", a.Netuid)
	}
	a.Judge.Pace(tempo)
	kept, err := a.Chain.Audits(ctx, a.Netuid, a.Actor.Account())
	if err != nil {
		return 0, err
	}
	err = a.reveal(ctx, now, kept)
	epoch := uint64(now+1) / tempo // of the next block
	next = yuma.Height((epoch + 1) * tempo)
	if !a.permitted(graph) {
		return min(next, max(graph.NextEpoch, now+1)), err
	}
	for _, e := range []uint64{epoch, epoch + 1} {
		err = errors.Join(err, a.commit(ctx, kept, e, tempo))
	}
	return next, err
}

// commit binds the validator to the seed of an epoch, if it is not yet.
func (a *auditor) commit(ctx context.Context, kept []registryv1.Audit, epoch, tempo uint64) error {
	for _, k := range kept {
		if k.Epoch == epoch {
			return nil
		}
	}
	seed := text.NewAuditSeed(a.Secret, epoch, tempo)
	_, _, err := a.Chain.CommitAudit(ctx, a.Actor, a.Netuid, epoch, text.AuditHash(seed))
	if err == nil {
		a.Log.Debug("committed to the seed of an epoch's audits", "epoch", epoch)
	}
	return err
}

// reveal shows the seeds of the epochs that are over.
func (a *auditor) reveal(ctx context.Context, now yuma.Height, kept []registryv1.Audit) error {
	var errs []error
	for _, k := range kept {
		if len(k.Seed) > 0 || k.Missed || int64(now) < k.Ends || int64(now)+1 >= k.Due {
			continue
		}
		seed := text.NewAuditSeed(a.Secret, k.Epoch, uint64(k.Ends)/(k.Epoch+1))
		if hash := text.AuditHash(seed); string(hash[:]) != string(k.Hash) {
			a.tellLost(k)
			continue
		}
		if err := a.Chain.RevealAudit(ctx, a.Actor, a.Netuid, k.Epoch, seed); err != nil {
			errs = append(errs, err)
			continue
		}
		a.Log.Debug("the seed of an epoch's audits is shown", "epoch", k.Epoch)
	}
	return errors.Join(errs...)
}

// tellLost says, once, that a seed cannot be shown.
func (a *auditor) tellLost(k registryv1.Audit) {
	if a.lost[k.Epoch] {
		return
	}
	if a.lost == nil {
		a.lost = map[uint64]bool{}
	}
	a.lost[k.Epoch] = true
	a.Log.Error("the seed of an epoch's audits was committed to under another secret, and cannot be shown",
		"epoch", k.Epoch, "committed", k.Committed, "folder", a.Folder.Path)
}
