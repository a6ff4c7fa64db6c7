package open

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/yuma"
)

// contest is an open question with the answers that came so far.
type contest struct {
	prompt  string
	issued  int // requests made of it
	entries []entry
}

// entry is one miner's answer.
type entry struct {
	uid  yuma.UID
	text string
	came time.Time
}

const (
	contestants = 3  // miners that get the same open question
	maxContests = 64 // open at the same time; the oldest is dropped
	maxJudged   = 1500
)

// judge compares answers by a model.
type judge struct{ engine engine.Checker }

// ranks judges every pair and returns the place of each answer, 0 for the
// best. Where two read alike, the later one has lost.
func (j judge) ranks(ctx context.Context, prompt string, entries []entry) ([]int, error) {
	wins := make([]float64, len(entries))
	for a := range entries {
		for b := range a {
			p, err := j.prefers(ctx, prompt, entries[a], entries[b])
			if err != nil {
				return nil, err
			}
			switch {
			case p > 0.5+undecided:
				wins[a]++
			case p < 0.5-undecided:
				wins[b]++
			default:
				wins[a] += 0.5
				wins[b] += 0.5
			}
		}
	}
	ranks := make([]int, len(entries))
	for i := range wins {
		for k := range wins {
			if wins[k] > wins[i] {
				ranks[i]++
			}
		}
	}
	return ranks, nil
}

// undecided is how far from even a verdict must be to count.
const undecided = 0.01

// prefers is the probability that a is better than b. The judge reads them in
// both orders: a preference for what stands first cancels in log-odds.
func (j judge) prefers(ctx context.Context, prompt string, a, b entry) (float64, error) {
	if copied(a.text, b.text) {
		if a.came.After(b.came) {
			return 0, nil
		}
		return 1, nil
	}
	first, err := j.odds(ctx, prompt, a.text, b.text)
	if err != nil {
		return 0, err
	}
	second, err := j.odds(ctx, prompt, b.text, a.text)
	if err != nil {
		return 0, err
	}
	return 1 / (1 + math.Exp((second-first)/2)), nil
}

// odds is the mean log-probability of the verdict "A" less that of "B", when
// the answer a is shown as A.
func (j judge) odds(ctx context.Context, prompt, a, b string) (float64, error) {
	tokens, err := j.engine.Render([]engine.Message{{Role: engine.User, Content: fmt.Sprintf(
		"Which answer to the question is better, A or B? Say A or B.\n\nQuestion: %s\n\nA: %s\n\nB: %s", short(prompt), short(a), short(b))}})
	if err != nil {
		return 0, err
	}
	var said [2]float64
	for i, verdict := range []string{"A", "B"} {
		word, err := j.engine.Encode(verdict)
		if err != nil {
			return 0, err
		}
		scores, err := j.engine.Score(ctx, tokens, word)
		if err != nil {
			return 0, err
		}
		if len(scores) == 0 {
			return 0, errors.New("open: the judge scored no tokens")
		}
		for _, s := range scores {
			said[i] += float64(s.LogProb) / float64(len(scores))
		}
	}
	return said[0] - said[1], nil
}

// short is what the judge reads of a text: one line, so that an answer cannot
// pretend to be the other's.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxJudged)], "")
}

// copied tells whether two texts are the same but for a few words: at least
// nine in ten of their runs of four words are common. Short texts may be alike
// by chance.
func copied(a, b string) bool {
	x, y := runs(a), runs(b)
	if len(x) < 8 || len(y) < 8 {
		return false
	}
	both := 0
	for r := range x {
		if y[r] {
			both++
		}
	}
	return both*10 >= 9*max(len(x), len(y))
}

func runs(s string) map[string]bool {
	all := map[string]bool{}
	words := strings.Fields(strings.ToLower(s))
	for i := 0; i+4 <= len(words); i++ {
		all[strings.Join(words[i:i+4], " ")] = true
	}
	return all
}

// enter adds an answer, and reports whether the contest is over: because it is
// full, or because a miner got the question again, which happens where there
// are only two. It is in the contest once.
func (c *contest) enter(e entry) (over bool) {
	if slices.ContainsFunc(c.entries, func(o entry) bool { return o.uid == e.uid }) {
		return len(c.entries) > 1
	}
	c.entries = append(c.entries, e)
	return len(c.entries) >= contestants
}
