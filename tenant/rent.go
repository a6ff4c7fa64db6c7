package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/wallet"
)

// Terms are how a deployment is rented. The zero Terms pay the least deposit,
// wait a minute for bids and take the cheapest at once.
type Terms struct {
	Deposit  ledger.Money  // 0, or in another denom than the SDL's prices: the least that the chain takes
	Provider string        // whose bids alone count; "" means everybody's
	Wait     time.Duration // for a bid on every group; 0 means 1 min
	Gather   time.Duration // for cheaper bids after that
	Keep     bool          // leave the deployment open if it comes to nothing

	// Choose returns the bids to take, one for each group, of those that came,
	// which are sorted by group and price; nil means [Cheapest].
	Choose func(bids []market.Bid) ([]market.Bid, error)
	// Seen hears of the bids each time that there are others; nil is deaf.
	Seen func(bids []market.Bid)
	// Tell hears what was done, in sentences; nil is deaf.
	Tell func(text string)
}

func (o Terms) withDefaults() Terms {
	if o.Wait == 0 {
		o.Wait = time.Minute
	}
	if o.Choose == nil {
		o.Choose = func(bids []market.Bid) ([]market.Bid, error) { return Cheapest(bids), nil }
	}
	if o.Seen == nil {
		o.Seen = func([]market.Bid) {}
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	return o
}

// Rent deploys what an SDL asks for, takes bids and sends the manifest. It
// returns the number of the deployment, also with an error if it stands
// nevertheless; 0 means that none does: one that nobody served, [ErrNoBid], is
// closed again and its deposit refunded.
func (t *Tenant) Rent(ctx context.Context, file *sdl.SDL, o Terms) (dseq uint64, err error) {
	o = o.withDefaults()
	if err := t.sells(ctx, o.Provider); err != nil {
		return 0, err
	}
	dseq, paid, err := t.Deploy(ctx, file, o.Deposit)
	if err != nil {
		return 0, err
	}
	o.Tell(fmt.Sprintf("Deployment %d stands on the chain; its escrow holds %s. Bids are waited for up to %v.", dseq, amount(paid), o.Wait))
	chosen, err := t.lease(ctx, dseq, file.Groups, o)
	if err != nil {
		if o.Keep {
			return dseq, err
		}
		return t.undo(ctx, dseq, err)
	}
	for _, b := range chosen {
		o.Tell(fmt.Sprintf("Leased group %d from %s for %s per block.", b.ID.GSeq, b.ID.Provider, Money(b.Price.Amount.String(), b.Price.Denom)))
	}
	return dseq, t.Send(ctx, dseq, file.Manifest, o.Tell)
}

// sells tells whether a provider is on the market, before a deposit is paid for
// its bid; "" means any.
func (t *Tenant) sells(ctx context.Context, provider string) error {
	if provider == "" {
		return nil
	}
	_, err := wallet.ParseAddress(provider)
	none := err != nil
	if !none {
		_, err = t.market().Provider(ctx, provider)
		none = errors.Is(err, ledger.ErrNotFound)
	}
	if none {
		return fmt.Errorf("there is no provider %s on the market; plexus providers lists them", provider)
	}
	return err
}

// lease gathers bids and takes those that are chosen.
func (t *Tenant) lease(ctx context.Context, dseq uint64, groups []market.GroupSpec, o Terms) ([]market.Bid, error) {
	bids, err := t.gather(ctx, dseq, groups, o)
	if err != nil {
		return nil, err
	}
	chosen, err := o.Choose(bids)
	if err != nil {
		return nil, err
	}
	var ids []market.BidID
	for _, b := range chosen {
		ids = append(ids, b.ID)
	}
	return chosen, t.Take(ctx, ids...)
}

// undo closes a deployment that came to nothing.
func (t *Tenant) undo(ctx context.Context, dseq uint64, why error) (uint64, error) {
	// Also after an interrupt: the money is the tenant's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := t.Close(ctx, dseq); err != nil {
		return dseq, errors.Join(why, fmt.Errorf("deployment %d stays open: %w", dseq, err))
	}
	return 0, fmt.Errorf("%w\ndeployment %d is closed again and its deposit refunded", why, dseq)
}

