package ledger

import (
	"context"
	"fmt"
	"iter"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"

	"github.com/plexus-network/plexus/yuma"
)

// keptHashes bounds how many hashes of blocks a Client remembers.
const keptHashes = 1024

// ChainID returns the chain's id.
func (c *Client) ChainID(ctx context.Context) (string, error) {
	c.mu.Lock()
	id := c.chainID
	c.mu.Unlock()
	if id != "" {
		return id, nil
	}
	if _, err := c.Head(ctx); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chainID, nil
}

// Head returns the latest block, at most half of Options.Poll old.
func (c *Client) Head(ctx context.Context) (Head, error) {
	if err := c.looking.take(ctx); err != nil {
		return Head{}, err
	}
	defer c.looking.give()
	if !c.seen.IsZero() && time.Since(c.seen) < c.opt.Poll/2 {
		return c.head, nil
	}
	resp, err := cmtservice.NewServiceClient(c.conn).GetLatestBlock(ctx, &cmtservice.GetLatestBlockRequest{})
	if err != nil {
		return Head{}, failed("latest block", err)
	}
	h, err := c.learn(resp.BlockId, resp.Block) //nolint:staticcheck // sdk_block says the same, with addresses as text
	if err != nil {
		return Head{}, fmt.Errorf("latest block: %w", err)
	}
	c.head, c.seen = h, time.Now()
	return h, nil
}

// Heads returns the latest block and then every new one. It looks every
// Options.Poll, so that a caller who is slow, or a chain that is fast, skips
// blocks; heights always rise. While no node answers it waits for one. It ends
// when ctx does.
func (c *Client) Heads(ctx context.Context) iter.Seq[Head] {
	return func(yield func(Head) bool) {
		var last yuma.Height
		var failures int
		for {
			h, err := c.Head(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if failures++; failures == 1 {
					c.opt.Log.Warn("chain does not answer", "error", err)
				}
			case h.Height > last:
				failures, last = 0, h.Height
				if !yield(h) {
					return
				}
			default:
				failures = 0
			}
			// Up to 16 times rarer while there is no answer.
			if !pause(ctx, c.opt.Poll<<min(failures, 4)) {
				return
			}
		}
	}
}

// BlockHash returns the hash of the block at a height, or [ErrNotFound] when
// there is none yet or the node has dropped it.
func (c *Client) BlockHash(ctx context.Context, height yuma.Height) ([32]byte, error) {
	c.mu.Lock()
	hash, ok := c.hashes[height]
	c.mu.Unlock()
	if ok {
		return hash, nil
	}
	h, err := c.HeadAt(ctx, height)
	return h.Hash, err
}

// HeadAt returns what [Client.Head] says of the block at a height, or
// [ErrNotFound] when there is none yet or the node has dropped it.
func (c *Client) HeadAt(ctx context.Context, height yuma.Height) (Head, error) {
	what := fmt.Sprintf("block %d", height)
	resp, err := cmtservice.NewServiceClient(c.conn).GetBlockByHeight(ctx,
		&cmtservice.GetBlockByHeightRequest{Height: int64(height)})
	if err != nil {
		if head, headErr := c.Head(ctx); headErr == nil && height > head.Height {
			return Head{}, fmt.Errorf("%s: %w: the latest is %d", what, ErrNotFound, head.Height)
		}
		return Head{}, failed(what, err)
	}
	h, err := c.learn(resp.BlockId, resp.Block) //nolint:staticcheck // sdk_block says the same, with addresses as text
	if err != nil {
		return Head{}, fmt.Errorf("%s: %w", what, err)
	}
	if h.Height != height {
		return Head{}, fmt.Errorf("%s: the node answers with block %d", what, h.Height)
	}
	return h, nil
}

// learn reads a block and remembers its hash.
func (c *Client) learn(id *cmtproto.BlockID, block *cmtproto.Block) (Head, error) {
	if id == nil || block == nil || len(id.Hash) != 32 || block.Header.Height <= 0 {
		return Head{}, fmt.Errorf("%w: the node has no block yet", ErrNotFound)
	}
	h := Head{Height: yuma.Height(block.Header.Height), Hash: [32]byte(id.Hash), Time: block.Header.Time}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chainID == "" {
		c.chainID = block.Header.ChainID
	}
	if len(c.hashes) >= keptHashes {
		clear(c.hashes)
	}
	c.hashes[h.Height] = h.Hash
	return h, nil
}

// pause waits for d and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
