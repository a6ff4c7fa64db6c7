package embed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// verdict is what one answer shows by itself.
type verdict struct {
	failed  string // why the answer is worth nothing; empty when it is good
	cheated bool   // failed in a way no honest miner does
	note    string // for people, of an answer that is good
	units   int    // tokens of the texts
	checked int    // vectors that were computed again
	worst   float64
}

// cheat is the verdict on an answer that no honest miner gives.
func cheat(format string, a ...any) verdict {
	return verdict{failed: fmt.Sprintf(format, a...), cheated: true}
}

// judge examines one answer, with the engine if it is this answer's turn.
func (m *Mechanism) judge(ctx context.Context, t subnet.Trial) (verdict, error) {
	if err := t.Answer.Err; err != nil {
		return verdict{failed: "no answer: " + err.Error()}, nil //nolint:nilerr // the miner failed, not we
	}
	if t.Task.Timeout > 0 && t.Answer.Total > t.Task.Timeout {
		return verdict{failed: fmt.Sprintf("the answer took %v, %v were allowed", t.Answer.Total, t.Task.Timeout)}, nil
	}
	r, err := m.read(t.Task)
	if err != nil {
		return verdict{note: "the request cannot be checked: " + err.Error()}, nil //nolint:nilerr // the asker failed, not we
	}
	a, err := decodeAnswer(t.Answer.Body)
	if err != nil {
		return cheat("%v", err), nil
	}
	if broken := a.broken(len(r.Texts)); broken != "" {
		return cheat("%s", broken), nil
	}
	units := m.count(r.Texts)
	if !m.due(t.Task) {
		return verdict{note: "not checked this time", units: units}, nil
	}
	v, err := m.compare(ctx, t.Task, r.Texts, a, m.sample(t.Task, len(r.Texts)))
	v.units = units
	return v, err
}

// unit is how far a vector's norm may be from 1.
const unit = 1e-3

// broken says in words what no honest answer to n texts has, or "".
func (a answer) broken(n int) string {
	if len(a.vectors) != n {
		return fmt.Sprintf("%d vectors for %d texts", len(a.vectors), n)
	}
	for i, v := range append(a.vectors[:n:n], a.probe) {
		if len(v) != len(a.probe) {
			return fmt.Sprintf("vector %d has %d numbers, the probe's has %d", i, len(v), len(a.probe))
		}
		if norm := math.Sqrt(dot(v, v)); !(math.Abs(norm-1) <= unit) { // also catches NaN
			return fmt.Sprintf("vector %d has norm %.3g, it must be 1", i, norm)
		}
	}
	return ""
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// distance is 1 − cosine of two vectors of one length, 0 to 2. It is computed
// by the difference of the unit vectors, |u − v|² ⁄ 2, which keeps its digits
// where the vectors almost agree.
func distance(a, b []float32) float64 {
	na, nb := math.Sqrt(dot(a, a)), math.Sqrt(dot(b, b))
	sum := 0.0
	for i := range a {
		d := float64(a[i])/na - float64(b[i])/nb
		sum += d * d
	}
	return sum / 2
}

// sample draws which of n texts are computed again.
func (m *Mechanism) sample(t subnet.Task, n int) []int {
	dice := rand.New(rand.NewPCG(m.draw(t, "sample"), 0))
	return dice.Perm(n)[:min(n, m.options.Sample)]
}

// compare computes the probe and the picked texts again.
func (m *Mechanism) compare(ctx context.Context, t subnet.Task, texts []string, a answer, picks []int) (verdict, error) {
	select {
	case m.checks <- struct{}{}:
		defer func() { <-m.checks }()
	case <-ctx.Done():
		return verdict{}, ctx.Err()
	}
	ask, said := []string{probe(t, texts)}, [][]float32{a.probe}
	for _, i := range picks {
		ask, said = append(ask, texts[i]), append(said, a.vectors[i])
	}
	wants, err := m.embed(ctx, ask)
	if errors.Is(err, engine.ErrTooLong) {
		return verdict{note: "too long for this validator to check"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	v := verdict{checked: len(ask)}
	for i, want := range wants {
		if len(want) != len(said[i]) {
			return cheat("vectors of %d numbers, the model's have %d", len(said[i]), len(want)), nil
		}
		d := distance(said[i], want)
		v.worst = max(v.worst, d)
		if d <= m.manifest.Tolerance {
			continue
		}
		what := "the probe"
		if i > 0 {
			what = fmt.Sprint("vector ", picks[i-1])
		}
		v.cheated = true
		v.failed = fmt.Sprintf("%s is %.2g away from the model's (1 − cosine), at most %.2g is allowed", what, d, m.manifest.Tolerance)
		return v, nil
	}
	return v, nil
}

// count is how many tokens texts have; where the tokenizer fails a token is
// taken for four bytes.
func (m *Mechanism) count(texts []string) int {
	n := 0
	for _, s := range texts {
		tokens, err := m.engine.Encode(s)
		if err != nil {
			n += (len(s) + 3) / 4
			continue
		}
		n += len(tokens)
	}
	return n
}

// disagreements tells which vectors of two answers are further apart than tolerance.
func (m *Mechanism) disagreements(a, b answer) []int {
	var apart []int
	for i := range a.vectors {
		if len(a.vectors[i]) != len(b.vectors[i]) || distance(a.vectors[i], b.vectors[i]) > m.manifest.Tolerance {
			apart = append(apart, i)
		}
	}
	return apart
}
