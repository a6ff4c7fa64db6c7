package p2p

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// use reserves and commits one nonce that lives for a minute.
func use(t testing.TB, n *nonces, from peer.ID, nonce string, now time.Time) error {
	t.Helper()
	s, err := n.reserve(from, []byte(nonce), now.Add(time.Minute), now)
	if err != nil {
		return err
	}
	return n.commit(s, now)
}

func openTestNonces(t testing.TB, path string, now time.Time) *nonces {
	t.Helper()
	n, err := openNonces(path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestNoncesRefuseReplay(t *testing.T) {
	n := openTestNonces(t, "", noon)
	if err := use(t, n, "a", "1", noon); err != nil {
		t.Fatal(err)
	}
	if err := use(t, n, "a", "1", noon.Add(time.Minute)); !errors.Is(err, ErrReplay) {
		t.Errorf("again: got %v, want ErrReplay", err)
	}
	if err := use(t, n, "b", "1", noon); err != nil {
		t.Errorf("another peer's: %v", err)
	}
	if err := use(t, n, "a", "1", noon.Add(time.Minute+time.Millisecond)); err != nil {
		t.Errorf("after it expired: %v", err)
	}
}

func TestNoncesReleased(t *testing.T) {
	n := openTestNonces(t, "", noon)
	s, err := n.reserve("a", []byte("1"), noon.Add(time.Minute), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(t, n, "a", "1", noon); !errors.Is(err, ErrReplay) {
		t.Errorf("while reserved: got %v, want ErrReplay", err)
	}
	n.release(s)
	if err := use(t, n, "a", "1", noon); err != nil {
		t.Errorf("after its release: %v", err)
	}
	if len(n.perPeer) != 1 || len(n.seen) != 1 {
		t.Errorf("%d peers, %d nonces are left, want 1 and 1", len(n.perPeer), len(n.seen))
	}
}

func TestNoncesBoundEachPeer(t *testing.T) {
	n := openTestNonces(t, "", noon)
	n.perPeer[newSpent("a", nil, noon).peer] = noncesPerPeer
	no, ok := errors.AsType[*Refused](use(t, n, "a", "1", noon))
	if !ok || no.Code != Busy || no.RetryAfter == 0 {
		t.Errorf("over the limit: got %v, want busy", no)
	}
	if err := use(t, n, "b", "1", noon); err != nil {
		t.Errorf("another peer: %v", err)
	}
}

func TestNoncesSurviveRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nonces.log")
	n := openTestNonces(t, path, noon)
	for _, nonce := range []string{"1", "2", "3"} {
		if err := use(t, n, "a", nonce, noon); err != nil {
			t.Fatal(err)
		}
	}
	// No Close: the process was killed. What it wrote is there all the same.
	again := openTestNonces(t, path, noon)
	for _, nonce := range []string{"1", "2", "3"} {
		if err := use(t, again, "a", nonce, noon); !errors.Is(err, ErrReplay) {
			t.Errorf("nonce %s after the restart: got %v, want ErrReplay", nonce, err)
		}
	}
	later := openTestNonces(t, path, noon.Add(2*time.Minute))
	if len(later.seen) != 0 || later.records != 0 {
		t.Errorf("%d nonces and %d records are left after their time", len(later.seen), later.records)
	}
}

func TestNoncesOutliveDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nonces.log")
	n := openTestNonces(t, path, noon)
	for _, nonce := range []string{"1", "2", "3"} {
		if err := use(t, n, "a", nonce, noon); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[nonceOffset(1)] ^= 1             // the second record
	data = append(data, "torn record"...) // a fourth
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	again := openTestNonces(t, path, noon)
	for nonce, want := range map[string]error{"1": ErrReplay, "2": nil, "3": ErrReplay, "4": nil} {
		if err := use(t, again, "a", nonce, noon); !errors.Is(err, want) {
			t.Errorf("nonce %s: got %v, want %v", nonce, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openNonces(path, noon); err == nil {
		t.Error("another file was taken for a nonce log")
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, []byte("something else")) {
		t.Error("another file was overwritten")
	}
}

func TestNoncesCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nonces.log")
	n := openTestNonces(t, path, noon)
	now := noon
	for i := range 3 * nonceSlack {
		now = now.Add(100 * time.Millisecond) // at most 601 are fresh at a time
		if err := use(t, n, "a", string(rune(i)), now); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if most := nonceOffset(nonceSlack + 2*601); st.Size() > most {
		t.Errorf("the log has %d bytes, want at most %d", st.Size(), most)
	}
	last := string(rune(3*nonceSlack - 1))
	if err := use(t, openTestNonces(t, path, now), "a", last, now); !errors.Is(err, ErrReplay) {
		t.Errorf("after compaction and restart: got %v, want ErrReplay", err)
	}
}

func TestNoncesRefuseWhatTheyCannotRecord(t *testing.T) {
	n := openTestNonces(t, filepath.Join(t.TempDir(), "nonces.log"), noon)
	n.file.Close() // as good as a full disk
	if err := use(t, n, "a", "1", noon); err == nil {
		t.Fatal("a nonce was accepted that is not on disk")
	}
	if len(n.seen) != 0 || len(n.perPeer) != 0 {
		t.Errorf("%d nonces and %d peers are left of it", len(n.seen), len(n.perPeer))
	}
}
