package receipt

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// ranked checks that the answer that was given is the one that the receipt's
// own figures put first.
func (f *Finding) ranked(r Receipt) {
	switch r.Ranked {
	case "", ByFirst:
		return
	case ByScore:
		f.highest(r, "score", func(m Miner) *float64 { return m.Score })
	case ByLogProb:
		f.highest(r, "mean log-probability", func(m Miner) *float64 { return m.LogProb })
	case ByVotes:
		if err := r.count(); err != nil {
			f.failed("the votes: %v", err)
			return
		}
		won := r.Votes[0]
		f.proved("the answer has the greatest weight, %v, of %d that %d miners voted for", won.Weight, len(r.Votes), r.voters())
		f.open("that the miners' answers say what was counted: whoever has their texts can hash what they say")
	case ByJudge, ByMerge:
		f.consulted(r)
	default:
		f.open("that the answer is the first by %q, which this program does not know", r.Ranked)
	}
}

// eligible tells whether a miner's answer could have been given.
func (r Receipt) eligible(m Miner) bool {
	return m.Role == "" && (m.Verdict == "accepted" && (m.Examined || !r.Verified) || m.Verdict == "unchecked" && !r.Verified)
}

// highest checks that no answer that could have been given has a higher figure
// than those that were. No figure is below any.
func (f *Finding) highest(r Receipt, name string, figure func(Miner) *float64) {
	least, other, rivals := math.Inf(1), math.Inf(-1), 0
	for _, m := range r.Miners {
		v := math.Inf(-1)
		if p := figure(m); p != nil {
			v = *p
		}
		switch {
		case m.Chosen && !r.eligible(m):
			f.failed("miner %d, whose answer is %s, was chosen by its %s", m.UID, m.Verdict, name)
			return
		case m.Chosen:
			least = min(least, v)
		case r.eligible(m):
			other, rivals = max(other, v), rivals+1
		}
	}
	if least < other {
		f.failed("not true: the answer has the highest %s: it has %v, and another %v", name, least, other)
		return
	}
	f.proved("no other of the %d answers that could have been given has a higher %s", rivals, name)
}

// consulted checks that a miner was asked about the others' answers.
func (f *Finding) consulted(r Receipt) {
	i := slices.IndexFunc(r.Miners, func(m Miner) bool { return m.Role == "judge" && (r.Ranked == ByJudge || m.Chosen) })
	if i < 0 {
		f.failed("the answer is by a judge's word, and no miner was asked for it")
		return
	}
	f.proved("miner %d was asked about the others' answers", r.Miners[i].UID)
	f.open("what miner %d said of the others' answers: whoever has the bodies of its exchange can tell", r.Miners[i].UID)
}

// voters is how many miners' answers had a vote.
func (r Receipt) voters() (n int) {
	for _, v := range r.Votes {
		n += len(v.Miners)
	}
	return n
}

// count counts the votes again. It returns what is wrong with them, or with the
// answer that won.
func (r Receipt) count() error {
	seen := make([]bool, len(r.Miners))
	for i, v := range r.Votes {
		if len(v.Miners) == 0 {
			return fmt.Errorf("vote %d is nobody's", i)
		}
		sum := 0.0
		for _, place := range v.Miners {
			if place < 0 || place >= len(r.Miners) || seen[place] {
				return fmt.Errorf("vote %d counts miner at place %d of %d, which is not there or voted before", i, place, len(r.Miners))
			}
			seen[place] = true
			m := r.Miners[place]
			if err := r.weighs(m); err != nil {
				return err
			}
			sum = tenThousandths(sum + *m.Weight)
		}
		if sum != v.Weight {
			return fmt.Errorf("vote %d weighs %v, and its miners %v", i, v.Weight, sum)
		}
	}
	switch {
	case len(r.Votes) == 0:
		return fmt.Errorf("there are none")
	case !slices.IsSortedFunc(r.Votes, r.before):
		return fmt.Errorf("another answer than the first has the greatest weight")
	}
	for place, m := range r.Miners {
		if m.Chosen != (place == r.Votes[0].Miners[0]) || m.Weight != nil && !seen[place] {
			return fmt.Errorf("miner %d is chosen and did not win, or its vote was not counted", m.UID)
		}
	}
	return nil
}

// weighs checks the weight of one miner's vote: the verified score of its
// answer, or half its standing where there is no verdict, but not less than a
// thousandth.
func (r Receipt) weighs(m Miner) error {
	want := m.Standing / 2
	if m.Score != nil {
		want = *m.Score
	}
	want = tenThousandths(max(want, 0.001))
	if m.Weight == nil || *m.Weight != want || !r.eligible(m) {
		return fmt.Errorf("the vote of miner %d, whose answer is %s, does not weigh %v", m.UID, m.Verdict, want)
	}
	return nil
}

// before orders votes: the heaviest first, then the one of more miners, then
// the one with the heavier miner.
func (r Receipt) before(a, b Vote) int {
	heaviest := func(v Vote) (most float64) {
		for _, place := range v.Miners {
			most = max(most, *r.Miners[place].Weight)
		}
		return most
	}
	return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(len(b.Miners), len(a.Miners)), cmp.Compare(heaviest(b), heaviest(a)))
}

// tenThousandths rounds as all figures of a receipt are rounded.
func tenThousandths(f float64) float64 { return math.Round(f*1e4) / 1e4 }
