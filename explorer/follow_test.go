package explorer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/plexus-network/plexus/yuma"
)

// balanceAt returns what an account had at a height, by the index.
func balanceAt(t *testing.T, x *Index, account string, height int) int64 {
	t.Helper()
	var b int64
	err := x.read.QueryRow(`SELECT COALESCE((SELECT balance FROM balances WHERE address = $1 AND height <= $2
		ORDER BY height DESC LIMIT 1), 0)`, account, height).Scan(&b)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func count(t *testing.T, x *Index, query string, args ...any) (n int64) {
	t.Helper()
	if err := x.read.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestFollow(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(30, 8, 1)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 7})

		t.Run("balances are the chain's at every height", func(t *testing.T) { checkBalances(t, x, f, 1) })
		t.Run("every block and transaction is there once", func(t *testing.T) {
			if blocks, txs := count(t, x, `SELECT COUNT(*) FROM blocks`), count(t, x, `SELECT COUNT(*) FROM txs`); blocks != 30 || txs != 240 {
				t.Errorf("%d blocks and %d transactions, want 30 and 240", blocks, txs)
			}
		})
		t.Run("minted and burned add up", func(t *testing.T) {
			s := f.states[30]
			minted, burned := count(t, x, `SELECT SUM(minted) FROM blocks`), count(t, x, `SELECT SUM(burned) FROM blocks`)
			if minted != int64(s.minted) || burned != int64(s.burned) {
				t.Errorf("minted %d and burned %d, want %d and %d", minted, burned, s.minted, s.burned)
			}
		})
		t.Run("epochs name who sat where", func(t *testing.T) {
			for h := fakeTempo; h <= 30; h += fakeTempo {
				seats := f.states[h].seats
				if n := count(t, x, `SELECT COUNT(*) FROM neurons WHERE height = $1 AND mechanism = 0`, h); n != int64(len(seats)) {
					t.Errorf("%d neurons at %d, want %d", n, h, len(seats))
				}
				for uid, account := range seats {
					if n := count(t, x, `SELECT COUNT(*) FROM neurons WHERE height = $1 AND mechanism = 0 AND uid = $2 AND account = $3`, h, uid, account); n != 1 {
						t.Errorf("uid %d at %d is not %s", uid, h, account)
					}
				}
			}
		})
		t.Run("yields are rewards by stake", func(t *testing.T) {
			var want int64
			for h := fakeTempo; h <= 30; h += fakeTempo {
				want += int64(float64(900_000_000) * yieldScale / float64(f.states[h].epoch.Stake[0]))
			}
			got := count(t, x, `SELECT MAX(total_yield) FROM rewards`)
			if d := got - want; d < -10 || d > 10 {
				t.Errorf("yield %d, want %d", got, want)
			}
		})
		t.Run("kinds of transfers", func(t *testing.T) {
			for _, kind := range []string{"message", "fee", "block"} {
				if n := count(t, x, `SELECT COUNT(*) FROM transfers WHERE kind = $1`, kind); n < 5 {
					t.Errorf("%d transfers of kind %s", n, kind)
				}
			}
		})
		t.Run("samples", func(t *testing.T) {
			for _, name := range []string{"supply", "subnet_states", "stakes", "registrations", "moves"} {
				if n := count(t, x, `SELECT COUNT(*) FROM `+name); n < 4 {
					t.Errorf("%d rows of %s", n, name)
				}
			}
		})
	})
}

// difference returns the first lines in which two dumps differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// checkBalances compares all balances from a height on with the fake's.
func checkBalances(t *testing.T, x *Index, f *fake, from int) {
	t.Helper()
	for h := from; h <= f.head; h++ {
		for account, want := range f.states[h].balances {
			if got := balanceAt(t, x, account, h); got != int64(want) {
				t.Fatalf("%s has %d after block %d, want %d", account, got, h, want)
			}
		}
	}
	var sum uint64
	for _, b := range f.states[f.head].balances {
		sum += b
	}
	if got := count(t, x, `SELECT SUM(balance) FROM accounts`); got != int64(sum) {
		t.Errorf("accounts hold %d in all, want %d", got, sum)
	}
}

func TestDatabasesAgree(t *testing.T) {
	f := newFake(20, 10, 2)
	lite, pg := open(t, filepath.Join(t.TempDir(), "a.db")), open(t, postgres(t))
	followTo(t, lite, f, FollowOptions{Sample: 3})
	followTo(t, pg, f, FollowOptions{Sample: 3})
	if a, b := dump(t, lite), dump(t, pg); a != b {
		t.Errorf("SQLite and PostgreSQL differ: %s", difference(a, b))
	}
}

func TestFollowSurvivesFailures(t *testing.T) {
	whole := newFake(25, 5, 3)
	x := open(t, filepath.Join(t.TempDir(), "whole.db"))
	followTo(t, x, whole, FollowOptions{Sample: 4})
	want := dump(t, x)

	onBoth(t, func(t *testing.T, dsn string) {
		rng := rand.New(rand.NewPCG(4, 4))
		f := newFake(25, 5, 3)
		f.fail = func(string) error {
			if rng.IntN(12) == 0 {
				return status.Error(codes.Unavailable, "gone for a moment")
			}
			return nil
		}
		// It is stopped at any moment, many times, and opened anew.
		for range 8 {
			x, err := Open(t.Context(), dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(40))*time.Millisecond)
			_ = follow(ctx, x, f, FollowOptions{Sample: 4})
			cancel()
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
		}
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 4})
		if got := dump(t, x); got != want {
			t.Errorf("after failures the index differs: %s", difference(got, want))
		}
	})
}

