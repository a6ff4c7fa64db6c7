// Package tenant rents compute on the market: it puts an SDL up for bids, takes
// one for each group, sends the manifest, waits until all of it runs, and looks
// after it until the money or the wish for it ends.
//
// The chain says what is rented and a provider what runs; a [Tenant] asks both
// and signs what either wants to see. [Tenant.Rent] goes all the way from an
// SDL to a manifest that its providers have; [Tenant.Deploy], [Tenant.Bids],
// [Tenant.Take] and [Tenant.Send] are its steps, for who lets a person choose.
// Then [Tenant.Await] tells when it runs. Nothing here prints, asks or knows a
// terminal. Start at [Tenant].
package tenant

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/wallet"
)

// ErrNoLease means that no lease runs where one was asked for.
var ErrNoLease = errors.New("tenant: no lease")

// A pass is signed for as long as a shell may stay open, and a provider looked
// up anew after a while: it may have moved.
const (
	passLife = 12 * time.Hour
	fresh    = 10 * time.Minute
)

// pace is the time between two looks at what is waited for.
const pace = 500 * time.Millisecond

// A Tenant rents compute with one key. It may be used from many goroutines.
type Tenant struct {
	chain *ledger.Client
	key   *wallet.Key

	mu   sync.Mutex
	apis map[string]opened // by provider

	times map[market.Height]time.Time // of blocks
}

type opened struct {
	client *api.Client
	since  time.Time
}

// New returns the Tenant of a key on the chain. Without a key, nil, it can
// look at the market, [Tenant.Screen], and no more.
func New(chain *ledger.Client, key *wallet.Key) *Tenant {
	return &Tenant{chain: chain, key: key, apis: map[string]opened{}, times: map[market.Height]time.Time{}}
}

// Address returns the tenant's account; "" without a key.
func (t *Tenant) Address() string {
	if t.key == nil {
		return ""
	}
	return t.key.Address()
}

func (t *Tenant) market() ledger.Market { return t.chain.Market() }

func (t *Tenant) actor() ledger.Actor { return ledger.Actor{Key: t.key} }

func (t *Tenant) name(dseq uint64) market.DeploymentID {
	return market.DeploymentID{Owner: t.Address(), DSeq: dseq}
}

// Provider returns the API of a provider, as the chain knows it, opened by a
// pass of the tenant's.
func (t *Tenant) Provider(ctx context.Context, account string) (*api.Client, error) {
	t.mu.Lock()
	had, ok := t.apis[account]
	t.mu.Unlock()
	if ok && time.Since(had.since) < fresh {
		return had.client, nil
	}
	p, err := t.market().Provider(ctx, account)
	if err != nil {
		return nil, err
	}
	token, err := pass.Sign(t.key, account, time.Now(), passLife, pass.Leases{})
	if err != nil {
		return nil, err
	}
	c := api.NewClient(p.Provider.HostUri, p.Provider.TlsPin, token)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apis[account] = opened{c, time.Now()}
	return c, nil
}

// Leases returns the leases of a deployment that run, or [ErrNoLease].
func (t *Tenant) Leases(ctx context.Context, dseq uint64) ([]market.Lease, error) {
	return t.leases(ctx, dseq, 0, true)
}

// Group returns the leases of one group of a deployment that run, or with 0
// of all; or [ErrNoLease].
func (t *Tenant) Group(ctx context.Context, dseq uint64, gseq uint32) ([]market.Lease, error) {
	return t.leases(ctx, dseq, gseq, true)
}

// Past returns leases as [Tenant.Group] does, but those that have ended.
func (t *Tenant) Past(ctx context.Context, dseq uint64, gseq uint32) ([]market.Lease, error) {
	return t.leases(ctx, dseq, gseq, false)
}

func (t *Tenant) leases(ctx context.Context, dseq uint64, gseq uint32, runs bool) ([]market.Lease, error) {
	all, err := t.market().Leases(ctx, marketv1.QueryLeasesRequest{Owner: t.Address(), Dseq: dseq})
	if err != nil {
		return nil, err
	}
	var found []market.Lease
	for _, one := range all {
		l, _, err := wire.ReadLease(one)
		if err != nil {
			return nil, err
		}
		if l.State.Runs() == runs && (gseq == 0 || l.ID.GSeq == gseq) {
			found = append(found, l)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	of := fmt.Sprintf("deployment %d", dseq)
	if gseq != 0 {
		of = fmt.Sprintf("group %d of %s", gseq, of)
	}
	if runs {
		return nil, fmt.Errorf("%w of %s runs", ErrNoLease, of)
	}
	return nil, fmt.Errorf("%w of %s has ended, as far as the chain knows", ErrNoLease, of)
}

// sleep waits for d, and tells whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
