package explorer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// yieldScale is the unit of yields: 10¹⁵ is one nplx of reward per nplx of
// stake.
const yieldScale = 1_000_000_000_000_000

// known is what the rows of a block are made with and the index holds already,
// so that it need not be read again for every block.
type known struct {
	seats      map[uint32][]string // accounts by netuid and uid
	stake      map[string]int64    // latest known bonded tokens, by operator
	validators map[string]ledger.Validator
	totals     map[string]totals // of rewards, by operator
}

// totals are sums over all of a validator's rewards so far.
type totals struct {
	reward, commission int64
	yield              int64 // of its delegators, in yieldScale
}

// recall reads what is known from the index.
func (x *Index) recall(ctx context.Context) (*known, error) {
	k := &known{seats: map[uint32][]string{}, stake: map[string]int64{}, validators: map[string]ledger.Validator{}, totals: map[string]totals{}}
	err := each(ctx, x.write, `SELECT netuid, uid, account FROM seats s
		WHERE height = (SELECT MAX(height) FROM seats WHERE netuid = s.netuid AND uid = s.uid)`,
		func(scan func(...any) error) error {
			var s seat
			if err := scan(&s.netuid, &s.uid, &s.account); err != nil {
				return err
			}
			k.sit(s)
			return nil
		})
	err = errors.Join(err, each(ctx, x.write, `SELECT operator, account, moniker, stake, bonded, jailed FROM validators`,
		func(scan func(...any) error) error {
			var v ledger.Validator
			if err := scan(&v.Operator, &v.Account, &v.Moniker, &v.Stake, &v.Bonded, &v.Jailed); err != nil {
				return err
			}
			k.validators[v.Operator], k.stake[v.Operator] = v, stored(v.Stake)
			return nil
		}))
	err = errors.Join(err, each(ctx, x.write, `SELECT r.operator, total_reward, total_commission, total_yield FROM rewards r
		JOIN (SELECT operator, MAX(height) AS newest FROM rewards GROUP BY operator) n ON n.operator = r.operator AND n.newest = r.height`,
		func(scan func(...any) error) error {
			var operator string
			var t totals
			if err := scan(&operator, &t.reward, &t.commission, &t.yield); err != nil {
				return err
			}
			k.totals[operator] = t
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return k, nil
}

// sit notes who has a slot, and tells whether that is news.
func (k *known) sit(s seat) bool {
	if s.uid >= yuma.MaxNeurons {
		return false
	}
	all := k.seats[s.netuid]
	for len(all) <= int(s.uid) {
		all = append(all, "")
	}
	k.seats[s.netuid] = all
	if all[s.uid] == s.account {
		return false
	}
	all[s.uid] = s.account
	return true
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls f for every row that a query finds.
func each(ctx context.Context, q querier, query string, f func(scan func(...any) error) error, args ...any) error {
	found, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }() // Err below tells what went wrong
	for found.Next() {
		if err := f(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

// add writes a block with all that follows from it, in one transaction. It
// takes only the block after the newest one, and any block if there is none.
// After an error k is no longer what the index holds.
func (x *Index) add(ctx context.Context, h *harvest, s *sample, k *known) error {
	h.complete(s, k)
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("block %d: %w", h.height, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := h.write(ctx, tx, s, x.most); err != nil {
		return fmt.Errorf("block %d: %w", h.height, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("block %d: %w", h.height, err)
	}
	x.announce()
	return nil
}

// complete adds the rows that need what is known or sampled.
func (h *harvest) complete(s *sample, k *known) {
	h.seat(slices.Concat(h.seats, s.seats), k)
	for _, e := range h.epochs {
		h.neurons(e, k)
	}
	for _, v := range s.validators {
		v.Moniker = clean(v.Moniker) // as the index holds it
		k.stake[v.Operator] = stored(v.Stake)
		if was, ok := k.validators[v.Operator]; ok && was == v {
			continue
		}
		k.validators[v.Operator] = v
		row := []any{v.Operator, h.height, v.Account, v.Moniker, stored(v.Stake), v.Bonded, v.Jailed}
		h.rows.add(validatorsTable, row...)
		h.rows.add(stakesTable, row...)
	}
	for _, operator := range slices.Sorted(maps.Keys(h.rewards)) {
		h.earned(operator, h.rewards[operator], k)
	}
	for _, account := range slices.Sorted(maps.Keys(h.deltas)) {
		if d := h.deltas[account]; d != 0 {
			h.rows.add(accountsTable, account, d, h.height, h.height)
		}
	}
	s.add(h)
}

// seat adds the rows of slots that changed hands: who has them in the end.
func (h *harvest) seat(changes []seat, k *known) {
	final := map[seat]string{}
	for _, c := range changes {
		final[seat{netuid: c.netuid, uid: c.uid}] = c.account
	}
	slots := slices.SortedFunc(maps.Keys(final), func(a, b seat) int {
		return cmp.Or(cmp.Compare(a.netuid, b.netuid), cmp.Compare(a.uid, b.uid))
	})
	for _, slot := range slots {
		slot.account = final[slot]
		if k.sit(slot) {
			h.rows.add(seatsTable, int64(slot.netuid), int64(slot.uid), h.height, slot.account)
		}
	}
}

// earned adds the row of a validator's reward.
func (h *harvest) earned(operator string, r *reward, k *known) {
	if r.whole == 0 {
		return
	}
	t, stake := k.totals[operator], k.stake[operator]
	t.reward += r.whole
	t.commission += r.commission
	if left := r.whole - r.commission; left > 0 && stake > left/1000 { // a stake that this would multiply is not the real one
		hi, lo := bits.Mul64(uint64(left), yieldScale)
		yield, _ := bits.Div64(hi, lo, uint64(stake))
		t.yield += int64(yield)
	}
	k.totals[operator] = t
	h.rows.add(rewardsTable, operator, h.height, h.time, r.whole, r.commission, stake, t.reward, t.commission, t.yield)
}

// write writes the block's rows, at most so many per statement.
func (h *harvest) write(ctx context.Context, tx *sql.Tx, s *sample, most int) error {
	var newest sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT MAX(height) FROM blocks`).Scan(&newest); err != nil {
		return err
	}
	if newest.Valid && newest.Int64 != h.height-1 {
		return fmt.Errorf("the index ends at block %d: does another process follow the chain into it?", newest.Int64)
	}
	if err := h.rows.write(ctx, tx, most); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO balances (address, height, balance)
		SELECT address, last, balance FROM accounts WHERE last = $1`, h.height)
	if err != nil || s.holders == nil {
		return err
	}
	return h.open(ctx, tx, s)
}

// open gives the balances their start: what an account has by the state after
// this block, less what it got since the first block of the index, it had
// before.
func (h *harvest) open(ctx context.Context, tx *sql.Tx, s *sample) error {
	var first int64
	if err := tx.QueryRowContext(ctx, `SELECT MIN(height) FROM blocks`).Scan(&first); err != nil {
		return err
	}
	before := map[string]int64{}
	for account, balance := range s.holders {
		before[account] = stored(balance)
	}
	err := each(ctx, tx, `SELECT address, balance FROM accounts`, func(scan func(...any) error) error {
		var account string
		var since int64
		if err := scan(&account, &since); err != nil {
			return err
		}
		before[account] -= since
		return nil
	})
	if err != nil {
		return err
	}
	for _, account := range slices.Sorted(maps.Keys(before)) {
		if before[account] == 0 {
			continue
		}
		if err := opened(ctx, tx, account, before[account], first-1); err != nil {
			return fmt.Errorf("start balance of %s: %w", account, err)
		}
	}
	return remember(ctx, tx, "opened", strconv.FormatInt(h.height, 10))
}

// opened gives one account the balance that it had at a height, which is
// before all of its rows.
func opened(ctx context.Context, tx *sql.Tx, account string, balance, at int64) error {
	for _, statement := range []string{
		`UPDATE balances SET balance = balance + $2 WHERE address = $1 AND height > $3`,
		`INSERT INTO balances (address, balance, height) VALUES ($1, $2, $3)`,
		`INSERT INTO accounts (address, balance, first, last) VALUES ($1, $2, $3, $3)
			ON CONFLICT (address) DO UPDATE SET balance = accounts.balance + excluded.balance, first = excluded.first`,
	} {
		if _, err := tx.ExecContext(ctx, statement, account, balance, at); err != nil {
			return err
		}
	}
	return nil
}

// remember sets a value of the index itself.
func remember(ctx context.Context, tx *sql.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// histories are the tables with a height in every row.
var histories = []string{
	"blocks", "txs", "transfers", "balances", "subnet_states", "seats", "registrations", "epochs", "neurons", "stakes", "moves",
	"rewards", "claims", "supply",
}

// Rewind drops all blocks from a height on, in one transaction, so that
// [Index.Follow] indexes them anew. From the first block or below it drops all.
func (x *Index) Rewind(ctx context.Context, from yuma.Height) error {
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("rewind to block %d: %w", from, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := rewind(ctx, tx, stored(from)); err != nil {
		return fmt.Errorf("rewind to block %d: %w", from, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("rewind to block %d: %w", from, err)
	}
	x.announce()
	return nil
}

// rewind drops all rows from a height on, and makes the tables of what is so
// now from the histories.
func rewind(ctx context.Context, tx *sql.Tx, from int64) error {
	var first sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT MIN(height) FROM blocks`).Scan(&first); err != nil {
		return err
	}
	statements := []string{`DELETE FROM accounts`, `DELETE FROM subnets`, `DELETE FROM validators`}
	if !first.Valid || from <= first.Int64 {
		statements = append(statements, `DELETE FROM meta`)
		from = -1
	}
	for _, name := range histories {
		statements = append(statements, `DELETE FROM `+name+` WHERE height >= `+strconv.FormatInt(from, 10))
	}
	statements = append(statements,
		`INSERT INTO accounts (address, balance, first, last) SELECT b.address, b.balance, n.oldest, n.newest FROM balances b
			JOIN (SELECT address, MIN(height) AS oldest, MAX(height) AS newest FROM balances GROUP BY address) n
			ON n.address = b.address AND n.newest = b.height`,
		newest("subnets", subnetColumns, "subnet_states", "netuid"),
		newest("validators", validatorColumns, "stakes", "operator"),
	)
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// newest returns the statement that fills a table with the newest row per key
// of its history.
func newest(table, columns, history, key string) string {
	return `INSERT INTO ` + table + ` (` + columns + `) SELECT ` + columns + ` FROM ` + history + ` h
		WHERE height = (SELECT MAX(height) FROM ` + history + ` WHERE ` + key + ` = h.` + key + `)`
}
