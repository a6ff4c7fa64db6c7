package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet/text"
)

// decide returns the answers to give, at most as many as are wanted, best
// first.
func (r *round) decide(ctx context.Context) ([]*leg, error) {
	legs, err := r.best(ctx)
	if err != nil {
		return nil, err
	}
	switch r.prompt.strategy {
	case BestOfK:
		return r.bestOfK(ctx)
	case Vote:
		return r.poll(), nil
	case Merge:
		return r.merge(ctx)
	case Best, First:
	}
	return legs, nil
}

// bestOfK ranks the answers as the user wants.
func (r *round) bestOfK(ctx context.Context) ([]*leg, error) {
	legs := r.ranked()
	switch r.prompt.by {
	case byLogProb:
		slices.SortStableFunc(legs, func(a, b *leg) int { return cmp.Compare(b.meanLogProb(), a.meanLogProb()) })
		r.by = receipt.ByLogProb
		r.said = fmt.Sprintf("highest mean log-probability, %.3f, of %d answers", legs[0].meanLogProb(), len(legs))
	case byJudge:
		named, err := r.choice(ctx, legs)
		if err != nil {
			return nil, err
		}
		if !named {
			legs = r.ranked() // more may be known of them by now
		}
		if len(legs) == 0 {
			return nil, r.nothing()
		}
	}
	return legs[:min(len(legs), r.prompt.n)], nil
}

// meanLogProb is the mean over the answer's tokens, as the miner told them and
// the check compared them; very low where it told none.
func (l *leg) meanLogProb() float64 {
	if len(l.tokens) == 0 {
		return -1e9
	}
	sum := 0.0
	for _, t := range l.tokens {
		sum += float64(t.LogProb)
	}
	return sum / float64(len(l.tokens))
}

// choice has a miner read the answers, and puts the one that it names first. It
// tells whether the miner named one.
func (r *round) choice(ctx context.Context, legs []*leg) (named bool, err error) {
	if len(legs) == 1 {
		return true, nil
	}
	shown := r.fitting(legs, chooseTask, 16)
	judge, err := r.consult(ctx, r.question(shown, chooseTask, 16))
	if err != nil {
		return false, err
	}
	if judge == nil {
		r.said = fmt.Sprintf("no judge could be asked; the highest score of %d answers", len(legs))
		return false, nil
	}
	n, err := strconv.Atoi(lastNumber(judge.text.String()))
	if err != nil || n < 1 || n > len(shown) || !r.holds(legs[n-1]) {
		r.said = fmt.Sprintf("the judge, miner %d, named no answer; the highest score of %d answers", judge.Peer.UID, len(legs))
		return false, nil //nolint:nilerr // the judge failed, the answers did not
	}
	chosen := legs[n-1]
	copy(legs[1:n], legs[:n-1])
	legs[0] = chosen
	r.by = receipt.ByJudge
	r.said = fmt.Sprintf("chosen by miner %d, which read %d answers", judge.Peer.UID, len(shown))
	return true, nil
}

// A ballot is what answers that say the same add up to.
type ballot struct {
	answer string
	weight float64
	legs   []*leg // best first
}

// leastWeight is the vote of a miner about which nothing good is known.
const leastWeight = 0.001

// weight is what a leg's vote counts: its answer's verified score, or half its
// miner's standing while there is none, in ten-thousandths.
func (l *leg) weight() float64 {
	if l.state == judged {
		return round4(max(l.score.Value, leastWeight))
	}
	return round4(max(round4(l.Score)/2, leastWeight))
}

// poll lets the answers vote and returns the best of those that won: the
// greatest sum of weights wins; ties go to more votes, then to the higher
// single weight, then to what was said first. Answers that say nothing that
// can be compared have no vote; where none has, the best answer is given.
func (r *round) poll() []*leg {
	legs := r.ranked()
	var ballots []*ballot
	for _, l := range legs {
		l.vote = vote(l.text.String(), r.prompt.extract, r.prompt.field)
		if l.vote == "" {
			continue
		}
		i := slices.IndexFunc(ballots, func(b *ballot) bool { return b.answer == l.vote })
		if i < 0 {
			i, ballots = len(ballots), append(ballots, &ballot{answer: l.vote})
		}
		ballots[i].weight = round4(ballots[i].weight + l.weight())
		ballots[i].legs = append(ballots[i].legs, l)
	}
	if len(ballots) == 0 {
		r.said = fmt.Sprintf("none of %d answers says what can be put to the vote; highest score", len(legs))
		return legs[:1]
	}
	slices.SortStableFunc(ballots, func(a, b *ballot) int {
		return cmp.Or(
			cmp.Compare(b.weight, a.weight),
			cmp.Compare(len(b.legs), len(a.legs)),
			cmp.Compare(b.legs[0].weight(), a.legs[0].weight()),
			a.soonest().Compare(b.soonest()),
		)
	})
	for _, b := range ballots {
		v := voteReport{Answer: b.answer, Weight: b.weight, legs: b.legs}
		for _, l := range b.legs {
			v.Miners = append(v.Miners, l.Peer.UID)
		}
		r.votes = append(r.votes, v)
	}
	won := ballots[0]
	r.by = receipt.ByVotes
	r.said = fmt.Sprintf("%d of %d answers say so, with %.2f of the votes' weight", len(won.legs), len(legs), won.weight/sum(ballots))
	return won.legs[:1]
}

func (b *ballot) soonest() time.Time {
	at := b.legs[0].began.Add(b.legs[0].total)
	for _, l := range b.legs {
		if t := l.began.Add(l.total); t.Before(at) {
			at = t
		}
	}
	return at
}

func sum(ballots []*ballot) (all float64) {
	for _, b := range ballots {
		all += b.weight
	}
	return all
}

