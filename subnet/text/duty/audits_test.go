package duty

import (
	"errors"
	"testing"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/toy"
	"github.com/plexus-network/plexus/yuma"
)

// audited is a chain with one validator, and a way to let its duty live from a
// height to another.
func audited(t *testing.T, c *fakeChain, folder text.Folder) (live func(to yuma.Height), judge *text.Mechanism) {
	t.Helper()
	secret, err := folder.Secret()
	if err != nil {
		t.Fatal(err)
	}
	e := toy.New(declared)
	judge = text.New(e, text.ManifestOf(e.Model()), text.Options{Secret: secret})
	d, err := New(Options{
		Chain: c, Actor: ledger.Actor{For: "plx1validator"}, Netuid: 1, Params: c.params, Engine: e, Judge: judge, Folder: folder, Secret: secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &auditor{Duty: d}
	return func(to yuma.Height) {
		for ; c.now < to; c.now++ {
			a.look(t.Context(), c.now)
		}
	}, judge
}

func oneValidator() *fakeChain {
	c := newFakeChain()
	c.neurons = []ledger.Neuron{{Account: "plx1validator", Permit: true}}
	return c
}

// checkAudits tells whether every epoch until the last one was committed to,
// before it began but for the first, and shown in time.
func checkAudits(t *testing.T, c *fakeChain, epochs int) {
	t.Helper()
	if len(c.audits) != epochs+2 {
		t.Fatalf("%d epochs were committed to, want %d", len(c.audits), epochs+2)
	}
	for i, a := range c.audits {
		if a.Epoch != uint64(i) || i > 0 && a.Committed >= a.Ends-int64(c.tempo) {
			t.Errorf("commitment %d is to epoch %d, made at %d", i, a.Epoch, a.Committed)
		}
		if shown := len(a.Seed) > 0; shown != (i < epochs) {
			t.Errorf("epoch %d: shown %v", i, shown)
		}
	}
}

func TestSeedsAreCommittedToAndShown(t *testing.T) {
	c := oneValidator()
	live, judge := audited(t, c, text.Folder{Path: t.TempDir()})
	live(65)
	checkAudits(t, c, 6)
	for _, a := range c.audits {
		if hash := judge.AuditCommitment(a.Epoch); string(hash[:]) != string(a.Hash) {
			t.Errorf("epoch %d is not drawn by the seed that was committed to", a.Epoch)
		}
	}
}

func TestCrashBetweenCommitAndReveal(t *testing.T) {
	c, folder := oneValidator(), text.Folder{Path: t.TempDir()}
	live, _ := audited(t, c, folder)
	live(15)
	c.deaf = errors.New("the process dies before it hears of it")
	live(21)
	c.deaf = nil
	c.now = 33 // it was away for a while
	live, _ = audited(t, c, folder)
	live(45)
	for _, a := range c.audits {
		if shown := len(a.Seed) > 0; shown != (a.Ends < 45) {
			t.Errorf("epoch %d, of which the seed is due before %d: shown %v at %d", a.Epoch, a.Due, shown, c.now)
		}
	}
	if n := len(c.audits); n < 5 {
		t.Errorf("%d epochs were committed to, want 5", n)
	}
}

func TestAuditsFollowTheTempo(t *testing.T) {
	c := oneValidator()
	live, judge := audited(t, c, text.Folder{Path: t.TempDir()})
	live(25)
	c.tempo = 20
	live(105)
	for _, a := range c.audits {
		if len(a.Seed) == 0 && a.Ends < 100 {
			t.Errorf("the seed of epoch %d, due from %d, is not shown", a.Epoch, a.Ends)
		}
	}
	latest := c.audits[len(c.audits)-1]
	if hash := judge.AuditCommitment(latest.Epoch); string(hash[:]) != string(latest.Hash) {
		t.Errorf("epoch %d of the new tempo is not drawn by its seed", latest.Epoch)
	}
}

func TestWithoutPermitNothingIsCommittedTo(t *testing.T) {
	c := oneValidator()
	live, _ := audited(t, c, text.Folder{Path: t.TempDir()})
	live(15)
	c.neurons[0].Permit = false
	live(55)
	if n := len(c.audits); n != 3 {
		t.Errorf("%d epochs were committed to, want 3", n)
	}
	for _, a := range c.audits {
		if len(a.Seed) == 0 {
			t.Errorf("the seed of epoch %d is not shown", a.Epoch)
		}
	}
}

func TestSeedOfAnotherSecretIsNotShown(t *testing.T) {
	c := oneValidator()
	live, _ := audited(t, c, text.Folder{Path: t.TempDir()})
	live(5)
	live, _ = audited(t, c, text.Folder{Path: t.TempDir()}) // the folder is lost
	live(35)
	for _, a := range c.audits {
		if shown := len(a.Seed) > 0; shown != (a.Epoch == 2) {
			t.Errorf("epoch %d: shown %v", a.Epoch, shown)
		}
	}
}
