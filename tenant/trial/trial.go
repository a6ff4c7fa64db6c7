// Package trial rents probes for the validators of a compute subnet, as a
// tenant does: it is a [compute.Renter] on the market.
//
// What it opens it writes down first, so that a validator that was killed ends
// its probes when it starts again. Start at [Renter].
package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/subnet/compute"
	"github.com/plexus-network/plexus/tenant"
)

// Options tunes a Renter. The zero value works for providers on the internet.
type Options struct {
	Life  time.Duration // of a probe at most, which its deposit pays for; 0 means 30 min
	Bid   time.Duration // for a provider's bid; 0 means a minute
	Serve time.Duration // from the lease until the provider tells URLs; 0 means 2 min
	// Private lets providers have addresses that are not on the internet. A
	// provider says itself where its services are: without this it cannot send
	// a validator to the validator's own network.
	Private bool
	// Dial connects to providers' ingresses; nil means the network's own way.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // nil means no log
}

func (o Options) withDefaults() Options {
	set := func(v *time.Duration, to time.Duration) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&o.Life, 30*time.Minute)
	set(&o.Bid, time.Minute)
	set(&o.Serve, 2*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		dialer := &net.Dialer{Timeout: 10 * time.Second}
		if !o.Private {
			dialer.Control = public
		}
		o.Dial = dialer.DialContext
	}
	return o
}

// public refuses connections to addresses that are not on the internet.
func public(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := to.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) {
		return fmt.Errorf("the provider's service is at %v, which is no address on the internet", a)
	}
	return nil
}

// shared is the address space of carriers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// A Renter rents probes with one tenant's account. It may be used from many
// goroutines.
type Renter struct {
	options Options
	tenant  *tenant.Tenant
	chain   *ledger.Client
	book    *book
	client  *http.Client
}

var _ compute.Renter = (*Renter)(nil)

