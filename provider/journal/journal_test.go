package journal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/provider/journal"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func open(t testing.TB, dir string, limit int64) *journal.Writer {
	t.Helper()
	w, err := journal.Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func write(t testing.TB, s *journal.Stream, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(text), err)
	}
}

func read(t testing.TB, dir string, o sandbox.LogOptions) []sandbox.Line {
	t.Helper()
	var all []sandbox.Line
	for l, err := range journal.Read(t.Context(), dir, o, nil) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func texts(lines []sandbox.Line) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Stream[3:4]+":"+l.Text)
	}
	return strings.Join(all, "|")
}

func TestJournalKeepsLinesOfBothStreams(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, 1<<20)
	out, errs := w.Stream("stdout"), w.Stream("stderr")
	write(t, out, "one\ntw")
	write(t, errs, "bad\n\n")
	write(t, out, "o\nunfinished")
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := texts(read(t, dir, sandbox.LogOptions{})), "o:one|e:bad|e:|o:two|o:unfinished"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
	if got, want := texts(read(t, dir, sandbox.LogOptions{Tail: 2})), "o:two|o:unfinished"; got != want {
		t.Errorf("tail %q, want %q", got, want)
	}
	later := sandbox.LogOptions{Since: time.Now().Add(time.Hour)}
	if got := read(t, dir, later); len(got) > 0 {
		t.Errorf("lines of the future: %v", got)
	}
}

func TestJournalSplitsLongLines(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20).Stream("stdout")
	write(t, s, strings.Repeat("x", 40<<10)+"\n")
	got := read(t, dir, sandbox.LogOptions{})
	if len(got) != 3 || len(got[0].Text) != 16<<10 || len(got[2].Text) != 8<<10 {
		t.Errorf("%d pieces, want 16, 16 and 8 KiB", len(got))
	}
}

func TestJournalIsBoundedAndKeepsItsEnd(t *testing.T) {
	dir := t.TempDir()
	const limit = 64 << 10
	s := open(t, dir, limit).Stream("stdout")
	for n := range 5000 {
		write(t, s, fmt.Sprintf("line %d\n", n))
	}
	var size int64
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > limit {
		t.Errorf("%d bytes on disk, want at most %d", size, limit)
	}
	got := read(t, dir, sandbox.LogOptions{})
	if last := got[len(got)-1].Text; last != "line 4999" || len(got) < 500 {
		t.Errorf("%d lines, the last is %q", len(got), last)
	}
}

func TestFollowSeesEveryLineAcrossRotations(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, 1<<20)
	s := w.Stream("stdout")
	write(t, s, "0\n")
	const lines = 20000
	done, kept := make(chan struct{}), make(chan struct{}, lines/1000)
	go func() {
		defer close(done)
		for n := 1; n < lines; n++ {
			_, _ = fmt.Fprintln(s, n)
			if n%1000 == 0 && n > 2000 {
				<-kept // as a reader must keep up within one file
			}
		}
	}()
	live := func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	next := 0
	for l, err := range journal.Read(t.Context(), dir, sandbox.LogOptions{Follow: true}, live) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Text != fmt.Sprint(next) {
			t.Fatalf("line %q, want %d", l.Text, next)
		}
		if next++; next%1000 == 0 {
			kept <- struct{}{}
		}
	}
	if next != lines {
		t.Errorf("followed %d lines, want %d", next, lines)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for l, err := range journal.Read(ctx, t.TempDir(), sandbox.LogOptions{Follow: true}, nil) {
		t.Errorf("an empty journal yields %v, %v", l, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("2026-11-26T09:49:11.753757000Z o hello\n"))
	f.Add([]byte("2026-11-26T09:49:11.753757000Z \nhalf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "log"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := len(read(t, dir, sandbox.LogOptions{})), strings.Count(string(data), "\n"); got != want {
			t.Errorf("%d lines, want %d", got, want)
		}
	})
}
