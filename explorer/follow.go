package explorer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// FollowOptions tunes [Index.Follow]. The zero value works.
type FollowOptions struct {
	Sample yuma.Blocks // between samples of subnets, stake and supply; 0 means 60
	Ahead  int         // blocks fetched at once while behind; 0 means 8
}

// Follow indexes every block of the chain, from the oldest that the node has
// or, in an index that holds some, the one after the newest, until ctx ends. It
// waits for a node that does not answer. It returns [ErrOtherChain] when the
// index holds another chain, and an error when the node lacks the next block
// or the database fails. Only one may follow into one index at a time.
func (x *Index) Follow(ctx context.Context, c *ledger.Client, o FollowOptions) error {
	if o.Sample == 0 {
		o.Sample = 60
	}
	if o.Ahead <= 0 {
		o.Ahead = 8
	}
	f := &follower{Index: x, chain: c, opt: o}
	for head := range c.Heads(ctx) {
		err := f.step(ctx, head)
		if ctx.Err() != nil {
			break // what err says is that
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A follower follows the chain into an index.
type follower struct {
	*Index
	chain  *ledger.Client
	opt    FollowOptions
	known  *known // nil before begin
	next   yuma.Height
	opened bool
}

// step indexes all blocks up to head, and begins if it is the first step.
func (f *follower) step(ctx context.Context, head ledger.Head) error {
	if f.known == nil {
		err := f.begin(ctx, head)
		for errors.Is(err, ledger.ErrUnreachable) && pause(ctx, retry) {
			err = f.begin(ctx, head)
		}
		if err != nil {
			return err
		}
	}
	return f.catchUp(ctx, head)
}

// begin finds out where to go on.
func (f *follower) begin(ctx context.Context, head ledger.Head) error {
	s, err := f.Status(ctx)
	if err != nil {
		return err
	}
	if f.next, err = f.where(ctx, s, head); err != nil {
		return err
	}
	if err := f.sign(ctx, s); err != nil {
		return err
	}
	f.opened = s.Opened > 0
	f.known, err = f.recall(ctx)
	return err
}

// where returns the height of the next block to index, if the index and the
// node agree on what came before.
func (f *follower) where(ctx context.Context, s Status, head ledger.Head) (yuma.Height, error) {
	if s.Height == 0 {
		return f.oldest(ctx, head.Height)
	}
	if s.Height > head.Height {
		return s.Height + 1, nil // the node is behind; it will come
	}
	hash, err := f.chain.BlockHash(ctx, s.Height)
	if errors.Is(err, ledger.ErrUnreachable) {
		return 0, err
	}
	if err != nil {
		return s.Height + 1, nil //nolint:nilerr // the node has pruned that block, but maybe not the next
	}
	if have := strings.ToUpper(hex.EncodeToString(hash[:])); have != s.Hash {
		return 0, fmt.Errorf("%w: its block %d has hash %s, the node's has %s; name another database or index anew with reindex",
			ErrOtherChain, s.Height, s.Hash, have)
	}
	return s.Height + 1, nil
}

// oldest returns the height of the oldest block that the node has.
func (f *follower) oldest(ctx context.Context, newest yuma.Height) (yuma.Height, error) {
	var failure error
	n := sort.Search(int(newest)-1, func(i int) bool {
		_, err := f.chain.BlockHash(ctx, yuma.Height(i)+1)
		if errors.Is(err, ledger.ErrUnreachable) || ctx.Err() != nil {
			failure = err
		}
		return err == nil
	})
	return yuma.Height(n) + 1, failure
}

// sign writes the chain's name into an empty index, and compares it otherwise.
func (f *follower) sign(ctx context.Context, s Status) error {
	id, err := f.chain.ChainID(ctx)
	if err != nil {
		return err
	}
	if s.ChainID != "" && s.ChainID != id {
		return fmt.Errorf("%w: %q, and the node is of %q; name another database or index anew with reindex", ErrOtherChain, s.ChainID, id)
	}
	tx, err := f.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := remember(ctx, tx, "chain", id); err != nil {
		return err
	}
	return tx.Commit()
}

// catchUp indexes all blocks up to head.
func (f *follower) catchUp(ctx context.Context, head ledger.Head) error {
	for tries := 0; f.next <= head.Height; {
		at := f.next
		err := f.run(ctx, head)
		if f.next > at {
			tries = 0
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case !errors.Is(err, errFetch):
			return err
		case errors.Is(err, ledger.ErrUnreachable):
			if tries == 0 {
				f.log.Warn("the node does not answer", "block", uint64(f.next), "error", err)
			}
		case f.next < head.Height && tries >= 5: // only the newest may be late
			return fmt.Errorf("%w (a node that keeps all blocks has it)", err)
		case tries >= 30:
			return nil // until the next head
		}
		tries++
		if !pause(ctx, min(time.Duration(tries)*retry, 5*time.Second)) {
			return ctx.Err()
		}
	}
	return nil
}

// retry is the time to the first new attempt after the node failed.
const retry = 20 * time.Millisecond

// errFetch marks an error of reading from the node, which may pass.
var errFetch = errors.New("explorer: read from the node")

// run indexes all blocks up to head until something fails.
func (f *follower) run(ctx context.Context, head ledger.Head) error {
	for h, err := range harvests(ctx, f.chain, f.next, head.Height, f.opt.Ahead) {
		if err != nil {
			return fmt.Errorf("%w: %w", errFetch, err)
		}
		near := uint64(head.Height)-uint64(h.height) < 5
		s, err := observe(ctx, f.chain, h, want{
			all:     uint64(h.height)%uint64(f.opt.Sample) == 0 || h.stakeMoved || h.height == 1,
			holders: !f.opened && (near || h.height == 1),
		})
		if err != nil {
			return fmt.Errorf("%w: %w", errFetch, err)
		}
		if err := f.add(ctx, h, s, f.known); err != nil {
			return err
		}
		f.opened = f.opened || s.holders != nil
		f.next++
	}
	return nil
}

// harvests returns the blocks of a range in order, and fetches some ahead. It
// ends at the first error.
func harvests(ctx context.Context, c *ledger.Client, from, to yuma.Height, ahead int) iter.Seq2[*harvest, error] {
	type result struct {
		h   *harvest
		err error
	}
	return func(yield func(*harvest, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		queue := make(chan chan result, ahead-1)
		running.Go(func() {
			defer close(queue)
			for at := from; at <= to; at++ {
				one := make(chan result, 1)
				select {
				case queue <- one:
				case <-ctx.Done():
					return
				}
				running.Go(func() {
					b, err := c.Block(ctx, at)
					if err != nil {
						one <- result{err: err}
						return
					}
					one <- result{h: reap(b)}
				})
			}
		})
		for one := range queue {
			if r := <-one; !yield(r.h, r.err) || r.err != nil {
				return
			}
		}
	}
}
