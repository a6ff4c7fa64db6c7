package exercise

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// chance draws the same numbers for each test, whatever ran before it.
func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// ask sends a request to a server and returns the answer's status and body.
func ask(t *testing.T, s *Server, path string, body any) (int, []byte) {
	t.Helper()
	text, ok := body.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(text))
	r.Header.Set("Authorization", "Bearer key")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

func TestChains(t *testing.T) {
	c := Chains{Nonce: Nonce{1}, Chains: 3, Steps: 1000, Every: 50}
	code, answer := ask(t, &Server{Key: "key"}, PathChains, &c)
	if code != 200 {
		t.Fatalf("%d %s", code, answer)
	}
	if err := c.Verify(answer, 100, chance()); err != nil {
		t.Error(err)
	}
	if err := c.Verify(answer[1:], 100, chance()); !errors.Is(err, ErrShort) {
		t.Errorf("an answer cut short: %v", err)
	}
	other := c
	other.Nonce[0]++
	if err := other.Verify(answer, 100, chance()); !errors.Is(err, ErrWrong) {
		t.Errorf("an answer to another nonce: %v", err)
	}
	// Half of the work is left out: a sample of 8 finds it in all but 1 of 256.
	for i := len(answer) / 2; i < len(answer); i++ {
		answer[i] = 0
	}
	found, draw := 0, chance()
	for range 1000 {
		if c.Verify(answer, 8, draw) != nil {
			found++
		}
	}
	if found < 990 {
		t.Errorf("half of the work was left out, and %d of 1000 checks found it", found)
	}
}

func TestPagesInMemoryAndOnDisks(t *testing.T) {
	s := &Server{Key: "key", Scratch: t.TempDir(), Volume: t.TempDir()}
	disk, memory := Fill{Nonce{1}, 3}, Fill{Nonce{2}, 5}
	for _, do := range []struct {
		path string
		body any
	}{
		{PathFill, &disk},
		{PathWrite, &Write{Scratch}},
		{PathWrite, &Write{Volume}},
		{PathFill, &memory},
	} {
		if code, answer := ask(t, s, do.path, do.body); code != 200 {
			t.Fatalf("%s: %d %s", do.path, code, answer)
		}
	}
	for place, fill := range map[string]Fill{Memory: memory, Scratch: disk, Volume: disk} {
		l := Look{Nonce{9}, 500, place}
		_, answer := ask(t, s, PathLook, &l)
		if err := l.Verify(fill, answer, 20, chance()); err != nil {
			t.Error(err)
		}
		if err := l.Verify(Fill{Nonce{3}, fill.Pages}, answer, 20, chance()); !errors.Is(err, ErrWrong) {
			t.Errorf("pages of another nonce: %v", err)
		}
		if err := l.Verify(fill, answer[:100], 20, chance()); !errors.Is(err, ErrShort) {
			t.Errorf("an answer cut short: %v", err)
		}
	}
}

func TestPageDependsOnAllOfItself(t *testing.T) {
	f := Fill{Nonce{1}, 1}
	a, b := make([]byte, PageSize), make([]byte, PageSize)
	f.page(0, a)
	f.page(1, b)
	for i := range pageBlocks {
		if bytes.Equal(a[i*blockSize:][:blockSize], b[i*blockSize:][:blockSize]) {
			t.Fatalf("block %d of two pages is the same", i)
		}
	}
	sum := sha256.Sum256(a)
	if got := sum[:4]; !bytes.Equal(got, golden) {
		t.Errorf("page 0 of nonce 1 has the hash %x, want %x: servers that run would fail", got, golden)
	}
}

func TestStreams(t *testing.T) {
	s := &Server{Key: "key"}
	o := Stream{Nonce{4}, 200_000}
	_, answer := ask(t, s, PathSource, &o)
	if err := o.Verify(bytes.NewReader(answer)); err != nil {
		t.Error(err)
	}
	if err := o.Verify(bytes.NewReader(answer[1:])); !errors.Is(err, ErrWrong) {
		t.Errorf("another stream: %v", err)
	}
	if err := o.Verify(bytes.NewReader(answer[:100_000])); !errors.Is(err, ErrShort) {
		t.Errorf("half a stream: %v", err)
	}
	up, err := io.ReadAll(o.Reader())
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(up)
	if _, got := ask(t, s, PathSink, up); !bytes.Equal(got, want[:]) {
		t.Errorf("an upload's hash is %x, want %x", got, want)
	}
}

func TestServerRefuses(t *testing.T) {
	s := &Server{Key: "key", Scratch: t.TempDir()}
	for _, c := range []struct {
		path string
		body any
		want int
	}{
		{PathChains, &Chains{Chains: 0, Steps: 1, Every: 1}, 400},
		{PathChains, &Chains{Chains: 257, Steps: 1, Every: 1}, 400},
		{PathChains, &Chains{Chains: 1, Steps: 1 << 41, Every: 1 << 41}, 400},
		{PathChains, &Chains{Chains: 1, Steps: 1025, Every: 1}, 400},
		{PathChains, &Chains{Chains: 1, Steps: 3, Every: 2}, 400},
		{PathChains, []byte(`{"nonce":"xyz"}`), 400},
		{PathChains, []byte(strings.Repeat(" ", maxRequest+1)), 400},
		{PathFill, &Fill{Pages: maxPages + 1}, 400},
		{PathLook, &Look{Count: 1, Place: Memory}, 400},
		{PathLook, &Look{Count: 1, Place: Scratch}, 400},
		{PathLook, &Look{Count: 1, Place: "/etc/passwd"}, 400},
		{PathWrite, &Write{Volume}, 400},
		{PathWrite, &Write{"../x"}, 400},
		{PathSource, &Stream{Bytes: maxStream + 1}, 400},
		{"/v1/other", &Write{}, 404},
	} {
		if code, answer := ask(t, s, c.path, c.body); code != c.want {
			t.Errorf("%s %+v: %d %s, want %d", c.path, c.body, code, answer, c.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, PathHello, nil)
	for _, key := range []string{"", "Bearer other", "Bearer "} {
		r.Header.Set("Authorization", key)
		w := httptest.NewRecorder()
		(&Server{Key: "key"}).ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("a stranger with %q: %d", key, w.Code)
		}
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"nonce":"` + strings.Repeat("ab", 32) + `","chains":1,"steps":4,"every":2}`))
	f.Add([]byte(`{"seed":"` + strings.Repeat("00", 32) + `","count":3,"place":"memory"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var c Chains
		if read(body, &c) == nil && (c.Size() <= 0 || c.Size() > maxChains*maxMarks*32) {
			t.Errorf("an answer of %d bytes to %s", c.Size(), body)
		}
		var l Look
		if read(body, &l) == nil && (l.Size() <= 0 || l.Size() > maxLooks*lookSize) {
			t.Errorf("an answer of %d bytes to %s", l.Size(), body)
		}
		var s Stream
		_ = read(body, &s)
		var p Fill
		if read(body, &p) == nil && (p.Pages < 1 || p.Pages > maxPages) {
			t.Errorf("%d pages of %s", p.Pages, body)
		}
	})
}

func BenchmarkChain(b *testing.B) {
	var h [32]byte
	walk(h, uint64(b.N), never)
}

func BenchmarkPage(b *testing.B) {
	page, f := make([]byte, PageSize), Fill{Pages: 1}
	b.SetBytes(PageSize)
	for b.Loop() {
		f.page(0, page)
	}
}

// golden is the beginning of the hash of a page.
var golden = []byte{0x90, 0xb3, 0x18, 0x6b}
