package text

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/plexus-network/plexus/subnet/text/toy"
)

func TestOpinion(t *testing.T) {
	b := newBench(t, Options{})
	if got := b.validator.Opinion(1); got != Undecided {
		t.Errorf("opinion %d of a stranger, want none", got)
	}
	b.validator.Suspect(1) // does nothing to a stranger
	trust := func() (answers int) {
		for ; b.validator.Opinion(1) != Trusted; answers++ {
			if answers > 500 {
				t.Fatalf("no opinion after %d answers: %+v", answers, b.validator.records[1])
			}
			b.score(b.ask(miner(declared), 1))
		}
		return answers
	}
	first := trust()
	b.validator.Suspect(1)
	if got := b.validator.Opinion(1); got != Undecided {
		t.Errorf("opinion %d of a suspect, want none", got)
	}
	if again := trust(); again < first/2 || again > 2*first {
		t.Errorf("a suspect is trusted after %d answers, a newcomer after %d", again, first)
	}
	b.run(miner(toy.Options{Model: 2}), 2, 50)
	b.validator.Suspect(2)
	if got := b.validator.Opinion(2); got != Rejected {
		t.Errorf("opinion %d of a cheat, want that it is rejected", got)
	}
}

func TestFolderTellsWhatBecameOfBundles(t *testing.T) {
	f := Folder{Path: filepath.Join(t.TempDir(), "evidence")}
	if open, err := f.Open(); err != nil || len(open) != 0 {
		t.Errorf("without a folder: %v, %v", open, err)
	}
	var paths []string
	for i := range 3 {
		b := someBundle(t)
		b.Exhibits[0].Asked = []byte{byte(i)}
		path := must(f.KeepBundle(b))
		old := time.Now().Add(time.Duration(i)*time.Minute - time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if open, err := f.Open(); err != nil || !slices.Equal(open, paths) {
		t.Errorf("open are %v, %v; want %v, the oldest first", open, err, paths)
	}
	for range 2 { // the second time it is settled already
		if err := f.Settle(paths[1], "case-7"); err != nil {
			t.Fatal(err)
		}
	}
	if open, err := f.Open(); err != nil || !slices.Equal(open, []string{paths[0], paths[2]}) {
		t.Errorf("open are %v, %v", open, err)
	}
	if settled, err := filepath.Glob(filepath.Join(f.Path, "*.case-7.fraud")); err != nil || len(settled) != 1 {
		t.Errorf("settled are %v, %v", settled, err)
	}
}

func TestCutBundleStillConvicts(t *testing.T) {
	b := someBundle(t)
	for i := range 9 {
		x := b.Exhibits[0]
		x.Asked = make([]byte, 1000*(i+1))
		b.Exhibits = append(b.Exhibits, x)
	}
	shares := []float64{3, 3, 3, 3, 3, 3, 3, 3, 3, 30}
	if cut, ok := b.Cut(shares, maxBundle); !ok || len(cut.Exhibits) != 10 {
		t.Errorf("a bundle that fits is cut to %d exhibits, %v", len(cut.Exhibits), ok)
	}
	cut, ok := b.Cut(shares, 16_000)
	if n := len(must(cut.Encode())); !ok || n > 16_000 || len(cut.Exhibits) < 2 {
		t.Errorf("cut to %d exhibits and %d bytes, %v", len(cut.Exhibits), n, ok)
	}
	for i, x := range cut.Exhibits[1:] {
		if len(x.Asked) <= len(cut.Exhibits[i].Asked) {
			t.Error("the exhibits are out of order")
		}
	}
	if _, ok := b.Cut(shares, 4_000); ok {
		t.Error("too little evidence convicts")
	}
	if _, ok := b.Cut(shares, 10); ok {
		t.Error("no evidence convicts")
	}
}

func TestAuditsBeginAnewWithAnotherTempo(t *testing.T) {
	e := toy.New(declared)
	var shown []Audit
	v := New(e, ManifestOf(e.Model()), Options{Tempo: 5, Secret: [32]byte{9}, Audited: func(a Audit) { shown = append(shown, a) }})
	b := &bench{t: t, validator: v, now: epoch0}
	before := v.AuditCommitment(1)
	b.score(b.ask(miner(declared), 1)) // at height 7
	v.Pace(0)
	v.Pace(5)
	if len(shown) != 0 {
		t.Errorf("%d audits are shown without a change", len(shown))
	}
	v.Pace(3)
	if len(shown) != 1 || shown[0].Epoch != 1 || shown[0].Verify(before) != nil {
		t.Errorf("shown are %+v, want that of epoch 1", shown)
	}
	if v.AuditCommitment(1) == before {
		t.Error("an epoch of another length has the same seed")
	}
	b.score(b.ask(miner(declared), 1))
	if _, err := v.Audit(1); err != nil {
		t.Errorf("epoch 1 is over in epoch 2: %v", err)
	}
}
