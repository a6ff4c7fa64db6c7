// Package calibrate measures how far honest miners of a model are from each
// other and how far a cheat is, which is what a manifest of kind text needs to
// know; and how soon cheats are caught by it.
//
// All is measured through [text.Mechanism], as validators see it: answers are
// made by one engine and replayed by another. Start at [Run]; [Result.Detect]
// tells what the result is worth.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
)

// A Shape is a way to run a model that changes nothing but rounding.
type Shape struct {
	Name      string
	Sessions  int  // answers computed together
	Reference bool // by the reference engine, in place of the native one
}

// shapes are the ways that honest miners differ. The validator reads an answer
// in one go, so the first compares reading with writing. How many threads
// compute changes nothing (bench/engine.md).
var shapes = []Shape{
	{Name: "one answer at a time", Sessions: 1},
	{Name: "8 answers at a time", Sessions: 8},
}

var reference = Shape{Name: "reference engine", Sessions: 1, Reference: true}

// Options says what to measure. Open and Model are needed.
type Options struct {
	// Open opens a model file, to be closed by the caller.
	Open func(ctx context.Context, path string, s Shape) (engine.Checker, error)

	Model     string // path of the declared model's file
	Cheat     string // path of the cheat's, the next lower quantisation
	CheatName string // as people call it: "q4_0"

	Tokens    int                                // per shape and class, roughly; 0 means 6000
	Challenge int                                // most tokens of an answer; 0 means 64
	Reference bool                               // also as computed by the reference engine
	Progress  func(done, total int, what string) // nil means nobody looks
}