// New returns a Renter that keeps the numbers of its deployments in a file.
func New(chain *ledger.Client, t *tenant.Tenant, file string, o Options) *Renter {
	o = o.withDefaults()
	return &Renter{
		options: o, tenant: t, chain: chain, book: &book{file: file},
		client: &http.Client{
			Transport: &http.Transport{
				DialContext: o.Dial, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute, DisableCompression: true,
				MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 16 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Block implements [compute.Renter].
func (r *Renter) Block(ctx context.Context) (time.Duration, error) { return r.chain.BlockTime(ctx) }

// Offer implements [compute.Renter].
func (r *Renter) Offer(ctx context.Context, provider string, g market.GroupSpec) (compute.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := r.tenant.Provider(ctx, provider)
	if errors.Is(err, ledger.ErrNotFound) {
		return compute.Offer{}, fmt.Errorf("%w: %s is not on the market", compute.ErrNoProvider, provider)
	}
	if err != nil {
		return compute.Offer{}, err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return compute.Offer{}, fmt.Errorf("%w: %w", compute.ErrNoProvider, err)
	}
	screening, err := c.Screen(ctx, r.tenant.Address(), g)
	if err != nil {
		return compute.Offer{}, fmt.Errorf("%w: %w", compute.ErrNoProvider, err)
	}
	return compute.Offer{
		CPU: status.Free.CPU, Memory: status.Free.Memory, Disk: status.Free.Storage[""],
		Bids: screening.OK, Reason: screening.Kind + ": " + screening.Reason,
	}, nil
}

// Rent implements [compute.Renter].
func (r *Renter) Rent(ctx context.Context, provider string, file *sdl.SDL) (*compute.Lease, error) {
	deposit, err := r.deposit(ctx, file)
	if err != nil {
		return nil, err
	}
	dseq, _, err := r.tenant.Deploy(ctx, file, deposit)
	if err != nil {
		return nil, fmt.Errorf("open a probe's deployment: %w", err)
	}
	l := &compute.Lease{Client: r.client, Close: func(ctx context.Context) error { return r.close(ctx, dseq) }}
	if err = r.book.add(dseq); err == nil {
		err = r.lease(ctx, dseq, provider, file, l)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, l.Close(ctx))
	}
	return l, nil
}

// deposit is what a probe is given: the least that the chain takes, or more if
// it could cost more. It is an error if the account has not got it.
func (r *Renter) deposit(ctx context.Context, file *sdl.SDL) (ledger.Money, error) {
	least, err := r.tenant.LeastDeposit(ctx, coin.Denom)
	if err != nil {
		return least, err
	}
	block, err := r.chain.BlockTime(ctx)
	if err != nil {
		return least, err
	}
	blocks := uint64(r.options.Life/max(block, time.Millisecond)) + 1
	cost, fits := file.Groups[0].Price().Amount.Times(blocks)
	if !fits {
		return least, fmt.Errorf("a probe of %v per block is beyond all money", file.Groups[0].Price())
	}
	least.Amount = max(least.Amount, cost.Floor()+1)
	has, err := r.chain.Balance(ctx, r.tenant.Address())
	if err == nil && uint64(has) < uint64(least.Amount) {
		err = fmt.Errorf("probes are rented by %s, which has %v, and one takes a deposit of %v: send it more", r.tenant.Address(), has, coin.Amount(least.Amount))
	}
	return least, err
}

// lease takes the provider's bid and waits until it tells where it serves.
func (r *Renter) lease(ctx context.Context, dseq uint64, provider string, file *sdl.SDL, l *compute.Lease) error {
	bid, err := r.bid(ctx, dseq, provider)
	if err != nil {
		return err
	}
	if err := r.tenant.Take(ctx, bid); err != nil {
		return fmt.Errorf("take the bid %v: %w", bid, err)
	}
	l.ID, l.Taken = bid, time.Now()
	if err := r.tenant.Send(ctx, dseq, file.Manifest, nil); err != nil {
		return blame(ctx, bid, fmt.Errorf("send the manifest: %w", err))
	}
	l.Doors, err = r.doors(ctx, bid, len(file.Manifest[0].Services))
	return err
}

// blame makes an error after the lease the provider's, unless it is the
// chain's or the end of ctx.
func blame(ctx context.Context, id market.BidID, err error) error {
	if ctx.Err() != nil || errors.Is(err, ledger.ErrUnreachable) {
		return err
	}
	return &compute.Undelivered{Lease: id, Err: err}
}

// bid waits for the provider's.
func (r *Renter) bid(ctx context.Context, dseq uint64, provider string) (market.BidID, error) {
	waiting, cancel := context.WithTimeout(ctx, r.options.Bid)
	defer cancel()
	for bids, err := range r.tenant.Bids(waiting, dseq) {
		if err != nil && waiting.Err() == nil {
			return market.BidID{}, err
		}
		for _, b := range bids {
			if b.ID.Provider == provider {
				return b.ID, nil
			}
		}
	}
	if ctx.Err() != nil {
		return market.BidID{}, ctx.Err()
	}
	return market.BidID{}, fmt.Errorf("%w within %v", compute.ErrRefused, r.options.Bid)
}

// doors waits until the provider tells a URL of every service.
func (r *Renter) doors(ctx context.Context, id market.BidID, services int) (map[string]string, error) {
	waiting, cancel := context.WithTimeout(ctx, r.options.Serve)
	defer cancel()
	for {
		state, err := r.tenant.Look(waiting, id.DSeq, 0)
		if err != nil && waiting.Err() == nil {
			return nil, err
		}
		doors := map[string]string{}
		for _, l := range state.Leases {
			for _, s := range l.Services {
				if len(s.URLs) > 0 {
					doors[s.Name] = s.URLs[0]
				}
			}
		}
		if len(doors) == services {
			return doors, nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-waiting.Done():
			return nil, blame(ctx, id, fmt.Errorf("after %v it tells where %d of %d services are", r.options.Serve, len(doors), services))
		}
	}
}

// close ends a deployment, and forgets it.
func (r *Renter) close(ctx context.Context, dseq uint64) error {
	if err := r.tenant.Close(ctx, dseq); err != nil {
		d, e := r.tenant.Listed(ctx, dseq)
		over := errors.Is(e, ledger.ErrNotFound) || e == nil && d.State != market.DeploymentActive.String()
		if !over {
			return fmt.Errorf("end deployment %d: %w", dseq, err)
		}
	}
	return r.book.remove(dseq)
}

// Recover ends what an earlier Renter on the same file left open. What it
// cannot end now stays in the file.
func (r *Renter) Recover(ctx context.Context) error {
	left, err := r.book.all()
	if err != nil {
		return err
	}
	for _, dseq := range left {
		if e := r.close(ctx, dseq); e != nil {
			err = errors.Join(err, e)
			continue
		}
		r.options.Log.Info("ended a probe that was left open", "dseq", dseq)
	}
	return err
}

// CloseIdle closes connections that nobody uses.
func (r *Renter) CloseIdle() { r.client.CloseIdleConnections() }
