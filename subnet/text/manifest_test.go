package text

import (
	"strings"
	"testing"

	"github.com/plexus-network/plexus/subnet/text/toy"
)

func TestManifestRoundTrip(t *testing.T) {
	want := ManifestOf(toy.New(declared).Model())
	got, err := ParseManifest(want.JSON())
	if err != nil || got != want {
		t.Errorf("manifest = %+v, %v; want %+v", got, err, want)
	}
	if err := got.Verify(toy.New(declared).Model()); err != nil {
		t.Errorf("Verify of the declared model: %v", err)
	}
	for name, o := range map[string]toy.Options{"model": {Model: 2}, "drift": {Model: 1, Drift: 1}} {
		if err := got.Verify(toy.New(o).Model()); err == nil {
			t.Errorf("Verify of another %s has no error", name)
		}
	}
	other := toy.New(declared).Model()
	other.Precision = "q4_0"
	if err := got.Verify(other); err == nil || !strings.Contains(err.Error(), "q4_0") {
		t.Errorf("Verify of another precision: %v", err)
	}
}

func TestManifestDefaults(t *testing.T) {
	m, err := ParseManifest([]byte(`{"model":"m","precision":"q8_0","file_hash":"` + strings.Repeat("a0", 32) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if m.Sampler != "S1" || m.MaxTokens != 512 || m.Evidence != 5 || m.Penalty != 600 || m.Greedy != defaultGreedy || m.Sampled != defaultSampled {
		t.Errorf("defaults = %+v", m)
	}
}

func TestBadManifest(t *testing.T) {
	good := string(ManifestOf(toy.New(declared).Model()).JSON())
	for _, c := range []struct{ old, new, says string }{
		{good, ``, "EOF"},
		{good, `null`, "model"},
		{good, `[]`, "cannot unmarshal"},
		{good, good + `{}`, "more than one"},
		{good, strings.Repeat(" ", maxManifest+1), "65537 bytes"},
		{`{`, `{"mode":"m",`, `"mode"`},
		{`"model":"toy-1"`, `"model":""`, "model"},
		{`"file_hash":"`, `"file_hash":"x`, "file_hash"},
		{`"template_hash":"`, `"template_hash":"x`, "template_hash"},
		{`"precision":"f32"`, `"precision":""`, "precision"},
		{`"sampler":"S1"`, `"sampler":"S2"`, "S2"},
		{`"max_tokens":512`, `"max_tokens":-1`, "max_tokens"},
		{`"evidence":5`, `"evidence":21`, "evidence"},
		{`"distance":0.08`, `"distance":0.6`, "distance"},
		{`"gate_ms":10000`, `"gate_ms":-1`, "gate_ms"},
		{`"penalty_s":600`, `"penalty_s":-1`, "penalty_s"},
		{`"honest":[0.97,`, `"honest":[0.98,`, "greedy: the honest bins sum"},
		{`"cheat":[0.84,0.015`, `"cheat":[0.855,0`, "greedy: bin 1"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%q is not in %s", c.old, good)
		}
		if _, err := ParseManifest([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q in place of %.40q: error = %v, want %q", c.new, c.old, err, c.says)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(ManifestOf(toy.New(declared).Model()).JSON())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		if again, err := ParseManifest(m.JSON()); err != nil || again != m {
			t.Fatalf("manifest %+v comes back as %+v, %v", m, again, err)
		}
	})
}