// merge has one miner write an answer out of all. Where nobody can it gives the
// best there is.
func (r *round) merge(ctx context.Context) ([]*leg, error) {
	legs := r.ranked()
	ask, shown := r.merger(legs)
	if shown == 0 {
		return legs[:1], nil
	}
	merged, err := r.consult(ctx, ask)
	if err != nil {
		return nil, err
	}
	if merged == nil {
		r.unmerged(legs)
		if legs = r.ranked(); len(legs) == 0 { // more may be known of them by now
			return nil, r.nothing()
		}
		return legs[:1], nil
	}
	r.merged(merged, shown)
	return []*leg{merged}, nil
}

// merger is the request for one answer out of those of legs, and how many of
// them are shown in it; 0 where there is nothing to merge.
func (r *round) merger(legs []*leg) (ask text.Request, shown int) {
	if len(legs) == 1 {
		return ask, 0
	}
	most := r.prompt.ask.MaxTokens
	fit := r.fitting(legs, mergeTask, most)
	if len(fit) < 2 {
		r.said = fmt.Sprintf("%d answers do not fit the model's context to merge them; highest score", len(legs))
		return ask, 0
	}
	return r.question(fit, mergeTask, most), len(fit)
}

func (r *round) merged(by *leg, shown int) {
	r.by = receipt.ByMerge
	r.said = fmt.Sprintf("merged by miner %d out of %d answers", by.Peer.UID, shown)
}

func (r *round) unmerged(legs []*leg) {
	r.by = receipt.ByScore
	r.said = fmt.Sprintf("no miner could merge the answers; the highest score of %d", len(legs))
}

// merge streams what a proven miner writes out of all answers, as it is made.
// Where none is there it gives what decide does.
func (s *relay) merge(ctx context.Context) error {
	r := s.round
	if _, err := r.best(ctx); err != nil {
		return err
	}
	legs := r.ranked()
	judges := slices.DeleteFunc(r.judges(), func(c candidate) bool { return !c.proven })
	if len(judges) == 0 {
		return s.checked(ctx)
	}
	ask, shown := r.merger(legs)
	if shown == 0 {
		return s.answer(legs[:1])
	}
	r.ask, r.role, r.spare = ask, roleJudge, judges[1:]
	r.merged(r.start(judges[0], ask), shown)
	if err := s.listen(ctx); err != nil {
		return err
	}
	r.role = ""
	if c := s.choices[0]; !c.empty() {
		r.merged(c.legs[0], shown)
		return nil
	}
	r.unmerged(legs)
	return s.answer(legs[:1])
}

// What a miner is asked about the others' answers.
const (
	chooseTask = "Which of these answers is the best? Reply with its number and nothing else."
	mergeTask  = "Write one answer to the question: keep what the answers above agree on and what is right in each, and leave out what is wrong. Reply with the answer alone."
)

// question asks for a judgement on answers, at temperature 0.
func (r *round) question(legs []*leg, task string, tokens int) text.Request {
	var b strings.Builder
	b.WriteString("Question:\n" + r.prompt.words() + "\n\n")
	for i, l := range legs {
		fmt.Fprintf(&b, "Answer %d:\n%s\n\n", i+1, strings.TrimSpace(l.text.String()))
	}
	b.WriteString(task)
	return text.Request{Messages: []engine.Message{{Role: engine.User, Content: b.String()}}, MaxTokens: tokens}
}

// fitting returns the first of legs about which task can be asked within the
// model's context.
func (r *round) fitting(legs []*leg, task string, tokens int) []*leg {
	for n := len(legs); n > 1; n-- {
		q := r.question(legs[:n], task, tokens)
		if r.fits(q) {
			return legs[:n]
		}
	}
	return legs[:1]
}

func (r *round) fits(q text.Request) bool {
	if len(q.Messages[0].Content) > maxText {
		return false
	}
	t, room := r.model.Tokenizer, r.model.Context
	if t == nil || room == 0 {
		return true
	}
	tokens, err := t.Render(q.Messages)
	return err == nil && len(tokens)+q.MaxTokens <= room
}

// words are what the user asked last.
func (p *prompt) words() string {
	for _, m := range slices.Backward(p.ask.Messages) {
		if m.Role == engine.User {
			return m.Content
		}
	}
	if p.ask.Prompt == "" && p.model.Tokenizer != nil {
		return p.model.Tokenizer.Decode(p.ask.Tokens)
	}
	return p.ask.Prompt
}

// maxConsulted is how many miners are tried as a judge.
const maxConsulted = 3

// judges are the miners that may be asked about the others' answers, in order.
func (r *round) judges() []candidate {
	order, err := r.g.order(&r.prompt)
	if err != nil {
		return nil // nobody is there any more, and the answers are
	}
	return order[:min(len(order), maxConsulted)]
}

// consult puts a question of the gateway's own to a miner and has its answer
// checked. It returns nil where nobody gives one that holds.
func (r *round) consult(ctx context.Context, ask text.Request) (*leg, error) {
	for _, c := range r.judges() {
		l := r.start(c, ask)
		l.role = roleJudge
		if err := r.await(ctx, func() bool { return l.state == running }); err != nil {
			return nil, err
		}
		r.judge(ctx)
		if r.holds(l) && l.text.Len() > 0 {
			return l, nil
		}
	}
	return nil, nil
}

// await hears the miners while busy says so, or until ctx ends.
func (r *round) await(ctx context.Context, busy func() bool) error {
	ping := time.NewTicker(r.g.limits.Ping)
	defer ping.Stop()
	for busy() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ping.C:
			if r.idle != nil {
				r.idle()
			}
		case <-r.box.ready:
			for _, e := range r.box.take() {
				r.apply(e)
			}
		}
	}
	return nil
}
