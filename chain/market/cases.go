package market

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

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/yuma"
)

// maxEvidence bounds the evidence of a case, in bytes.
const maxEvidence = 64 << 10

// ReportNonDelivery opens a case against the provider of a lease. The evidence
// stays in the transaction: the state keeps its hash.
func (m msgs) ReportNonDelivery(ctx context.Context, msg *marketv1.MsgReportNonDelivery) (*marketv1.MsgReportNonDeliveryResponse, error) {
	reporter, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if len(msg.Evidence) == 0 || len(msg.Evidence) > maxEvidence {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("evidence of %d bytes; it must have 1 to %d", len(msg.Evidence), maxEvidence)
	}
	params, err := m.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	l, key, err := m.leaseAt(ctx, marketv1.BidID{Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider})
	if err != nil {
		return nil, err
	}
	if l.Case != 0 {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("case %d is about lease %v: it is open, or was found true", l.Case, wire.ReadBidID(l.Id))
	}
	if msg.Account != msg.Owner {
		if err := m.court.Permitted(ctx, params.Court, reporter); err != nil {
			return nil, sdkerrors.ErrUnauthorized.Wrapf("only the tenant and the validators of subnet %d report: %v", params.Court, err)
		}
	}
	n, err := m.latestCase.Next(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(msg.Evidence)
	c := marketv1.Case{
		Id: n + 1, Lease: l.Id, Reporter: msg.Account, Evidence: hash[:], EvidenceSize: uint64(len(msg.Evidence)),
		Deposit: params.ReportDeposit, Court: params.Court, Height: int64(height(ctx)),
		Deadline: later(height(ctx), params.VotingPeriod), Verdict: marketv1.CaseVerdict_CASE_VERDICT_OPEN,
	}
	l.Case = c.Id
	return &marketv1.MsgReportNonDeliveryResponse{Case: c.Id, Deadline: c.Deadline}, errors.Join(
		m.collect(ctx, reporter, coins(plx, market.Amount(c.Deposit))),
		m.cases.Set(ctx, c.Id, c),
		m.put(ctx, docket, c.Deadline, number(c.Id)),
		m.leases.Set(ctx, key, l),
		m.accuse(ctx, msg.Provider),
		emit(ctx, &marketv1.EventNonDeliveryReported{
			Case: c.Id, Owner: msg.Owner, Dseq: msg.Dseq, Gseq: msg.Gseq, Oseq: msg.Oseq, Provider: msg.Provider,
			Reporter: msg.Account, Evidence: hex.EncodeToString(c.Evidence), Deadline: c.Deadline,
		}),
	)
}

// accuse counts an open case against a provider. One that is leaving stays
// until it is decided.
func (k *Keeper) accuse(ctx context.Context, account string) error {
	address, p, err := k.provider(ctx, account)
	if err != nil {
		return err
	}
	p.Cases++
	if p.Cases == 1 && p.State == marketv1.ProviderState_PROVIDER_STATE_LEAVING {
		err = k.drop(ctx, leavers, p.Leaves, address)
	}
	return errors.Join(err, k.providers.Set(ctx, address, p))
}

// VoteNonDelivery votes on an open case, or changes the vote, and ends the case
// if it is decided. The vote of governance decides.
func (m msgs) VoteNonDelivery(ctx context.Context, msg *marketv1.MsgVoteNonDelivery) (*marketv1.MsgVoteNonDeliveryResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	c, err := m.cases.Get(ctx, msg.Case)
	if err != nil {
		return nil, missing(err, "case %d: it never was, or was forgotten", msg.Case)
	}
	if c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_OPEN {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("case %d ended at height %d: %s", c.Id, c.Ended, verdict(c.Verdict))
	}
	if msg.Account == m.authority {
		err = m.rule(ctx, &c, msg.Guilty)
		return &marketv1.MsgVoteNonDeliveryResponse{Verdict: c.Verdict}, err
	}
	if err := m.court.Permitted(ctx, c.Court, account); err != nil {
		return nil, err
	}
	vote := marketv1.Vote{Case: c.Id, Account: msg.Account, Guilty: msg.Guilty, Height: int64(height(ctx))}
	if err := errors.Join(
		m.votes.Set(ctx, collections.Join(c.Id, []byte(account)), vote),
		emit(ctx, &marketv1.EventNonDeliveryVoted{Case: c.Id, Account: msg.Account, Guilty: msg.Guilty}),
	); err != nil {
		return nil, err
	}
	err = m.decide(ctx, &c, false)
	return &marketv1.MsgVoteNonDeliveryResponse{Verdict: c.Verdict}, err
}

// rule ends a case as governance says.
func (k *Keeper) rule(ctx context.Context, c *marketv1.Case, guilty bool) error {
	if guilty {
		return k.convict(ctx, c, "governance found that the provider did not deliver")
	}
	return k.close(ctx, c, marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED, "governance found that the provider delivered")
}

// decide counts the votes on an open case and ends it if they decide it, or if
// this is the last count. It stores the case.
//
// Carrying a verdict out takes no gas of the vote that decides: which one that
// is nobody knows when it is signed, and its gas was reckoned by a trial run in
// which it may not have been the one. A case is decided once, and opening it has
// its price.
func (k *Keeper) decide(ctx context.Context, c *marketv1.Case, last bool) error {
	t, err := k.tally(ctx, c)
	if err != nil {
		return err
	}
	c.Guilty, c.Innocent, c.All = uint64(t.Guilty), uint64(t.Innocent), uint64(t.All)
	free := unmetered(ctx)
	switch {
	case t.Convicts():
		return k.convict(free, c, fmt.Sprintf("%v of %v of stake found that the provider did not deliver, two thirds or more", t.Guilty, t.All))
	case t.Acquits():
		return k.close(free, c, marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED, fmt.Sprintf("%v of %v of stake found that the provider delivered, more than a third", t.Innocent, t.All))
	case last:
		return k.close(free, c, marketv1.CaseVerdict_CASE_VERDICT_LAPSED, fmt.Sprintf("by height %d, %v of %v of stake said guilty and %v innocent: neither two thirds nor more than a third",
			c.Deadline, t.Guilty, t.All, t.Innocent))
	}
	return k.cases.Set(ctx, c.Id, *c)
}

// unmetered returns ctx with a meter of its own, which nobody pays for.
func unmetered(ctx context.Context) context.Context {
	return sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter())
}

