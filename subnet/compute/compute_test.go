package compute

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/subnet/compute/exercise"
)

func TestProvidersEarnWhatTheyDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(change func(*machine)) *machine {
			m := honest()
			change(m)
			return m
		}
		var first []byte // answer to chains
		w := newWorld(t, map[string]*machine{
			"honest":    honest(),
			"slow":      with(func(m *machine) { m.cores = 0.5 }),
			"oversold":  with(func(m *machine) { m.cores = 1 }),
			"small":     with(func(m *machine) { m.says = 1000 }),
			"late":      with(func(m *machine) { m.start = 100 * time.Second }),
			"flapping":  with(func(m *machine) { m.down = func(now time.Time) bool { return now.Minute()/7%2 == 0 } }),
			"expensive": with(func(m *machine) { m.price = 101 }),
			"full":      with(func(m *machine) { m.says = 0 }),
			"baddisk":   with(func(m *machine) { m.disk = 0.1 }),
			"faking": with(func(m *machine) {
				m.fake = func(path string, _, answer []byte) []byte {
					if path != exercise.PathChains {
						return nil
					}
					return make([]byte, len(answer))
				}
			}),
			"replaying": with(func(m *machine) {
				m.fake = func(path string, _, answer []byte) []byte {
					if path != exercise.PathChains {
						return nil
					}
					if first == nil {
						first = bytes.Clone(answer)
					}
					return first
				}
			}),
		})
		j := convene(t, w)
		got, rejected := j.run(5 * time.Hour)
		for name, s := range got {
			t.Logf("%-10s %.3f %v %s", name, s.Value, s.Reject, s.Reason)
		}
		value := func(name string) float64 { return got[name].Value }
		if value("honest") < 0.85 {
			t.Errorf("an honest provider is worth %.3f", value("honest"))
		}
		for _, less := range []string{"slow", "oversold", "small", "late", "flapping", "baddisk"} {
			if v := value(less); v <= present || v > 0.8*value("honest") {
				t.Errorf("%s is worth %.3f, an honest provider %.3f", less, v, value("honest"))
			}
		}
		if value("small") <= value("slow") {
			t.Errorf("a small provider is worth %.3f, one that delivers half of what it sold %.3f", value("small"), value("slow"))
		}
		if v := value("expensive"); v != 0 {
			t.Errorf("a provider that nobody can pay is worth %.3f", v)
		}
		if v := value("full"); v != present || w.rents["full"] != 0 {
			t.Errorf("a provider with nothing to sell is worth %.3f, and was rented from %d times", v, w.rents["full"])
		}
		for name := range w.machines {
			cheats := name == "faking" || name == "replaying"
			if rejected[name] != cheats {
				t.Errorf("%s was rejected: %v", name, rejected[name])
			}
			if cheats && value(name) != 0 {
				t.Errorf("%s is worth %.3f", name, value(name))
			}
		}
		if w.largest["honest"] != 4 || w.largest["small"] != 1 {
			t.Errorf("probes grew to %v services", w.largest)
		}
		if n := w.rents["honest"]; n < 5 || n > 20 {
			t.Errorf("rented from the honest provider %d times in 5 hours", n)
		}
	})
}

func TestTwoProvidersOnOneMachineAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &machine{cores: 1, says: 1000, price: 50, disk: 10, start: time.Second}
		w := newWorld(t, map[string]*machine{"alone": {cores: 1, says: 1000, price: 50, disk: 10, start: time.Second}, "one": shared, "two": shared})
		w.now.Most = 1
		j := convene(t, w)
		got := map[string]float64{}
		// All are measured in the same round.
		for _, name := range j.names {
			j.ask(name)
		}
		j.due(time.Now())
		for _, r := range j.records {
			r.Next = time.Now()
		}
		j.run(30 * time.Minute)
		for _, name := range j.names {
			got[name] = j.records[j.peer(name).UID].Got.CPU
		}
		if got["alone"] < 0.9 || got["one"] > 0.7 || got["two"] > 0.7 {
			t.Errorf("cores delivered: %v", got)
		}
	})
}

func TestOwnTroubleIsNoProvidersFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]*machine{"honest": honest()})
		w.away = errors.New("the chain does not answer")
		got, _ := convene(t, w).run(3 * time.Hour)
		if s := got["honest"]; s.Value != present || !strings.Contains(s.Reason, "not probed") {
			t.Errorf("score %+v while the validator could not rent", s)
		}
	})
}

func TestBudgetHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]*machine{"a": honest(), "b": honest(), "c": honest()})
		j := convene(t, w)
		j.options.Budget = w.now.cost(1, 6*time.Second) // one probe an hour, of one service
		j.run(6 * time.Hour)
		all := 0
		for _, n := range w.rents {
			all += n
		}
		if all < 5 || all > 7 {
			t.Errorf("%d probes in 6 hours, on a budget of one an hour", all)
		}
	})
}

func TestMemoryOfProvidersSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]*machine{"honest": honest()})
		j := convene(t, w)
		j.run(3 * time.Hour)
		before := j.ask("honest")
		state, err := j.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again := convene(t, w)
		if err := again.Restore(state); err != nil {
			t.Fatal(err)
		}
		if after := again.ask("honest"); after.Value != before.Value || after.Reason != before.Reason {
			t.Errorf("after a restart %+v, before %+v", after, before)
		}
		for _, bad := range []string{
			`{"version":2,"records":{}}`, `{"version":1,"records":null}`, `{"version":1,"records":{"0":null}}`,
			`{"version":1,"records":{"0":{"up":2,"looks":1}}}`, `{"version":1,"records":{"0":{"got":{"cpu":2}}}}`,
		} {
			if err := again.Restore([]byte(bad)); err == nil {
				t.Errorf("%s is taken", bad)
			}
		}
		again.Forget(0)
		if s := again.ask("honest"); s.Value != present {
			t.Errorf("a slot that changed hands scores %+v", s)
		}
	})
}

func TestSilenceFades(t *testing.T) {
	r := record{Got: figures{1, 1, 1, 1, 1}, Up: 10, Looks: 10, Shown: 4000, At: time.Unix(0, 0), Tried: true}
	now := r.worth(time.Unix(0, 0), 4000)
	later := r.worth(time.Unix(0, 0).Add(4*fading), 4000)
	if now != 1 || later > 0.3 || later <= 0 {
		t.Errorf("worth %.3f, and %.3f after four days that nobody looked", now, later)
	}
}

// TestMeasuresThisMachine measures over real HTTP, against promises that every
// machine keeps.
func TestMeasuresThisMachine(t *testing.T) {
	server := httptest.NewServer(&exercise.Server{Key: "key", Scratch: t.TempDir(), Volume: t.TempDir()})
	defer server.Close()
	m := Manifest{CPU: 500, Memory: 8, Storage: 8, Volume: 64, Hashes: 10_000, Disk: 1, Net: 1, MaxPrice: 1}.withDefaults()
	s := &session{m: m, url: server.URL, key: "key", client: server.Client(), got: nothing()}
	if err := s.await(t.Context(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	measure(t.Context(), []*session{s})
	t.Logf("%+v, the way there and back takes %v", s.got, s.rtt)
	for _, f := range s.got.all()[1:] {
		if *f < 0.5 {
			t.Errorf("figures %+v: %v", s.got, s.why)
			break
		}
	}
	other := &session{m: m, url: server.URL, key: "other", client: server.Client(), got: nothing()}
	if other.cpu(t.Context()); other.got.CPU != 0 || other.why == nil || other.cheat != nil {
		t.Errorf("with another key: %+v, %v", other.got, other.why)
	}
}
