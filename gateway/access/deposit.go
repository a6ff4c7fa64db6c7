package access

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// Blocks is the chain as deposits are read from it. A [ledger.Client] is one.
type Blocks interface {
	Head(ctx context.Context) (ledger.Head, error)
	Block(ctx context.Context, at yuma.Height) (*ledger.Block, error)
}

// Follow credits payments to the gateway's account, block by block from the
// first that it sees, until ctx ends. A payment is credited to its sender, or
// to the account that its memo names. Each is credited once, however many
// gateways follow into one database; a block is skipped by none.
func (a *Access) Follow(ctx context.Context, chain Blocks, every time.Duration) error {
	if a.opt.Price == 0 || a.opt.Deposits == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(max(every, 10*time.Millisecond))
	defer tick.Stop()
	for {
		if err := a.catchUp(ctx, chain); err != nil && ctx.Err() == nil {
			a.opt.Log.Warn("deposits are not read", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// depositHeight is the value of the block that was read last.
const depositHeight = "deposits read to"

// catchUp reads the blocks that are not read yet.
func (a *Access) catchUp(ctx context.Context, chain Blocks) error {
	head, err := chain.Head(ctx)
	if err != nil || head.Height == 0 {
		return err
	}
	for {
		var at uint64
		err := a.db.Change(ctx, func(tx *sql.Tx) error {
			s, err := store.Value(ctx, tx, depositHeight, strconv.FormatUint(uint64(head.Height-1), 10))
			if err != nil {
				return err
			}
			at, err = strconv.ParseUint(s, 10, 63)
			return err
		})
		if err != nil {
			return fmt.Errorf("deposits: %w", err)
		}
		if yuma.Height(at) >= head.Height {
			return nil
		}
		b, err := chain.Block(ctx, yuma.Height(at+1))
		if err != nil {
			return fmt.Errorf("deposits of block %d: %w", at+1, err)
		}
		if err := a.credit(ctx, b); err != nil {
			return fmt.Errorf("deposits of block %d: %w", at+1, err)
		}
	}
}

// credit credits the payments of a block, unless another gateway was first.
func (a *Access) credit(ctx context.Context, b *ledger.Block) error {
	return a.db.Change(ctx, func(tx *sql.Tx) error {
		n, err := store.Exec(ctx, tx, `UPDATE meta SET value = $2 WHERE name = $1 AND value = $3`,
			depositHeight, strconv.FormatUint(uint64(b.Height), 10), strconv.FormatUint(uint64(b.Height-1), 10))
		if err != nil || n == 0 {
			return err
		}
		for _, t := range b.Txs {
			sends, err := t.Sends()
			if err != nil {
				continue // none that this program knows
			}
			for i, s := range sends {
				if s.To != a.opt.Deposits || s.Amount == 0 || s.Amount > coin.Cap {
					continue
				}
				if err := deposit(ctx, tx, b.Height, fmt.Sprintf("%X", sha256.Sum256(t.Raw)), i, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// deposit credits one payment.
func deposit(ctx context.Context, tx *sql.Tx, at yuma.Height, hash string, i int, s ledger.Send) error {
	account := s.From
	if named := strings.TrimSpace(s.Memo); named != "" {
		if _, err := wallet.ParseAddress(named); err == nil {
			account = named
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO balances (account, deposited, spent, dust, held) VALUES ($1, $2, 0, 0, 0)
		ON CONFLICT (account) DO UPDATE SET deposited = balances.deposited + excluded.deposited`, account, int64(s.Amount))
	if err == nil {
		_, err = tx.ExecContext(ctx, `INSERT INTO deposits (tx, idx, height, account, sender, amount) VALUES ($1, $2, $3, $4, $5, $6)`,
			hash, i, int64(at), account, s.From, int64(s.Amount))
	}
	return err
}

// amount reads money of the database.
func amount(nplx int64) coin.Amount { return coin.Amount(max(nplx, 0)) }
