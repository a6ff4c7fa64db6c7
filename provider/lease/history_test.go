package lease_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/memory"
	"github.com/plexus-network/plexus/provider/sandbox"
)

func TestEventsOutliveTheDaemon(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h, err := lease.OpenHistories(dir)
		if err != nil {
			t.Fatal(err)
		}
		open := func() *lease.Keeper { return lease.NewKeeper(leaseID, nil, lease.Options{History: h}) }
		k := open()
		for n := range 250 {
			k.Event("web/0", "started", fmt.Sprint("event ", n+1))
		}
		for range 2 { // a kill closes nothing
			k = open()
			all, _ := k.Events(0)
			if len(all) != 200 || all[0].Number != 51 || all[199].Text != "event 250" || !all[199].Time.Equal(time.Now()) {
				t.Fatalf("%d events, from %+v to %+v", len(all), all[0], all[len(all)-1])
			}
		}
		k.Event("", "closed", "over")
		if all, _ := k.Events(250); len(all) != 1 || all[0].Number != 251 {
			t.Errorf("after event 250: %+v", all)
		}
		for range 20_000 { // bounded on disk
			k.Event("", "failed", strings.Repeat("x", 100))
		}
	})
	if n := size(t, dir); n > 300<<10 {
		t.Errorf("events take %d bytes", n)
	}
}

// size sums the files below a folder.
func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		sum += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestLogsOutliveTheLease(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h, err := lease.OpenHistories(dir)
		if err != nil {
			t.Fatal(err)
		}
		engine := &memory.Engine{}
		w := newWorld(t, t.TempDir(), engine, record("a", service("web", 2)))
		synctest.Wait()
		engine.Print(id("web", 0), "hello")
		for range 40_000 {
			engine.Print(id("web", 1), strings.Repeat("x", 60))
		}
		engine.Print(id("web", 1), "the end")
		printed := time.Now()
		w.stop()
		for range 2 { // done again, it keeps what it kept
			if err := h.Keep(t.Context(), engine, leaseID, "by owner"); err != nil {
				t.Fatal(err)
			}
			if err := engine.Release(t.Context(), leaseID); err != nil {
				t.Fatal(err)
			}
		}
		p, err := h.Past(leaseID)
		if err != nil || p.Reason != "by owner" || !p.Ended.Equal(time.Now()) {
			t.Fatalf("past %+v, %v", p, err)
		}
		if ids, err := p.Replicas(); err != nil || len(ids) != 2 || ids[1] != id("web", 1) {
			t.Errorf("replicas %v, %v", ids, err)
		}
		var last sandbox.Line
		for line, err := range p.Logs(t.Context(), id("web", 1), sandbox.LogOptions{Tail: 1, Follow: true}) {
			if err != nil {
				t.Fatal(err)
			}
			last = line
		}
		if last.Text != "the end" || !last.Time.Equal(printed) {
			t.Errorf("the last line: %+v", last)
		}
		if n := size(t, dir); n > 2<<20 {
			t.Errorf("logs take %d bytes", n)
		}
		if err := h.Sweep(nil, time.Hour, 1<<30); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Past(leaseID); err != nil {
			t.Errorf("swept too early: %v", err)
		}
	})
	h, _ := lease.OpenHistories(dir)
	if err := h.Sweep(map[string]bool{leaseID: true}, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Past(leaseID); err != nil {
		t.Errorf("one that is live was swept: %v", err)
	}
	if err := h.Sweep(nil, 1e6*time.Hour, 100); err != nil { // too many bytes
		t.Fatal(err)
	}
	if _, err := h.Past(leaseID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the sweep: %v", err)
	}
}