// Deploy opens a deployment, whose groups are then up for bids, and returns its
// number and the deposit: as much as is asked for, or the least that the chain
// takes if that is 0 or in another denom than the SDL's prices.
func (t *Tenant) Deploy(ctx context.Context, file *sdl.SDL, deposit ledger.Money) (dseq uint64, paid ledger.Money, err error) {
	denom := file.Groups[0].Price().Denom
	if deposit.Amount == 0 || deposit.Denom != denom {
		if deposit, err = t.LeastDeposit(ctx, denom); err != nil {
			return 0, deposit, err
		}
	}
	id, err := t.market().Deploy(ctx, t.actor(), ledger.Deployment{
		Hash: file.Manifest.Hash(), Groups: file.Groups, Reclaim: file.Reclamation, Deposit: deposit,
	})
	return id.DSeq, deposit, err
}

// LeastDeposit returns the least that the chain takes to open a deployment
// that is priced in a denom.
func (t *Tenant) LeastDeposit(ctx context.Context, denom string) (ledger.Money, error) {
	params, err := t.market().Params(ctx)
	if err != nil {
		return ledger.Money{}, err
	}
	var taken []string
	for _, c := range params.Currencies {
		if c.Denom == denom {
			return ledger.Money{Denom: denom, Amount: market.Amount(c.MinDeposit)}, nil
		}
		taken = append(taken, c.Denom)
	}
	return ledger.Money{}, fmt.Errorf("the SDL is priced in %s, and the chain takes %s: write its pricing in one of them", denom, strings.Join(taken, ", "))
}

// Take makes leases of bids, all of them or none.
func (t *Tenant) Take(ctx context.Context, bids ...market.BidID) error {
	_, err := t.market().Take(ctx, t.actor(), bids...)
	return err
}

// Send sends a deployment's manifest to the providers of its leases, and tells
// of each that has it; tell may be nil.
func (t *Tenant) Send(ctx context.Context, dseq uint64, m manifest.Manifest, tell func(string)) error {
	leases, err := t.Leases(ctx, dseq)
	if err != nil {
		return err
	}
	sent := map[string]bool{}
	for _, l := range leases {
		if sent[l.ID.Provider] {
			continue
		}
		sent[l.ID.Provider] = true
		if err := t.sendTo(ctx, l.ID.Provider, dseq, m); err != nil {
			return fmt.Errorf("send the manifest to provider %s: %w", l.ID.Provider, err)
		}
		if tell != nil {
			tell(fmt.Sprintf("Provider %s has the manifest.", l.ID.Provider))
		}
	}
	return nil
}

// sendTo sends a manifest to one provider. One that has not seen its lease yet
// is asked again, for half a minute.
func (t *Tenant) sendTo(ctx context.Context, provider string, dseq uint64, m manifest.Manifest) error {
	p, err := t.Provider(ctx, provider)
	if err != nil {
		return err
	}
	for until := time.Now().Add(30 * time.Second); ; {
		_, err = p.SendManifest(ctx, dseq, m)
		again := errors.Is(err, api.ErrNoLease) || errors.Is(err, api.ErrAway) || errors.Is(err, api.ErrMismatch)
		if err == nil || !again || time.Now().After(until) {
			return err
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// Update runs another manifest: images, commands, environments and names may
// differ from what runs, what is asked of the provider may not.
func (t *Tenant) Update(ctx context.Context, dseq uint64, file *sdl.SDL, tell func(string)) error {
	got, err := t.market().Deployment(ctx, t.name(dseq))
	if err != nil {
		return err
	}
	var groups []market.GroupSpec
	for _, g := range got.Groups {
		spec, err := wire.ReadGroupSpec(g.Spec)
		if err != nil {
			return err
		}
		groups = append(groups, spec)
	}
	if err := file.Manifest.Check(groups); err != nil {
		return fmt.Errorf("%w; what a deployment asks of its providers cannot be changed: make a new one", err)
	}
	if hash := file.Manifest.Hash(); string(got.Deployment.Hash) != string(hash[:]) {
		if err := t.market().Update(ctx, t.actor(), dseq, hash); err != nil {
			return err
		}
		if tell != nil {
			tell(fmt.Sprintf("Deployment %d has manifest %v on the chain.", dseq, hash))
		}
	}
	return t.Send(ctx, dseq, file.Manifest, tell)
}

// Close ends a deployment; what it did not spend goes back.
func (t *Tenant) Close(ctx context.Context, dseq uint64) error {
	return t.market().Close(ctx, t.actor(), dseq)
}

// TopUp pays more into a deployment's escrow.
func (t *Tenant) TopUp(ctx context.Context, dseq uint64, sum ledger.Money) error {
	_, err := t.market().TopUp(ctx, t.actor(), t.name(dseq), sum, "")
	return err
}
