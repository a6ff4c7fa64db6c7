package market

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// queue is one of the queues of what ends by itself. Each is ordered by when
// that is, so that a block looks at what is due and at the first that is not.
type queue int

// The queues, the most urgent first: accounts by the height at which they are
// dry, leases by the second at which the notice of their provider is over,
// leaving providers by the second at which they are gone, orders and bids by the
// height at which they expire, cases by that at which they end or are forgotten,
// and what is closed by that at which it is forgotten.
const (
	dryAccounts queue = iota
	reclaims
	leavers
	expiries
	docket
	oblivion
	queues // how many there are
)

// String names a queue in the schema.
func (q queue) String() string {
	return [queues]string{"accounts", "reclaims", "leavers", "expiries", "cases", "oblivion"}[q]
}

// clocked tells whether a queue is ordered by seconds, not by heights.
func (q queue) clocked() bool { return q == reclaims || q == leavers }

// most is how many entries of a queue one block looks at; the rest waits for
// the next. An account has at most 20 groups.
func (q queue) most() int {
	return [queues]int{200, 200, 4, 200, 16, 50}[q]
}

// retryAfter is how many blocks, or seconds, pass before an entry that failed
// is looked at again.
const retryAfter = 100

// EndBlock ends what is due: leases whose money or notice is at its end, orders
// and bids that nobody took, cases at their deadline, the unbonding of
// providers; and forgets what was kept long enough. An entry that fails is put
// off and costs nobody else anything.
func (k *Keeper) EndBlock(ctx context.Context) error {
	for q := range queues {
		due, err := k.come(ctx, q)
		if err != nil {
			return err
		}
		for _, at := range due {
			failure := attempted(ctx, func(inner context.Context) error { return k.end(inner, q, at.K2()) })
			if failure == nil {
				continue
			}
			sdk.UnwrapSDKContext(ctx).Logger().Error("market: an entry of the agenda was put off", "queue", q.String(), "key", at.K2(), "err", failure)
			if err := k.queues[q].Set(ctx, collections.Join(q.clock(ctx)+retryAfter, at.K2())); err != nil {
				return err
			}
		}
	}
	return nil
}

// end does what a queue is for to one of its entries, which is off the queue.
func (k *Keeper) end(ctx context.Context, q queue, key []byte) error {
	switch q {
	case dryAccounts:
		return k.endAccount(ctx, key)
	case reclaims:
		return k.endNotice(ctx, key)
	case leavers:
		return k.endProvider(ctx, key)
	case expiries:
		return k.expire(ctx, key)
	case docket:
		return k.endCase(ctx, binary.BigEndian.Uint64(key))
	case oblivion:
		return k.forget(ctx, key)
	case queues:
	}
	return fmt.Errorf("queue %d does not exist", q)
}

// clock returns what a queue is ordered by.
func (q queue) clock(ctx context.Context) uint64 {
	if q.clocked() {
		return uint64(max(now(ctx), 0))
	}
	return uint64(height(ctx))
}

// come takes the entries that are due off a queue, as many as a block looks at.
func (k *Keeper) come(ctx context.Context, q queue) ([]moment, error) {
	clock, most := q.clock(ctx), q.most()
	var due []moment
	err := k.queues[q].Walk(ctx, nil, func(at moment) (bool, error) {
		if at.K1() > clock || len(due) == most {
			return true, nil
		}
		due = append(due, at)
		return false, nil
	})
	for _, at := range due {
		err = errors.Join(err, k.queues[q].Remove(ctx, at))
	}
	return due, err
}

// put adds to a queue what is due at a height or second.
func (k *Keeper) put(ctx context.Context, q queue, when int64, key []byte) error {
	return k.queues[q].Set(ctx, collections.Join(uint64(when), key))
}

// drop takes off a queue what was due at a height or second. It does nothing to
// what is not there.
func (k *Keeper) drop(ctx context.Context, q queue, when int64, key []byte) error {
	return k.queues[q].Remove(ctx, collections.Join(uint64(when), key))
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
