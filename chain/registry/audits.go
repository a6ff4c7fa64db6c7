package registry

import (
	"context"
	"crypto/sha256"
	"errors"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
)

// Spans of an audit, in epochs.
const (
	auditAhead = 4  // how far ahead of the current epoch a seed is committed to
	auditGrace = 2  // how long after its epoch a seed may be shown
	auditsKept = 64 // how long after its epoch an audit is kept
)

// maxEpoch bounds epochs so that the heights reckoned from them are heights.
const maxEpoch = 1 << 32

// CommitAudit binds a validator to the seed that draws an epoch's audits.
func (m msgs) CommitAudit(ctx context.Context, msg *registryv1.MsgCommitAudit) (*registryv1.MsgCommitAuditResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if err := sized("hash", msg.Hash, sha256.Size); err != nil {
		return nil, err
	}
	if err := m.subnets.Permitted(ctx, msg.Netuid, account); err != nil {
		return nil, err
	}
	tempo, err := m.subnets.Tempo(ctx, msg.Netuid)
	if err != nil {
		return nil, err
	}
	now := uint64(next(ctx)) / uint64(tempo)
	if msg.Epoch < now || msg.Epoch > now+auditAhead || msg.Epoch > maxEpoch {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("an audit of epoch %d, but subnet %d is in epoch %d, of %d blocks: commit to that or to one of the next %d",
			msg.Epoch, msg.Netuid, now, tempo, auditAhead)
	}
	at := collections.Join3(msg.Netuid, []byte(account), msg.Epoch)
	has, err := m.audits.Has(ctx, at)
	if err != nil {
		return nil, err
	}
	if has {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("the audit of epoch %d is committed to already", msg.Epoch)
	}
	after := func(epochs uint64) int64 { return int64((msg.Epoch + 1 + epochs) * uint64(tempo)) }
	a := registryv1.Audit{
		Netuid: msg.Netuid, Account: msg.Account, Epoch: msg.Epoch, Hash: msg.Hash, Committed: height(ctx),
		Ends: after(0), Due: after(auditGrace), Until: after(auditsKept),
	}
	return &registryv1.MsgCommitAuditResponse{From: a.Ends, Before: a.Due}, errors.Join(
		m.audits.Set(ctx, at, a),
		m.duties.Set(ctx, collections.Join(uint64(a.Due), at)),
		m.amend(ctx, msg.Netuid, account, func(c *registryv1.Conduct) { c.Committed++ }),
	)
}

// RevealAudit shows the seed of an epoch that is over. Who lost its permit
// since may show it too.
func (m msgs) RevealAudit(ctx context.Context, msg *registryv1.MsgRevealAudit) (*registryv1.MsgRevealAuditResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if err := sized("seed", msg.Seed, sha256.Size); err != nil {
		return nil, err
	}
	at := collections.Join3(msg.Netuid, []byte(account), msg.Epoch)
	a, err := m.audits.Get(ctx, at)
	if err != nil {
		return nil, missing(err, "commitment of %s to an audit of epoch %d on subnet %d", msg.Account, msg.Epoch, msg.Netuid)
	}
	now := next(ctx)
	switch {
	case len(a.Seed) > 0:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("the seed of epoch %d is shown already", msg.Epoch)
	case now < a.Ends:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("epoch %d ends before height %d: showing its seed now, at %d, would tell miners what is checked", msg.Epoch, a.Ends, now)
	case now >= a.Due || a.Missed:
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("the seed of epoch %d was due before height %d, it is %d", msg.Epoch, a.Due, now)
	case !same(msg.Seed, a.Hash):
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("this is not the seed that was committed to at height %d", a.Committed)
	}
	a.Seed = msg.Seed
	return &registryv1.MsgRevealAuditResponse{}, errors.Join(
		m.audits.Set(ctx, at, a),
		m.duties.Remove(ctx, collections.Join(uint64(a.Due), at)),
		m.duties.Set(ctx, collections.Join(uint64(a.Until), at)),
		m.amend(ctx, msg.Netuid, account, func(c *registryv1.Conduct) { c.Revealed++ }),
	)
}

// endDuties counts audits whose seed was not shown in time, and forgets old
// ones.
func (k *Keeper) endDuties(ctx context.Context) error {
	due, err := come(ctx, k.duties, dutiesPerBlock)
	if err != nil {
		return err
	}
	for _, at := range due {
		a, err := k.audits.Get(ctx, at)
		if err != nil {
			return err
		}
		if len(a.Seed) > 0 || a.Missed {
			err = k.audits.Remove(ctx, at)
		} else {
			err = k.miss(ctx, at, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// miss notes that a seed was not shown in time.
func (k *Keeper) miss(ctx context.Context, at term, a registryv1.Audit) error {
	a.Missed = true
	return errors.Join(
		k.audits.Set(ctx, at, a),
		k.duties.Set(ctx, collections.Join(uint64(a.Until), at)),
		k.amend(ctx, a.Netuid, at.K2(), func(c *registryv1.Conduct) { c.Missed++ }),
		emit(ctx, &registryv1.EventAuditMissed{Netuid: a.Netuid, Account: a.Account, Epoch: a.Epoch}),
	)
}

// dueAt returns when the queue looks at an audit next.
func dueAt(a *registryv1.Audit) uint64 {
	if len(a.Seed) > 0 || a.Missed {
		return uint64(a.Until)
	}
	return uint64(a.Due)
}
