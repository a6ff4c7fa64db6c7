package calibrate

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/plexus-network/plexus/subnet/text"
)

// A Cheat is a way to cheat that Detect tries.
type Cheat struct {
	Name      string
	Model     string         // path of the file it runs; empty means the declared one
	Behaviour text.Behaviour // what else it does
}

// Behaviours are the cheats that need no other model.
func Behaviours() []Cheat {
	return []Cheat{
		{Name: "hidden system prompt", Behaviour: text.OtherPrompt},
		{Name: "truncated answers", Behaviour: text.Truncated},
		{Name: "canned answer", Behaviour: text.Canned},
		{Name: "copied from another miner", Behaviour: text.Copycat},
		{Name: "relayed, luck of its own", Behaviour: text.OwnLuck},
	}
}

// A Row is one line of a detection table.
type Row struct {
	Name    string  `json:"name"`
	Honest  bool    `json:"honest"`
	Answers int     `json:"answers"` // examined, that the runs draw from
	Off     float64 `json:"off"`     // share of tokens that are not the sampler's pick

	Tests   int     `json:"tests,omitempty"`  // of an honest miner: sequential tests run
	Rejects int     `json:"rejects"`          // of them, how many rejected it
	Mean    float64 `json:"mean,omitempty"`   // tokens until a decision: accepted, or, of a cheat, rejected
	P99     float64 `json:"p99,omitempty"`    // and at most so many in 99 of 100 runs
	Missed  int     `json:"missed,omitempty"` // runs of a cheat that ended with no rejection within patience
	Passed  float64 `json:"passed,omitempty"` // share of a cheat's runs in which it once passed before it was rejected
}

// How the table is made.
const (
	honestTests = 200_000
	cheatRuns   = 5_000
	patience    = 200_000 // tokens after which a run is given up
	greedyShare = 0.15    // of challenges: as text's are
)

// Detect runs the sequential test on answers that took no part in the
// calibration: of each honest shape, of the cheat that was calibrated for, of
// it in one answer of four, and of more cheats. A run draws whole answers from
// those examined, with replacement, 15 of 100 at temperature 0, and adds up
// their evidence until the test decides, exactly as a validator does.
func (r *Result) Detect(ctx context.Context, o Options, cheats []Cheat) ([]Row, error) {
	o = o.withDefaults()
	checker, err := o.Open(ctx, o.Model, Shape{Name: "checker", Sessions: 1})
	if err != nil {
		return nil, err
	}
	defer func() { _ = checker.Close() }() // it has said all it had to
	o.Tokens = max(o.Tokens/2, 1)          // nothing of these is calibrated with
	l := &lab{options: o, checker: checker, manifest: r.Manifest, total: len(cheats) * 2 * o.Tokens}
	draw := rand.New(rand.NewPCG(1, 2))
	var rows []Row
	for _, p := range r.Honest {
		rows = append(rows, r.honest(p.half(1), draw))
	}
	honest := r.Honest[0].half(1)
	cheat := r.Cheat.half(1)
	rows = append(rows, r.cheat(cheat.Name, cheat, honest, 1, draw))
	rows = append(rows, r.cheat(cheat.Name+" in one answer of four", cheat, honest, 0.25, draw))
	for _, c := range cheats {
		path := c.Model
		if path == "" {
			path = o.Model
		}
		p, err := l.measure(ctx, c.Name, path, shapes[0], c.Behaviour)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r.cheat(c.Name, p, honest, 1, draw))
	}
	return rows, nil
}

// weighed is an answer's evidence and how many tokens it took.
type weighed struct {
	evidence float64
	tokens   int
}

// weigh returns answers of both classes, as the runs draw from them.
func (r *Result) weigh(p Pool) (of [2][]weighed) {
	for i, all := range [2][]text.Examination{p.Greedy, p.Sampled} {
		for _, x := range all {
			of[i] = append(of[i], weighed{r.Manifest.Weigh(x), max(x.Tokens(), 1)})
		}
	}
	return of
}

func pick(of [2][]weighed, draw *rand.Rand) weighed {
	class := 1
	if draw.Float64() < greedyShare {
		class = 0
	}
	return of[class][draw.IntN(len(of[class]))]
}

func row(p Pool, name string) Row {
	margins := append(p.margins(text.Greedy), p.margins(text.Sampled)...)
	return Row{Name: name, Answers: len(p.Greedy) + len(p.Sampled), Off: share(margins)}
}

// honest counts how many tests of an honest miner reject it.
func (r *Result) honest(p Pool, draw *rand.Rand) Row {
	out := row(p, p.Name)
	out.Honest, out.Tests = true, honestTests
	of := r.weigh(p)
	lengths := make([]int, 0, honestTests)
	for range honestTests {
		evidence, tokens := 0.0, 0
		for evidence > text.AcceptAt && evidence < text.RejectAt && tokens < patience {
			w := pick(of, draw)
			evidence += w.evidence
			tokens += w.tokens
		}
		if evidence >= text.RejectAt {
			out.Rejects++
		}
		lengths = append(lengths, tokens)
	}
	out.Mean, out.P99 = summary(lengths)
	return out
}

// cheat counts the tokens until a cheat is rejected, where it cheats in a share
// of its answers and is honest in the others.
func (r *Result) cheat(name string, p, honest Pool, part float64, draw *rand.Rand) Row {
	out := row(p, name)
	of, else_ := r.weigh(p), r.weigh(honest)
	var lengths []int
	passed := 0
	for range cheatRuns {
		evidence, tokens, once := 0.0, 0, false
		for evidence < text.RejectAt && tokens < patience {
			from := of
			if part < 1 && draw.Float64() >= part {
				from = else_
			}
			w := pick(from, draw)
			evidence += w.evidence
			tokens += w.tokens
			if evidence <= text.AcceptAt {
				evidence, once = 0, true
			}
		}
		if once {
			passed++
		}
		if evidence < text.RejectAt {
			out.Missed++
		}
		lengths = append(lengths, tokens)
	}
	out.Rejects = cheatRuns - out.Missed
	out.Passed = float64(passed) / cheatRuns
	out.Mean, out.P99 = summary(lengths)
	return out
}

func summary(lengths []int) (mean, p99 float64) {
	slices.Sort(lengths)
	sum := 0
	for _, n := range lengths {
		sum += n
	}
	return float64(sum) / float64(len(lengths)), float64(lengths[len(lengths)*99/100])
}