// childEnv makes this test's program follow a chain until it is killed.
const childEnv = "PLEXUS_EXPLORER_CHILD"

func TestChild(t *testing.T) {
	dsn := os.Getenv(childEnv)
	if dsn == "" {
		t.Skip("a part of TestFollowSurvivesKills")
	}
	f := newFake(60, 20, 5)
	x := open(t, dsn)
	fmt.Println("following")
	followTo(t, x, f, FollowOptions{Sample: 5})
	fmt.Println("finished")
}

func TestFollowSurvivesKills(t *testing.T) {
	x := open(t, filepath.Join(t.TempDir(), "whole.db"))
	followTo(t, x, newFake(60, 20, 5), FollowOptions{Sample: 5})
	want := dump(t, x)

	onBoth(t, func(t *testing.T, dsn string) {
		kills := 0
		for after := 20 * time.Millisecond; ; after += after / 3 { // so that a slow machine gets there
			finished, err := runAndKill(t, dsn, after)
			if err != nil {
				t.Fatal(err)
			}
			if finished {
				break
			}
			kills++
		}
		t.Logf("killed %d times", kills)
		if got := dump(t, open(t, dsn)); got != want {
			t.Errorf("after kills the index differs: %s", difference(got, want))
		}
	})
}

// runAndKill runs TestChild and kills it some time after it began to follow,
// unless it finished before.
func runAndKill(t *testing.T, dsn string, after time.Duration) (finished bool, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	var said strings.Builder
	buf := make([]byte, 1024)
	for {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if strings.Contains(said.String(), "following") || err != nil {
			break
		}
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	if strings.Contains(said.String(), "finished") {
		return true, nil
	}
	if err == nil {
		return false, fmt.Errorf("child ended early: %s", &said)
	}
	if !strings.Contains(err.Error(), "killed") {
		return false, fmt.Errorf("child ended: %w: %s", err, &said)
	}
	return false, nil
}

func TestRewind(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(24, 5, 6)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 4})
		want := dump(t, x)
		for _, from := range []int{24, 13, 2, 1, 0} {
			if err := x.Rewind(t.Context(), yuma.Height(from)); err != nil {
				t.Fatal(err)
			}
			s, err := x.Status(t.Context())
			if err != nil || int(s.Height) != max(from-1, 0) {
				t.Fatalf("after a rewind to %d the index ends at %d, %v", from, s.Height, err)
			}
			if from > 1 {
				f.show(from - 1)
				checkBalances(t, x, f, 1)
				f.show(24)
			}
			followTo(t, x, f, FollowOptions{Sample: 4})
			if got := dump(t, x); got != want {
				t.Errorf("after a rewind to %d the index differs: %s", from, difference(got, want))
			}
		}
	})
}

func TestPrunedNode(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(30, 5, 7)
		f.prune, f.pruned = 9, 22
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 5})
		s, err := x.Status(t.Context())
		if err != nil || s.First != 10 || s.Height != 30 {
			t.Fatalf("index of %d to %d, %v; want 10 to 30", s.First, s.Height, err)
		}
		checkBalances(t, x, f, 10)

		// The node goes on pruning while nobody follows.
		if err := x.Rewind(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		f.prune = 25
		if err := follow(t.Context(), x, f, FollowOptions{}); err == nil || !strings.Contains(err.Error(), "block 20") {
			t.Errorf("a node without the next block: %v", err)
		}
	})
}

func TestOtherChainIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		x := open(t, dsn)
		followTo(t, x, newFake(5, 1, 8), FollowOptions{})
		other := newFake(6, 1, 9) // the same name, other blocks
		if err := follow(t.Context(), x, other, FollowOptions{}); !errors.Is(err, ErrOtherChain) {
			t.Errorf("another chain of the same name: %v, want %v", err, ErrOtherChain)
		}
		for _, b := range other.blocks {
			b.Block.Header.ChainID = "another" //nolint:staticcheck // the field that the ledger reads
		}
		other.show(2) // not so far yet that blocks could be compared
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := x.Follow(ctx, other.client(), FollowOptions{}); !errors.Is(err, ErrOtherChain) {
			t.Errorf("a chain of another name: %v, want %v", err, ErrOtherChain)
		}
	})
}

func TestSecondFollowerIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(6, 1, 10)
		f.show(3)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{})
		k, err := x.recall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.client().Block(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		before := dump(t, x)
		if err := x.add(t.Context(), reap(b), &sample{}, k); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("block 3 for the second time: %v", err)
		}
		if dump(t, x) != before {
			t.Error("a refused block left rows behind")
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                                   "is empty",
		"mysql://me:secret@127.0.0.1/x":      "neither a path nor postgres",
		"postgres://me:secret@127.0.0.1:1/x": "127.0.0.1",
		"/dev/null/index.db":                 "not a directory",
	} {
		_, err := Open(t.Context(), dsn, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want an error with %q and without the password", dsn, err, want)
		}
	}
}
