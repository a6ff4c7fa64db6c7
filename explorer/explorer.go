// Package explorer keeps the history of the chain where it can be searched:
// accounts and transfers, stake, epochs of every neuron, registrations and
// their prices, subnets, validators' yields, and the supply.
//
// [Index.Follow] reads blocks through package ledger and writes each with all
// that follows from it in one transaction, so that after a crash at any point
// it goes on with the next block and no row is missing or double. The rows lie
// in SQLite or in PostgreSQL, which run the same queries. [Index.Handler]
// serves them as JSON, with cursors and a live stream.
//
// What is said in events is complete from the first block that the node has.
// What only the chain's state says (subnets' records, validators' stake, the
// supply) is sampled, and lacks blocks whose state the node has pruned.
//
// Start at [Open].
package explorer

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/plexus-network/plexus/yuma"
)

// ErrOtherChain means that the index and the node tell of different chains.
var ErrOtherChain = errors.New("explorer: the index is of another chain")

//go:embed migrations/*.sql
var migrations embed.FS

// An Index is the searchable history in one database. It may be used from many
// goroutines; one of them may follow the chain, in this process or in another.
type Index struct {
	write *sql.DB // one connection, if the database allows one writer
	read  *sql.DB
	most  int // rows that one statement writes
	log   *slog.Logger

	mu    sync.Mutex
	moved chan struct{} // closed, and replaced, when the index has changed
}

// Open opens the index in a database and brings its tables up to date. dsn is
// the path of an SQLite file, made if absent, or the address of a PostgreSQL
// database, "postgres://user@host/name". nil means no log. Close it after use.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Index, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	x := &Index{log: log, moved: make(chan struct{})}
	dialect, err := x.connect(dsn)
	if err == nil {
		err = x.migrate(ctx, dialect)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("index in %s: %w", redact(dsn), err), x.Close())
	}
	return x, nil
}

// connect opens the pools of the database that dsn names.
func (x *Index) connect(dsn string) (goose.Dialect, error) {
	var err error
	switch {
	case dsn == "":
		return "", errors.New("the name of the database is empty: give the path of a file, or postgres://user@host/name")
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		if x.write, err = sql.Open("pgx", withDefaults(dsn)); err != nil {
			return "", err
		}
		x.write.SetMaxOpenConns(16)
		x.write.SetMaxIdleConns(4)
		x.read, x.most = x.write, 64 // a statement is a way there and back
		return goose.DialectPostgres, nil
	case strings.Contains(dsn, "://"):
		return "", fmt.Errorf("%q is neither a path nor postgres://", redact(dsn))
	}
	path, err := filepath.Abs(dsn)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	// WAL lets readers read while the one writer writes. A crash of the machine
	// may lose the newest blocks, never a part of one: the chain has them still.
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-32768)"
	file := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path)}).String()
	if x.write, err = sql.Open("sqlite", file+"?_txlock=immediate&"+pragmas); err != nil {
		return "", err
	}
	x.write.SetMaxOpenConns(1)
	x.most = 4 // no way to a server, and the driver's work grows with the square of the values
	if x.read, err = sql.Open("sqlite", file+"?"+pragmas+"&_pragma=query_only(1)"); err != nil {
		return "", err
	}
	x.read.SetMaxOpenConns(4)
	return goose.DialectSQLite3, nil
}

// withDefaults adds to a PostgreSQL address what the index wants and its owner
// did not decide. Commits need not wait for the disk, for the same reason as
// with SQLite.
func withDefaults(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the driver says what is wrong with it
	}
	q := u.Query()
	for name, value := range map[string]string{"application_name": "plexus-explorer", "synchronous_commit": "off"} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// redact returns dsn without a password.
func redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil {
		return dsn
	}
	return u.Redacted()
}

// migrate brings the tables up to date.
func (x *Index) migrate(ctx context.Context, dialect goose.Dialect) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, x.write, dir, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the database.
func (x *Index) Close() error {
	var err error
	if x.read != nil && x.read != x.write {
		err = x.read.Close()
	}
	if x.write != nil {
		err = errors.Join(err, x.write.Close())
	}
	return err
}

// Status tells how far the index is.
type Status struct {
	ChainID string      // empty while the index is empty
	First   yuma.Height // oldest block in the index; 0 while it is empty
	Height  yuma.Height // newest block in the index; 0 while it is empty
	Time    time.Time   // of the newest block
	Hash    string      // of the newest block, upper-case hex
	Opened  yuma.Height // height whose state gave the balances their start; 0 for none yet
}

// Status returns how far the index is.
func (x *Index) Status(ctx context.Context) (Status, error) {
	var s Status
	rows, err := x.read.QueryContext(ctx, `SELECT name, value FROM meta WHERE name IN ('chain', 'opened')`)
	if err != nil {
		return s, fmt.Errorf("status of the index: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return s, fmt.Errorf("status of the index: %w", err)
		}
		if name == "chain" {
			s.ChainID = value
			continue
		}
		opened, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return s, fmt.Errorf("status of the index: %w", err)
		}
		s.Opened = yuma.Height(opened)
	}
	if err := rows.Err(); err != nil {
		return s, fmt.Errorf("status of the index: %w", err)
	}
	var ms int64
	err = x.read.QueryRowContext(ctx,
		`SELECT height, time, hash, (SELECT MIN(height) FROM blocks) FROM blocks ORDER BY height DESC LIMIT 1`).
		Scan(&s.Height, &ms, &s.Hash, &s.First)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("status of the index: %w", err)
	}
	s.Time = time.UnixMilli(ms).UTC()
	return s, nil
}

// changed returns a channel that is closed when the index changes next.
func (x *Index) changed() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.moved
}

// announce tells all who wait that the index has changed.
func (x *Index) announce() {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.moved)
	x.moved = make(chan struct{})
}