// tally counts the votes on a case by the stake that voters have now. Votes of
// accounts without a permit do not count.
func (k *Keeper) tally(ctx context.Context, c *marketv1.Case) (yuma.Tally, error) {
	accounts, stakes, err := k.court.Voters(ctx, c.Court)
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

// convict slashes the provider of a case, ends the lease if it still runs, and
// ends the case.
func (k *Keeper) convict(ctx context.Context, c *marketv1.Case, reason string) error {
	if err := k.slash(ctx, c); err != nil {
		return err
	}
	key, err := k.bidKey(c.Lease)
	if err != nil {
		return err
	}
	l, err := k.leases.Get(ctx, key)
	if err = ignoreMissing(err); err != nil { // it may be forgotten
		return err
	}
	if market.LeaseState(l.State).Runs() {
		if err := k.release(ctx, cut(key, orderSize), market.NonDelivery); err != nil {
			return err
		}
	}
	return k.close(ctx, c, marketv1.CaseVerdict_CASE_VERDICT_CONVICTED, reason)
}

// slash takes from a convicted provider what the parameters say, for the
// network.
func (k *Keeper) slash(ctx context.Context, c *marketv1.Case) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	address, p, err := k.provider(ctx, c.Lease.Provider)
	if err != nil {
		return err
	}
	c.Slashed = uint64(market.Part(params.Slash).Of(market.Amount(p.Deposit)))
	p.Deposit -= c.Slashed
	p.Slashed += min(c.Slashed, ^p.Slashed)
	p.Convicted++
	return errors.Join(k.providers.Set(ctx, address, p), k.give(ctx, params.TakeTo, plx, market.Amount(c.Slashed)))
}

