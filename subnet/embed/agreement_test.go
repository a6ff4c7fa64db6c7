package embed

import (
	"os"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
)

func TestMain(m *testing.M) {
	local.ServeIfAsked()
	os.Exit(m.Run())
}

func stockEngine(t *testing.T, name string, reference bool) engine.Checker {
	t.Helper()
	path, err := stock.Path(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := local.Open(t.Context(), path, local.Options{Threads: 1, Command: os.Args[:1], Reference: reference})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// TestAgreementOfStockModels measures what tolerances are set by: how far
// honest engines of one model differ, and how far cheats are at least. The
// reference engine, which rounds nothing but its weights, stands in for the
// worst honest machine.
func TestAgreementOfStockModels(t *testing.T) {
	if testing.Short() {
		t.Skip("opens models")
	}
	native, reference := stockEngine(t, stock.Strong, false), stockEngine(t, stock.Strong, true)
	ask := newAsker([32]byte{7}, 4)
	var texts, cut, probes []string
	for len(texts) < 40 {
		r := ask.next()
		for _, s := range r.Texts {
			texts, cut = append(texts, s), append(cut, beginning(s, len(s)*9/10))
			probes = append(probes, probe(subnet.Task{ID: subnet.TaskID{byte(len(texts))}}, r.Texts))
		}
	}
	embed := func(e engine.Text, texts []string) [][]float32 {
		v, err := e.Embed(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	declared := ManifestOf(native.Model())
	want := embed(native, texts)
	check := func(name string, got, want [][]float32, shift int, honest bool) {
		least, most, wrong := 2.0, 0.0, 0
		for i := range got {
			d := distance(got[i], want[(i+shift)%len(want)])
			least, most = min(least, d), max(most, d)
			if (d <= declared.Tolerance) != honest {
				wrong++
			}
		}
		t.Logf("%-30s 1 − cosine from %.2g to %.2g; %d of %d on the wrong side of %.2g", name, least, most, wrong, len(got), declared.Tolerance)
		if honest && wrong > 0 || wrong > len(got)/4 {
			t.Errorf("%s: %d of %d are misjudged", name, wrong, len(got))
		}
	}
	check("again", embed(native, texts), want, 0, true)
	check("the reference engine", embed(reference, texts), want, 0, true)
	check("texts cut by a tenth", embed(native, cut), want, 0, false)
	check("another text", want, want, 1, false)
	check("another probe", embed(native, probes), embed(native, probes), 1, false)
	if d := len(embed(stockEngine(t, stock.Weak, false), texts[:1])[0]); d == len(want[0]) {
		t.Errorf("both models' vectors have %d numbers", d)
	}
}
