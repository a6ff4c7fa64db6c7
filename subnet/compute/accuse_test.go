package compute

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/subnet/compute/exercise"
)

// fakes answers hash chains with nothing.
func fakes(path string, _, answer []byte) []byte {
	if path != exercise.PathChains {
		return nil
	}
	return make([]byte, len(answer))
}

// proven runs a validator in a world, and returns of what it accuses whom.
func proven(t *testing.T, machines map[string]*machine, long time.Duration) map[string][]Accusation {
	t.Helper()
	w := newWorld(t, machines)
	convene(t, w).run(long)
	by := map[string][]Accusation{}
	for _, a := range w.accused {
		by[a.Provider] = append(by[a.Provider], a)
		text, err := a.Encode()
		if err != nil || len(text) > maxAccusation {
			t.Errorf("%d bytes of evidence, %v", len(text), err)
		}
		if again, err := ParseAccusation(text); err != nil || again.Lease != a.Lease || again.Kind != a.Kind {
			t.Errorf("evidence is read as %+v, %v", again, err)
		}
	}
	return by
}

func TestFakesAreProvenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faking := honest()
		faking.fake = fakes
		got := proven(t, map[string]*machine{"faking": faking, "honest": honest()}, time.Hour)
		if len(got["honest"]) != 0 || len(got["faking"]) != 1 {
			t.Fatalf("accused %d and %d times", len(got["honest"]), len(got["faking"]))
		}
		a := got["faking"][0]
		if a.Kind != Fake || a.Lease != "me/1/1/1/faking" || a.Exercise == nil {
			t.Errorf("%+v", a)
		}
		// Anybody can see from the evidence alone that the answer is wrong.
		if err := a.Exercise.Verify(a.Answer, 8, rand.New(rand.NewPCG(1, 2))); !errors.Is(err, exercise.ErrWrong) {
			t.Errorf("the evidence, checked again: %v", err)
		}
	})
}

func TestSilenceIsProvenBySeveralLeasesAndAWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes, mute := honest(), honest()
		takes.takes = true
		mute.down = func(time.Time) bool { return true }
		got := proven(t, map[string]*machine{"takes": takes, "mute": mute, "honest": honest()}, 6*time.Hour)
		if len(got["honest"]) != 0 {
			t.Errorf("accused: %+v", got["honest"])
		}
		for _, name := range []string{"takes", "mute"} {
			if len(got[name]) == 0 {
				t.Errorf("%s is not accused in 6 hours", name)
				continue
			}
			a := got[name][0]
			row := a.Silences
			if a.Kind != Silent || len(row) < silentLeases || a.Lease != row[len(row)-1].Lease || row[len(row)-1].At.Sub(row[0].At) < silentFor || !a.Witness.After(row[0].At) {
				t.Errorf("%s: %+v", name, a)
			}
			if len(got[name]) > 3 {
				t.Errorf("%s is accused %d times in 6 hours", name, len(got[name]))
			}
		}
	})
}

func TestSilenceThatMayBeOnesOwnProvesNothing(t *testing.T) {
	began := func() func(from, to time.Duration) func(time.Time) bool {
		start := time.Now()
		return func(from, to time.Duration) func(time.Time) bool {
			return func(now time.Time) bool { return now.Sub(start) >= from && now.Sub(start) < to }
		}
	}
	for name, world := range map[string]func() map[string]*machine{
		"nobody answers": func() map[string]*machine {
			a, b := honest(), honest()
			a.down = func(time.Time) bool { return true }
			b.down = a.down
			return map[string]*machine{"a": a, "b": b}
		},
		"there is nobody else": func() map[string]*machine {
			a := honest()
			a.takes = true
			return map[string]*machine{"a": a}
		},
		"an hour's outage": func() map[string]*machine {
			a := honest()
			a.down = began()(time.Hour, 2*time.Hour)
			return map[string]*machine{"a": a, "b": honest()}
		},
		"it refuses": func() map[string]*machine {
			a := honest()
			a.price = 101
			return map[string]*machine{"a": a, "b": honest()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for name, all := range proven(t, world(), 6*time.Hour) {
					t.Errorf("%s is accused: %s", name, all[0].Why)
				}
			})
		})
	}
}

func TestSilencesSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute := honest()
		mute.takes = true
		w := newWorld(t, map[string]*machine{"mute": mute, "honest": honest()})
		for range 10 { // of half an hour each: none long enough by itself
			j := convene(t, w)
			if w.state != nil {
				if err := j.Restore(w.state); err != nil {
					t.Fatal(err)
				}
			}
			j.run(30 * time.Minute)
			var err error
			if w.state, err = j.Snapshot(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.ContainsFunc(w.accused, func(a Accusation) bool { return a.Provider == "mute" }) {
			t.Error("a validator that starts anew each half an hour proves nothing")
		}
	})
}

func TestAccusationsAreReadWithCare(t *testing.T) {
	for text, want := range map[string]string{
		``:              "unexpected end",
		`{"version":2}`: "not an id",
		`{"version":2,"kind":"fake","provider":"p","lease":"o/1/1/1/p"}`: "version 2",
		`{"version":1,"kind":"fake","provider":"q","lease":"o/1/1/1/p"}`: "accuses",
		`{"version":1,"kind":"late","provider":"p","lease":"o/1/1/1/p"}`: "for \"late\"",
		`{"version":1,"kind":"fake","provider":"p","lease":"o/1/1/1/p"}`: "",
	} {
		_, err := ParseAccusation([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseAccusation(bytes.Repeat([]byte(" "), maxAccusation+1)); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("a large one: %v", err)
	}
}
