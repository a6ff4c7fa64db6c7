package duty

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// reporting is a reporter of validator 0, with what stands in its folder.
func (w *world) reporting(folder text.Folder, bundles ...text.Bundle) *reporter {
	w.Helper()
	for _, b := range bundles {
		if _, err := folder.KeepBundle(b); err != nil {
			w.Fatal(err)
		}
	}
	d := w.duty(0, folder)
	return newReporter(d, func(account string) bool {
		for _, c := range w.chain.cases {
			if c.Miner == account && c.Verdict == registryv1.Verdict_VERDICT_OPEN {
				return true
			}
		}
		return false
	})
}

func (w *world) until(r *reporter, to yuma.Height) {
	for ; w.chain.now <= to; w.chain.now++ {
		r.look(w.Context(), w.chain.now)
	}
}

// words lists what became of the bundles in a folder; "" for one of which
// nothing has.
func words(t *testing.T, folder text.Folder) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder.Path, "*.fraud"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		parts := strings.Split(filepath.Base(f), ".")
		all = append(all, strings.Join(parts[1:len(parts)-1], "."))
	}
	return all
}

func wantWord(t *testing.T, folder text.Folder, want string) {
	t.Helper()
	if got := words(t, folder); len(got) != 1 || got[0] != want {
		t.Errorf("bundles became %q, want one of %q", got, want)
	}
}

func TestCheatIsReportedOnce(t *testing.T) {
	w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
	w.until(w.reporting(folder, w.caught()), 80)
	if len(w.chain.cases) != 1 {
		t.Fatalf("%d cases, want one", len(w.chain.cases))
	}
	manifest := sha256.Sum256(w.chain.params)
	if c := w.chain.cases[0]; c.Uid != uint32(cheat) || string(c.Manifest) != string(manifest[:]) || w.chain.manifests[manifest] == nil {
		t.Errorf("case %+v", c)
	}
	wantWord(t, folder, "case-1")
	j := &juror{Duty: w.duty(1, text.Folder{Path: t.TempDir()})}
	w.want(w.votes(j, 115), true)
}

func TestCrashBetweenReportAndItsNote(t *testing.T) {
	w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
	w.chain.deaf = errors.New("the process dies before it hears of it")
	r := w.reporting(folder, w.caught())
	r.look(t.Context(), w.chain.now)
	wantWord(t, folder, "")
	w.chain.deaf = nil
	w.chain.end(1, registryv1.Verdict_VERDICT_ACQUITTED)
	w.chain.now = 50
	w.until(w.reporting(folder), 60)
	if len(w.chain.cases) != 1 {
		t.Errorf("%d cases, want one", len(w.chain.cases))
	}
	wantWord(t, folder, "case-1")
}

func TestReporterKeepsTheChainsPace(t *testing.T) {
	w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
	w.models[honest] = smaller
	r := w.reporting(folder, w.caught(), w.ask(honest, 3, 64, 12, w.chain.hash(12)))
	w.until(r, 60)
	if len(w.chain.cases) != 2 {
		t.Fatalf("%d cases, want two", len(w.chain.cases))
	}
	if a, b := w.chain.cases[0].Height, w.chain.cases[1].Height; b < a+10 {
		t.Errorf("reports at %d and %d, want 10 blocks between", a, b)
	}
}

func TestReporterWaitsForTheOpenCase(t *testing.T) {
	w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
	w.accuse(cheat, []byte("another validator's evidence"))
	r := w.reporting(folder, w.caught())
	w.chain.reported = map[string]int64{}
	w.until(r, 50)
	if len(w.chain.cases) != 1 {
		t.Fatalf("%d cases, want the one that was open", len(w.chain.cases))
	}
	w.chain.end(1, registryv1.Verdict_VERDICT_LAPSED)
	w.until(r, 60)
	wantWord(t, folder, "case-2")
}

func TestReporterSettlesWhatOpensNoCase(t *testing.T) {
	for want, change := range map[string]func(w *world, path string){
		damaged: func(_ *world, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		gone: func(w *world, _ string) { w.chain.neurons[cheat].Registered = 19 },
		"":   func(w *world, _ string) { w.chain.params = []byte("{}") }, // another model: it may be declared again
	} {
		t.Run(want, func(t *testing.T) {
			w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
			r := w.reporting(folder, w.caught())
			paths, err := folder.Open()
			if err != nil || len(paths) != 1 {
				t.Fatal(paths, err)
			}
			change(w, paths[0])
			w.until(r, 40)
			wantWord(t, folder, want)
			if len(w.chain.cases) != 0 {
				t.Errorf("%d cases, want none", len(w.chain.cases))
			}
		})
	}
	t.Run("of another subnet", func(t *testing.T) {
		w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
		r := w.reporting(folder, w.caught())
		r.Netuid = 2 // the validator serves this one now
		w.until(r, 40)
		wantWord(t, folder, "")
	})
	t.Run(unproven, func(t *testing.T) {
		w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
		w.until(w.reporting(folder, w.ask(honest, 2, 32, 12, w.chain.hash(12))), 40)
		wantWord(t, folder, unproven)
	})
}

// TestBundleIsCutToTheChainsLimit reports far more evidence than fits into a
// transaction.
func TestBundleIsCutToTheChainsLimit(t *testing.T) {
	w, folder := newWorld(t), text.Folder{Path: t.TempDir()}
	b := w.ask(cheat, 40, 200, 12, w.chain.hash(12))
	if n := len(encoded(t, b)); n <= ledger.MaxEvidence {
		t.Fatalf("the bundle has %d bytes, want more than %d", n, ledger.MaxEvidence)
	}
	w.until(w.reporting(folder, b), 30)
	wantWord(t, folder, "case-1")
	cut, err := text.DecodeBundle(w.chain.bundles[1])
	if err != nil {
		t.Fatal(err)
	}
	f, err := cut.Check(t.Context(), w.engine)
	if err != nil || !f.Guilty || len(cut.Exhibits) < 10 {
		t.Errorf("%d of 40 exhibits are left: %+v, %v", len(cut.Exhibits), f, err)
	}
	t.Logf("%d of 40 exhibits, %d bytes, %.0f nats", len(cut.Exhibits), len(w.chain.bundles[1]), f.Evidence)
}
