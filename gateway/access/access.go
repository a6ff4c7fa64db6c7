// Package access is who may use a gateway, and how much: API keys, quotas and
// prepaid money.
//
// A key belongs to an account that signed in with its wallet, or to the
// operator. An account may use a share of the gateway's measured capacity in
// proportion to the stake that it delegated to the gateway's validator, and
// beyond that what it prepaid; who shows no key gets a trickle per address.
//
// Before a request runs, [Access.Reserve] sets tokens aside; [Hold.Spend] notes
// what was used before it goes out, and [Hold.Settle] pays exactly that, once.
// Gateways on one database share all of it: when one dies, another settles what
// it left behind by what was noted. Start at [New].
package access

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/yuma"
)

// A Chain is what quotas depend on.
type Chain interface {
	// Epoch returns the epoch of the gateway's subnet.
	Epoch(ctx context.Context) (Epoch, error)
	// Stake returns what an account delegated to the gateway's validator, and
	// what all did.
	Stake(ctx context.Context, account string) (own, all coin.Amount, err error)
}

// An Epoch is the time that a quota is for.
type Epoch struct {
	Number uint64
	Next   yuma.Height   // first block of the next one
	Left   time.Duration // until then, by the usual time between blocks
	Length time.Duration // of a whole epoch
}

// Options says how an Access works. Chain is needed.
type Options struct {
	Name     string       // of the gateway, as people who sign in shall see it
	Chain    Chain        // what quotas depend on
	Capacity func() int64 // tokens per second that the gateway's miners give; nil means Floor

	Floor     int64       // tokens per second that count at least as capacity; 0 means 50
	Shared    int         // percent of the capacity that delegators share; 0 means 80
	Anonymous int64       // tokens per epoch and address without a key; 0 admits nobody
	Price     coin.Amount // of 1,000 prepaid tokens, at most 1 PLX; 0 sells none
	Deposits  string      // account that prepaid money is sent to

	KeyLife   time.Duration // of keys made by signing in; 0 means 90 days
	Challenge time.Duration // to answer a challenge; 0 means 5 min
	Beat      time.Duration // between signs of life; a gateway without any for six is dead; 0 means 5 s

	Log *slog.Logger // nil means no log; never gets a key
}

// Access decides who may use a gateway, and how much. It may be used from many
// goroutines, and many may work on one database.
type Access struct {
	Register
	opt    Options
	id     string // of this gateway, new at every start
	secret []byte // that marks our challenges, the same for all on the database

	mu       sync.Mutex
	epoch    Epoch
	seen     time.Time // when epoch.Left was right; zero before it is known
	looked   time.Time // when the chain was asked last
	shares   map[string]share
	capacity map[uint64]int64 // of epochs, as all gateways count with it
	late     map[string]bill  // holds that could not be settled yet

	looking sync.Mutex       // held while the dead are looked for
	others  map[string]pulse // beats of the other gateways
}

// ErrUnavailable means that the chain or the database do not answer, so that
// nobody's quota is known.
var ErrUnavailable = errors.New("access: quotas are not known now")

// maxPrice keeps prices times tokens within 63 bits.
const maxPrice = coin.PLX

// New returns the access to a gateway with a database.
func New(ctx context.Context, db *store.DB, o Options) (*Access, error) {
	switch {
	case o.Chain == nil:
		return nil, errors.New("access: quotas need a chain")
	case o.Price > maxPrice:
		return nil, fmt.Errorf("access: a price of %v for 1,000 tokens; at most %v is allowed", o.Price, maxPrice)
	case o.Shared < 0 || o.Shared > 100:
		return nil, fmt.Errorf("access: delegators share %d percent of the capacity; 1 to 100 is allowed", o.Shared)
	case strings.ContainsAny(o.Name, "\r\n"):
		return nil, fmt.Errorf("access: the gateway's name %q has more than one line", o.Name)
	}
	or(&o.Name, "a Plexus gateway")
	or(&o.Floor, 50)
	or(&o.Shared, 80)
	or(&o.KeyLife, 90*24*time.Hour)
	or(&o.Challenge, 5*time.Minute)
	or(&o.Beat, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Access{
		Register: NewRegister(db), opt: o, id: newID(),
		shares: map[string]share{}, capacity: map[uint64]int64{}, late: map[string]bill{}, others: map[string]pulse{},
	}
	if err := a.open(ctx); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return a, nil
}

// open reads the secret and gives the first sign of life.
func (a *Access) open(ctx context.Context) error {
	err := a.db.Change(ctx, func(tx *sql.Tx) error {
		s, err := store.Value(ctx, tx, "challenge secret", hex.EncodeToString(random(32)))
		if err != nil {
			return err
		}
		a.secret, err = hex.DecodeString(s)
		return err
	})
	return errors.Join(err, a.beat(ctx))
}

// Deposits returns the account that prepaid money is sent to, and the price of
// 1,000 tokens; 0 if none are sold.
func (a *Access) Deposits() (account string, price coin.Amount) { return a.opt.Deposits, a.opt.Price }

func or[T comparable](p *T, fallback T) {
	var zero T
	if *p == zero {
		*p = fallback
	}
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// newID returns 128 random bits as letters and digits.
func newID() string { return letters(random(16)) }

func letters(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
