// Package storetest runs tests on both databases that a gateway may have.
//
// A package's TestMain calls [Main]; its tests call [Both].
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/gateway/store"
)

// dsn is the PostgreSQL that tests use, or missing is why there is none.
var dsn, missing string

// Main runs a package's tests beside a PostgreSQL and returns their exit code:
// the PostgreSQL of $PLEXUS_POSTGRES, or a cluster of its own if this machine
// has the programs.
func Main(m *testing.M) int {
	if dsn = os.Getenv("PLEXUS_POSTGRES"); dsn != "" {
		return m.Run()
	}
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(programs) == 0 {
		missing = "no PostgreSQL: install Debian's postgresql, or give a DSN in PLEXUS_POSTGRES"
		return m.Run()
	}
	stop, err := start(programs[len(programs)-1])
	if err != nil {
		missing = fmt.Sprint("PostgreSQL does not start: ", err)
		fmt.Fprintln(os.Stderr, missing)
		return m.Run()
	}
	defer stop()
	return m.Run()
}

// start starts a private cluster on a socket in a folder of its own: a port
// could be taken by another package's tests meanwhile.
func start(bin string) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "plexus-postgres-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	as, err := someoneElse(dir)
	if err != nil {
		return nil, err
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-A", "trust", "-U", "plexus", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := run("postgres", "-D", data, "-p", "5432", "-c", "listen_addresses=", "-k", dir, "-c", "fsync=off")
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
		remove()
	}
	dsn = "postgres://plexus@/postgres?sslmode=disable&port=5432&host=" + url.QueryEscape(dir)
	if err := await(2 * time.Minute); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// await waits until the server answers.
func await(most time.Duration) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // there is nothing to lose
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil || time.Since(began) > most {
			return err
		}
	}
}

// someoneElse returns who runs the cluster in dir: PostgreSQL refuses root.
func someoneElse(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

var schemas atomic.Int64

// Postgres returns the DSN of an empty place in PostgreSQL, or skips the test.
func Postgres(t testing.TB) string {
	t.Helper()
	if dsn == "" {
		t.Skip(missing)
	}
	name := fmt.Sprintf("plexus_test_%d_%d", os.Getpid(), schemas.Add(1))
	exec := func(statement string) {
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }() // there is nothing to lose
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Error(err)
		}
	}
	exec("CREATE SCHEMA " + name)
	t.Cleanup(func() { exec("DROP SCHEMA " + name + " CASCADE") })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// Both runs a test on SQLite and on PostgreSQL.
func Both(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t, filepath.Join(t.TempDir(), "gateway ?#%.db"))) })
	t.Run("postgres", func(t *testing.T) { f(t, Open(t, Postgres(t))) })
}

// Open opens a database for a test.
func Open(t testing.TB, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
