package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// maxBundle bounds the evidence of a case, in bytes.
const maxBundle = 128 << 10

// ReportFraud opens a case. The evidence stays in the transaction: the state
// keeps its hash.
func (m msgs) ReportFraud(ctx context.Context, msg *registryv1.MsgReportFraud) (*registryv1.MsgReportFraudResponse, error) {
	reporter, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	miner, err := m.bytes(msg.Miner)
	if err != nil {
		return nil, err
	}
	if len(msg.Bundle) == 0 || len(msg.Bundle) > maxBundle {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a bundle of %d bytes; it must have 1 to %d", len(msg.Bundle), maxBundle)
	}
	if err := m.admissible(ctx, msg, reporter, miner); err != nil {
		return nil, err
	}
	uid, since, err := m.subnets.Seat(ctx, msg.Netuid, miner)
	if err != nil {
		return nil, err
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.paced(ctx, msg.Netuid, reporter, params.ReportInterval); err != nil {
		return nil, err
	}
	n, err := m.latest.Next(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(msg.Bundle)
	c := registryv1.Case{
		Id: n + 1, Netuid: msg.Netuid, Miner: msg.Miner, Uid: uid, Since: since, Reporter: msg.Account,
		Manifest: msg.Manifest, Bundle: hash[:], BundleSize: uint64(len(msg.Bundle)),
		Height: height(ctx), Deadline: height(ctx) + int64(params.VotingPeriod), Verdict: registryv1.Verdict_VERDICT_OPEN,
	}
	return &registryv1.MsgReportFraudResponse{Case: c.Id, Deadline: c.Deadline}, errors.Join(
		m.file(ctx, &c),
		emit(ctx, &registryv1.EventFraudReported{
			Case: c.Id, Netuid: c.Netuid, Miner: c.Miner, Reporter: c.Reporter, Manifest: hex.EncodeToString(c.Manifest),
			Bundle: hex.EncodeToString(c.Bundle), BundleSize: c.BundleSize, Deadline: c.Deadline,
		}),
	)
}

// admissible tells why a report is not taken, if so: only validators with a
// permit accuse, of a declared model, once with the same evidence, and a miner
// who is not accused already.
func (k *Keeper) admissible(ctx context.Context, msg *registryv1.MsgReportFraud, reporter, miner sdk.AccAddress) error {
	if err := k.subnets.Permitted(ctx, msg.Netuid, reporter); err != nil {
		return err
	}
	if err := sized("hash of the manifest", msg.Manifest, sha256.Size); err != nil {
		return err
	}
	if _, err := k.manifests.Get(ctx, msg.Manifest); err != nil {
		return missing(err, "manifest %x: register it first", msg.Manifest)
	}
	switch id, err := k.open.Get(ctx, collections.Join(msg.Netuid, []byte(miner))); {
	case err == nil:
		return sdkerrors.ErrInvalidRequest.Wrapf("case %d against %s on subnet %d is open already: vote on it", id, msg.Miner, msg.Netuid)
	case !errors.Is(err, collections.ErrNotFound):
		return err
	}
	hash := sha256.Sum256(msg.Bundle)
	switch id, err := k.bundles.Get(ctx, collections.Join(msg.Netuid, hash[:])); {
	case err == nil:
		return sdkerrors.ErrInvalidRequest.Wrapf("this bundle was the evidence of case %d already", id)
	case !errors.Is(err, collections.ErrNotFound):
		return err
	}
	return nil
}

// paced returns an error if an account reported on a subnet a short while ago,
// and notes that it does so now.
func (k *Keeper) paced(ctx context.Context, netuid uint32, account sdk.AccAddress, interval uint64) error {
	c, err := k.conduct(ctx, netuid, account)
	if err != nil {
		return err
	}
	if wait := c.Reported + int64(interval) - next(ctx); c.Reported > 0 && wait > 0 {
		return sdkerrors.ErrInvalidRequest.Wrapf("an account reports at most once in %d blocks on a subnet: wait %d", interval, wait)
	}
	return k.amend(ctx, netuid, account, func(c *registryv1.Conduct) { c.Reported = height(ctx) })
}

// file stores a case and all that leads to it.
func (k *Keeper) file(ctx context.Context, c *registryv1.Case) error {
	err := errors.Join(
		k.cases.Set(ctx, c.Id, *c),
		k.bundles.Set(ctx, collections.Join(c.Netuid, c.Bundle), c.Id),
		k.docket.Set(ctx, collections.Join(heardAt(c), c.Id)),
	)
	if err != nil || c.Verdict != registryv1.Verdict_VERDICT_OPEN {
		return err
	}
	miner, err := k.bytes(c.Miner)
	if err != nil {
		return err
	}
	return k.open.Set(ctx, collections.Join(c.Netuid, []byte(miner)), c.Id)
}

// heardAt returns when the queue looks at a case next.
func heardAt(c *registryv1.Case) uint64 {
	if c.Verdict == registryv1.Verdict_VERDICT_OPEN {
		return uint64(c.Deadline)
	}
	return uint64(c.Until)
}

// VoteFraud votes on an open case, or changes the vote, and ends the case if it
// is decided.
func (m msgs) VoteFraud(ctx context.Context, msg *registryv1.MsgVoteFraud) (*registryv1.MsgVoteFraudResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	c, err := m.cases.Get(ctx, msg.Case)
	if err != nil {
		return nil, missing(err, "case %d: it never was, or was forgotten", msg.Case)
	}
	if c.Verdict != registryv1.Verdict_VERDICT_OPEN {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("case %d ended at height %d: %s", c.Id, c.Ended, verdict(c.Verdict))
	}
	if err := m.subnets.Permitted(ctx, c.Netuid, account); err != nil {
		return nil, err
	}
	vote := registryv1.Vote{Case: c.Id, Account: msg.Account, Guilty: msg.Guilty, Height: height(ctx)}
	if err := errors.Join(
		m.votes.Set(ctx, collections.Join(c.Id, []byte(account)), vote),
		emit(ctx, &registryv1.EventFraudVoted{Case: c.Id, Account: msg.Account, Guilty: msg.Guilty}),
	); err != nil {
		return nil, err
	}
	err = m.decide(ctx, &c, false)
	return &registryv1.MsgVoteFraudResponse{Verdict: c.Verdict}, err
}

// decide counts the votes on an open case and ends it if they decide it, or if
// this is the last count. It stores the case.
//
// Carrying a verdict out takes no gas of the vote that decides: which one that
// is nobody knows when it is signed, and its gas was reckoned by a trial run in
// which it may not have been the one. A case is decided once, and opening it has
// its price.
func (k *Keeper) decide(ctx context.Context, c *registryv1.Case, last bool) error {
	t, err := k.tally(ctx, c)
	if err != nil {
		return err
	}
	c.Guilty, c.Innocent, c.All = uint64(t.Guilty), uint64(t.Innocent), uint64(t.All)
	free := unmetered(ctx)
	switch {
	case t.Convicts():
		return k.convict(free, c)
	case t.Acquits():
		return k.end(free, c, registryv1.Verdict_VERDICT_ACQUITTED, fmt.Sprintf("%v of %v of stake found the miner innocent, more than a third", t.Innocent, t.All))
	case last:
		return k.end(free, c, registryv1.Verdict_VERDICT_LAPSED, fmt.Sprintf("by height %d, %v of %v of stake said guilty and %v innocent: neither two thirds nor more than a third",
			c.Deadline, t.Guilty, t.All, t.Innocent))
	}
	return k.cases.Set(ctx, c.Id, *c)
}

// unmetered returns ctx with a meter of its own, which nobody pays for.
func unmetered(ctx context.Context) context.Context {
	return sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter())
}

// tally counts the votes on a case by the stake that voters have on its subnet
// now. Votes of accounts without a permit do not count.
func (k *Keeper) tally(ctx context.Context, c *registryv1.Case) (yuma.Tally, error) {
	accounts, stakes, err := k.subnets.Voters(ctx, c.Netuid)
	if err != nil {
		return yuma.Tally{}, err
	}
	var t yuma.Tally
	for i, account := range accounts {
		t.All += stakes[i]
		v, err := k.votes.Get(ctx, collections.Join(c.Id, []byte(account)))
		switch {
		case errors.Is(err, collections.ErrNotFound):
		case err != nil:
			return t, err
		case v.Guilty:
			t.Guilty += stakes[i]
		default:
			t.Innocent += stakes[i]
		}
	}
	return t, nil
}

// convict expels the miner of a case and ends the case.
func (k *Keeper) convict(ctx context.Context, c *registryv1.Case) error {
	miner, err := k.bytes(c.Miner)
	if err != nil {
		return err
	}
	lost, err := k.subnets.Expel(ctx, c.Netuid, c.Uid, c.Since, miner)
	if err != nil {
		return err
	}
	c.Forfeited = uint64(lost)
	return k.end(ctx, c, registryv1.Verdict_VERDICT_CONVICTED, fmt.Sprintf("%v of %v of stake found the miner guilty, two thirds or more",
		coin.Amount(c.Guilty), coin.Amount(c.All)))
}

// end ends an open case. It is kept for a while, with its votes.
func (k *Keeper) end(ctx context.Context, c *registryv1.Case, v registryv1.Verdict, reason string) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	miner, err := k.bytes(c.Miner)
	if err != nil {
		return err
	}
	heard := heardAt(c)
	c.Verdict, c.Ended, c.Until = v, height(ctx), height(ctx)+int64(params.CaseRetention)
	return errors.Join(
		k.docket.Remove(ctx, collections.Join(heard, c.Id)),
		k.docket.Set(ctx, collections.Join(heardAt(c), c.Id)),
		k.open.Remove(ctx, collections.Join(c.Netuid, []byte(miner))),
		k.cases.Set(ctx, c.Id, *c),
		emit(ctx, &registryv1.EventFraudEnded{Case: c.Id, Netuid: c.Netuid, Miner: c.Miner, Verdict: v, Reason: reason, Forfeited: c.Forfeited}),
	)
}

