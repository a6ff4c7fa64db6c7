package hub_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine/hub"
	"github.com/plexus-network/plexus/engine/stock"
)

func sortedNames(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

// fetch brings a file and compares it with want.
func fetch(t *testing.T, o hub.Options, want []byte) string {
	t.Helper()
	path, err := hub.Fetch(t.Context(), o)
	if err != nil {
		t.Fatalf("fetch %s: %v", o.Name, err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s came with %d bytes that are not the hub's %d", path, len(got), len(want))
	}
	noRest(t, o.Dir)
	return path
}

// noRest fails if a part is left.
func noRest(t *testing.T, dir string) {
	t.Helper()
	if rest, _ := filepath.Glob(filepath.Join(dir, "*.part*")); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}

// refused fails unless fetching fails and says each of words.
func refused(t *testing.T, o hub.Options, words ...string) error {
	t.Helper()
	path, err := hub.Fetch(t.Context(), o)
	if err == nil {
		t.Fatalf("fetch %s: got %s, want an error", o.Name, path)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("fetch %s: the error %q does not say %q", o.Name, err, word)
		}
	}
	return err
}

func TestFetchBringsTheWholeFileAndSaysHowFarItIs(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Strong)
	h.files["sub/m-q8_0.gguf"] = want
	o := h.options(t, "org/repo/sub/m-q8_0.gguf")
	o.SHA256 = strings.ToUpper(sum(want))
	last := int64(-1)
	o.Progress = func(done, total int64) {
		if done < last || total != int64(len(want)) {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}
	path := fetch(t, o, want)
	if last != int64(len(want)) || filepath.Base(path) != "m-q8_0.gguf" {
		t.Errorf("%s ended at %d of %d bytes", path, last, len(want))
	}
	before := len(h.asked)
	fetch(t, o, want)
	if len(h.asked) != before {
		t.Errorf("a file that is there was fetched again")
	}
}

func TestFetchSurvivesConnectionsThatBreakAnywhere(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = want
	random := rand.New(rand.NewPCG(1, 2))
	h.cut = func(n int) int {
		if n < 50_000 {
			return n
		}
		return 1 + random.IntN(n/2)
	}
	told := 0
	o := h.options(t, "org/repo/m.gguf")
	o.Retry = func(error, time.Duration) { told++ }
	fetch(t, o, want)
	if len(h.asked) < 3 || told != len(h.asked)-1 {
		t.Errorf("%d requests and %d retries: connections did not break", len(h.asked), told)
	}
	if h.asked[1] == "" {
		t.Errorf("the second request asked for the whole")
	}
}

func TestFetchWaitsForABusyHub(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"], h.busy = want, 4
	fetch(t, h.options(t, "org/repo/m.gguf"), want)

	h.busy = 1000
	refused(t, h.options(t, "org/repo/m.gguf"), "given up after 6 attempts", "503")
}

func TestFetchTakesASilentConnectionForABrokenOne(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = want
	o := h.options(t, "org/repo/m.gguf")
	o.Idle = time.Second
	silent := true
	h.cut = func(n int) int {
		if silent {
			silent = false
			time.Sleep(3 * o.Idle)
		}
		return n
	}
	fetch(t, o, want)
}

// interrupted leaves a part of a file behind.
func interrupted(t *testing.T, h *fakeHub, o hub.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h.cut = func(n int) int { return n / 2 }
	o.Progress = func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	}
	if _, err := hub.Fetch(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an interruption", err)
	}
	h.mu.Lock()
	h.cut = nil
	h.mu.Unlock()
	if info, err := os.Stat(filepath.Join(o.Dir, "m.gguf.part")); err != nil || info.Size() == 0 {
		t.Fatalf("no part is left: %v, %v", info, err)
	}
}

func TestFetchGoesOnAfterARestart(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Strong)
	h.files["m.gguf"] = want
	o := h.options(t, "org/repo/m.gguf")
	interrupted(t, h, o)
	h.asked = nil
	fetch(t, o, want)
	if len(h.asked) != 1 || h.asked[0] == "" {
		t.Errorf("asked for %q, want the rest only", h.asked)
	}
}

func TestFetchDoesNotGoOnWithAnotherVersion(t *testing.T) {
	for name, damage := range map[string]func(h *fakeHub, dir string){
		"changed at the hub": func(h *fakeHub, _ string) { h.files["m.gguf"] = nil },
		"state lost":         func(_ *fakeHub, dir string) { os.Remove(filepath.Join(dir, "m.gguf.part.json")) },
		"state damaged": func(_ *fakeHub, dir string) {
			_ = os.WriteFile(filepath.Join(dir, "m.gguf.part.json"), []byte(`{"url":"`), 0o600)
		},
		"longer than the file": func(_ *fakeHub, dir string) { _ = os.Truncate(filepath.Join(dir, "m.gguf.part"), 1<<30) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			want := model(t, stock.Weak)
			h.files["m.gguf"] = model(t, stock.Strong)
			o := h.options(t, "org/repo/m.gguf")
			interrupted(t, h, o)
			damage(h, o.Dir)
			h.files["m.gguf"] = want
			fetch(t, o, want)
		})
	}
}

func TestFetchStartsAgainIfTheFileChangesMeanwhile(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = model(t, stock.Strong)
	h.cut = func(n int) int { return n / 2 }
	h.after = func(string) { h.files["m.gguf"], h.cut = want, nil }
	fetch(t, h.options(t, "org/repo/m.gguf"), want)
}

