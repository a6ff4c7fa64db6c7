package explorer

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A table is where rows go, and what becomes of one whose key is there. The
// chain tells of an epoch once; a node that tells of it twice, as only a broken
// one does, stops nothing.
type table struct {
	name    string
	columns string // separated by ", "
	clash   string // clause after ON CONFLICT; empty means that a clash is an error
}

// The tables that are written, in the order in which they are.
var (
	blocksTable    = &table{name: "blocks", columns: "height, time, hash, proposer, txs, failed, minted, burned"}
	txsTable       = &table{name: "txs", columns: "height, idx, time, hash, signer, messages, memo, fee, payer, gas_wanted, gas_used, code, error"}
	transfersTable = &table{name: "transfers", columns: "height, idx, time, tx, kind, sender, recipient, amount"}
	accountsTable  = &table{
		name: "accounts", columns: "address, balance, first, last",
		clash: "(address) DO UPDATE SET balance = accounts.balance + excluded.balance, last = excluded.last",
	}
	subnetsTable       = &table{name: "subnets", columns: subnetColumns, clash: "(netuid) DO UPDATE SET " + replacing(subnetColumns)}
	subnetStatesTable  = &table{name: "subnet_states", columns: subnetColumns}
	seatsTable         = &table{name: "seats", columns: "netuid, uid, height, account"}
	registrationsTable = &table{name: "registrations", columns: "height, idx, time, kind, netuid, uid, account, burned, replaced"}
	epochsTable        = &table{name: "epochs", columns: "netuid, height, mechanism, time, number, pot, neurons, error", clash: "DO NOTHING"}
	neuronsTable       = &table{name: "neurons", columns: "netuid, height, mechanism, uid, account, stake, active, permit, trust, consensus, incentive, " +
		"dividends, validator_trust, server_emission, validator_emission", clash: "DO NOTHING"}
	validatorsTable = &table{name: "validators", columns: validatorColumns, clash: "(operator) DO UPDATE SET " + replacing(validatorColumns)}
	stakesTable     = &table{name: "stakes", columns: validatorColumns}
	movesTable      = &table{name: "moves", columns: "height, idx, time, kind, delegator, validator, source, amount"}
	rewardsTable    = &table{name: "rewards", columns: "operator, height, time, reward, commission, stake, total_reward, total_commission, total_yield"}
	claimsTable     = &table{name: "claims", columns: "height, idx, time, account, amount"}
	supplyTable     = &table{name: "supply", columns: "height, time, supply, minted, burned, bootstrap, unallocated, per_day, era, next_halving, subnet_price"}

	tables = []*table{
		blocksTable, txsTable, transfersTable, accountsTable, subnetsTable, subnetStatesTable, seatsTable, registrationsTable,
		epochsTable, neuronsTable, validatorsTable, stakesTable, movesTable, rewardsTable, claimsTable, supplyTable,
	}
)

const (
	subnetColumns = "netuid, height, owner, kind, name, registered, neurons, epoch, tempo, next_epoch, share, pending, price, " +
		"hyperparameters, kind_params"
	validatorColumns = "operator, height, account, moniker, stake, bonded, jailed"
)

// replacing returns the assignments that replace a row by the one that clashed
// with it. The first column is the key.
func replacing(columns string) string {
	var set []string
	for _, c := range strings.Split(columns, ", ")[1:] {
		set = append(set, c+" = excluded."+c)
	}
	return strings.Join(set, ", ")
}

// rows are what is to be written, by table: the values of all rows in a line.
type rows map[*table][]any

// add adds a row; values are those of the table's columns.
func (r rows) add(t *table, values ...any) {
	for i, v := range values {
		if s, ok := v.(string); ok {
			values[i] = clean(s)
		}
	}
	r[t] = append(r[t], values...)
}

// clean returns text that every database takes: UTF-8 without NUL.
func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// write writes all rows, at most so many per statement.
func (r rows) write(ctx context.Context, tx *sql.Tx, most int) error {
	for _, t := range tables {
		if len(r[t]) == 0 {
			continue
		}
		if err := t.write(ctx, tx, r[t], most); err != nil {
			return fmt.Errorf("write to %s: %w", t.name, err)
		}
	}
	return nil
}

// write writes rows to one table.
func (t *table) write(ctx context.Context, tx *sql.Tx, values []any, most int) error {
	width := strings.Count(t.columns, ",") + 1
	size := 0 // rows that the statement writes
	var statement *sql.Stmt
	for len(values) > 0 {
		// Powers of two, so that there are few statements to prepare.
		n := min(most, 1<<(bits.Len(uint(len(values)/width))-1))
		if n != size {
			next, err := tx.PrepareContext(ctx, t.insert(n, width))
			if err != nil {
				return err
			}
			defer func() { _ = next.Close() }() // at most one per size; the transaction tells what went wrong
			statement, size = next, n
		}
		if _, err := statement.ExecContext(ctx, values[:n*width]...); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// insert returns the statement that writes n rows.
func (t *table) insert(n, width int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.name + " (" + t.columns + ") VALUES ")
	for i := range n * width {
		switch {
		case i == 0:
			b.WriteString("($")
		case i%width == 0:
			b.WriteString("), ($")
		default:
			b.WriteString(", $")
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteString(")")
	if t.clash != "" {
		b.WriteString(" ON CONFLICT " + t.clash)
	}
	return b.String()
}
