package duty

import (
	"crypto/sha256"
	"strings"
	"testing"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// accuse opens a case by validator 0, whatever its evidence is worth.
func (w *world) accuse(uid yuma.UID, evidence []byte) registryv1.Case {
	w.Helper()
	manifest, _ := w.chain.RegisterManifest(w.Context(), ledger.Actor{}, w.chain.params)
	w.chain.reported = map[string]int64{}
	reporter := ledger.Actor{For: w.chain.neurons[0].Account}
	id, _, err := w.chain.ReportFraud(w.Context(), reporter, 1, w.chain.neurons[uid].Account, manifest, evidence)
	if err != nil {
		w.Fatal(err)
	}
	return w.chain.cases[id-1]
}

// votes lets a juror look until a height, and returns what was voted.
func (w *world) votes(j *juror, to yuma.Height) (guilty []bool) {
	for ; w.chain.now <= to; w.chain.now++ {
		j.look(w.Context(), w.chain.now)
	}
	for _, v := range w.chain.votes {
		guilty = append(guilty, v.Guilty)
	}
	return guilty
}

func (w *world) juror() *juror { return &juror{Duty: w.duty(1, text.Folder{Path: w.TempDir()})} }

// want checks that there was one vote, or none.
func (w *world) want(got []bool, guilty ...bool) {
	w.Helper()
	if len(got) != len(guilty) || len(got) > 0 && got[0] != guilty[0] {
		w.Errorf("votes of guilty %v, want %v", got, guilty)
	}
}

func TestJurorVotesByItsOwnTestFirst(t *testing.T) {
	w := newWorld(t)
	w.accuse(cheat, []byte("no evidence at all"))
	w.mind[cheat] = text.Rejected
	j := w.juror()
	w.want(w.votes(j, 30), true)
	w.want(w.votes(j, 60), true) // once
	w.want(w.votes(w.juror(), 90), true)
}

func TestJurorWaitsForItsOwnTest(t *testing.T) {
	for name, end := range map[string]struct {
		mind   text.Opinion
		at     yuma.Height
		guilty bool
	}{
		"it fails":         {text.Rejected, 50, true},
		"it passes":        {text.Trusted, 50, false},
		"it cannot be had": {text.Undecided, 95, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mind[cheat] = text.Trusted // from the time before it was accused
			w.accuse(cheat, encoded(t, w.caught()))
			j := w.juror()
			w.want(w.votes(j, 45))
			w.mind[cheat] = end.mind
			w.want(w.votes(j, end.at), end.guilty)
		})
	}
}

func TestJurorAcquitsWhereTheBundleProvesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		fault  string
		accuse func(w *world)
	}{
		"an honest miner": {"nats of evidence", func(w *world) {
			w.accuse(honest, encoded(w.T, w.ask(honest, 3, 64, 12, w.chain.hash(12))))
		}},
		"garbage": {"malformed", func(w *world) { w.accuse(honest, []byte("garbage")) }},
		"another's cheating": {"it accuses uid 3", func(w *world) {
			w.accuse(honest, encoded(w.T, w.caught()))
		}},
		"another peer of the accused": {"it accuses peer", func(w *world) {
			evidence := encoded(w.T, w.caught())
			w.chain.neurons[cheat].PeerID = w.hosts[0].ID().String()
			w.accuse(cheat, evidence)
		}},
		"before it had its slot": {"has its slot since 15", func(w *world) {
			evidence := encoded(w.T, w.caught())
			w.chain.neurons[cheat].Registered = 15
			w.accuse(cheat, evidence)
		}},
		"blocks that never were": {"not the chain's", func(w *world) {
			w.accuse(cheat, encoded(w.T, w.ask(cheat, 3, 64, 12, [32]byte{1})))
		}},
		"blocks to come": {"was accused at 20", func(w *world) {
			w.accuse(cheat, encoded(w.T, w.ask(cheat, 3, 64, 900, w.chain.hash(900))))
		}},
		"altered answers": {"proves nothing", func(w *world) {
			b := w.caught()
			b.Exhibits[1].Pieces[0][5] ^= 1
			w.accuse(cheat, encoded(w.T, b))
		}},
		"another manifest inside": {"manifest is not the subnet's", func(w *world) {
			b := w.caught()
			b.Manifest.Greedy.Cheat[0] /= 2
			b.Manifest.Greedy.Cheat[1] += b.Manifest.Greedy.Cheat[0]
			w.accuse(cheat, encoded(w.T, b))
		}},
		"a model that is not declared": {"does not declare", func(w *world) {
			w.accuse(cheat, encoded(w.T, w.caught()))
			other := sha256.Sum256([]byte("other"))
			w.chain.cases[0].Manifest = other[:]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.accuse(w)
			j := w.juror()
			w.want(w.votes(j, 30), false)
			if got := j.open[0].fault; !strings.Contains(got, c.fault) {
				t.Errorf("the bundle is no proof for: %s; want %q", got, c.fault)
			}
		})
	}
}

func TestJurorKeepsSilent(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"without a permit":                     func(w *world) { w.chain.neurons[1].Permit = false },
		"where the slot is another's":          func(w *world) { w.chain.neurons[cheat].Registered = 21 },
		"where the node has dropped the block": func(w *world) { w.chain.dropped = true },
		"while it runs another model":          func(w *world) { w.chain.params = []byte(`{"model":"x"}`); w.declareAnew() },
		"where the case has ended":             func(w *world) { w.chain.end(1, registryv1.Verdict_VERDICT_ACQUITTED) },
		"of another subnet's cases":            func(w *world) { w.chain.cases[0].Netuid = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.accuse(cheat, encoded(t, w.caught()))
			j := w.juror()
			change(w)
			w.want(w.votes(j, 95))
		})
	}
}

// declareAnew lets the case be about what the subnet declares now.
func (w *world) declareAnew() {
	hash := sha256.Sum256(w.chain.params)
	w.chain.cases[0].Manifest = hash[:]
}

func TestJurorForgetsWhatEnded(t *testing.T) {
	w := newWorld(t)
	w.accuse(cheat, encoded(t, w.caught()))
	j := w.juror()
	w.votes(j, 25)
	if account := w.chain.neurons[cheat].Account; !j.accused(account) {
		t.Fatal("the case is not followed")
	}
	w.chain.end(1, registryv1.Verdict_VERDICT_CONVICTED)
	w.votes(j, 27)
	if len(j.open) != 0 {
		t.Errorf("%d cases are followed, want none", len(j.open))
	}
}