func TestFetchGivesUpOnAFileThatAlwaysChanges(t *testing.T) {
	h := newHub(t)
	versions := [][]byte{model(t, stock.Weak), model(t, stock.Strong)}
	h.files["m.gguf"] = versions[1]
	h.cut = func(n int) int { return n / 2 }
	turn := 0
	h.after = func(string) { h.files["m.gguf"] = versions[turn%2]; turn++ }
	refused(t, h.options(t, "org/repo/m.gguf"), "changed while it was fetched", "commit")
}

func TestFetchKeepsNoFileWithAWrongHash(t *testing.T) {
	h := newHub(t)
	data := model(t, stock.Weak)
	h.files["m.gguf"] = data
	told := strings.Repeat("ab", 32)
	h.claimed["m.gguf"] = told
	o := h.options(t, "org/repo/m.gguf")
	if err := refused(t, o, told, sum(data), "removed"); !errors.Is(err, hub.ErrHash) {
		t.Errorf("%v does not wrap ErrHash", err)
	}
	noRest(t, o.Dir)
	if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestFetchRefusesBeforeItBegins(t *testing.T) {
	h := newHub(t)
	data := model(t, stock.Weak)
	h.files["m.gguf"] = data
	other := h.options(t, "org/repo/m.gguf")
	other.SHA256 = strings.Repeat("0", 64)
	refused(t, other, other.SHA256, sum(data), "revision")

	small := h.options(t, "org/repo/m.gguf")
	small.MaxSize = 1000
	refused(t, small, "1.1 MB", "1.0 kB")

	h.size = 1 << 50
	refused(t, h.options(t, "org/repo/m.gguf"), "at most 1.1 TB")

	var disk syscall.Statfs_t
	full := h.options(t, "org/repo/m.gguf")
	if err := syscall.Statfs(full.Dir, &disk); err != nil {
		t.Fatal(err)
	}
	h.size = int64(disk.Bavail*uint64(disk.Bsize)) + 1<<30
	full.MaxSize = 1 << 60
	refused(t, full, "make room", "--dir")
	noRest(t, full.Dir)
	if len(h.asked) > 0 {
		t.Errorf("asked for %q", h.asked)
	}
}

func TestFetchOverwritesNoOtherFile(t *testing.T) {
	h := newHub(t)
	h.files["m.gguf"] = model(t, stock.Weak)
	o := h.options(t, "org/repo/m.gguf")
	path := filepath.Join(o.Dir, "m.gguf")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, o, "another file", "--dir")
	if got, _ := os.ReadFile(path); string(got) != "mine" {
		t.Errorf("it holds %.20q now", got)
	}
}

func TestFetchWithoutAHash(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"], h.plain = want, true
	o := h.options(t, "org/repo/m.gguf")
	fetch(t, o, want)
	fetch(t, o, want) // known by its ETag
	if len(h.asked) != 1 {
		t.Errorf("asked %d times", len(h.asked))
	}

	wrong := h.options(t, "org/repo/m.gguf")
	wrong.SHA256 = strings.Repeat("0", 64)
	if err := refused(t, wrong, wrong.SHA256, sum(want)); !errors.Is(err, hub.ErrHash) {
		t.Errorf("%v does not wrap ErrHash", err)
	}

	h.weak, h.cut = true, func(n int) int { h.cut = nil; return n / 2 }
	h.asked = nil
	unversioned := h.options(t, "org/repo/m.gguf")
	fetch(t, unversioned, want)
	if !slices.Equal(h.asked, []string{"", ""}) {
		t.Errorf("asked for %q: without an ETag a rest may be of another version", h.asked)
	}
	refused(t, unversioned, "is there already", "--sha256")
}

func TestFetchFromAServerWithoutRanges(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"], h.deaf = want, true
	h.cut = func(n int) int { h.cut = nil; return n / 2 }
	fetch(t, h.options(t, "org/repo/m.gguf"), want)
}

func TestFetchTakesModelsOnly(t *testing.T) {
	h := newHub(t)
	h.files["m.gguf"] = []byte("<html>Please sign in</html>")
	o := h.options(t, "org/repo/m.gguf")
	refused(t, o, "is no model", "not a GGUF file")
	noRest(t, o.Dir)
}

func TestFetchOfAURL(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = want
	o := h.options(t, h.cdn.URL+"/blob/m.gguf?signature=secret")
	o.Token = "hf_secret"
	path := fetch(t, o, want)
	if note, _ := os.ReadFile(path + ".json"); strings.Contains(string(note), "secret") {
		t.Errorf("the note tells the signature: %s", note)
	}
	if len(h.leaked) > 0 {
		t.Errorf("the token was told to a host that is not the hub: %q", h.leaked)
	}
	refused(t, h.options(t, h.cdn.URL+"/blob/none.gguf"), "404", "check the URL")
}

func TestOneFetchOfAFileAtATime(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = want
	o := h.options(t, "org/repo/m.gguf")
	f, err := os.Create(filepath.Join(o.Dir, "m.gguf.part"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	refused(t, o, "another process is fetching it")
	f.Close()
	fetch(t, o, want)
}

func TestManyFetchesOfAFileLeaveOne(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"] = want
	o := h.options(t, "org/repo/m.gguf")
	done := make(chan error)
	for range 8 {
		go func() { _, err := hub.Fetch(t.Context(), o); done <- err }()
	}
	for range 8 {
		if err := <-done; err != nil && !strings.Contains(err.Error(), "another process") {
			t.Error(err)
		}
	}
	fetch(t, o, want)
}
