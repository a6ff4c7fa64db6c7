// Package store is the database of a gateway: who may call it, what they used,
// and the receipts that it gave.
//
// It lies in SQLite or in PostgreSQL, which run the same queries. Gateways that
// share one PostgreSQL share all of it. Start at [Open]; packages access and
// receipt say what the tables mean.
package store

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
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A DB is the database. It may be used from many goroutines.
type DB struct {
	write *sql.DB // one connection, if the database allows one writer
	read  *sql.DB
}

// Open opens a database and brings its tables up to date. dsn is the path of an
// SQLite file, made if absent and readable by its owner alone, or the address
// of a PostgreSQL database, "postgres://user@host/name". Close it after use.
func Open(ctx context.Context, dsn string) (*DB, error) {
	db := &DB{}
	dialect, err := db.connect(dsn)
	if err == nil {
		err = db.migrate(ctx, dialect)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gateway's database %s: %w", redact(dsn), err), db.Close())
	}
	return db, nil
}

// connect opens the pools of the database that dsn names.
func (db *DB) connect(dsn string) (goose.Dialect, error) {
	var err error
	switch {
	case dsn == "":
		return "", errors.New("its name is empty: give the path of a file, or postgres://user@host/name")
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		if db.write, err = sql.Open("pgx", named(dsn)); err != nil {
			return "", err
		}
		db.write.SetMaxOpenConns(16)
		db.write.SetMaxIdleConns(8)
		db.read = db.write
		return goose.DialectPostgres, nil
	case strings.Contains(dsn, "://"):
		return "", fmt.Errorf("%q is neither a path nor postgres://", redact(dsn))
	}
	file, err := prepare(dsn)
	if err != nil {
		return "", err
	}
	// A process that is killed loses nothing of a WAL; a machine that loses its
	// power may lose the last moments, never a part of a change.
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	if db.write, err = sql.Open("sqlite", file+"?_txlock=immediate&"+pragmas); err != nil {
		return "", err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", file+"?"+pragmas+"&_pragma=query_only(1)"); err != nil {
		return "", err
	}
	db.read.SetMaxOpenConns(4)
	return goose.DialectSQLite3, nil
}

// prepare makes the file of a path if it is absent, readable by its owner
// alone, and returns its URL.
func prepare(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path)}).String(), nil
}

// named tells PostgreSQL who is there, unless its owner did.
func named(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the driver says what is wrong with it
	}
	q := u.Query()
	if !q.Has("application_name") {
		q.Set("application_name", "plexus-gateway")
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

// migrate brings the tables up to date. Of several gateways that start at once
// on one PostgreSQL all but one may find the tables half made, so they look
// again.
func (db *DB) migrate(ctx context.Context, dialect goose.Dialect) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db.write, dir, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	if dialect != goose.DialectPostgres {
		_, err = p.Up(ctx)
		return err
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the statements below told what went wrong
	const ours = 0x706c657875734757     // "plexusGW": the advisory lock of who migrates
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(ours)); err != nil {
		return err
	}
	_, err = p.Up(ctx)
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(ours))
	return errors.Join(err, unlock)
}

// Close closes the database.
func (db *DB) Close() error {
	var err error
	if db.read != nil && db.read != db.write {
		err = db.read.Close()
	}
	if db.write != nil {
		err = errors.Join(err, db.write.Close())
	}
	return err
}

// Change runs f in one transaction, which is kept if f returns nil and undone
// if not. f must take rows in the order that the tables stand in the
// migrations, so that no two wait for each other.
func (db *DB) Change(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Exec runs one statement and returns how many rows it changed.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	return Exec(ctx, db.write, statement, args...)
}

// Row reads one row; Scan returns [sql.ErrNoRows] where there is none.
func (db *DB) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return db.read.QueryRowContext(ctx, query, args...)
}

// Each calls f for every row that a query finds.
func (db *DB) Each(ctx context.Context, query string, f func(scan func(...any) error) error, args ...any) error {
	return Each(ctx, db.read, query, f, args...)
}

// An Execer is a database or a transaction.
type Execer interface {
	ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error)
}

// Exec runs one statement, as of a transaction, and returns how many rows it
// changed.
func Exec(ctx context.Context, e Execer, statement string, args ...any) (int64, error) {
	result, err := e.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// A Querier is a database or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Each calls f for every row that a query, as of a transaction, finds.
func Each(ctx context.Context, q Querier, query string, f func(scan func(...any) error) error, args ...any) error {
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

// Value returns a value of the database itself, as of a transaction, which is
// made first if it is absent.
func Value(ctx context.Context, tx *sql.Tx, name, first string) (value string, err error) {
	// The update changes nothing, but returns the row and holds it.
	err = tx.QueryRowContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = meta.value RETURNING value`, name, first).Scan(&value)
	return value, err
}