func (o Options) withDefaults() Options {
	if o.Tokens <= 0 {
		o.Tokens = 6000
	}
	if o.Challenge <= 0 {
		o.Challenge = 64
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	return o
}

// A Pool is answers of one origin, examined.
type Pool struct {
	Name    string
	Greedy  []text.Examination // of answers at temperature 0, with probes
	Sampled []text.Examination // and above
}

// Result is what was measured.
type Result struct {
	Measured text.Measured
	Manifest text.Manifest // of the model, with the measured histograms
	Honest   []Pool
	Cheat    Pool
	Decision []Decision
}

// A Decision is how fast the sequential test decides in one class, by the
// drift of its evidence alone.
type Decision struct {
	Class  text.Class
	Accept float64 // tokens until an honest miner passes
	Reject float64 // tokens until the cheat is rejected
	Off    float64 // share of the honest tokens that are not the sampler's pick
	Cheat  float64 // and of the cheat's
}

// ErrAlike means that the cheat cannot be told from honest miners, so that it
// does no harm that answers show.
var ErrAlike = errors.New("calibrate: the cheat cannot be told from honest miners")

// Run measures. Half of the answers make the histograms; the other half is
// what Detect then tries them on.
func Run(ctx context.Context, o Options) (*Result, error) {
	o = o.withDefaults()
	checker, err := o.Open(ctx, o.Model, Shape{Name: "checker", Sessions: 1})
	if err != nil {
		return nil, err
	}
	defer func() { _ = checker.Close() }() // it has said all it had to
	l := &lab{options: o, checker: checker, manifest: text.ManifestOf(checker.Model())}
	ways := shapes
	if o.Reference {
		ways = append(ways[:len(ways):len(ways)], reference)
	}
	l.total = (len(ways) + 1) * 2 * o.Tokens
	r := &Result{Manifest: l.manifest}
	for _, s := range ways {
		p, err := l.measure(ctx, s.Name, o.Model, s, text.Honest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.Honest = append(r.Honest, p)
	}
	name := o.CheatName
	if r.Cheat, err = l.measure(ctx, name, o.Cheat, shapes[0], text.Honest); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, r.calibrate(checker.Model(), name)
}

// calibrate makes histograms of the first halves.
func (r *Result) calibrate(m engine.Model, against string) error {
	r.Measured = text.Measured{Model: m.Name, FileHash: m.FileHash, Precision: m.Precision, Against: against}
	for class, into := range map[text.Class]*text.Calibration{
		text.Greedy: &r.Measured.Greedy, text.Sampled: &r.Measured.Sampled, text.Probed: &r.Measured.Probed,
	} {
		into.Honest = histogram(r.widest(class))
		into.Cheat = histogram(r.Cheat.half(0).margins(class))
	}
	r.Manifest.Greedy, r.Manifest.Sampled, r.Manifest.Probed = r.Measured.Greedy, r.Measured.Sampled, r.Measured.Probed
	for _, class := range []text.Class{text.Greedy, text.Sampled, text.Probed} {
		c := map[text.Class]text.Calibration{
			text.Greedy: r.Measured.Greedy, text.Sampled: r.Measured.Sampled, text.Probed: r.Measured.Probed,
		}[class]
		honest, cheat := drift(c)
		r.Decision = append(r.Decision, Decision{
			Class: class, Accept: text.AcceptAt / honest, Reject: text.RejectAt / cheat,
			Off: 1 - c.Honest[0], Cheat: 1 - c.Cheat[0],
		})
	}
	if _, err := text.ParseManifest(r.Manifest.JSON()); err != nil {
		return fmt.Errorf("%w: %w", ErrAlike, err)
	}
	return nil
}

// widest are the margins of the honest shape that is furthest off: the one that
// the test must still let pass.
func (r *Result) widest(class text.Class) []float64 {
	var widest []float64
	most := -1.0
	for _, p := range r.Honest {
		margins := p.half(0).margins(class)
		if s := share(margins); s > most {
			widest, most = margins, s
		}
	}
	return widest
}

// share is the share of margins above 0.
func share(margins []float64) float64 {
	n := 0
	for _, m := range margins {
		if m > 0 {
			n++
		}
	}
	return float64(n) / float64(max(len(margins), 1))
}

// histogram counts margins, with half a count more in each bin, since what was
// not seen may still happen.
func histogram(margins []float64) (h [6]float64) {
	for i := range h {
		h[i] = 0.5
	}
	for _, m := range margins {
		h[text.Bin(m)]++
	}
	total := float64(len(margins)) + 0.5*float64(len(h))
	for i := range h {
		h[i] = math.Round(h[i]/total*1e6) / 1e6
	}
	sum := 0.0
	for _, v := range h[1:] {
		sum += v
	}
	h[0] = 1 - sum
	return h
}

// drift is the mean evidence of a token, of honest miners and of the cheat.
func drift(c text.Calibration) (honest, cheat float64) {
	for i := range c.Honest {
		w := math.Log(c.Cheat[i] / c.Honest[i])
		honest += c.Honest[i] * w
		cheat += c.Cheat[i] * w
	}
	return honest, cheat
}

// margins are a pool's, of one class.
func (p Pool) margins(class text.Class) (all []float64) {
	from := p.Greedy
	if class == text.Sampled {
		from = p.Sampled
	}
	for _, x := range from {
		if class == text.Probed {
			all = append(all, x.Probe...)
		} else {
			all = append(all, x.Margins...)
		}
	}
	return all
}

// half is every second answer, from the first or the second on.
func (p Pool) half(first int) Pool {
	pick := func(all []text.Examination) (half []text.Examination) {
		for i := first; i < len(all); i += 2 {
			half = append(half, all[i])
		}
		return half
	}
	return Pool{Name: p.Name, Greedy: pick(p.Greedy), Sampled: pick(p.Sampled)}
}

// peers are who the lab's tasks are between.
var (
	validator = subnet.Peer{UID: 0, Account: "validator", PeerID: "validator"}
	miner     = subnet.Peer{UID: 1, Account: "miner", PeerID: "miner"}
	another   = subnet.Peer{UID: 2, Account: "another", PeerID: "another"}
)