// close ends an open case. It is kept for a while, with its votes. Its reporter
// gets the deposit back unless the provider was acquitted: then the network
// takes it.
func (k *Keeper) close(ctx context.Context, c *marketv1.Case, v marketv1.CaseVerdict, reason string) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	if v == marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED {
		err = k.give(ctx, params.TakeTo, plx, market.Amount(c.Deposit))
	} else {
		var reporter sdk.AccAddress
		if reporter, err = k.bytes(c.Reporter); err == nil {
			err = k.disburse(ctx, reporter, plx, market.Amount(c.Deposit))
		}
	}
	if v != marketv1.CaseVerdict_CASE_VERDICT_CONVICTED {
		err = errors.Join(err, k.clear(ctx, c.Lease))
	}
	c.Verdict, c.Ended, c.Until = v, int64(height(ctx)), later(height(ctx), params.Retention)
	return errors.Join(err,
		k.drop(ctx, docket, c.Deadline, number(c.Id)),
		k.put(ctx, docket, c.Until, number(c.Id)),
		k.cases.Set(ctx, c.Id, *c),
		k.excuse(ctx, c.Lease.Provider),
		emit(ctx, &marketv1.EventNonDeliveryEnded{
			Case: c.Id, Provider: c.Lease.Provider, Verdict: v, Reason: reason, Slashed: coins(plx, market.Amount(c.Slashed)).String(),
		}),
	)
}

// clear lets a lease be reported again.
func (k *Keeper) clear(ctx context.Context, id marketv1.BidID) error {
	l, key, err := k.leaseAt(ctx, id)
	if errors.Is(err, sdkerrors.ErrNotFound) { // it was forgotten
		return nil
	}
	l.Case = 0
	return errors.Join(err, k.leases.Set(ctx, key, l))
}

// excuse counts one open case against a provider less. One that is leaving and
// has no other goes on with that.
func (k *Keeper) excuse(ctx context.Context, account string) error {
	address, p, err := k.provider(ctx, account)
	if err != nil {
		return err
	}
	p.Cases--
	if p.Cases == 0 && p.State == marketv1.ProviderState_PROVIDER_STATE_LEAVING {
		err = k.put(ctx, leavers, p.Leaves, address)
	}
	return errors.Join(err, k.providers.Set(ctx, address, p))
}

// endCase counts the votes on a case for the last time, or forgets one that was
// kept long enough. If the count fails, as when the court's subnet is gone, the
// case lapses.
func (k *Keeper) endCase(ctx context.Context, id uint64) error {
	c, err := k.cases.Get(ctx, id)
	if err != nil {
		return err
	}
	if c.Verdict != marketv1.CaseVerdict_CASE_VERDICT_OPEN {
		return errors.Join(k.cases.Remove(ctx, id), k.votes.Clear(ctx, collections.NewPrefixedPairRange[uint64, []byte](id)))
	}
	decided := c
	failure := attempted(ctx, func(inner context.Context) error { return k.decide(inner, &decided, true) })
	if failure == nil {
		return nil
	}
	return k.close(ctx, &c, marketv1.CaseVerdict_CASE_VERDICT_LAPSED, "the votes could not be counted: "+failure.Error())
}

// verdict says how a case stands.
func verdict(v marketv1.CaseVerdict) string {
	switch v {
	case marketv1.CaseVerdict_CASE_VERDICT_OPEN:
		return "open"
	case marketv1.CaseVerdict_CASE_VERDICT_CONVICTED:
		return "the provider did not deliver"
	case marketv1.CaseVerdict_CASE_VERDICT_ACQUITTED:
		return "the provider delivered"
	case marketv1.CaseVerdict_CASE_VERDICT_LAPSED:
		return "it lapsed"
	case marketv1.CaseVerdict_CASE_VERDICT_UNSPECIFIED:
	}
	return v.String()
}

// ignoreMissing is err, unless it says that something is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	return err
}
