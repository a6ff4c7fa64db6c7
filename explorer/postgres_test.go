package explorer

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
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// postgresDSN is the PostgreSQL that tests use, or why there is none.
var postgresDSN, noPostgres string

func TestMain(m *testing.M) { os.Exit(withPostgres(m.Run)) }

// withPostgres runs f beside a PostgreSQL: the one of $PLEXUS_POSTGRES, or a
// cluster of its own if this machine has the programs.
func withPostgres(f func() int) int {
	if postgresDSN = os.Getenv("PLEXUS_POSTGRES"); postgresDSN != "" {
		return f()
	}
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(programs) == 0 || os.Getenv(childEnv) != "" {
		noPostgres = "no PostgreSQL: install Debian's postgresql, or give a DSN in PLEXUS_POSTGRES"
		return f()
	}
	stop, err := startPostgres(programs[len(programs)-1])
	if err != nil {
		noPostgres = fmt.Sprint("PostgreSQL does not start: ", err)
		fmt.Fprintln(os.Stderr, noPostgres)
		return f()
	}
	defer stop()
	return f()
}

// startPostgres starts a private cluster on a socket in a folder of its own: a
// port could be taken by another package's tests meanwhile.
func startPostgres(bin string) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "plexus-postgres-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	as, err := someoneElse(dir)
	if err != nil {
		remove()
		return nil, err
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-A", "trust", "-U", "plexus", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := run("postgres", "-D", data, "-p", "5432", "-c", "listen_addresses=", "-k", dir, "-c", "fsync=off")
	if err := server.Start(); err != nil {
		remove()
		return nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
		remove()
	}
	postgresDSN = "postgres://plexus@/postgres?sslmode=disable&port=5432&host=" + url.QueryEscape(dir)
	db, err := sql.Open("pgx", postgresDSN)
	if err != nil {
		stop()
		return nil, err
	}
	defer db.Close()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return stop, nil
		}
		if time.Since(began) > 2*time.Minute {
			stop()
			return nil, err
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

// postgres returns the DSN of an empty place in PostgreSQL, or skips the test.
func postgres(t testing.TB) string {
	t.Helper()
	if postgresDSN == "" {
		t.Skip(noPostgres)
	}
	name := fmt.Sprintf("plexus_test_%d_%d", os.Getpid(), schemas.Add(1))
	exec := func(statement string) {
		db, err := sql.Open("pgx", postgresDSN)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Error(err)
		}
	}
	exec("CREATE SCHEMA " + name)
	t.Cleanup(func() { exec("DROP SCHEMA " + name + " CASCADE") })
	u, err := url.Parse(postgresDSN)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "index ?#%.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, postgres(t)) })
}

// open opens an index for a test.
func open(t testing.TB, dsn string) *Index {
	t.Helper()
	x, err := Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
	return x
}
