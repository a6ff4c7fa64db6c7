package calibrate

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/toy"
)

// toys are models by name.
func toys(_ context.Context, path string, s Shape) (engine.Checker, error) {
	o := toy.Options{Model: 1, Noise: 0.01 * float64(s.Sessions)}
	switch path {
	case "declared":
	case "cheat":
		o.Drift = 0.3
	case "twin":
	case "other":
		o.Drift = 3
	default:
		return nil, errors.New("no such model")
	}
	return toy.New(o), nil
}

func TestCalibrateAndDetect(t *testing.T) {
	var last int
	o := Options{
		Open: toys, Model: "declared", Cheat: "cheat", CheatName: "drift", Tokens: 3000,
		Progress: func(done, total int, what string) {
			if done < last || done > total || what == "" {
				t.Errorf("progress %d of %d (%q) after %d", done, total, what, last)
			}
			last = done
		},
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := text.ParseManifest(r.Manifest.JSON()); err != nil {
		t.Errorf("the manifest is no good: %v", err)
	}
	for _, d := range r.Decision {
		if !(d.Off < d.Cheat && d.Accept > 0 && d.Reject > 0) {
			t.Errorf("decision %+v", d)
		}
	}
	last = 0
	rows, err := r.Detect(t.Context(), o, append(Behaviours(), Cheat{Name: "smaller", Model: "other"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		switch {
		case row.Honest && row.Rejects > row.Tests/1000:
			t.Errorf("%d of %d tests reject an honest miner: %+v", row.Rejects, row.Tests, row)
		case !row.Honest && row.Missed > 0:
			t.Errorf("a cheat gets away: %+v", row)
		case row.Mean <= 0 || row.P99 < row.Mean/2:
			t.Errorf("row %+v", row)
		}
	}
	var out bytes.Buffer
	if err := errors.Join(r.Print(&out), PrintRows(&out, rows)); err != nil || !strings.Contains(out.String(), "| canned answer |") {
		t.Errorf("table, %v:\n%s", err, &out)
	}
}

func TestCheatThatIsNone(t *testing.T) {
	_, err := Run(t.Context(), Options{Open: toys, Model: "declared", Cheat: "twin", CheatName: "twin", Tokens: 1500})
	if err == nil {
		return // chance made them differ a little
	}
	if !errors.Is(err, ErrAlike) {
		t.Errorf("Run = %v, want ErrAlike", err)
	}
}

func TestMissingModel(t *testing.T) {
	for _, o := range []Options{{Model: "none", Cheat: "cheat"}, {Model: "declared", Cheat: "none", Tokens: 100}} {
		o.Open = toys
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s against %s: no error", o.Model, o.Cheat)
		}
	}
}

func TestRunHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Open: toys, Model: "declared", Cheat: "cheat"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want the context's error", err)
	}
}
