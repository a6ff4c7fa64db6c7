package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/gateway/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestChangeIsWholeOrNothing(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		broken := errors.New("broken")
		put := func(name string, err error) error {
			return db.Change(t.Context(), func(tx *sql.Tx) error {
				if got, e := store.Value(t.Context(), tx, name, "first"); e != nil || got != "first" {
					t.Errorf("value %q, %v", got, e)
				}
				return err
			})
		}
		if err := put("kept", nil); err != nil {
			t.Error(err)
		}
		if err := put("undone", broken); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		var names []string
		err := db.Each(t.Context(), `SELECT name FROM meta`, func(scan func(...any) error) error {
			var s string
			err := scan(&s)
			names = append(names, s)
			return err
		})
		if err != nil || strings.Join(names, " ") != "kept" {
			t.Errorf("names %v, %v", names, err)
		}
	})
}

func TestSeveralGatewaysStartAtOnce(t *testing.T) {
	dsn := storetest.Postgres(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), dsn)
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}

func TestOpenRefuses(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                                  "empty",
		"mysql://u:secret@h/d":              "neither a path nor postgres://",
		"postgres://u:secret@127.0.0.1:1/d": "127.0.0.1",
	} {
		_, err := store.Open(t.Context(), dsn)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want %q and no password", dsn, err, want)
		}
	}
}

func TestFileIsTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "g.db")
	db, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode().Perm(), err)
	}
}