// endCases ends the cases whose deadline has come, and forgets old ones.
func (k *Keeper) endCases(ctx context.Context) error {
	due, err := come(ctx, k.docket, casesPerBlock)
	if err != nil {
		return err
	}
	for _, id := range due {
		c, err := k.cases.Get(ctx, id)
		if err != nil {
			return err
		}
		if c.Verdict == registryv1.Verdict_VERDICT_OPEN {
			err = k.close(ctx, c)
		} else {
			err = k.forget(ctx, &c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// close counts the votes on a case for the last time. If that fails, as when
// its subnet is gone, the case lapses and nothing else is kept of the attempt:
// no case may halt the chain.
func (k *Keeper) close(ctx context.Context, c registryv1.Case) error {
	decided := c
	failure := attempted(ctx, func(inner context.Context) error { return k.decide(inner, &decided, true) })
	if failure == nil {
		return nil
	}
	return k.end(ctx, &c, registryv1.Verdict_VERDICT_LAPSED, "the votes could not be counted: "+failure.Error())
}

// attempted runs f, and keeps nothing of what it did if it fails, even by a
// panic.
func attempted(ctx context.Context, f func(context.Context) error) (err error) {
	inner, keep := sdk.UnwrapSDKContext(ctx).CacheContext()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
		if err == nil {
			keep()
		}
	}()
	return f(inner)
}

// forget removes an ended case and its votes.
func (k *Keeper) forget(ctx context.Context, c *registryv1.Case) error {
	return errors.Join(
		k.cases.Remove(ctx, c.Id),
		k.bundles.Remove(ctx, collections.Join(c.Netuid, c.Bundle)),
		k.votes.Clear(ctx, collections.NewPrefixedPairRange[uint64, []byte](c.Id)),
	)
}

// verdict says how a case stands.
func verdict(v registryv1.Verdict) string {
	switch v {
	case registryv1.Verdict_VERDICT_OPEN:
		return "open"
	case registryv1.Verdict_VERDICT_CONVICTED:
		return "the miner was convicted"
	case registryv1.Verdict_VERDICT_ACQUITTED:
		return "the miner was acquitted"
	case registryv1.Verdict_VERDICT_LAPSED:
		return "it lapsed"
	case registryv1.Verdict_VERDICT_UNSPECIFIED:
	}
	return v.String()
}
